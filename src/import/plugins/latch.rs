//! The Latch plugin for Mosquitto: a module of mosquitto_pyauth with a folder of its own. The gateway does its job itself.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{Answer, Changed, Desk, NotNeeded, NotPossible, Options, Translated};
use crate::{
    import::{
        document::{Part, What},
        homes::{Account, Pairing, Rule, Sqlite},
        model::Plugin,
        reader,
        report::{Line, Report},
    },
    latch::Id,
    store::accounts::check,
};

/// Where the plugin has its files.
const FOLDER: &str = "/etc/mosquitto/plugin/latch";

/// A line that says something, with its text.
type Said = (Line, String);

pub(super) fn translate(plugin: &Plugin, desk: &mut Desk<'_>) -> Option<Answer> {
    let options = Options::new(plugin);
    options.say("pyauth_module", Translated, "[latch], and rules in the database", desk.report);
    options.say("debug", NotNeeded, "", desk.report);
    options.say("pyauth_module_path", NotNeeded, "the module is not used", desk.report);
    let named = options.text("latch_conf").unwrap_or("latch.conf");
    options.say("latch_conf", Translated, "[latch]", desk.report);
    let Some(folder) = folder(named, desk) else {
        desk.report.say(
            plugin.line,
            NotPossible,
            format!("its files are neither in {FOLDER} nor beside mosquitto.conf"),
        );
        return None;
    };
    options.finish(desk.report);
    if desk.homes.sqlite.is_some() {
        desk.report.say(plugin.line, NotPossible, "the database is used for something else already");
        return None;
    }
    let conf = values(&folder.join(named), desk.report);
    if let Err(why) = service(&conf, desk) {
        desk.report.say(plugin.line, NotPossible, why);
        return None;
    }
    let mut names = BTreeSet::new();
    for (line, user, _) in values(&folder.join("mosquitto.users"), desk.report) {
        desk.report.hide(line, format!("{user}=…"));
        if check::user_name(&user).is_err() {
            desk.report.say(line, NotPossible, "no account can have this name");
            continue;
        }
        let note = format!(
            "the account is made, but its password is stored in a form that is as good as open (MD5): give it a new one: latchgate user password {user}"
        );
        desk.report.say(line, NotPossible, note);
        names.insert(user);
    }
    for name in &names {
        let account = Account { name: name.clone(), stored: None, superuser: false, disabled: false };
        desk.homes.accounts.push(account);
    }
    pairings(&folder, &mut names, desk);
    if let Err(why) = rules(&folder, &mut names, desk) {
        desk.report.say(plugin.line, NotPossible, why);
        desk.homes.accounts.clear();
        return None;
    }
    desk.homes.sqlite = Some(Sqlite::Rules);
    desk.report.say(
        plugin.line,
        Changed,
        "the service is asked beforehand, not for each message; LATCH/status comes from the gateway alone",
    );
    Some(Answer { backends: vec!["sqlite"], ..Answer::default() })
}

/// The folder that holds the file.
fn folder(conf: &str, desk: &Desk<'_>) -> Option<PathBuf> {
    let beside = [
        Path::new(FOLDER).to_owned(),
        desk.folder.join("plugin/latch"),
        desk.folder.join("latch"),
        desk.folder.to_owned(),
    ];
    beside
        .into_iter()
        .find(|folder| folder.join(conf).is_file())
        .and_then(|folder| std::path::absolute(folder).ok())
}

/// The lines of a file without what `comment` begins; none if there is no such file.
fn lines(file: &Path, comment: &str, report: &mut Report) -> Vec<Said> {
    let Ok(bytes) = reader::bytes(file) else { return Vec::new() };
    let mut said = Vec::new();
    for (number, bytes) in reader::split(&bytes).enumerate() {
        let text = String::from_utf8_lossy(bytes);
        let bare = text.split(comment).next().unwrap_or_default().trim().to_owned();
        if bare.is_empty() {
            report.add_quiet(file, number + 1, "");
        } else {
            said.push((report.add(file, number + 1, &bare), bare));
        }
    }
    said
}

/// Lines `NAME=VALUE`.
fn values(file: &Path, report: &mut Report) -> Vec<(Line, String, String)> {
    let read = lines(file, "#", report).into_iter().filter_map(|(line, text)| {
        let Some((name, value)) = text.split_once('=') else {
            report.say(line, NotPossible, "there is no = in it");
            return None;
        };
        Some((line, name.trim().to_owned(), value.trim().to_owned()))
    });
    read.collect()
}

/// `[latch]`.
fn service(conf: &[(Line, String, String)], desk: &mut Desk<'_>) -> Result<(), String> {
    let mut part = Part::new(What::Guard, "[latch]");
    for (line, key, value) in conf {
        let (verdict, note) = match (key.as_str(), value.as_str()) {
            ("app_id" | "publish" | "subscribe", id) if Id::new(id).is_err() => {
                return Err(format!("latch.conf: {key} is no identifier of the service"));
            }
            ("app_id", id) => {
                part.set("application_id", id, &[*line]);
                (Translated, "latch.application_id".to_owned())
            }
            ("publish", id) => {
                part.set("publish_operation", id, &[*line]);
                (Translated, "latch.publish_operation".to_owned())
            }
            ("subscribe", id) => {
                part.set("subscribe_operation", id, &[*line]);
                (Translated, "latch.subscribe_operation".to_owned())
            }
            ("secret_key", secret) => {
                desk.report.hide(*line, "secret_key=…");
                let file = desk.homes.file("latch", "secret", format!("{secret}\n").into_bytes());
                part.set("secret_file", file.as_str(), &[*line]);
                (Translated, format!("latch.secret_file: {file}"))
            }
            ("default_action", "open") => {
                part.set("on_error", "open", &[*line]);
                (Changed, "latch.on_error; a wrong secret, a wrong clock and an account that was unpaired close all the same".to_owned())
            }
            ("default_action", _) => {
                part.set("on_error", "closed", &[*line]);
                (Translated, "latch.on_error".to_owned())
            }
            ("instance_mode", "dynamic") => (
                Changed,
                "instances are made by command: latchgate latch instance, or LATCH/create_instance"
                    .to_owned(),
            ),
            ("instance_mode", _) => (NotNeeded, String::new()),
            ("security_mode", "password") => (Translated, "clients log in to accounts".to_owned()),
            ("security_mode", _) => {
                (NotPossible, "clients have to log in: give the accounts passwords".to_owned())
            }
            ("latch_host", _) => (
                NotNeeded,
                "the plugin does not look at it; latch.host is where the service is today".to_owned(),
            ),
            ("dynamic_pairing", _) => (NotNeeded, "pairing takes a rule for LATCH/pairing".to_owned()),
            _ => (NotPossible, "this key is not known".to_owned()),
        };
        desk.report.say(*line, verdict, note);
    }
    let has = |key: &str| conf.iter().any(|(_, name, _)| name == key);
    if !has("app_id") || !has("secret_key") {
        return Err("latch.conf needs app_id and secret_key".to_owned());
    }
    if !has("default_action") {
        part.set("on_error", "open", &[]);
    }
    desk.homes.sections.push(part);
    Ok(())
}

/// `latch.accounts` and `latch.instances`.
fn pairings(folder: &Path, names: &mut BTreeSet<String>, desk: &mut Desk<'_>) {
    for (line, user, account) in values(&folder.join("latch.accounts"), desk.report) {
        if Id::new(&account).is_err() || check::user_name(&user).is_err() {
            desk.report.say(
                line,
                NotPossible,
                format!("it cannot be a pairing: pair again: latchgate latch pair {user} TOKEN"),
            );
            continue;
        }
        names.insert(user.clone());
        desk.report.hide(line, format!("{user}=…"));
        desk.report.say(line, Translated, "a pairing: latchgate latch status");
        desk.homes.pairings.push(Pairing { user, account, instances: Vec::new() });
    }
    for (line, text) in lines(&folder.join("latch.instances"), "\u{0}", desk.report) {
        let mut words = text.splitn(3, ' ');
        let (topic, id, user) = (words.next(), words.next(), words.next());
        let pairing =
            user.and_then(|user| desk.homes.pairings.iter_mut().find(|pairing| pairing.user == user.trim()));
        match (topic, id, pairing) {
            (Some(topic), Some(id), Some(pairing))
                if Id::new(id).is_ok() && crate::mqtt::TopicFilter::new(topic).is_ok() =>
            {
                pairing.instances.push((topic.to_owned(), id.to_owned()));
                desk.report.say(line, Translated, "an instance of the user's pairing");
            }
            _ => desk.report.say(
                line,
                NotPossible,
                "it is no topic, instance and paired user, with a space between each",
            ),
        }
    }
}

/// `mosquitto.acl`: everybody may do everything, but what matches a filter only those that it lists.
fn rules(folder: &Path, names: &mut BTreeSet<String>, desk: &mut Desk<'_>) -> Result<(), String> {
    let mut lists: Vec<(Line, String, BTreeSet<String>)> = Vec::new();
    for (line, text) in lines(&folder.join("mosquitto.acl"), "##", desk.report) {
        let (filter, users) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
        check::filter(filter).map_err(|why| format!("mosquitto.acl: {why}"))?;
        let users: BTreeSet<String> = users
            .split(',')
            .map(|user| user.replace([' ', '\t'], ""))
            .filter(|user| !user.is_empty())
            .collect();
        names.extend(users.iter().filter(|user| check::user_name(user).is_ok()).cloned());
        if let Some(at) = lists.iter().position(|(_, other, _)| other == filter) {
            let (before, ..) = lists.remove(at);
            desk.report.say(before, NotNeeded, "the filter comes again: the later line counts");
        }
        lists.push((line, filter.to_owned(), users));
    }
    for name in names.iter() {
        desk.homes.rule(name, "all", "#");
    }
    for (line, filter, users) in &lists {
        for name in names.iter().filter(|name| !users.contains(*name)) {
            let (subject, filter) = (name.clone(), filter.clone());
            desk.homes.rules.push(Rule { deny: true, subject, access: "all", filter });
        }
        desk.report.say(*line, Changed, "denied to every user known now that it does not list; a user made later needs rules: latchgate acl");
    }
    Ok(())
}
