//! From the model to what will be written.

use std::path::Path;

use super::{
    bridge,
    document::{Document, Part, What},
    general,
    homes::Homes,
    limits, listener,
    model::Model,
    report::Report,
    security,
};

/// All that will be in the folder.
#[derive(Debug)]
pub(super) struct Draft {
    pub document: Document,
    pub homes: Homes,
}

/// Says in our words what the model says. `folder`: that of the main file.
pub(super) fn draft(model: Model, folder: &Path, ipv6: bool, report: &mut Report) -> Draft {
    let mut document = Document::default();
    let mut gateway = Part::new(What::Section, "[gateway]");
    gateway.set("state", "state", &[]);
    let (mut acl, mut log) = (Part::new(What::Section, "[acl]"), Part::new(What::Section, "[log]"));
    let mut bounds = Part::new(What::Section, "[limits]");
    limits::translate(&model.general, &mut bounds, report);
    general::translate(&model.general, &mut gateway, &mut acl, &mut log, report);
    let mut homes = Homes::default();
    let listeners = listener::all(&model, ipv6, report);
    let access = security::settle(&model, &listeners, folder, &mut homes, report);
    for (key, value, line) in &homes.acl {
        acl.set(*key, value.clone(), &[*line]);
    }
    document.parts.extend([gateway, bounds]);
    document.parts.extend(homes.parts());
    document.parts.extend([acl, log]);
    for (listener, access) in listeners.iter().zip(access) {
        document.parts.extend(listener::translate(listener, access, folder, &mut homes, report));
    }
    document.parts.extend(bridge::all(&model, folder, &mut homes, report));
    Draft { document, homes }
}
