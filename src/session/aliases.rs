//! Topic aliases (MQTT 5 section 3.3.2.3.4), those of the client and those given to it. They last as long as the
//! connection.

use std::sync::Arc;

use ahash::AHashMap;

/// An alias that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    /// 0 or above the maximum we announced [MQTT-3.3.2-8] [MQTT-3.3.2-9]; answered 0x94.
    #[error("topic alias is out of range")]
    OutOfRange,
    /// No topic was ever given for it; answered 0x82.
    #[error("topic alias has no topic yet")]
    Unknown,
}

/// The aliases a client uses towards us; takes memory only once an alias is used.
#[derive(Debug)]
pub struct Aliases {
    topics: Vec<Option<Arc<str>>>,
    maximum: u16,
}

impl Aliases {
    /// A table for the aliases 1 to `maximum`.
    pub fn new(maximum: u16) -> Self {
        Aliases { topics: Vec::new(), maximum }
    }

    /// The topic that `alias` stands for, after setting it when `topic` is not empty [MQTT-3.3.2-12].
    pub fn resolve(&mut self, alias: u16, topic: &str) -> Result<Arc<str>, AliasError> {
        if alias == 0 || alias > self.maximum {
            return Err(AliasError::OutOfRange);
        }
        let index = usize::from(alias) - 1;
        if topic.is_empty() {
            return self.topics.get(index).cloned().flatten().ok_or(AliasError::Unknown);
        }
        if self.topics.len() <= index {
            self.topics.resize(index + 1, None);
        }
        let topic: Arc<str> = topic.into();
        self.topics[index] = Some(topic.clone());
        Ok(topic)
    }
}

/// How a topic is named to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// In full.
    Full,
    /// In full, beside an alias that stands for it from now on: to be settled with [`GivenAliases::give`].
    New(u16),
    /// By its alias alone.
    Alias(u16),
}

/// The aliases that stand for topics towards a client. The topics that come first keep theirs: a change of aliases
/// would cost as much as it saves.
#[derive(Debug, Default)]
pub struct GivenAliases {
    topics: AHashMap<Arc<str>, u16>,
    maximum: u16,
}

impl GivenAliases {
    /// A table for the aliases 1 to `maximum`, which the client allows [MQTT-3.1.2-26] [MQTT-3.1.2-27].
    pub fn new(maximum: u16) -> Self {
        GivenAliases { topics: AHashMap::default(), maximum }
    }

    /// How `topic` is best named.
    pub fn naming(&self, topic: &str) -> Naming {
        // An alias takes three bytes itself.
        if self.maximum == 0 || topic.len() <= 3 {
            return Naming::Full;
        }
        match self.topics.get(topic) {
            Some(alias) => Naming::Alias(*alias),
            None if self.topics.len() < usize::from(self.maximum) => {
                Naming::New(self.topics.len() as u16 + 1)
            }
            None => Naming::Full,
        }
    }

    /// Has the next alias stand for `topic`: it was just sent beside it.
    pub fn give(&mut self, topic: &Arc<str>) {
        let next = self.topics.len() as u16 + 1;
        self.topics.insert(topic.clone(), next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_topics_get_the_aliases_and_keep_them() {
        let mut given = GivenAliases::new(2);
        assert_eq!(given.naming("a/long/one"), Naming::New(1));
        assert_eq!(given.naming("a/long/one"), Naming::New(1), "not given yet");
        given.give(&"a/long/one".into());
        given.give(&"another".into());
        assert_eq!(given.naming("a/long/one"), Naming::Alias(1));
        assert_eq!(given.naming("another"), Naming::Alias(2));
        assert_eq!(given.naming("a third"), Naming::Full);
        assert_eq!(given.naming("abc"), Naming::Full, "shorter than its alias");
    }

    #[test]
    fn a_client_that_allows_none_is_given_none() {
        assert_eq!(GivenAliases::default().naming("a/long/one"), Naming::Full);
    }

    #[test]
    fn an_alias_stands_for_the_topic_it_was_last_given() {
        let mut aliases = Aliases::new(2);
        assert_eq!(aliases.resolve(1, ""), Err(AliasError::Unknown));
        assert_eq!(aliases.resolve(1, "a").as_deref(), Ok("a"));
        assert_eq!(aliases.resolve(1, "").as_deref(), Ok("a"));
        assert_eq!(aliases.resolve(1, "b").as_deref(), Ok("b"));
        assert_eq!(aliases.resolve(1, "").as_deref(), Ok("b"));
    }

    #[test]
    fn an_alias_of_zero_or_above_the_maximum_is_refused() {
        let mut aliases = Aliases::new(2);
        assert_eq!(aliases.resolve(0, "a"), Err(AliasError::OutOfRange));
        assert_eq!(aliases.resolve(3, "a"), Err(AliasError::OutOfRange));
    }
}
