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

    /// The levels of the filter, with those written out that every match has because no topic name is empty
    /// [MQTT-4.7.3-1]: `#` is the same as `+/#`, and `/#` as `/+/#`.
    fn explicit_levels(&self) -> impl Iterator<Item = &str> {
        match &*self.0 {
            "#" => "+/#",
            "/#" => "/+/#",
            text => text,
        }
        .split('/')
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
        let mut theirs = narrow.explicit_levels();
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
        let (mut ours, mut theirs) = (self.explicit_levels(), other.explicit_levels());
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::new(text).unwrap()
    }

    #[test]
    fn filters_match_the_names_they_should_and_no_others() {
        for (text, topic, expected) in [
            ("a/b/c", "a/b/c", true),
            ("a/b", "a/x", false),
            ("sport/", "sport", false),
            ("sport", "sport/", false),
            ("/sport", "sport", false),
            ("Sport", "sport", false),
            ("/", "/", true),
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a//c", true),
            ("a/+/c", "a/c", false),
            ("a/+/c", "a/b/c/d", false),
            ("+/+", "a", false),
            ("+/+", "a/b/c", false),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("a/b/+", "a/b", false),
            ("#", "a", true),
            ("#", "a/b/c", true),
            ("#", "/", true),
            ("#", "//", true),
            ("a/b/#", "a/b", true),
            ("a/b/#", "a/b/c", true),
            ("a/b/#", "a/b/c/d/e", true),
            ("a/b/#", "a", false),
            ("a/b/#", "a/bc", false),
            ("a/b/#", "a/x/c", false),
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("+/#", "a", true),
            ("#", "$SYS/x", false), // [MQTT-4.7.2-1]
            ("+/x", "$SYS/x", false),
            ("+", "$SYS", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/+", "$SYS/x", true),
            ("a/#", "a/$SYS", true),
            ("a/+", "a/$SYS", true),
            ("Gerät/+", "Gerät/機器", true),
        ] {
            assert_eq!(filter(text).matches(topic), expected, "{text} and {topic}");
        }
    }

    #[test]
    fn filters_with_misplaced_wildcards_are_refused() {
        for (text, expected) in [
            ("", TopicError::Empty),
            ("a\0b", TopicError::Null),
            ("a/#/c", TopicError::HashNotLast), // [MQTT-4.7.1-1]
            ("#/a", TopicError::HashNotLast),
            ("a#", TopicError::HashNotLast),
            ("a/b#", TopicError::HashNotLast),
            ("a/#b", TopicError::HashNotLast),
            ("##", TopicError::HashNotLast),
            ("a+", TopicError::PlusNotAlone), // [MQTT-4.7.1-2]
            ("+a/b", TopicError::PlusNotAlone),
            ("a/++", TopicError::PlusNotAlone),
        ] {
            assert_eq!(TopicFilter::new(text), Err(expected), "{text:?}");
        }
        assert_eq!(TopicFilter::new(&"x".repeat(65_536)), Err(TopicError::TooLong));
        assert!(TopicFilter::new(&"x".repeat(65_535)).is_ok());
    }

    #[test]
    fn names_with_wildcards_or_nothing_in_them_are_refused() {
        assert_eq!(valid_topic_name(""), Err(TopicError::Empty));
        assert_eq!(valid_topic_name("a/+"), Err(TopicError::WildcardInName));
        assert_eq!(valid_topic_name("a#"), Err(TopicError::WildcardInName));
        assert_eq!(valid_topic_name("a\0"), Err(TopicError::Null));
        assert_eq!(valid_topic_name(&"x".repeat(65_536)), Err(TopicError::TooLong));
        assert_eq!(valid_topic_name("/"), Ok(()));
    }

    #[test]
    fn shared_subscriptions_are_split_into_group_and_filter() {
        let split = |text| TopicFilter::parse_subscription(text);
        assert_eq!(split("a/b"), Ok((None, filter("a/b"))));
        assert_eq!(split("$share/g/a/#"), Ok((Some("g"), filter("a/#"))));
        assert_eq!(split("$share/g//a"), Ok((Some("g"), filter("/a"))));
        assert_eq!(split("$shared/g/a"), Ok((None, filter("$shared/g/a"))));
        for wrong in ["$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g#/a"] {
            assert_eq!(split(wrong), Err(TopicError::Share), "{wrong}");
        }
        assert_eq!(split("$share/g/a#"), Err(TopicError::HashNotLast));
    }

    #[test]
    fn a_filter_covers_those_that_match_no_more_than_it() {
        for (wide, narrow, expected) in [
            ("#", "a/+/c", true),
            ("#", "#", true),
            ("+/#", "#", true),
            ("+/+/#", "#", false),
            ("+/+/#", "/#", true),
            ("a/#", "a", true),
            ("a/#", "a/+", true),
            ("a/+", "a/#", false),
            ("a/+/#", "a/#", false),
            ("a/+", "a/b", true),
            ("a/b", "a/+", false),
            ("#", "$SYS/#", false),
            ("$SYS/#", "$SYS/+/x", true),
            ("+", "$SYS", false),
        ] {
            assert_eq!(filter(wide).covers(&filter(narrow)), expected, "{wide} covers {narrow}");
        }
    }

    /// Matching by the words of 4.7, level by level, from lists.
    fn matches_by_the_book(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) => true,
            ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => matches_by_the_book(filter, topic),
            ([a, filter @ ..], [b, topic @ ..]) => a == b && matches_by_the_book(filter, topic),
            _ => false,
        }
    }

    fn by_the_book(filter: &str, topic: &str) -> bool {
        let hidden = topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'));
        let filter: Vec<_> = filter.split('/').collect();
        let topic: Vec<_> = topic.split('/').collect();
        !hidden && matches_by_the_book(&filter, &topic)
    }

    /// Every topic of one to five levels out of few words: more levels than any filter below can tell apart,
    /// and a word (`z`) that no filter names.
    fn small_world() -> Vec<String> {
        let words = ["a", "", "$s", "z"];
        let mut all: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        let mut last = all.clone();
        for _ in 0..4 {
            last = last.iter().flat_map(|t| words.iter().map(move |word| format!("{t}/{word}"))).collect();
            all.extend(last.iter().cloned());
        }
        all.retain(|topic| !topic.is_empty());
        all
    }

    fn any_filter() -> impl Strategy<Value = TopicFilter> {
        let level = prop::sample::select(vec!["a", "", "$s", "+"]);
        (prop::collection::vec(level, 0..4), any::<bool>())
            .prop_map(|(mut levels, hash)| {
                if hash {
                    levels.push("#");
                }
                levels.join("/")
            })
            .prop_filter_map("a filter has a character", |text| TopicFilter::new(&text).ok())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn matching_covering_and_overlapping_agree_with_trying_every_topic(
            one in any_filter(),
            other in any_filter(),
        ) {
            let world = small_world();
            let (mut covers, mut overlaps) = (true, false);
            for topic in &world {
                let by_one = by_the_book(one.as_str(), topic);
                let by_other = by_the_book(other.as_str(), topic);
                prop_assert_eq!(one.matches(topic), by_one, "{} and {}", one, topic);
                covers &= by_one || !by_other;
                overlaps |= by_one && by_other;
            }
            prop_assert_eq!(one.covers(&other), covers, "{} covers {}", one, other);
            prop_assert_eq!(one.overlaps(&other), overlaps, "{} overlaps {}", one, other);
            prop_assert_eq!(other.overlaps(&one), overlaps, "{} overlaps {}", other, one);
        }

        #[test]
        fn random_text_as_filter_or_name_never_panics(text in "[a+#/$\\PC]{0,10}", topic in "\\PC{0,10}") {
            if let Ok((_, filter)) = TopicFilter::parse_subscription(&text) {
                let _ = filter.matches(&topic);
            }
        }
    }
}
