//! The subscription index: which sessions match a topic. Read-mostly; asked on the publisher's own task.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use ahash::AHashMap;
use parking_lot::RwLock;

use crate::mqtt::{QoS, SubscriptionOptions, TopicFilter};

use super::{
    message::Extra,
    outbox::Outbox,
    outlet::Outlet,
    shared::{Group, Member},
};

/// A level with room for no more names than this keeps it until the last is gone, and so a filter with its sessions.
const ROOMY: usize = 64;

/// A session that gets every message of a topic, all its matching subscriptions taken together: the highest QoS,
/// with every identifier [MQTT-3.3.4-2] [MQTT-3.3.4-3].
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub outbox: Arc<Outbox>,
    pub qos: QoS,
    pub retain_as_published: bool,
    pub extra: Option<Arc<Extra>>,
}

/// Who gets the messages of one publisher on one topic.
#[derive(Debug, Default)]
pub(super) struct Route {
    pub targets: Vec<Target>,
    pub groups: Vec<Arc<Group>>,
    /// Bridges that take it, each once.
    pub outlets: Vec<Outgoing>,
}

/// Where a message comes from, as far as that says who does not get it.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// Key of the publisher's session.
    pub key: u64,
    /// Its client identifier; empty if it has none.
    pub client_id: Arc<str>,
    /// The client here behind which the same remote broker is as behind this one: a bridge's peer.
    pub peer: Option<Arc<str>>,
}

impl Origin {
    /// A publisher of which no more matters.
    pub fn of(key: u64) -> Self {
        Origin { key, client_id: Arc::default(), peer: None }
    }

    /// Whether the message came from where `outlet` would send it.
    fn is_behind(&self, outlet: &dyn Outlet) -> bool {
        outlet.key() == self.key || outlet.peer().is_some_and(|peer| *peer == *self.client_id)
    }
}

/// A bridge that takes messages away, by one of its routes.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub outlet: Arc<dyn Outlet>,
    /// Number of the route.
    pub route: usize,
}

/// One plain subscription in the tree.
#[derive(Debug)]
struct Entry {
    outbox: Arc<Outbox>,
    options: SubscriptionOptions,
    identifier: Option<u32>,
}

/// One level of the tree. `here` holds filters that end at this level, `below` those that end in `/#` after it.
#[derive(Debug, Default)]
struct Node {
    children: AHashMap<Box<str>, Node>,
    plus: Option<Box<Node>>,
    here: Leaf,
    below: Leaf,
}

#[derive(Debug, Default)]
struct Leaf {
    /// By the keys of their sessions. These come in order and mostly go in order, so that little is moved even where a
    /// hundred thousand sessions have the same filter.
    entries: VecDeque<Entry>,
    groups: Vec<Arc<Group>>,
    outlets: Vec<Outgoing>,
}

impl Leaf {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.groups.is_empty() && self.outlets.is_empty()
    }

    fn place_of(&self, key: u64) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&key, |entry| entry.outbox.key)
    }

    /// Adds or replaces the entry of a session; whether it is new.
    fn put(&mut self, entry: Entry) -> bool {
        match self.place_of(entry.outbox.key) {
            Ok(place) => {
                self.entries[place] = entry;
                false
            }
            Err(place) => {
                self.entries.insert(place, entry);
                true
            }
        }
    }

    /// Takes out the entry of a session; whether there was one.
    fn take(&mut self, key: u64) -> bool {
        let Ok(place) = self.place_of(key) else { return false };
        self.entries.remove(place);
        if self.entries.capacity() > ROOMY && self.entries.len() < self.entries.capacity() / 8 {
            self.entries.shrink_to_fit();
        }
        true
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.plus.is_none() && self.here.is_empty() && self.below.is_empty()
    }

    /// The leaf of a filter, made on the way if need be.
    fn leaf<'n, 'f>(&'n mut self, levels: impl Iterator<Item = &'f str>) -> &'n mut Leaf {
        let mut node = self;
        for level in levels {
            match level {
                "#" => return &mut node.below,
                "+" => node = node.plus.get_or_insert_default(),
                level => {
                    if !node.children.contains_key(level) {
                        node.children.insert(level.into(), Node::default());
                    }
                    node = node.children.get_mut(level).expect("it was just put there");
                }
            }
        }
        &mut node.here
    }

    /// Edits the leaf of a filter and takes out nodes left empty. Recursion is bounded by `limits.topic_levels`.
    fn edit(&mut self, levels: &mut dyn Iterator<Item = &str>, edit: &mut dyn FnMut(&mut Leaf)) {
        match levels.next() {
            None => edit(&mut self.here),
            Some("#") => edit(&mut self.below),
            Some("+") => {
                if let Some(node) = &mut self.plus {
                    node.edit(levels, edit);
                    if node.is_empty() {
                        self.plus = None;
                    }
                }
            }
            Some(level) => {
                if let Some(node) = self.children.get_mut(level) {
                    node.edit(levels, edit);
                    if node.is_empty() {
                        self.children.remove(level);
                        let (len, room) = (self.children.len(), self.children.capacity());
                        if len == 0 || (room > ROOMY && len < room / 8) {
                            self.children.shrink_to_fit();
                        }
                    }
                }
            }
        }
    }

    fn collect(&self, mut levels: std::str::Split<'_, char>, first: bool, found: &mut dyn FnMut(&Leaf)) {
        let Some(level) = levels.next() else {
            // `a/#` matches `a` too.
            found(&self.below);
            found(&self.here);
            return;
        };
        // Wildcards at the first level do not match a topic that begins with `$` [MQTT-4.7.2-1], nor the gateway's own.
        if !(first && (level.starts_with('$') || level == "LATCH")) {
            found(&self.below);
            if let Some(plus) = &self.plus {
                plus.collect(levels.clone(), false, found);
            }
        }
        if let Some(child) = self.children.get(level) {
            child.collect(levels, false, found);
        }
    }
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Index {
    root: RwLock<Node>,
    generation: AtomicU64,
    /// Plain subscriptions, and members of share groups. Changed under the lock of `root`.
    plain: AtomicUsize,
    shared: AtomicUsize,
}

impl Index {
    /// Raised by every change: a route found under another generation must be looked up again.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How many subscriptions there are: plain ones, and members of share groups.
    pub fn counts(&self) -> (usize, usize) {
        (self.plain.load(Ordering::Relaxed), self.shared.load(Ordering::Relaxed))
    }

    /// Adds or replaces a plain subscription.
    pub fn subscribe(
        &self,
        outbox: &Arc<Outbox>,
        filter: &TopicFilter,
        options: SubscriptionOptions,
        identifier: Option<u32>,
    ) {
        let mut root = self.root.write();
        let entry = Entry { outbox: outbox.clone(), options, identifier };
        if root.leaf(filter.levels()).put(entry) {
            self.plain.fetch_add(1, Ordering::Relaxed);
        }
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Has a bridge take what matches the filter of one of its routes.
    pub fn attach(&self, filter: &TopicFilter, outgoing: Outgoing) {
        self.root.write().leaf(filter.levels()).outlets.push(outgoing);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Adds or replaces a member of a share group.
    pub fn share(&self, name: &Arc<str>, filter: &TopicFilter, member: Member) -> Arc<Group> {
        let mut root = self.root.write();
        let leaf = root.leaf(filter.levels());
        let group = match leaf.groups.iter().find(|group| group.name == *name) {
            Some(group) => group.clone(),
            None => {
                let group = Arc::new(Group::new(name.clone(), filter.clone()));
                leaf.groups.push(group.clone());
                group
            }
        };
        if group.join(member) {
            self.shared.fetch_add(1, Ordering::Relaxed);
        }
        self.generation.fetch_add(1, Ordering::Release);
        group
    }

    /// Ends a subscription; `group` is the share name of a shared one.
    pub fn unsubscribe(&self, key: u64, filter: &TopicFilter, group: Option<&str>) {
        let mut root = self.root.write();
        root.edit(&mut filter.levels(), &mut |leaf| match group {
            None => {
                self.plain.fetch_sub(usize::from(leaf.take(key)), Ordering::Relaxed);
            }
            Some(name) => leaf.groups.retain(|group| {
                if *group.name != *name {
                    return true;
                }
                let before = group.len();
                let empty = group.leave(key);
                self.shared.fetch_sub(before - group.len(), Ordering::Relaxed);
                !empty
            }),
        });
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Who gets what is published to `topic`.
    pub fn route(&self, topic: &str, origin: &Origin) -> Route {
        let mut found: Vec<(Target, Vec<u32>)> = Vec::new();
        let mut at: AHashMap<u64, usize> = AHashMap::default();
        let (mut groups, mut outlets) = (Vec::new(), Vec::<Outgoing>::new());
        self.root.read().collect(topic.split('/'), true, &mut |leaf: &Leaf| {
            groups.extend(leaf.groups.iter().cloned());
            // What a bridge brought in does not go out by it again. Of its routes the first one counts.
            for outgoing in leaf.outlets.iter().filter(|outgoing| !origin.is_behind(&*outgoing.outlet)) {
                let key = outgoing.outlet.key();
                match outlets.iter_mut().find(|other| other.outlet.key() == key) {
                    Some(other) => other.route = other.route.min(outgoing.route),
                    None => outlets.push(outgoing.clone()),
                }
            }
            for entry in &leaf.entries {
                // [MQTT-3.8.3-3]
                if entry.options.no_local && entry.outbox.key == origin.key {
                    continue;
                }
                if origin.peer.as_ref().is_some_and(|peer| *peer == entry.outbox.client_id) {
                    continue;
                }
                let slot = *at.entry(entry.outbox.key).or_insert_with(|| {
                    let target = Target {
                        outbox: entry.outbox.clone(),
                        qos: QoS::AtMostOnce,
                        retain_as_published: false,
                        extra: None,
                    };
                    found.push((target, Vec::new()));
                    found.len() - 1
                });
                let (target, identifiers) = &mut found[slot];
                target.qos = target.qos.max(entry.options.qos);
                target.retain_as_published |= entry.options.retain_as_published;
                identifiers.extend(entry.identifier);
            }
        });
        let targets = found
            .into_iter()
            .map(|(mut target, identifiers)| {
                if !identifiers.is_empty() {
                    target.extra = Some(Arc::new(Extra { identifiers, group: None }));
                }
                target
            })
            .collect();
        Route { targets, groups, outlets }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outbox(key: u64) -> Arc<Outbox> {
        Arc::new(Outbox::new(key, key.to_string().into(), 10, 1000))
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$x", "+"]), 1..5)
            .prop_map(|levels| levels.join("/"))
    }

    proptest! {
        /// The tree answers as matching every filter one by one would, whatever was added and removed.
        #[test]
        fn the_index_agrees_with_matching_each_filter(
            filters in prop::collection::vec((text(), any::<bool>(), any::<bool>()), 0..12),
            topic in prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$x"]), 1..5),
        ) {
            let index = Index::default();
            let topic = topic.join("/");
            let mut expected = Vec::new();
            for (key, (text, hash, keep)) in filters.iter().enumerate() {
                let key = key as u64;
                let text = if *hash { format!("{text}/#") } else { text.clone() };
                let Ok(filter) = TopicFilter::new(&text) else { continue };
                index.subscribe(&outbox(key), &filter, SubscriptionOptions::default(), None);
                if !keep {
                    index.unsubscribe(key, &filter, None);
                } else if filter.matches(&topic) {
                    expected.push(key);
                }
            }
            if topic.is_empty() {
                return Ok(());
            }
            let mut got: Vec<u64> = index.route(&topic, &Origin::of(u64::MAX)).targets.iter().map(|t| t.outbox.key).collect();
            got.sort_unstable();
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn overlapping_subscriptions_become_one_delivery_at_the_highest_qos_with_all_identifiers() {
        let index = Index::default();
        let me = outbox(1);
        let at = |qos| SubscriptionOptions { qos, ..Default::default() };
        index.subscribe(&me, &TopicFilter::new("a/#").unwrap(), at(QoS::AtLeastOnce), Some(1));
        index.subscribe(&me, &TopicFilter::new("a/+").unwrap(), at(QoS::ExactlyOnce), Some(2));
        let route = index.route("a/b", &Origin::of(9));
        assert_eq!(route.targets.len(), 1);
        assert_eq!(route.targets[0].qos, QoS::ExactlyOnce);
        assert_eq!(route.targets[0].extra.as_ref().unwrap().identifiers, [1, 2]);
    }

    #[test]
    fn a_hundred_thousand_sessions_come_to_one_filter_and_go_again_without_looking_through_all_of_them() {
        let (index, everything) = (Index::default(), TopicFilter::new("#").unwrap());
        // With one look at each for each of them this would take minutes.
        for key in 0..100_000 {
            index.subscribe(&outbox(key), &everything, SubscriptionOptions::default(), None);
        }
        index.subscribe(&outbox(5), &everything, SubscriptionOptions::default(), Some(7));
        assert_eq!(index.counts(), (100_000, 0));
        assert_eq!(index.route("a", &Origin::of(u64::MAX)).targets.len(), 100_000);
        (0..100_000).filter(|key| *key != 5).for_each(|key| index.unsubscribe(key, &everything, None));
        index.unsubscribe(4, &everything, None);
        assert_eq!(index.counts(), (1, 0));
        let route = index.route("a", &Origin::of(u64::MAX));
        assert_eq!(route.targets[0].extra.as_ref().unwrap().identifiers, [7]);
        assert!(index.root.read().below.entries.capacity() <= 8 * ROOMY);
    }

    #[test]
    fn a_level_that_had_many_names_gives_their_room_back_although_one_stays() {
        let (index, me) = (Index::default(), outbox(1));
        let filters: Vec<_> = (0..10_000).map(|n| TopicFilter::new(&n.to_string()).unwrap()).collect();
        for filter in &filters {
            index.subscribe(&me, filter, SubscriptionOptions::default(), None);
        }
        filters[1..].iter().for_each(|filter| index.unsubscribe(1, filter, None));
        assert!(index.root.read().children.capacity() <= 8 * ROOMY);
        assert_eq!(index.route("0", &Origin::of(2)).targets.len(), 1);
    }

    #[test]
    fn the_tree_is_empty_again_when_everybody_left() {
        let index = Index::default();
        for n in 0..100 {
            let filter = TopicFilter::new(&format!("a/{n}/+/#")).unwrap();
            index.subscribe(&outbox(1), &filter, SubscriptionOptions::default(), None);
            index.unsubscribe(1, &filter, None);
        }
        assert!(index.root.read().is_empty());
    }
}
