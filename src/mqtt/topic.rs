//! Topic names and topic filters (MQTT 5 section 4.7): syntax, matching, covering.

/// Why a topic name or filter is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Zero characters [MQTT-4.7.3-1].
    #[error("it is empty")]
    Empty,
    /// More than 65,535 bytes [MQTT-4.7.3-3].
    #[error("it is longer than 65535 bytes")]
    TooLong,
    /// Holds U+0000 [MQTT-4.7.3-2].
    #[error("it holds the null character")]
    Null,
    /// A wildcard in a topic name [MQTT-3.3.2-2].
    #[error("a topic name cannot hold the wildcards + and #")]
    WildcardInName,
    /// `#` that is not the last level, or shares its level [MQTT-4.7.1-1].
    #[error("# must be the whole of the last level")]
    HashNotLast,
    /// `+` that shares its level [MQTT-4.7.1-2].
    #[error("+ must be the whole of its level")]
    PlusNotAlone,
    /// `$share/` without a group name, with wildcards in it, or without a filter [MQTT-4.8.2-1] [MQTT-4.8.2-2].
    #[error("a shared subscription is $share/GROUP/FILTER, and GROUP holds no wildcard")]
    Share,
}

/// Checks a topic name: not empty, no wildcards, no null character [MQTT-3.3.2-2] [MQTT-4.7.3-1].
pub fn valid_topic_name(topic: &str) -> Result<(), TopicError> {
    check_size(topic)?;
    match topic.bytes().find(|b| matches!(b, b'+' | b'#' | 0)) {
        None => Ok(()),
        Some(0) => Err(TopicError::Null),
        Some(_) => Err(TopicError::WildcardInName),
    }
}

fn check_size(topic: &str) -> Result<(), TopicError> {
    match topic.len() {
        0 => Err(TopicError::Empty),
        1..=65535 => Ok(()),
        _ => Err(TopicError::TooLong),
    }
}

/// A valid topic filter, without a `$share/GROUP/` prefix. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter(std::sync::Arc<str>);

impl TopicFilter {
    /// Checks a filter's syntax.
    pub fn new(filter: &str) -> Result<Self, TopicError> {
        check_size(filter)?;
        if filter.contains('\0') {
            return Err(TopicError::Null);
        }
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            match level {
                "#" if levels.peek().is_some() => return Err(TopicError::HashNotLast),
                "#" | "+" => {}
                level if level.contains('#') => return Err(TopicError::HashNotLast),
                level if level.contains('+') => return Err(TopicError::PlusNotAlone),
                _ => {}
            }
        }
        Ok(TopicFilter(filter.into()))
    }

    /// Splits a subscription's text into its share group, if any, and its filter.
    pub fn parse_subscription(text: &str) -> Result<(Option<&str>, Self), TopicError> {
        let Some(rest) = text.strip_prefix("$share/") else {
            return Ok((None, Self::new(text)?));
        };
        let (group, filter) = rest.split_once('/').ok_or(TopicError::Share)?;
        if group.is_empty() || group.contains(['+', '#', '\0']) || filter.is_empty() {
            return Err(TopicError::Share);
        }
        Ok((Some(group), Self::new(filter)?))
    }

    /// The filter's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The levels of the filter.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether it holds `+` or `#`.
    pub fn has_wildcard(&self) -> bool {
        self.0.contains(['+', '#'])
    }

    /// Whether a topic name matches. A filter that begins with a wildcard does not match a topic that begins
    /// with `$` [MQTT-4.7.2-1]; `a/#` matches `a` as well (4.7.1.2).
    pub fn matches(&self, topic: &str) -> bool {
        if hides_dollar(&self.0, topic) {
            return false;
        }
        let mut levels = topic.split('/');
        for level in self.levels() {
            match level {
                "#" => return true,
                "+" => {
                    if levels.next().is_none() {
                        return false;
                    }
                }
                literal => {
                    if levels.next() != Some(literal) {
                        return false;
                    }
                }
            }
            // `a/#` matches its parent `a`: `#` then finds no level, which the arm above accepts.
        }
        levels.next().is_none()
    }

    /// Whether every topic name that `narrow` matches is matched by `self` too.
    pub fn covers(&self, narrow: &TopicFilter) -> bool {
        if hides_dollar(&self.0, &narrow.0) {
            return false;
        }
        let mut theirs = narrow.levels();
        for ours in self.levels() {
            match (ours, theirs.next()) {
                ("#", _) => return true,
                (_, Some("#") | None) => return false,
                ("+", Some(_)) => {}
                (ours, Some(level)) if ours != level => return false,
                _ => {}
            }
        }
        theirs.next().is_none()
    }

    /// Whether some topic name is matched by both.
    pub fn overlaps(&self, other: &TopicFilter) -> bool {
        if hides_dollar(&self.0, &other.0) || hides_dollar(&other.0, &self.0) {
            return false;
        }
        let (mut ours, mut theirs) = (self.levels(), other.levels());
        loop {
            match (ours.next(), theirs.next()) {
                (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
                (None, Some(_)) | (Some(_), None) => return false,
                (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
                (Some(a), Some(b)) if a != b => return false,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the `$` rule keeps `filter` away from `topic` (a name or a filter) [MQTT-4.7.2-1].
fn hides_dollar(filter: &str, topic: &str) -> bool {
    topic.starts_with('$') && filter.starts_with(['+', '#'])
}
