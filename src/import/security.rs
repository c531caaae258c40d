//! Who is let in, and who says what they may do: from password files, rules and plugins to backends.
//!
//! Mosquitto can have such things for each listener; here each backend is there once, and listeners choose. So each
//! different set is given a home of its own, as long as there are homes; a listener whose set has none is left out.

mod anonymous;
mod home;

use std::path::Path;

use super::{
    homes::{Homes, Sqlite},
    listener::Door,
    model::{Model, Plugin, Security},
    report::{Line, Report, Verdict},
    settings::Setting,
};

use Verdict::{Changed, NotNeeded, NotPossible, Translated};
use anonymous::{anonymous, certificate_is_login, is_open, lets_anyone_in, own, why_shut};
use home::{with_plugins, with_rules};

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
        let plugins = self.plugins.iter().flat_map(|plugin| plugin.lines());
        let mut lines: Vec<Line> = files.chain(plugins).collect();
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
    // Where every listener is so, there is no need to say which.
    let all_without = open.len() == open_sets.iter().filter(|opens| **opens).count();
    let mut shared: Vec<(String, Line)> = Vec::new();
    for set in ruled {
        let acl = set.acl.as_ref().and_then(|acl| Some((acl.text()?.to_owned(), acl.line)));
        let like = acl.as_ref().and_then(|(name, _)| shared.iter().find(|(other, _)| other == name));
        let anonymous = set.doors.iter().all(|number| lets_anyone_in(&doors[*number], model));
        let certified = set.doors.iter().all(|number| certificate_is_login(&doors[*number]));
        match (like, &set.acl) {
            // Whoever shows a certificate brings no password, so the other listener's accounts let nobody in here.
            (Some((_, line)), Some(acl)) if set.password.is_none() && certified => {
                let note = format!("auth.files.acl_file, the copy that {} has made", report.place(*line));
                report.say(acl.line, Translated, note);
                set.backends = Some(vec!["files"]);
            }
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
    for set in open {
        let names = set.doors.iter().flat_map(|number| &doors[*number].addresses);
        let names: Vec<String> = names.map(|(name, _)| format!("{name:?}")).collect();
        let whose = if all_without { String::new() } else { format!("listener {}: ", names.join(", ")) };
        home::open(set, &whose, folder, homes, report);
    }
    with_accounts(&mut sets, homes, report);

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
    // Also what belongs to no listener that is there.
    let listeners = model.listeners.iter().chain([&model.default_listener]);
    for security in listeners.map(|listener| &listener.security).chain([&model.security]) {
        for line in security.plugins.iter().flat_map(|plugin| plugin.lines()) {
            if report.verdict(line).is_none() {
                report.say(line, NotPossible, "no listener is opened that asks it");
            }
        }
    }
    answers
}

/// Has the database asked before Mosquitto's own files, so that `user` and `acl` do afterwards what they say. Only if nobody
/// else has it: whom another listener lets in by it would come in here too.
fn with_accounts(sets: &mut [Set], homes: &mut Homes, report: &mut Report) {
    let own_files = |set: &&mut Set| {
        let only_files = set.backends.as_deref() == Some(&["files"]);
        set.password.is_some() && set.plugins.is_empty() && only_files
    };
    if homes.sqlite.is_some() {
        return;
    }
    for set in sets.iter_mut().filter(own_files) {
        set.backends = Some(vec!["sqlite", "files"]);
        homes.sqlite = Some(Sqlite::Rules);
        homes.adds_accounts = true;
        report.remark(
            "latchgate user, role and acl make further accounts and their rules; those of Mosquitto stay in the copies of \
             password_file and acl_file, which are edited as before",
        );
    }
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
