//! The new folder: written beside its place, looked at by the gateway's own eyes, and then put there whole.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{
    ImportError, Request,
    document::{Document, Place, What},
    homes::Homes,
    report::Report,
    write::Draft,
};
use crate::{
    config::ConfigError,
    latch::{Id, Instance, PairingStore},
    policy::{
        accounts::{RuleRecord, Subject},
        acl::Access,
    },
    store::{AccountsDb, PairingsDb, StoreError},
};

/// The name of the configuration in the folder.
const CONFIG: &str = "latchgate.toml";
/// Says that there is no listener, which the gateway refuses.
const SHUT: &str = "\n# None of the listeners could be made: see the report. Give one in place of this line.\nlistener = []\n";
/// Most parts that are left out before the import gives up.
const MOST_FAULTS: usize = 10_000;

/// Makes the folder. Whatever the gateway would refuse is left out, and said so of its lines.
///
/// # Errors
/// If it is there, cannot be written, or is refused as a whole. Then there is no folder.
pub(super) fn make(request: &Request<'_>, draft: Draft, report: &mut Report) -> Result<(), ImportError> {
    let out = request.out;
    let unwritable = |file: &Path, why: &dyn std::fmt::Display| ImportError::Unwritable {
        file: file.to_owned(),
        why: why.to_string(),
    };
    if fs::symlink_metadata(out).is_ok() {
        return Err(ImportError::Exists(out.to_owned()));
    }
    let above = match out.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    let name = out.file_name().ok_or_else(|| unwritable(out, &"it is no name of a folder"))?;
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    let beside = tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(above)
        .map_err(|error| unwritable(above, &error))?;
    fs::set_permissions(beside.path(), fs::Permissions::from_mode(0o700))
        .map_err(|error| unwritable(out, &error))?;

    let Draft { mut document, homes } = draft;
    for (name, bytes) in &homes.files {
        write(&beside.path().join(name), bytes).map_err(|error| unwritable(&out.join(name), &error))?;
    }
    let state = beside.path().join("state");
    // What the configuration names has to be there when it is looked at.
    databases(&state, &homes).map_err(|error| unwritable(&out.join("state"), &error))?;
    let file = beside.path().join(CONFIG);
    let refused = until_right(&mut document, &head(request.file), report, |text| {
        write(&file, text.as_bytes()).map_err(|error| unwritable(&out.join(CONFIG), &error))?;
        Ok((request.check)(&file))
    });
    refused.map_err(|error| match error {
        // The folder has another name later.
        ImportError::Refused(why) => ImportError::Refused(
            why.replace(&beside.path().display().to_string(), &out.display().to_string()),
        ),
        other => other,
    })?;
    if homes.sqlite.is_some() && !document.asks("sqlite") && !homes.is_empty() {
        // Whoever opens a listener by hand must not open it to those whose own was left out.
        fs::remove_dir_all(&state).map_err(|error| unwritable(&out.join("state"), &error))?;
        databases(&state, &Homes::default()).map_err(|error| unwritable(&out.join("state"), &error))?;
        report.remark("no listener is left that asks the database: accounts and rules for it were not made");
    }
    if document.find("[[listener]]").is_none() {
        // Without a word about listeners the one that is built in would be opened, and all would look well.
        let (text, _) = document.write(&format!("{}{SHUT}", head(request.file)), report);
        write(&file, text.as_bytes()).map_err(|error| unwritable(&out.join(CONFIG), &error))?;
        report.opens_nothing();
    }
    let made = beside.keep();
    // Never over something that has come there meanwhile.
    renameat_with(CWD, &made, CWD, out, RenameFlags::NOREPLACE).map_err(|error| {
        let _ = fs::remove_dir_all(&made);
        if error == rustix::io::Errno::EXIST {
            ImportError::Exists(out.to_owned())
        } else {
            unwritable(out, &error)
        }
    })
}

/// Leaves out of the document what `looks` finds wrong with its text, until that is nothing; the text.
///
/// # Errors
/// Those of `looks`, and if something is wrong that no part can be left out for.
pub(super) fn until_right(
    document: &mut Document,
    head: &str,
    report: &mut Report,
    mut looks: impl FnMut(&str) -> Result<Result<(), ConfigError>, ImportError>,
) -> Result<String, ImportError> {
    let mut faults = 0;
    loop {
        let (text, places) = document.write(head, report);
        let Err(error) = looks(&text)? else { return Ok(text) };
        faults += 1;
        if faults > MOST_FAULTS || !leave_out(document, &places, &error, report) {
            return Err(ImportError::Refused(error.to_string()));
        }
    }
}

/// Writes a file for its owner alone.
fn write(file: &PathBuf, bytes: &[u8]) -> std::io::Result<()> {
    let mut open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    open.write_all(bytes)?;
    open.sync_all()
}

/// The first lines of the configuration.
fn head(source: &Path) -> String {
    let name = source.file_name().unwrap_or_default().to_string_lossy().replace(char::is_control, " ");
    format!(
        "# Made from {name} by `latchgate import mosquitto`. Comments at the end of lines say what a line comes from.\n\
         # `latchgate check --print-defaults` explains every key.\n"
    )
}

/// Leaves out what an error is about; whether that was possible.
fn leave_out(document: &mut Document, places: &[Place], error: &ConfigError, report: &mut Report) -> bool {
    let Some(problem) = error.problems().first() else { return false };
    let Some(part) = document.take_out(problem.line, places) else { return false };
    let lines = part.all_lines();
    let (what, why) = match &part.what {
        What::Listener(name) => (format!("the listener {name:?}"), String::new()),
        What::Backend(name) => (format!("the backend {name:?}"), String::new()),
        What::Bridge(name) => (format!("the bridge {name:?}"), String::new()),
        What::Route => ("the route".to_owned(), String::new()),
        What::Guard => (part.head.to_owned(), ", and every listener with it".to_owned()),
        What::Section | What::Inner => (part.head.to_owned(), "; its defaults count".to_owned()),
    };
    report.leave_out(&lines, &format!("{what} is left out{why}: {}", problem.what));
    if part.what == What::Guard {
        document.parts.retain(|part| match part.what {
            What::Listener(_) => {
                report.leave_out(&part.all_lines(), "the listener is left out with what guards it");
                false
            }
            _ => true,
        });
    }
    if let What::Backend(name) = part.what {
        // Who only this backend would have known gets in nowhere.
        let mut shut = Vec::new();
        for (at, part) in document.parts.iter_mut().enumerate() {
            if part.drop_backend(name) {
                match part.what {
                    What::Listener(_) => shut.push(at),
                    _ => part.set("backends", vec![toml::Value::from("sqlite")], &[]),
                }
            }
        }
        for at in shut.into_iter().rev() {
            let part = document.parts.remove(at);
            report.leave_out(&part.all_lines(), "the listener is left out with its backend");
        }
    }
    true
}

/// The databases: accounts and rules, and pairings if there are any.
fn databases(state: &Path, homes: &Homes) -> Result<(), String> {
    accounts(state, homes).map_err(|error| error.to_string())?;
    if homes.pairings.is_empty() {
        return Ok(());
    }
    let store = PairingsDb::open(state).map_err(|error| error.to_string())?;
    for pairing in &homes.pairings {
        let id = |text: &str| Id::new(text).map_err(|error| error.to_string());
        store.pair(&pairing.user, &id(&pairing.account)?).map_err(|error| error.to_string())?;
        for (topic, number) in &pairing.instances {
            let instance = Instance { id: id(number)?, topic: topic.clone() };
            store.add_instance(&pairing.user, &instance).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn accounts(state: &Path, homes: &Homes) -> Result<(), StoreError> {
    // All at once: each change by itself waits for the disk.
    AccountsDb::open(state)?.change(|accounts| {
        for account in &homes.accounts {
            accounts.add_user(&account.name, account.stored.as_deref(), account.superuser)?;
            if account.disabled {
                accounts.set_enabled(&account.name, false)?;
            }
        }
        for (role, users) in &homes.roles {
            accounts.add_role(role)?;
            for user in users {
                accounts.grant(role, user)?;
            }
        }
        for rule in &homes.rules {
            let invalid = |why: &str| StoreError::Invalid(why.to_owned());
            let subject: Subject = rule.subject.parse().map_err(invalid)?;
            let access: Access = rule.access.parse().map_err(invalid)?;
            let (filter, deny) = (rule.filter.clone(), rule.deny);
            accounts.add_rule(&RuleRecord { subject, access, filter, deny })?;
        }
        Ok(())
    })
}
