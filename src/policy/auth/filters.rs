//! What a backend elsewhere lets somebody do, as a list of topic filters.

use super::{backend::Who, pattern::substitute};
use crate::{
    mqtt::TopicFilter,
    policy::acl::{Object, SubscribeRule},
};

/// Most filters that are taken from a backend for one question.
pub const MOST: usize = 10_000;

/// Topic filters of one client, for one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    list: Vec<TopicFilter>,
    dollar_topics: bool,
}

impl Filters {
    /// No filters yet. `dollar_topics`: whether a wildcard at the beginning reaches topics that begin with `$`.
    pub fn new(dollar_topics: bool) -> Self {
        Filters { list: Vec::new(), dollar_topics }
    }

    /// Adds a filter as the backend has it, `%u` and `%c` replaced; whether it means anything. A name that would reach
    /// beyond its level makes it match nothing (CVE-2017-7650).
    pub fn add_pattern(&mut self, text: &str, who: &Who) -> bool {
        let level = |name: &str| !name.is_empty() && !name.contains(['+', '#', '/', '\0']);
        let user = Some(&*who.user).filter(|name| level(name));
        let client_id = Some(&*who.client_id).filter(|name| level(name));
        // Checked with stand-ins: whether a filter is one does not depend on who asks.
        let sound =
            substitute(text, Some("u"), Some("c")).is_some_and(|text| TopicFilter::new(&text).is_ok());
        if let Some(text) = substitute(text, user, client_id) {
            self.add(&text);
        }
        sound
    }

    /// Adds a filter as it is; whether it is one.
    pub fn add(&mut self, text: &str) -> bool {
        let filter = TopicFilter::new(text);
        let sound = filter.is_ok();
        self.list.extend(filter);
        sound
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether there are as many as are taken.
    pub fn is_full(&self) -> bool {
        self.list.len() >= MOST
    }

    /// The filter that lets the operation be done on `object`.
    pub fn find(&self, object: Object<'_>, how: SubscribeRule) -> Option<&str> {
        let grants = |rule: &TopicFilter, narrow: &TopicFilter| match how {
            SubscribeRule::Covered => rule.covers(narrow),
            SubscribeRule::Overlap => rule.overlaps(narrow),
        };
        let found = if self.dollar_topics && object.text().starts_with('$') {
            // Behind a slash `$` means nothing.
            let behind = |text: &str| TopicFilter::new(&format!("/{text}")).ok();
            let asked = behind(object.text())?;
            let fits = |rule: TopicFilter| match object {
                Object::Filter(_) => grants(&rule, &asked),
                _ => rule.matches(asked.as_str()),
            };
            self.list.iter().find(|rule| behind(rule.as_str()).is_some_and(fits))
        } else {
            self.list.iter().find(|rule| match object {
                Object::Filter(narrow) => grants(rule, narrow),
                _ => rule.matches(object.text()),
            })
        };
        found.map(TopicFilter::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(user: &str, client_id: &str) -> Who {
        Who {
            user: user.into(),
            client_id: client_id.into(),
            address: ([127, 0, 0, 1], 1).into(),
            listener: "".into(),
            anonymous: false,
            certificate: None,
        }
    }

    fn allows(filters: &Filters, topic: &str) -> bool {
        filters.find(Object::Name(topic), SubscribeRule::Covered).is_some()
    }

    fn grants(filters: &Filters, filter: &str, how: SubscribeRule) -> bool {
        filters.find(Object::Filter(&TopicFilter::new(filter).unwrap()), how).is_some()
    }

    #[test]
    fn names_are_put_in_place_of_their_marks_and_never_reach_beyond_a_level() {
        let of = |user: &str, client_id: &str| {
            let mut filters = Filters::new(false);
            for pattern in ["own/%u/#", "dev-%c/x", "plain/+"] {
                assert!(filters.add_pattern(pattern, &who(user, client_id)), "{pattern}");
            }
            filters
        };
        let ann = of("ann", "lamp");
        assert!(allows(&ann, "own/ann/x") && allows(&ann, "dev-lamp/x") && allows(&ann, "plain/x"));
        assert!(!allows(&ann, "own/bob/x") && !allows(&ann, "own/%u/x") && !allows(&ann, "dev-bob/x"));
        for hostile in ["+", "#", "a/b", "a+", "", "%c"] {
            let filters = of(hostile, "lamp");
            assert!(!allows(&filters, "own/lamp/x") && !allows(&filters, "own/a/b/x"), "{hostile}");
            assert!(allows(&filters, "plain/x"), "the other filters still count");
        }
        assert!(!Filters::new(false).add_pattern("a/#/b", &who("ann", "lamp")));
    }

    #[test]
    fn wildcards_reach_dollar_topics_only_if_told_so() {
        for dollar in [false, true] {
            let mut filters = Filters::new(dollar);
            filters.add("#");
            filters.add("+/own");
            assert_eq!(allows(&filters, "$SYS/broker/uptime"), dollar);
            assert_eq!(grants(&filters, "$SYS/#", SubscribeRule::Covered), dollar);
            assert!(allows(&filters, "a") && grants(&filters, "#", SubscribeRule::Covered));
        }
        let mut named = Filters::new(false);
        named.add("$SYS/#");
        assert!(allows(&named, "$SYS/x") && grants(&named, "$SYS/+", SubscribeRule::Covered));
    }

    #[test]
    fn a_subscription_is_granted_if_a_filter_covers_it_or_meets_it_as_configured() {
        let mut filters = Filters::new(false);
        filters.add("a/b/#");
        for (filter, covered, overlaps) in
            [("a/b/c", true, true), ("a/b", true, true), ("a/#", false, true), ("x/#", false, false)]
        {
            assert_eq!(grants(&filters, filter, SubscribeRule::Covered), covered, "{filter}");
            assert_eq!(grants(&filters, filter, SubscribeRule::Overlap), overlaps, "{filter}");
        }
    }
}
