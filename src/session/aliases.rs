//! Topic aliases a client uses towards us (MQTT 5 section 3.3.2.3.4). They last as long as the connection.

use std::sync::Arc;

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

/// The alias table of one connection; takes memory only once an alias is used.
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

#[cfg(test)]
mod tests {
    use super::*;

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
