//! Topic scopes as a tree, so that a thousand of them are looked through as fast as one.

use ahash::AHashMap;

use super::{closure::Closure, scope::Who};
use crate::mqtt::TopicFilter;

/// What is closed by topic. Built once for each change of the lock.
#[derive(Debug, Default)]
pub(super) struct Topics {
    root: Node,
}

/// One level. `here` holds filters that end at it, `below` those that end in `/#` after it.
#[derive(Debug, Default)]
struct Node {
    children: AHashMap<Box<str>, Node>,
    plus: Option<Box<Node>>,
    here: Vec<(Who, Closure)>,
    below: Vec<(Who, Closure)>,
}

impl Topics {
    /// Adds a filter. It has a bounded number of levels.
    pub fn add(&mut self, filter: &TopicFilter, who: &Who, closure: Closure) {
        let mut node = &mut self.root;
        for level in filter.levels() {
            node = match level {
                "#" => return node.below.push((who.clone(), closure)),
                "+" => node.plus.get_or_insert_default(),
                level => node.children.entry(level.into()).or_default(),
            };
        }
        node.here.push((who.clone(), closure));
    }

    /// The closure of some filter that matches `topic` and is for somebody of whom `concerns` says yes.
    pub fn matching(&self, topic: &str, concerns: &dyn Fn(&Who) -> bool) -> Option<&Closure> {
        self.root.find(topic.split('/'), true, concerns)
    }

    /// The closure of some filter that matches every topic that `filter` does.
    pub fn covering(&self, filter: &TopicFilter, concerns: &dyn Fn(&Who) -> bool) -> Option<&Closure> {
        // No topic name is empty, so that every one has these levels. A wildcard is a level that only wildcards match.
        let text = match filter.as_str() {
            "#" => "+/#",
            "/#" => "/+/#",
            text => text,
        };
        self.root.find(text.split('/'), true, concerns)
    }
}

impl Node {
    fn find(
        &self,
        mut levels: std::str::Split<'_, char>,
        first: bool,
        concerns: &dyn Fn(&Who) -> bool,
    ) -> Option<&Closure> {
        let pick = |list: &'_ [(Who, Closure)]| list.iter().position(|(who, _)| concerns(who));
        let Some(level) = levels.next() else {
            // `a/#` matches `a` too.
            return match (pick(&self.here), pick(&self.below)) {
                (Some(at), _) => Some(&self.here[at].1),
                (None, Some(at)) => Some(&self.below[at].1),
                (None, None) => None,
            };
        };
        // Wildcards at the first level do not match a topic that begins with `$` [MQTT-4.7.2-1].
        if !(first && level.starts_with('$')) {
            if let Some(at) = pick(&self.below) {
                return Some(&self.below[at].1);
            }
            // Of `#`, `+` is a part only.
            if let Some(plus) = self.plus.as_ref().filter(|_| level != "#")
                && let Some(found) = plus.find(levels.clone(), false, concerns)
            {
                return Some(found);
            }
        }
        self.children.get(level).and_then(|child| child.find(levels, false, concerns))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::lock::scope::Cause;

    fn text() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["a", "b", "", "$x", "+"]);
        (prop::collection::vec(level, 1..5), any::<bool>()).prop_map(|(levels, hash)| {
            let text = levels.join("/");
            if hash { format!("{text}/#") } else { text }
        })
    }

    proptest! {
        /// The tree answers as looking at each filter one by one would.
        #[test]
        fn the_tree_agrees_with_each_filter_by_itself(
            filters in prop::collection::vec((text(), any::<bool>()), 0..12),
            topic in prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$x"]), 1..5),
            asked in prop_oneof![text(), Just("#".to_owned()), Just("/#".to_owned())],
        ) {
            let (mut topics, topic) = (Topics::default(), topic.join("/"));
            let mine = Who::User("me".into());
            let (mut matches, mut covers) = (false, false);
            let asked = TopicFilter::new(&asked);
            for (text, is_mine) in &filters {
                let Ok(filter) = TopicFilter::new(text) else { continue };
                let who = if *is_mine { mine.clone() } else { Who::User("you".into()) };
                topics.add(&filter, &who, Closure::new(text, Cause::Locked));
                matches |= *is_mine && filter.matches(&topic);
                covers |= *is_mine && asked.as_ref().is_ok_and(|asked| filter.covers(asked));
            }
            let concerns = |who: &Who| *who == mine;
            if !topic.is_empty() {
                prop_assert_eq!(topics.matching(&topic, &concerns).is_some(), matches);
            }
            if let Ok(asked) = asked {
                prop_assert_eq!(topics.covering(&asked, &concerns).is_some(), covers);
            }
        }
    }
}
