//! The configuration of the gateway, with what the card says.

use std::{fs, path::Path};

use anyhow::Context as _;

use super::apply::Place;
use crate::config::{Card, CardCertificate, Config, Tls};
use crate::gateway;

/// Between these lines stands what the card said; a later card replaces it.
const BEGIN: &str = "# Begin of what latchgate-setup.toml said.";
const END: &str = "# End of what latchgate-setup.toml said.";

/// The new text of the configuration, of the setup file `setup` with its `text`; `None`: it says nothing about the gateway.
///
/// # Errors
/// If a certificate, key or password on the card cannot be used; if the configuration there is cannot be read, or would be
/// wrong with the card's lines.
pub fn changed(card: &Card, text: &str, setup: &Path, place: &Place) -> anyhow::Result<Option<String>> {
    if card.device_id.is_none() && card.bridge.is_empty() && card.certificate.certificate.is_none() {
        return Ok(None);
    }
    // With its files, which still lie on the card: what is wrong with them has its place there.
    let mut said = Config { bridges: card.bridge.clone(), file: Some(setup.to_owned()), ..Config::builtin() };
    if let CardCertificate { certificate: Some(certificate), key: Some(key) } = card.certificate.clone() {
        said.listeners[0].tls = Some(Tls { certificate, key, ..Tls::default() });
    }
    gateway::open_dialers(&said)?;
    gateway::open_tls(&said)?;

    let file = place.gateway.join("latchgate.toml");
    let mut lines: Vec<String> = fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?
        .lines()
        .map(str::to_owned)
        .collect();
    if let Some(id) = &card.device_id {
        set(&mut lines, "[gateway]", "id", id);
    }
    for (key, named) in [("certificate", &card.certificate.certificate), ("key", &card.certificate.key)] {
        let Some(named) = named else { continue };
        let name = named.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        set(&mut lines, "[listener.tls]", key, &name);
    }
    if !card.bridge.is_empty() {
        if let (Some(begin), Some(end)) = (at(&lines, BEGIN), at(&lines, END)) {
            lines.drain(begin..=end.max(begin));
        }
        lines.push(BEGIN.to_owned());
        lines.extend(bridges(text)?.lines().map(str::to_owned));
        lines.push(END.to_owned());
    }
    let new = format!("{}\n", lines.join("\n"));
    check(&new, &file)?;
    Ok(Some(new))
}

fn at(lines: &[String], wanted: &str) -> Option<usize> {
    lines.iter().position(|line| line == wanted)
}

/// Sets a key of a section, which is made if it is not there.
fn set(lines: &mut Vec<String>, section: &str, key: &str, value: &str) {
    let written = format!("{key} = {}", toml::Value::String(value.to_owned()));
    let Some(start) = lines.iter().position(|line| line.trim() == section) else {
        lines.extend([section.to_owned(), written]);
        return;
    };
    let end = lines[start + 1..]
        .iter()
        .position(|line| line.trim_start().starts_with('['))
        .map_or(lines.len(), |n| start + 1 + n);
    let is_key = |line: &String| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
    match lines[start + 1..end].iter().position(is_key) {
        Some(found) => lines[start + 1 + found] = written,
        None => lines.insert(start + 1, written),
    }
}

/// The card's bridges alone, as TOML.
fn bridges(text: &str) -> anyhow::Result<String> {
    let mut all: toml::Table = toml::from_str(text)?;
    let mut alone = toml::Table::new();
    if let Some(bridges) = all.remove("bridge") {
        alone.insert("bridge".to_owned(), bridges);
    }
    Ok(toml::to_string(&alone)?)
}

/// The configuration must be right once it is there.
fn check(new: &str, file: &Path) -> anyhow::Result<()> {
    Config::parse(new, file)
        .map(drop)
        .context("the configuration of the gateway would be wrong with what the card says")
}
