//! Who may do what: the rules an operation can switch on and off, and what they mean, said as simply as possible.

use latchgate::policy::{
    accounts::{AccountRecord, Accounts, RuleRecord, Subject},
    acl::Access,
};

use crate::operation::CLIENTS;

/// The users, by the numbers that operations name them with. The last one is a superuser and watches.
pub const USERS: [&str; 4] = ["ann", "bob", "cy", "watcher"];
pub const WATCHER: usize = 3;

/// A rule that can be switched on and off.
struct Rule {
    /// A user by number, or everyone.
    subject: Option<usize>,
    access: Access,
    filter: &'static str,
    deny: bool,
}

const fn allow(subject: Option<usize>, access: Access, filter: &'static str) -> Rule {
    Rule { subject, access, filter, deny: false }
}

const fn deny(subject: Option<usize>, access: Access, filter: &'static str) -> Rule {
    Rule { subject, access, filter, deny: true }
}

/// Every rule there can be. The first one is there from the start.
const RULES: [Rule; 10] = [
    allow(None, Access::ALL, "#"),
    deny(Some(1), Access::RECEIVE, "area/b"),
    deny(Some(0), Access::PUBLISH, "area/b"),
    deny(Some(1), Access::SUBSCRIBE, "area/#"),
    deny(Some(2), Access::READ, "area/+"),
    deny(None, Access::PUBLISH, "b"),
    deny(None, Access::RECEIVE, "b"),
    allow(Some(0), Access::ALL, "area/#"),
    allow(Some(1), Access::READ, "+/b"),
    allow(None, Access::ALL, "%c/#"),
];
pub const RULE_COUNT: usize = RULES.len();

/// A rule as a person would say it.
pub fn rule_text(nth: usize) -> String {
    let Rule { subject, access, filter, deny } = &RULES[nth];
    let word = if *deny { "deny" } else { "allow" };
    format!("{word} {} {access} {filter}", subject.map_or("everyone", |user| USERS[user]))
}

/// The rules and accounts as they stand.
#[derive(Clone, Debug)]
pub struct Rules {
    present: [bool; RULE_COUNT],
    enabled: [bool; USERS.len()],
}

impl Rules {
    /// Everything is allowed and everybody enabled.
    pub fn new() -> Self {
        let mut present = [false; RULE_COUNT];
        present[0] = true;
        Rules { present, enabled: [true; USERS.len()] }
    }

    /// Switches a rule; whether it is there now.
    pub fn switch_rule(&mut self, nth: usize) -> bool {
        self.present[nth] = !self.present[nth];
        self.present[nth]
    }

    /// Disables or enables a user; whether it is enabled now.
    pub fn switch_user(&mut self, user: usize) -> bool {
        self.enabled[user] = !self.enabled[user];
        self.enabled[user]
    }

    pub fn is_enabled(&self, user: usize) -> bool {
        self.enabled[user]
    }

    pub fn may_publish(&self, user: usize, client: usize, topic: &str) -> bool {
        self.enabled[user] && self.decide(user, client, Access::PUBLISH, |rule| matches(rule, topic))
    }

    pub fn may_receive(&self, user: usize, client: usize, topic: &str) -> bool {
        self.enabled[user] && self.decide(user, client, Access::RECEIVE, |rule| matches(rule, topic))
    }

    pub fn may_subscribe(&self, user: usize, client: usize, filter: &str) -> bool {
        self.enabled[user] && self.decide(user, client, Access::SUBSCRIBE, |rule| covers(rule, filter))
    }

    fn decide(&self, user: usize, client: usize, access: Access, fits: impl Fn(&str) -> bool) -> bool {
        let speaks = |deny: bool| {
            RULES.iter().zip(self.present).any(|(rule, present)| {
                present
                    && rule.deny == deny
                    && rule.subject.is_none_or(|subject| subject == user)
                    && rule.access.includes(access)
                    && fits(&rule.filter.replace("%c", CLIENTS[client]))
            })
        };
        user == WATCHER || (speaks(false) && !speaks(true))
    }

    /// The same for the policy to read.
    pub fn accounts(&self) -> Accounts {
        let account = |user: usize| AccountRecord {
            name: USERS[user].into(),
            hash: None,
            credential: 0,
            enabled: self.enabled[user],
            superuser: user == WATCHER,
            roles: Vec::new(),
        };
        let record = |rule: &Rule| RuleRecord {
            subject: rule.subject.map_or(Subject::Everyone, |user| Subject::User(USERS[user].into())),
            access: rule.access,
            filter: rule.filter.into(),
            deny: rule.deny,
        };
        Accounts {
            accounts: (0..USERS.len()).map(account).collect(),
            rules: RULES
                .iter()
                .zip(self.present)
                .filter(|(_, there)| *there)
                .map(|(r, _)| record(r))
                .collect(),
        }
    }
}

/// Whether a filter (without share prefix) matches a topic name without `$`.
pub fn matches(filter: &str, topic: &str) -> bool {
    fn levels(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            ([first, filter @ ..], [level, topic @ ..]) => {
                (*first == "+" || first == level) && levels(filter, topic)
            }
            _ => false,
        }
    }
    let split = |text| str::split(text, '/').collect::<Vec<_>>();
    levels(&split(filter), &split(topic))
}

/// Whether `wide` matches whatever `narrow` matches: tried with levels that neither can name.
fn covers(wide: &str, narrow: &str) -> bool {
    let narrow = narrow.replace('+', "anything");
    let Some(stem) = narrow.strip_suffix('#') else { return matches(wide, &narrow) };
    let deeper = ["anything", "anything/anything", "anything/anything/anything"];
    let parent = stem.strip_suffix('/');
    parent.is_none_or(|parent| matches(wide, parent))
        && deeper.iter().all(|rest| matches(wide, &format!("{stem}{rest}")))
}
