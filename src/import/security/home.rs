//! The home of a set: its files are copied, or become accounts.

use std::path::Path;

use super::{
    super::{
        acl_file,
        homes::{Homes, Sqlite},
        model::PluginOption,
        password_file,
        plugins::{self, Desk},
        reader,
        report::{Line, Report, Verdict},
        settings::Setting,
    },
    Set,
};
use crate::policy::auth::{files::Dialect, password::SaltReading};

use Verdict::{Changed, NotPossible, Translated};

/// A set with plugins. Mosquitto asks its own files first.
pub(super) fn with_plugins(set: &mut Set, folder: &Path, homes: &mut Homes, report: &mut Report) {
    let mut backends: Vec<&'static str> = Vec::new();
    let mut possible = true;
    for plugin in set.plugins.clone() {
        let Some(answer) = plugins::translate(&plugin, &mut Desk { folder, homes, report }) else {
            possible = false;
            continue;
        };
        backends.extend(
            answer.backends.iter().filter(|name| !backends.contains(name)).copied().collect::<Vec<_>>(),
        );
        set.anonymous = set.anonymous.take().or(answer.anonymous);
        set.refuses_anonymous = set.refuses_anonymous.or(answer.refuses_anonymous);
        let setting = |option: PluginOption| Setting { key: "", rest: option.value, line: option.line };
        set.password = set.password.take().or(answer.password_file.map(setting));
        set.acl = set.acl.take().or(answer.acl_file.map(setting));
    }
    if !possible {
        return;
    }
    if backends.is_empty() {
        // The plugins were Mosquitto's own files and nothing else.
        set.plugins.clear();
        return;
    }
    if set.password.is_some() || set.acl.is_some() {
        if homes.is_taken("files") {
            let lines: Vec<Line> =
                [&set.password, &set.acl].into_iter().flatten().map(|setting| setting.line).collect();
            report.leave_out(&lines, "the plugin has files of its own already: put the accounts together");
            return;
        }
        let mut rules = None;
        if let Some(acl) = &set.acl {
            let file = reader::located(acl.text().unwrap_or_default(), folder);
            match acl_file::copy(&file, Dialect::Mosquitto, homes, report) {
                Ok(name) => rules = Some((name, vec![acl.line])),
                Err(why) => return report.say(acl.line, NotPossible, why),
            }
            let note =
                "auth.files.acl_file, a copy; what it says nothing about is asked of the plugin's backends";
            report.say(acl.line, Changed, note);
        }
        let Ok(passwords) = copied(set.password.as_ref(), folder, homes, report) else { return };
        files(homes, passwords, rules);
        backends.insert(0, "files");
    }
    // Each plugin would be asked about the rights of everybody, whoever knew the password.
    homes.ask_all |= backends.len() > 1;
    set.lines = set.plugins.iter().map(|plugin| plugin.line).collect();
    set.backends = Some(backends);
}

/// A set with an `acl_file`: the backend `files`.
pub(super) fn with_rules(set: &mut Set, folder: &Path, homes: &mut Homes, report: &mut Report) {
    let Some(acl) = &set.acl else { return };
    if homes.is_taken("files") {
        let note = "another listener has rules of its own in a file already: put both into one file, or these into accounts";
        report.say(acl.line, NotPossible, note);
        return;
    }
    let rules = acl_file::copy(
        &reader::located(acl.text().unwrap_or_default(), folder),
        Dialect::Mosquitto,
        homes,
        report,
    );
    let rules = match rules {
        Ok(name) => name,
        Err(why) => return report.say(acl.line, NotPossible, why),
    };
    report.say(acl.line, Translated, "auth.files.acl_file, a copy");
    let passwords = match copied(set.password.as_ref(), folder, homes, report) {
        Ok(name) => name,
        Err(()) => return,
    };
    files(homes, passwords, Some((rules, vec![acl.line])));
    set.backends = Some(vec!["files"]);
}

/// A set without rules: everybody who is let in may do everything. `whose`: which listeners that is about, if not all.
pub(super) fn open(set: &mut Set, whose: &str, folder: &Path, homes: &mut Homes, report: &mut Report) {
    let free = match (homes.sqlite, &set.password) {
        (None, _) => true,
        (Some(Sqlite::Open), Some(_)) => homes.accounts.is_empty(),
        (Some(Sqlite::Open), None) => true,
        (Some(Sqlite::Rules), _) => false,
    };
    if free {
        if let Some(password) = &set.password {
            let file = reader::located(password.text().unwrap_or_default(), folder);
            if let Err(why) = password_file::to_accounts(&file, homes, report) {
                return report.say(password.line, NotPossible, why);
            }
            report.say(password.line, Translated, "accounts in the database: latchgate user list");
        }
        homes.open_sqlite();
        set.backends = Some(vec!["sqlite"]);
    } else if !homes.is_taken("files") {
        let Ok(passwords) = copied(set.password.as_ref(), folder, homes, report) else { return };
        let rules = homes.file("acl", "", acl_file::OPEN.as_bytes().to_vec());
        files(homes, passwords, Some((rules, Vec::new())));
        set.backends = Some(vec!["files"]);
    } else if let Some(password) = &set.password {
        let note = "other listeners have accounts of their own already, in files and in the database: put them together";
        report.say(password.line, NotPossible, note);
        return;
    }
    let rules = match set.backends.as_deref() {
        Some(["sqlite"]) => "latchgate acl list shows the rules",
        Some(_) => "the rules are in the acl_file that was made",
        None => return,
    };
    report.remark(format!(
        "{whose}without an acl_file everybody who is let in may do everything, as with Mosquitto, but for topics that begin \
         with $: of these $SYS can be read. {rules}"
    ));
}

/// Copies a password file; its name and line.
pub(super) fn copied(
    password: Option<&Setting>,
    folder: &Path,
    homes: &mut Homes,
    report: &mut Report,
) -> Result<Option<(String, Vec<Line>)>, ()> {
    let Some(password) = password else { return Ok(None) };
    let file = reader::located(password.text().unwrap_or_default(), folder);
    match password_file::copy(&file, SaltReading::Auto, homes, report) {
        Ok(name) => {
            report.say(password.line, Translated, "auth.files.password_file, a copy");
            Ok(Some((name, vec![password.line])))
        }
        Err(why) => {
            report.say(password.line, NotPossible, why);
            Err(())
        }
    }
}

/// The section `[auth.files]`.
pub(super) fn files(
    homes: &mut Homes,
    passwords: Option<(String, Vec<Line>)>,
    rules: Option<(String, Vec<Line>)>,
) {
    let Some(part) = homes.take("files", "[auth.files]") else { return };
    if let Some((name, lines)) = passwords {
        part.set("password_file", name, &lines);
    }
    if let Some((name, lines)) = rules {
        part.set("acl_file", name, &lines);
    }
}
