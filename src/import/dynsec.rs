//! The dynamic security plugin's JSON file: clients, groups and roles become accounts, roles and rules.
//!
//! Mosquitto asks a client's roles by their priorities, and each role's entries by theirs; the first that matches decides. Here a
//! rule that denies beats all that allow. Wherever that makes a difference it denies more, never less.

mod lines;

use std::{collections::HashMap, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::{
    homes::{Account, Homes, Rule, Sqlite},
    reader,
    report::{Line, Report, Verdict},
};
use crate::{
    policy::auth::password::{SaltReading, StoredPassword},
    store::accounts::check,
};

use Verdict::{Changed, NotPossible, Translated};
use lines::Lines;

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
    let mut import = Import { lines: Lines::new(file, &bytes, report), names: HashMap::new() };
    if let Err(why) = import.all(&json, line, homes, report) {
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
    report.say(line, Changed, "a rule that denies beats every one that allows, whatever the priorities");
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
    /// The entries of each role, for groups.
    names: HashMap<String, Vec<Rule>>,
}

impl Import {
    fn all(
        &mut self,
        json: &Value,
        line: Line,
        homes: &mut Homes,
        report: &mut Report,
    ) -> Result<(), String> {
        // What is not known may restrict somebody, so its listeners stay shut.
        let unknown = |what: String| Err(format!("it says what is not known here: {what}"));
        others(json, TOP).map_or(Ok(()), unknown)?;
        for (kind, known) in [("roles", ROLE), ("groups", GROUP), ("clients", CLIENT)] {
            list(&json[kind]).iter().try_for_each(|entry| others(entry, known).map_or(Ok(()), unknown))?;
        }
        let acls = list(&json["roles"]).iter().flat_map(|role| list(&role["acls"]));
        acls.into_iter().try_for_each(|entry| others(entry, ACL).map_or(Ok(()), unknown))?;
        self.defaults(&json["defaultACLAccess"], line, homes, report)?;
        list(&json["roles"]).iter().try_for_each(|role| self.role(role, homes, report))?;
        list(&json["groups"]).iter().try_for_each(|group| self.group(group, homes, report))?;
        for client in list(&json["clients"]) {
            self.client(client, homes, report);
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

    /// What counts where no role says anything.
    fn defaults(
        &mut self,
        defaults: &Value,
        line: Line,
        homes: &mut Homes,
        report: &mut Report,
    ) -> Result<(), String> {
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
                let at = self.lines.of(&[key]).unwrap_or(line);
                report.say(at, Translated, format!("a rule for everyone: allow {access} #"));
            }
        }
        if defaults["unsubscribe"].as_bool() == Some(false) {
            let at = self.lines.of(&["unsubscribe"]).unwrap_or(line);
            report.say(at, Changed, "everybody may unsubscribe");
        }
        Ok(())
    }

    fn role(&mut self, role: &Value, homes: &mut Homes, report: &mut Report) -> Result<(), String> {
        let name = text(role, "rolename");
        let line = self.lines.of(&["rolename", name]);
        if let Err(why) = check::role_name(name) {
            // A role can deny something, so it cannot simply be left out.
            return Err(format!("the role {name:?} cannot be made: {why}"));
        }
        let mut rules = Vec::new();
        for entry in list(&role["acls"]) {
            match rule(name, entry) {
                Ok(Some(rule)) => {
                    let literal = entry["acltype"] == "subscribeLiteral" && rule.filter.contains(['+', '#']);
                    if let Some(line) = line.filter(|_| literal && rule.deny) {
                        let note = format!(
                            "every subscription within {:?} is denied, not that filter alone",
                            rule.filter
                        );
                        report.say(line, Changed, note);
                    }
                    rules.push(rule);
                }
                Ok(None) => {
                    if let Some(line) = line {
                        report.say(
                            line,
                            Changed,
                            "everybody may unsubscribe, and $CONTROL is not there: such entries mean nothing",
                        );
                    }
                }
                Err(why) => {
                    if entry["allow"].as_bool() != Some(true) {
                        return Err(format!("the role {name:?} denies what no rule can say: {why}"));
                    }
                    if let Some(line) = line {
                        report.say(line, NotPossible, format!("an entry of it is left out: {why}"));
                    }
                }
            }
        }
        homes.roles.push((name.to_owned(), Vec::new()));
        homes.rules.extend(rules.iter().cloned());
        self.names.insert(name.to_owned(), rules);
        if let Some(line) = line {
            report.say(line, Translated, format!("the role {name:?}"));
        }
        Ok(())
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
            let rules = self.names.get(text(inner, "rolename")).cloned().unwrap_or_default();
            homes
                .rules
                .extend(rules.into_iter().map(|rule| Rule { subject: format!("role:{role}"), ..rule }));
        }
        if let Some(line) = self.lines.of(&["groupname", name]) {
            report.say(
                line,
                Changed,
                format!("the role {role:?}, with what the group's roles allow and deny now"),
            );
        }
        Ok(())
    }

    fn client(&mut self, client: &Value, homes: &mut Homes, report: &mut Report) {
        let name = text(client, "username");
        let line = self.lines.of(&["username", name]);
        let mut say = |verdict, note: String| {
            if let Some(line) = line {
                report.say(line, verdict, note);
            }
        };
        if let Err(why) = check::user_name(name) {
            return say(NotPossible, format!("no account can have this name: {why}"));
        }
        if homes.accounts.iter().any(|account| account.name == name) {
            return say(NotPossible, "another account has this name".to_owned());
        }
        let stored = stored(client);
        if let Err(why) = &stored {
            say(
                NotPossible,
                format!("its password cannot be used: {why}; give it one: latchgate user password {name}"),
            );
        }
        let disabled = client["disabled"].as_bool().unwrap_or(false);
        homes.accounts.push(Account {
            name: name.to_owned(),
            stored: stored.ok().flatten(),
            superuser: false,
            disabled,
        });
        if !text(client, "clientid").is_empty() {
            say(Changed, "the account is bound to no client identifier".to_owned());
        }
        let roles = list(&client["roles"]).iter().map(|role| text(role, "rolename").to_owned());
        let groups = list(&client["groups"]).iter().map(|group| group_role(text(group, "groupname")));
        roles.chain(groups).for_each(|role| give(&role, name, homes));
        let may_control = list(&client["roles"]).iter().any(|role| text(role, "rolename") == "admin");
        if may_control {
            say(
                Changed,
                "there is no $CONTROL: accounts are made with latchgate user, role and acl".to_owned(),
            );
        }
        say(Translated, if disabled { "an account, disabled".to_owned() } else { "an account".to_owned() });
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

/// A role's entry as a rule; none if it is about nothing that there is here.
fn rule(role: &str, entry: &Value) -> Result<Option<Rule>, String> {
    let filter = text(entry, "topic");
    let access = match text(entry, "acltype") {
        "publishClientSend" => "publish",
        "publishClientReceive" => "receive",
        "subscribe" | "subscribePattern" | "subscribeLiteral" => "subscribe",
        "unsubscribe" | "unsubscribePattern" | "unsubscribeLiteral" => return Ok(None),
        other => return Err(format!("there is no acltype {other:?}")),
    };
    if filter == "$CONTROL" || filter.starts_with("$CONTROL/") {
        return Ok(None);
    }
    check::filter(filter)?;
    let deny = entry["allow"].as_bool() != Some(true);
    Ok(Some(Rule { deny, subject: format!("role:{role}"), access, filter: filter.to_owned() }))
}

/// The stored password of a client; none if it has none.
fn stored(client: &Value) -> Result<Option<String>, String> {
    let (key, salt) = (text(client, "password"), text(client, "salt"));
    if key.is_empty() {
        return Ok(None);
    }
    let form = match text(client, "encoded_password") {
        "" => {
            let iterations = client["iterations"].as_u64().ok_or("the number of iterations is missing")?;
            let plain = |what: &str| {
                BASE64_STANDARD.decode(what).map(|_| ()).map_err(|_| "it is not in base64".to_owned())
            };
            plain(key)?;
            plain(salt)?;
            format!("$7${iterations}${salt}${key}")
        }
        encoded => encoded.to_owned(),
    };
    StoredPassword::parse_reading(&form, SaltReading::Auto).map_err(|error| error.to_string())?;
    Ok(Some(form))
}
