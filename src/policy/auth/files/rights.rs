//! What one client may do by the lines of an `acl_file`.

use std::sync::Arc;

use super::{super::pattern::substitute, Dialect};
use crate::{
    mqtt::TopicFilter,
    policy::{
        acl::{Access, SubscribeRule},
        decision::{Denial, Stage},
    },
};

/// What a line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Means(u8);

impl Means {
    pub const DENY: Means = Means(0);
    const READ: Means = Means(1);
    const WRITE: Means = Means(2);
    pub const READ_WRITE: Means = Means(3);
    const SUBSCRIBE: Means = Means(4);

    pub fn word(word: &str, dialect: Dialect) -> Option<Self> {
        Some(match word {
            "read" => Means::READ,
            "write" => Means::WRITE,
            "readwrite" => Means::READ_WRITE,
            "subscribe" if dialect == Dialect::GoAuth => Means::SUBSCRIBE,
            "deny" if dialect != Dialect::AuthPlug => Means::DENY,
            _ => return None,
        })
    }

    fn includes(self, other: Means) -> bool {
        self.0 & other.0 != 0
    }
}

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub means: Means,
    /// As in the file; a valid filter, with `%u` and `%c` not replaced yet.
    pub filter: Arc<str>,
    /// Its file, number and words.
    pub text: Arc<str>,
}

/// One line, ready to be asked.
#[derive(Clone, Debug)]
struct Rule {
    means: Means,
    filter: TopicFilter,
    text: Arc<str>,
}

/// The rights of one client. Its own rules come before patterns, and in each list those that deny before those that
/// allow; the first that matches decides.
#[derive(Clone, Debug, Default)]
pub struct FileRights {
    dialect: Dialect,
    lists: Vec<Vec<Rule>>,
    /// Why no pattern can be asked for this client.
    unfit: Option<&'static str>,
    known: bool,
}

impl FileRights {
    /// `own`: the lines that are for this client by name or for want of one; `user`: its name, if it brought one.
    pub(super) fn new(
        dialect: Dialect,
        own: Vec<Arc<[Line]>>,
        patterns: &[Line],
        user: Option<&str>,
        client_id: &str,
    ) -> Self {
        let compile = |line: &Line, filter: &str| {
            // A name can make a filter too long: then it matches nothing.
            let filter = TopicFilter::new(filter).ok()?;
            Some(Rule { means: line.means, filter, text: line.text.clone() })
        };
        let mut lists: Vec<Vec<Rule>> = Vec::new();
        let plain: Vec<Rule> = own
            .iter()
            .flat_map(|lines| lines.iter())
            .filter_map(|line| compile(line, &line.filter))
            .collect();
        let unfit = unfit(user, client_id).filter(|_| !patterns.is_empty());
        let resolved = patterns.iter().filter_map(|line| {
            // Mosquitto lets a slash through. Here a name stays one level, unless the line denies.
            let fit = |name: &&str| line.means == Means::DENY || !name.contains('/');
            let filter = substitute(&line.filter, user.filter(fit), Some(client_id).filter(fit))?;
            compile(line, &filter)
        });
        let resolved: Vec<Rule> = if unfit.is_some() { Vec::new() } else { resolved.collect() };
        if dialect == Dialect::GoAuth {
            // Here denying rules of every list come before the allowing ones of any.
            let (deny, allow) = plain.into_iter().chain(resolved).partition(|rule| rule.means == Means::DENY);
            lists.extend([deny, allow]);
        } else {
            lists.extend([plain, resolved]);
        }
        FileRights { dialect, lists, unfit, known: true }
    }

    /// May `access` (one operation) be done on `topic`, a topic name? A yes names the line; `None`: no line says
    /// anything.
    pub fn on_topic(&self, access: Access, topic: &str) -> Result<Option<Arc<str>>, Denial> {
        let wanted = if access == Access::PUBLISH { Means::WRITE } else { Means::READ };
        self.first(wanted, |filter| self.matches(filter, topic))
    }

    /// May `filter` be subscribed to?
    pub fn on_filter(&self, filter: &TopicFilter, how: SubscribeRule) -> Result<Option<Arc<str>>, Denial> {
        if !self.known {
            return Ok(None);
        }
        let allows = |rule: &TopicFilter| match how {
            SubscribeRule::Covered => rule.covers(filter),
            SubscribeRule::Overlap => rule.overlaps(filter),
        };
        match self.dialect {
            Dialect::Mosquitto => {
                Ok(Some("acl_file: every subscription is granted, each delivery is asked about".into()))
            }
            Dialect::AuthPlug => self.first(Means::READ, allows),
            Dialect::GoAuth => {
                let (deny, allow) = (self.lists.first(), self.lists.get(1));
                if let Some(rule) = deny.into_iter().flatten().find(|rule| rule.filter.covers(filter)) {
                    return Err(denied(rule));
                }
                let read = |rule: &&Rule| rule.means.includes(Means::READ) && rule.filter.as_str() != "#";
                let grants = |rule: &&Rule| {
                    (read(rule) || rule.means == Means::SUBSCRIBE || rule.means == Means::READ_WRITE)
                        && allows(&rule.filter)
                };
                Ok(allow.into_iter().flatten().find(grants).map(|rule| rule.text.clone()))
            }
        }
    }

    fn first(&self, wanted: Means, fits: impl Fn(&TopicFilter) -> bool) -> Result<Option<Arc<str>>, Denial> {
        for (n, list) in self.lists.iter().enumerate() {
            for rule in list.iter().filter(|rule| fits(&rule.filter)) {
                if rule.means == Means::DENY {
                    return Err(denied(rule));
                }
                if rule.means.includes(wanted) {
                    return Ok(Some(rule.text.clone()));
                }
            }
            if n == 0
                && let Some(why) = self.unfit
            {
                return Err(Denial::not_authorized(Stage::Deny, None, why));
            }
        }
        Ok(None)
    }

    /// Mosquitto's wildcards do not reach topics that begin with `$`; those of the plugins do.
    fn matches(&self, filter: &TopicFilter, topic: &str) -> bool {
        if self.dialect == Dialect::Mosquitto || !topic.starts_with('$') {
            return filter.matches(topic);
        }
        TopicFilter::new(&format!("/{}", filter.as_str()))
            .is_ok_and(|filter| filter.matches(&format!("/{topic}")))
    }
}

fn denied(rule: &Rule) -> Denial {
    Denial::not_authorized(Stage::Deny, Some(rule.text.clone()), "a rule denies it")
}

/// Names that would be wildcards in a pattern (CVE-2017-7650).
fn unfit(user: Option<&str>, client_id: &str) -> Option<&'static str> {
    let reaches = |name: &str| name.contains(['+', '#', '\0']);
    if user.is_some_and(reaches) {
        return Some("the user name holds + or #, so no pattern can be asked");
    }
    reaches(client_id).then_some("the client identifier holds + or #, so no pattern can be asked")
}
