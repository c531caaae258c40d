//! The dynamic security plugin's JSON file: clients, groups and roles become accounts, roles and rules.
//!
//! Mosquitto asks a client's roles by their priorities, and each role's entries by theirs; the first that matches decides. Here a
//! rule that denies beats all that allow. Wherever that makes a difference it denies more, never less, and is told as a loss.

mod client;
mod entry;
mod lines;
mod order;

use std::path::Path;

use serde_json::Value;

use super::{
    homes::{Homes, Rule, Sqlite},
    reader,
    report::{Line, Report, Verdict},
};
use crate::store::accounts::check;

use Verdict::{Changed, NotPossible, Translated};
use entry::{Entry, Read};
use lines::Lines;
use order::{Losses, Role};

/// What each kind of entry may say; the first is its name.
const TOP: &[&str] = &["clients", "groups", "roles", "defaultACLAccess", "anonymousGroup", "changeIndex"];
const ROLE: &[&str] = &["rolename", "acls"];
const GROUP: &[&str] = &["groupname", "roles", "clients"];
const CLIENT: &[&str] = &[
    "username",
    "clientid",
    "password",
    "salt",
    "iterations",
    "encoded_password",
    "disabled",
    "roles",
    "groups",
];
const ACL: &[&str] = &["acltype", "topic", "priority", "allow"];

/// Words for people that any entry may have; `mosquitto_ctrl dynsec init` writes them with a capital letter.
const WORDS: &[&str] = &["textname", "textdescription", "textName", "textDescription"];

/// What an entry says besides.
fn others(entry: &Value, known: &[&str]) -> Option<String> {
    let keys = entry.as_object().into_iter().flat_map(|object| object.keys());
    let others: Vec<String> = keys
        .filter(|key| !known.iter().chain(WORDS).any(|known| *key == known))
        .map(|key| format!("{key:?}"))
        .collect();
    (!others.is_empty()).then(|| others.join(", "))
}

/// The group that anonymous clients are in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Anonymous {
    /// The role that was made for that group.
    pub role: Option<String>,
}

/// Reads the file into accounts, roles and rules. `line`: the line that names it.
///
/// # Errors
/// If it cannot be read: then nobody may be let in by it.
pub(super) fn translate(
    file: &Path,
    line: Line,
    homes: &mut Homes,
    report: &mut Report,
) -> Result<Anonymous, String> {
    let bytes = reader::bytes(file).map_err(|error| error.to_string())?;
    let json: Value =
        serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    if !json.is_object() {
        return Err(format!("{}: it is no JSON object", file.display()));
    }
    let mut import = Import { lines: Lines::new(file, &bytes, report), line, roles: Vec::new() };
    if let Err(why) = import.all(&json, homes, report) {
        // The database had nothing before, and half of this would allow what the other half denies.
        homes.accounts.clear();
        homes.roles.clear();
        homes.rules.clear();
        import.lines.leave_out(line, report);
        return Err(why);
    }
    homes.sqlite = Some(Sqlite::Rules);
    let anonymous = json["anonymousGroup"].as_str().map(group_role);
    let role = anonymous.filter(|role| homes.roles.iter().any(|(name, _)| name == role));
    import.lines.finish(report);
    let note = "a rule that denies beats every one that allows, whatever the priorities; what may be subscribed to may be shared ($share)";
    report.say(line, Changed, note);
    Ok(Anonymous { role })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The role that stands for a group.
fn group_role(group: &str) -> String {
    format!("group-{group}")
}

struct Import {
    lines: Lines,
    /// The line that names the file.
    line: Line,
    /// The roles, with their entries in the order in which Mosquitto asks them.
    roles: Vec<Role>,
}

impl Import {
    fn all(&mut self, json: &Value, homes: &mut Homes, report: &mut Report) -> Result<(), String> {
        // What is not known may restrict somebody, so its listeners stay shut.
        let unknown = |what: String| Err(format!("it says what is not known here: {what}"));
        others(json, TOP).map_or(Ok(()), unknown)?;
        for (kind, known) in [("roles", ROLE), ("groups", GROUP), ("clients", CLIENT)] {
            list(&json[kind]).iter().try_for_each(|entry| others(entry, known).map_or(Ok(()), unknown))?;
        }
        let acls = list(&json["roles"]).iter().flat_map(|role| list(&role["acls"]));
        acls.into_iter().try_for_each(|entry| others(entry, ACL).map_or(Ok(()), unknown))?;
        let everyone_subscribes = self.defaults(&json["defaultACLAccess"], homes, report);
        list(&json["roles"]).iter().try_for_each(|role| self.role(role, report))?;
        let holders = order::holders(json, &self.roles);
        let losses = order::losses(&self.roles, &holders, everyone_subscribes);
        self.tell(&losses, report);
        self.rules(&losses, homes);
        list(&json["groups"]).iter().try_for_each(|group| self.group(group, homes, report))?;
        for client in list(&json["clients"]) {
            let line = self.at(&["username", text(client, "username")]);
            client::translate(client, line, homes, report);
        }
        // The file has members at their groups.
        for group in list(&json["groups"]) {
            let role = group_role(text(group, "groupname"));
            for member in list(&group["clients"]) {
                give(&role, text(member, "username"), homes);
            }
        }
        Ok(())
    }

    /// What counts where no role says anything; whether everything can be subscribed to.
    fn defaults(&mut self, defaults: &Value, homes: &mut Homes, report: &mut Report) -> bool {
        for (key, otherwise, access) in [
            ("publishClientSend", false, "publish"),
            ("publishClientReceive", true, "receive"),
            ("subscribe", false, "subscribe"),
        ] {
            let allowed = defaults[key].as_bool().unwrap_or(otherwise);
            if allowed {
                // Topics of the broker itself are no part of `#`, and never were.
                homes.rule("*", access, "#");
                if access != "publish" {
                    homes.rule("*", access, "$SYS/#");
                }
                report.say(self.at(&[key]), Translated, format!("a rule for everyone: allow {access} #"));
            }
        }
        if defaults["unsubscribe"].as_bool() == Some(false) {
            report.say(self.at(&["unsubscribe"]), Changed, "everybody may unsubscribe");
        }
        defaults["subscribe"].as_bool().unwrap_or(false)
    }

    /// The first line that holds all of these as strings; if there is none, that which names the file.
    fn at(&self, words: &[&str]) -> Line {
        self.lines.of(words).unwrap_or(self.line)
    }

    fn role(&mut self, role: &Value, report: &mut Report) -> Result<(), String> {
        let name = text(role, "rolename");
        let line = self.at(&["rolename", name]);
        if let Err(why) = check::role_name(name) {
            // A role can deny something, so it cannot simply be left out.
            return Err(format!("the role {name:?} cannot be made: {why}"));
        }
        if self.roles.iter().any(|(taken, _)| taken == name) {
            return Err(format!("two roles are called {name:?}"));
        }
        let mut entries = Vec::new();
        for acl in list(&role["acls"]) {
            match entry::read(acl) {
                Read::Rule(entry) => {
                    if entry.literal && !entry.deny {
                        let note = format!(
                            "subscribe {:?} is allowed with every filter within it",
                            entry.filter.as_str()
                        );
                        report.say(line, Changed, note);
                    }
                    entries.push(entry);
                }
                Read::Wider(entry, why) => {
                    report.say(line, NotPossible, why);
                    entries.push(entry);
                }
                Read::Nothing => report.say(
                    line,
                    Changed,
                    "everybody may unsubscribe, and $CONTROL is not there: such entries mean nothing",
                ),
                Read::Impossible(why) if acl["allow"].as_bool() != Some(true) => {
                    return Err(format!("the role {name:?} denies what no rule can say: {why}"));
                }
                Read::Impossible(why) => {
                    report.say(line, NotPossible, format!("an entry of it is left out: {why}"));
                }
            }
        }
        order::sort(&mut entries);
        self.roles.push((name.to_owned(), entries));
        report.say(line, Translated, format!("the role {name:?}"));
        Ok(())
    }

    /// Says which rights are lost, and which denials need no rule.
    fn tell(&self, losses: &Losses, report: &mut Report) {
        for (role, entries) in self.roles.iter().enumerate() {
            let (name, entries) = entries;
            let line = self.at(&["rolename", name]);
            let idle = entries.iter().enumerate().filter(|(at, _)| losses.idle.contains(&(role, *at)));
            for (_, Entry { filter, .. }) in idle {
                let note = format!(
                    "nobody who has this role is allowed subscribe {:?}, so that it stays refused without a rule; one that denies                      it would deny every filter within it",
                    filter.as_str()
                );
                report.say(line, Changed, note);
            }
        }
        for ((role, at), from) in &losses.taken {
            let (name, entries) = &self.roles[*role];
            let Entry { access, filter, literal, .. } = &entries[*at];
            let loser = from.map(|(role, at)| (&self.roles[role].0, &self.roles[role].1[at].filter));
            let loser = match loser {
                Some((other, allowed)) => format!("what {other:?} allows, {access} {:?}", allowed.as_str()),
                None => "what everybody may".to_owned(),
            };
            let filter = filter.as_str();
            let why = if *literal {
                format!(
                    "a rule can deny {access} {filter:?} only with every filter within it, and so refuses {loser}"
                )
            } else {
                format!(
                    "the rule that denies {access} {filter:?} counts before all that allow, and so refuses {loser}, which came first"
                )
            };
            let note = format!(
                "{why}; if that shall be allowed: latchgate acl remove role:{name} {access} '{filter}' --deny"
            );
            report.say(self.at(&["rolename", name]), NotPossible, note);
        }
    }

    /// Makes the roles and their rules.
    fn rules(&mut self, losses: &Losses, homes: &mut Homes) {
        for (role, (name, entries)) in self.roles.iter_mut().enumerate() {
            let mut at = 0;
            entries.retain(|_| {
                at += 1;
                !losses.idle.contains(&(role, at - 1))
            });
            homes.roles.push((name.clone(), Vec::new()));
            homes.rules.extend(rules_of(name, entries));
        }
    }

    /// A group is the roles that its members are given.
    fn group(&mut self, group: &Value, homes: &mut Homes, report: &mut Report) -> Result<(), String> {
        let name = text(group, "groupname");
        let role = group_role(name);
        check::role_name(&role).map_err(|why| format!("the group {name:?} cannot be a role: {why}"))?;
        if homes.roles.iter().any(|(taken, _)| *taken == role) {
            return Err(format!("the group {name:?} would be the role {role:?}, which is there already"));
        }
        homes.roles.push((role.clone(), Vec::new()));
        for inner in list(&group["roles"]) {
            let inner = self.roles.iter().find(|(name, _)| name == text(inner, "rolename"));
            homes.rules.extend(inner.into_iter().flat_map(|(_, entries)| rules_of(&role, entries)));
        }
        let note = format!("the role {role:?}, with what the group's roles allow and deny now");
        report.say(self.at(&["groupname", name]), Changed, note);
        Ok(())
    }
}

/// Gives a role to an account, if there are both.
fn give(role: &str, user: &str, homes: &mut Homes) {
    if !homes.accounts.iter().any(|account| account.name == user) {
        return;
    }
    if let Some((_, users)) = homes.roles.iter_mut().find(|(name, _)| name == role)
        && !users.iter().any(|known| known == user)
    {
        users.push(user.to_owned());
    }
}

/// A role's entries as rules.
fn rules_of(role: &str, entries: &[Entry]) -> impl Iterator<Item = Rule> {
    let subject = format!("role:{role}");
    entries.iter().map(move |Entry { deny, access, filter, .. }| Rule {
        deny: *deny,
        subject: subject.clone(),
        access,
        filter: filter.to_string(),
    })
}
