//! What can be closed, for whom, by whom and why.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use crate::mqtt::TopicFilter;

/// A topic has at most this many levels, whatever the configuration says; so has a scope.
const MOST_LEVELS: usize = 1000;

/// Who closes and opens. A scope is closed while any holder holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holder {
    /// The button on the device.
    Panel,
    /// `latchgate lock close`.
    Command,
    /// The Latch service: the phone.
    Latch,
    /// The times of the configuration.
    Schedule,
}

impl Holder {
    /// Every holder.
    pub const ALL: [Holder; 4] = [Holder::Panel, Holder::Command, Holder::Latch, Holder::Schedule];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Holder::Panel => "panel",
            Holder::Command => "command",
            Holder::Latch => "latch",
            Holder::Schedule => "schedule",
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Holder {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Holder::ALL.into_iter().find(|holder| holder.name() == word);
        known.ok_or("a holder is panel, command, latch or schedule")
    }
}

/// What is closed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    /// Everything: publishing, subscribing, receiving.
    Gateway,
    /// Publishing.
    Publish,
    /// Subscribing and receiving.
    Subscribe,
    /// Publishing, subscribing and receiving where this filter matches.
    Topic(TopicFilter),
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Area::Gateway => f.write_str("gateway"),
            Area::Publish => f.write_str("publish"),
            Area::Subscribe => f.write_str("subscribe"),
            Area::Topic(filter) => write!(f, "topic:{filter}"),
        }
    }
}

impl FromStr for Area {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("topic:")) {
            ("gateway", _) => Ok(Area::Gateway),
            ("publish", _) => Ok(Area::Publish),
            ("subscribe", _) => Ok(Area::Subscribe),
            (_, Some(filter)) => match TopicFilter::new(filter) {
                Ok(filter) if filter.levels().count() > MOST_LEVELS => {
                    Err(format!("a topic filter has at most {MOST_LEVELS} levels"))
                }
                Ok(filter) => Ok(Area::Topic(filter)),
                Err(error) => Err(format!("{filter:?} is no topic filter: {error}")),
            },
            _ => Err(format!("{text:?} is no scope: gateway, publish, subscribe or topic:FILTER")),
        }
    }
}

/// For whom something is closed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// Everyone.
    Everyone,
    /// One user.
    User(Arc<str>),
    /// Every user but these. Bridges are none of them: they have no phone to be paired with.
    EveryoneBut(Arc<BTreeSet<Arc<str>>>),
}

/// What is closed, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// What.
    pub area: Area,
    /// For whom.
    pub who: Who,
}

impl Scope {
    /// The whole gateway, for everyone.
    pub const GATEWAY: Scope = Scope { area: Area::Gateway, who: Who::Everyone };

    /// As typed: the area, and the user if it is for one only.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(area: &str, user: Option<&str>) -> Result<Self, String> {
        let who = match user {
            None => Who::Everyone,
            Some("") => return Err("a user name is not empty".into()),
            Some(name) if name.len() > 65_535 || name.contains('\0') => {
                return Err("a user name has at most 65535 bytes, none of them null".into());
            }
            Some(name) => Who::User(name.into()),
        };
        Ok(Scope { area: area.parse()?, who })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.area)?;
        match &self.who {
            Who::Everyone => Ok(()),
            Who::User(user) => write!(f, " for user {user:?}"),
            Who::EveryoneBut(users) => write!(f, " for everyone but {} users", users.len()),
        }
    }
}

/// Why a holder holds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Somebody locked it.
    Locked,
    /// The lock service does not say that it is open.
    Unavailable,
}

impl Cause {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Locked => "locked",
            Cause::Unavailable => "unavailable",
        }
    }

    /// What `LATCH/status` says of it after `ND=`.
    pub(super) fn number(self) -> u8 {
        match self {
            Cause::Locked => 2,
            Cause::Unavailable => 1,
        }
    }
}

/// Something that a holder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What.
    pub scope: Scope,
    /// Why.
    pub cause: Cause,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for holder in Holder::ALL {
            assert_eq!(holder.to_string().parse(), Ok(holder));
        }
        for text in ["gateway", "publish", "subscribe", "topic:doors/#", "topic:a/+/b"] {
            assert_eq!(text.parse::<Area>().unwrap().to_string(), text);
        }
        let deep = format!("topic:{}", "/".repeat(MOST_LEVELS));
        for wrong in ["", "gate", "topic:", "topic:a#", "topic", "doors/#", &deep] {
            assert!(wrong.parse::<Area>().is_err(), "{wrong}");
        }
        assert!(Scope::parse("gateway", Some("")).is_err() && Scope::parse("gateway", Some("a\0")).is_err());
        assert_eq!(Scope::parse("publish", Some("bob")).unwrap().to_string(), "publish for user \"bob\"");
    }
}
