//! Who is let in, and who says what they may do: from password files, rules and plugins to backends.
//!
//! Mosquitto can have such things for each listener; here each backend is there once, and listeners choose. So each
//! different set is given a home of its own, as long as there are homes; a listener whose set has none is left out.

use std::path::Path;

use super::{
    acl_file,
    homes::{Homes, Sqlite},
    listener::Door,
    model::{Model, Plugin, PluginOption, Security},
    password_file,
    plugins::{self, Desk},
    reader,
    report::{Line, Report, Verdict},
    settings::Setting,
};
use crate::policy::auth::{files::Dialect, password::SaltReading};

use Verdict::{Changed, NotNeeded, NotPossible, Translated};

/// Who lets clients of a listener in.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub backends: Vec<&'static str>,
    /// The name of clients that bring none, and the line that lets them in.
    pub anonymous: Option<(String, Option<Line>)>,
    pub lines: Vec<Line>,
}

/// What some listeners have in common.
#[derive(Default)]
struct Set {
    password: Option<Setting>,
    acl: Option<Setting>,
    plugins: Vec<Plugin>,
    /// Its listeners, by their numbers.
    doors: Vec<usize>,
    /// Who is asked, once it is known.
    backends: Option<Vec<&'static str>>,
    /// Lines of its listeners that say the same again.
    alike: Vec<(Line, Line)>,
    /// The lines that it comes from, if its own are not all.
    lines: Vec<Line>,
    /// As a plugin calls clients without a user name.
    anonymous: Option<String>,
    refuses_anonymous: Option<&'static str>,
}

impl Set {
    fn is_same(&self, other: &Set) -> bool {
        let text = |setting: &Option<Setting>| {
            setting.as_ref().and_then(|setting| setting.text().map(str::to_owned))
        };
        let plugins = |set: &Set| set.plugins.iter().map(|plugin| plugin.line).collect::<Vec<_>>();
        text(&self.password) == text(&other.password)
            && text(&self.acl) == text(&other.acl)
            && plugins(self) == plugins(other)
    }

    fn lines(&self) -> Vec<Line> {
        let files = [&self.password, &self.acl].into_iter().flatten().map(|setting| setting.line);
        let mut lines: Vec<Line> = files.chain(self.plugins.iter().map(|plugin| plugin.line)).collect();
        lines.extend(self.lines.iter().filter(|line| !lines.contains(line)).copied().collect::<Vec<_>>());
        lines
    }
}

/// Gives every set a home; what each listener asks, in the order of `doors`, or the line for which it is left out.
pub(super) fn settle(
    model: &Model,
    doors: &[Door],
    folder: &Path,
    homes: &mut Homes,
    report: &mut Report,
) -> Vec<Result<Access, Option<Line>>> {
    let mut sets: Vec<Set> = Vec::new();
    for (number, door) in doors.iter().enumerate() {
        let own = &door.listener.security;
        let security = if model.per_listener { own } else { &model.security };
        let get = |key: &str| security.settings.get(key).cloned();
        let mut plugins = model.security.plugins.clone();
        plugins.extend(own.plugins.iter().cloned());
        let (password, acl) = (get("password_file"), get("acl_file"));
        let set = Set { password, acl, plugins, doors: vec![number], ..Set::default() };
        match sets.iter_mut().find(|other| other.is_same(&set)) {
            Some(same) => {
                let pairs = [(&same.password, &set.password), (&same.acl, &set.acl)];
                let lines = |(one, other): (&Option<Setting>, &Option<Setting>)| {
                    Some((one.as_ref()?.line, other.as_ref()?.line))
                };
                same.alike.extend(pairs.into_iter().filter_map(lines));
                same.doors.push(number);
            }
            None => sets.push(set),
        }
    }
    // What a listener that stays shut would let in must not come in by another.
    let opens = |set: &Set| set.doors.iter().any(|number| is_open(&doors[*number], model));
    let open_sets: Vec<bool> = sets.iter().map(opens).collect();
    let mut waiting: Vec<&mut Set> =
        sets.iter_mut().zip(&open_sets).filter(|(_, opens)| **opens).map(|(set, _)| set).collect();
    // Those that only one home will do for come first.
    for set in waiting.iter_mut().filter(|set| !set.plugins.is_empty()) {
        with_plugins(set, folder, homes, report);
    }
    waiting.retain(|set| set.plugins.is_empty() && set.backends.is_none());
    let (mut ruled, open): (Vec<&mut Set>, Vec<&mut Set>) =
        waiting.into_iter().partition(|set| set.acl.is_some());
    // So that whoever has no accounts finds the rules that it shares with who has.
    ruled.sort_by_key(|set| set.password.is_none());
    let mut shared: Vec<(String, Line)> = Vec::new();
    for set in ruled {
        let acl = set.acl.as_ref().and_then(|acl| Some((acl.text()?.to_owned(), acl.line)));
        let like = acl.as_ref().and_then(|(name, _)| shared.iter().find(|(other, _)| other == name));
        let anonymous = set.doors.iter().all(|number| lets_anyone_in(&doors[*number], model));
        match (like, &set.acl) {
            (Some((_, line)), Some(acl)) if set.password.is_none() && anonymous => {
                let other = report.place(*line);
                let note = format!(
                    "auth.files.acl_file, the copy that {other} has made; a client that brings a user name has to log in with an \
                     account of that listener: Mosquitto believes any name here"
                );
                report.say(acl.line, Changed, note);
                set.backends = Some(vec!["files"]);
            }
            _ => {
                with_rules(set, folder, homes, report);
                shared.extend(acl.filter(|_| set.backends.is_some()));
            }
        }
    }
    open.into_iter().for_each(|set| self::open(set, folder, homes, report));

    let mut answers: Vec<Result<Access, Option<Line>>> = doors.iter().map(|_| Err(None)).collect();
    for set in &sets {
        let lines = set.lines();
        let shut = || set.doors.iter().find_map(|number| why_shut(&doors[*number], model, report));
        let cause = report.cause(&lines).or_else(shut);
        if set.backends.is_none() {
            report.leave_out_for(&lines, "its listeners are left out", cause);
        }
        set.alike.iter().for_each(|(like, line)| report.repeat(*line, *like));
        for number in &set.doors {
            let door = &doors[*number];
            let own = own(door, model);
            // A line that Mosquitto refuses may have been meant to keep somebody out.
            let Some(backends) = set.backends.clone().filter(|_| !own.settings.refused) else {
                let lines: Vec<Line> = own.settings.iter().map(|setting| setting.line).collect();
                let cause = own.settings.refusal.or(cause);
                report.leave_out_for(&lines, "its listeners are left out", cause);
                answers[*number] = Err(cause);
                continue;
            };
            let anonymous = anonymous(door, model, set, homes, report);
            let unreachable = anonymous.is_none() && set.password.is_none() && set.plugins.is_empty();
            if unreachable
                && !door.listener.settings.is_on("require_certificate")
                && let Some(line) = door.listener.line
            {
                report.say(
                    line,
                    Changed,
                    "nobody can log in here, as with Mosquitto: it needs a password_file or a plugin",
                );
            }
            if homes.otherwise.is_empty() {
                homes.otherwise.clone_from(&backends);
            }
            answers[*number] = Ok(Access { backends, anonymous, lines: lines.clone() });
        }
    }
    for security in doors.iter().map(|door| &door.listener.security).chain([&model.security]) {
        rest(security, report);
    }
    answers
}

/// Whose keys count for a listener.
fn own<'a>(door: &'a Door, model: &'a Model) -> &'a Security {
    if model.per_listener { &door.listener.security } else { &model.security }
}

/// Whether a listener will be opened, as far as that is known before its certificates are looked at.
fn is_open(door: &Door, model: &Model) -> bool {
    !door.shut && !own(door, model).settings.refused
}

/// The line for which a listener is not opened.
fn why_shut(door: &Door, model: &Model, report: &Report) -> Option<Line> {
    let lines: Vec<Line> = door.listener.settings.iter().map(|setting| setting.line).collect();
    let refusals = [own(door, model).settings.refusal, door.listener.settings.refusal];
    refusals.into_iter().flatten().next().or_else(|| report.cause(&lines)).or(door.listener.line)
}

/// What is said of clients without a user name.
fn said_of_anonymous<'a>(door: &'a Door, model: &'a Model) -> Option<&'a Setting> {
    let here = door.listener.settings.get("listener_allow_anonymous");
    here.or_else(|| own(door, model).settings.get("allow_anonymous"))
}

fn lets_anyone_in(door: &Door, model: &Model) -> bool {
    door.local || said_of_anonymous(door, model).is_some_and(Setting::is_on)
}

/// The name of clients that bring none.
fn anonymous(
    door: &Door,
    model: &Model,
    set: &Set,
    homes: &Homes,
    report: &mut Report,
) -> Option<(String, Option<Line>)> {
    let said = said_of_anonymous(door, model);
    let allowed = lets_anyone_in(door, model);
    if let Some(said) = said {
        let note = match (allowed, said.is_on()) {
            (true, true) => "listener.anonymous is their user name",
            (true, false) => "Mosquitto lets them in all the same where no listener is named",
            _ => "clients without a user name are refused",
        };
        report.say(said.line, Translated, note);
        if allowed && set.password.is_none() && set.plugins.is_empty() {
            report.say(
                said.line,
                Changed,
                "a client that brings a user name has to log in: Mosquitto believes any name here",
            );
        }
    }
    if !allowed {
        return None;
    }
    if let Some(why) = set.refuses_anonymous {
        if let Some(said) = said {
            report.say(said.line, Changed, why);
        }
        return None;
    }
    if let Some(name) = &set.anonymous {
        return Some((name.clone(), said.map(|said| said.line)));
    }
    let name = (1..).map(|n| if n == 1 { "anonymous".to_owned() } else { format!("anonymous-{n}") });
    let name = name.into_iter().find(|name| homes.accounts.iter().all(|account| account.name != *name))?;
    Some((name, said.map(|said| said.line)))
}

/// What else is about clients.
fn rest(security: &Security, report: &mut Report) {
    for setting in security.settings.iter() {
        let (verdict, note) = match setting.key {
            "allow_zero_length_clientid" if setting.is_on() => (NotNeeded, ""),
            "allow_zero_length_clientid" => (Changed, "a client without an identifier is given one"),
            "psk_file" => (NotPossible, "there is no TLS-PSK: give clients certificates (latchgate pki)"),
            "auto_id_prefix" => (Changed, "identifiers that the gateway gives begin in its own way"),
            _ => continue,
        };
        report.say(setting.line, verdict, note);
    }
}

/// A set with plugins. Mosquitto asks its own files first.
fn with_plugins(set: &mut Set, folder: &Path, homes: &mut Homes, report: &mut Report) {
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
fn with_rules(set: &mut Set, folder: &Path, homes: &mut Homes, report: &mut Report) {
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

/// A set without rules: everybody who is let in may do everything.
fn open(set: &mut Set, folder: &Path, homes: &mut Homes, report: &mut Report) {
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
    report.remark(
        "without an acl_file everybody who is let in may do everything, as with Mosquitto, but for topics that begin with $: of \
         these $SYS can be read. latchgate acl list shows the rules, if the database has them",
    );
}

/// Copies a password file; its name and line.
fn copied(
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
fn files(homes: &mut Homes, passwords: Option<(String, Vec<Line>)>, rules: Option<(String, Vec<Line>)>) {
    let Some(part) = homes.take("files", "[auth.files]") else { return };
    if let Some((name, lines)) = passwords {
        part.set("password_file", name, &lines);
    }
    if let Some((name, lines)) = rules {
        part.set("acl_file", name, &lines);
    }
}
