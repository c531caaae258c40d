//! Retained messages: the last one of each topic (MQTT 5 section 3.3.1.3).

use std::{sync::Arc, time::Instant};

use ahash::AHashMap;
use parking_lot::RwLock;

use crate::mqtt::TopicFilter;

use super::{
    journal::{Change, Journal},
    message::Message,
};

/// A level with room for no more topics than this keeps it when they are gone.
const ROOMY: usize = 64;

/// The bounds are reached; the message was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

#[derive(Debug, Default)]
struct Node {
    children: AHashMap<Box<str>, Node>,
    message: Option<Arc<Message>>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.message.is_none()
    }

    /// Removes what is at the end of `levels`, and nodes left empty. Recursion is bounded by
    /// `limits.topic_levels`.
    fn remove(&mut self, mut levels: std::str::Split<'_, char>) -> Option<Arc<Message>> {
        let Some(level) = levels.next() else { return self.message.take() };
        let child = self.children.get_mut(level)?;
        let removed = child.remove(levels);
        if child.is_empty() {
            self.children.remove(level);
            if self.children.capacity() > ROOMY && self.children.len() < self.children.capacity() / 8 {
                self.children.shrink_to_fit();
            }
        }
        removed
    }

    fn collect(&self, mut levels: std::str::Split<'_, char>, first: bool, found: &mut Vec<Arc<Message>>) {
        match levels.next() {
            None => found.extend(self.message.clone()),
            Some("#") => {
                found.extend(self.message.clone());
                for (_, child) in self.visible(first) {
                    child.collect("#".split('/'), false, found);
                }
            }
            Some("+") => {
                for (_, child) in self.visible(first) {
                    child.collect(levels.clone(), false, found);
                }
            }
            Some(level) => {
                if let Some(child) = self.children.get(level) {
                    child.collect(levels, false, found);
                }
            }
        }
    }

    /// The children a wildcard sees: at the first level not those that begin with `$` [MQTT-4.7.2-1].
    fn visible(&self, first: bool) -> impl Iterator<Item = (&Box<str>, &Node)> {
        self.children.iter().filter(move |(level, _)| !(first && level.starts_with('$')))
    }

    fn expired(&self, now: Instant, found: &mut Vec<Arc<str>>) {
        found.extend(self.message.iter().filter(|m| m.expired(now)).map(|m| m.topic.clone()));
        self.children.values().for_each(|child| child.expired(now, found));
    }
}

#[derive(Debug, Default)]
struct Kept {
    root: Node,
    count: usize,
    bytes: usize,
}

/// All retained messages of clients, at most `max_count` of them and `max_bytes` in size, and the gateway's own.
#[derive(Debug)]
pub(super) struct Retained {
    kept: RwLock<Kept>,
    /// What the gateway itself publishes under reserved topics: a bounded set that takes nobody's place.
    own: RwLock<Kept>,
    max_count: usize,
    max_bytes: usize,
}

impl Retained {
    pub fn new(max_count: usize, max_bytes: usize) -> Self {
        Retained { kept: RwLock::default(), own: RwLock::default(), max_count, max_bytes }
    }

    /// Keeps `message` in place of the one of its topic [MQTT-3.3.1-5], and tells `journal` in the same order.
    pub fn set(&self, message: &Arc<Message>, journal: &dyn Journal) -> Result<(), Full> {
        let mut kept = self.kept.write();
        let old = kept.remove(&message.topic);
        let bytes = kept.bytes.saturating_add(message.size());
        if kept.count >= self.max_count || bytes > self.max_bytes {
            if let Some(old) = old {
                kept.insert(old);
            }
            return Err(Full);
        }
        kept.insert(message.clone());
        journal.record(Change::Retained { topic: &message.topic, message: Some(message) });
        Ok(())
    }

    /// Keeps what was kept over a restart, within bounds or not.
    pub fn restore(&self, messages: impl Iterator<Item = Arc<Message>>) {
        let mut kept = self.kept.write();
        messages.for_each(|message| kept.insert(message));
    }

    /// Keeps one of the gateway's own messages.
    pub fn set_own(&self, message: &Arc<Message>) {
        let mut own = self.own.write();
        own.remove(&message.topic);
        own.insert(message.clone());
    }

    /// How many messages of clients there are, and about how many bytes.
    pub fn size(&self) -> (usize, usize) {
        let kept = self.kept.read();
        (kept.count, kept.bytes)
    }

    /// Removes the message of a topic [MQTT-3.3.1-6]; whether there was one.
    pub fn clear(&self, topic: &Arc<str>, journal: &dyn Journal) -> bool {
        let mut kept = self.kept.write();
        let cleared = kept.remove(topic).is_some();
        if cleared {
            journal.record(Change::Retained { topic, message: None });
        }
        cleared
    }

    /// Every message that matches and has not expired.
    pub fn matching(&self, filter: &TopicFilter, now: Instant) -> Vec<Arc<Message>> {
        let mut found = Vec::new();
        self.kept.read().root.collect(filter.as_str().split('/'), true, &mut found);
        // A filter whose first level is a wildcard never reaches the gateway's own.
        if filter.as_str().starts_with(['$', 'L']) {
            self.own.read().root.collect(filter.as_str().split('/'), true, &mut found);
        }
        found.retain(|message| !message.expired(now));
        found
    }

    /// Removes expired messages; how many.
    pub fn sweep(&self, now: Instant, journal: &dyn Journal) -> usize {
        let mut expired = Vec::new();
        self.kept.read().root.expired(now, &mut expired);
        if !expired.is_empty() {
            let mut kept = self.kept.write();
            expired.retain(|topic| match kept.remove(topic) {
                Some(message) if !message.expired(now) => {
                    // It was replaced meanwhile.
                    kept.insert(message);
                    false
                }
                removed => {
                    journal.record(Change::Retained { topic, message: None });
                    removed.is_some()
                }
            });
        }
        expired.len()
    }
}

impl Kept {
    fn insert(&mut self, message: Arc<Message>) {
        let mut node = &mut self.root;
        for level in message.topic.split('/') {
            if !node.children.contains_key(level) {
                node.children.insert(level.into(), Node::default());
            }
            node = node.children.get_mut(level).expect("it was just put there");
        }
        self.count += 1;
        self.bytes = self.bytes.saturating_add(message.size());
        node.message = Some(message);
    }

    fn remove(&mut self, topic: &str) -> Option<Arc<Message>> {
        let removed = self.root.remove(topic.split('/'))?;
        self.count -= 1;
        self.bytes = self.bytes.saturating_sub(removed.size());
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::broker::Volatile;
    use crate::mqtt::QoS;
    use crate::policy::Identity;

    fn message(topic: &str, expires: Option<Instant>) -> Arc<Message> {
        let author = Identity {
            client_id: "c".into(),
            user: "u".into(),
            address: ([127, 0, 0, 1], 1).into(),
            listener: "l".into(),
            backend: None,
            token: None,
            credential: None,
            certificate: None,
        };
        Arc::new(Message {
            topic: topic.into(),
            payload: b"x".as_slice().into(),
            properties: Box::default(),
            qos: QoS::AtMostOnce,
            retain: true,
            expires,
            author: Arc::new(author),
            row: Default::default(),
            _share: Default::default(),
        })
    }

    #[test]
    fn a_full_store_refuses_new_topics_but_replaces_known_ones() {
        let retained = Retained::new(1, usize::MAX);
        assert_eq!(retained.set(&message("a", None), &Volatile), Ok(()));
        assert_eq!(retained.set(&message("b", None), &Volatile), Err(Full));
        assert_eq!(retained.set(&message("a", None), &Volatile), Ok(()));
        assert!(retained.clear(&"a".into(), &Volatile) && !retained.clear(&"a".into(), &Volatile));
        assert_eq!(retained.kept.read().bytes, 0);
        assert!(retained.kept.read().root.is_empty());
    }

    #[test]
    fn the_gateways_own_messages_take_nobodys_place_and_no_wildcard_of_the_first_level_finds_them() {
        let retained = Retained::new(1, usize::MAX);
        retained.set_own(&message("$SYS/broker/uptime", None));
        retained.set_own(&message("$SYS/broker/uptime", None));
        retained.set_own(&message("LATCH/lock", None));
        assert_eq!(retained.set(&message("a", None), &Volatile), Ok(()));
        assert_eq!((retained.size().0, retained.own.read().count), (1, 2));
        for (filter, count) in [("#", 1), ("+/lock", 0), ("$SYS/#", 1), ("LATCH/#", 1), ("LATCH/lock", 1)] {
            let filter = TopicFilter::new(filter).unwrap();
            assert_eq!(retained.matching(&filter, Instant::now()).len(), count, "{filter:?}");
        }
    }

    #[test]
    fn a_level_that_had_many_topics_gives_their_room_back_although_one_stays() {
        let retained = Retained::new(usize::MAX, usize::MAX);
        let topics: Vec<_> = (0..10_000).map(|n| n.to_string()).collect();
        topics.iter().for_each(|topic| retained.set(&message(topic, None), &Volatile).unwrap());
        assert!(topics[1..].iter().all(|topic| retained.clear(&topic.as_str().into(), &Volatile)));
        assert!(retained.kept.read().root.children.capacity() <= 8 * ROOMY);
        assert_eq!(retained.matching(&TopicFilter::new("0").unwrap(), Instant::now()).len(), 1);
    }

    #[test]
    fn an_expired_message_is_neither_found_nor_kept() {
        let (retained, now) = (Retained::new(9, usize::MAX), Instant::now());
        retained.set(&message("a", Some(now + Duration::from_secs(1))), &Volatile).unwrap();
        let hash = TopicFilter::new("#").unwrap();
        assert_eq!(retained.matching(&hash, now).len(), 1);
        let later = now + Duration::from_secs(1);
        assert!(retained.matching(&hash, later).is_empty());
        assert_eq!(retained.sweep(later, &Volatile), 1);
        assert_eq!(retained.kept.read().count, 0);
    }

    proptest! {
        /// Matching the tree agrees with matching every topic one by one.
        #[test]
        fn the_tree_agrees_with_matching_each_topic(
            topics in prop::collection::hash_set(
                prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$x"]), 1..4), 0..12),
            filter in prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$x", "+"]), 1..4),
            hash in any::<bool>(),
        ) {
            let retained = Retained::new(usize::MAX, usize::MAX);
            let filter = if hash { format!("{}/#", filter.join("/")) } else { filter.join("/") };
            let Ok(filter) = TopicFilter::new(&filter) else { return Ok(()) };
            let mut expected = Vec::new();
            for topic in topics.iter().map(|levels| levels.join("/")).filter(|topic| !topic.is_empty()) {
                retained.set(&message(&topic, None), &Volatile).unwrap();
                if filter.matches(&topic) {
                    expected.push(topic);
                }
            }
            let found = retained.matching(&filter, Instant::now());
            let mut found: Vec<String> = found.iter().map(|message| message.topic.to_string()).collect();
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
