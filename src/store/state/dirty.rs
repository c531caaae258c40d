//! What has changed since the file was last written. A change that undoes an earlier one takes it back, so that
//! a message that was delivered at once is never written.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use ahash::AHashMap;

use crate::broker::{Message, Owed, Subscription, Will};
use crate::mqtt::{QoS, TopicFilter};
use crate::policy::Identity;

use super::spool;

/// Number of a session in the file. A session that begins anew has a new one.
pub(super) type SessionId = i64;

/// A row of `session`.
#[derive(Clone, Debug)]
pub(super) struct SessionRow {
    pub owner: Arc<Identity>,
    pub expiry: u32,
    /// When its client left; `None` while it is connected.
    pub gone: Option<Instant>,
    /// The highest number of a delivery that was sent when its client last left.
    pub sent: u64,
    /// Most deliveries that are unacknowledged at a time on its present or last connection.
    pub inflight: u16,
    pub will: Option<Will>,
}

/// A row of `subscription`, and what it owes of the retained messages.
pub(super) type SubscriptionRow = (Subscription, Owed);

/// A row of `delivery`.
#[derive(Clone, Debug)]
pub(super) struct DeliveryRow {
    pub message: Option<u64>,
    pub qos: QoS,
    pub retain: bool,
    pub stored: bool,
    pub packet_id: u16,
    pub identifiers: Vec<u32>,
    pub share: Option<(Arc<str>, TopicFilter)>,
}

/// What is to be done to a row of `delivery`, or of `message`.
#[derive(Clone, Debug)]
pub(super) enum Edit<R> {
    /// A row that is not in the file.
    Insert(R),
    /// A delivery got a packet identifier that does not go with its number, or lost its message.
    Number { packet_id: u16, released: bool },
    /// A row that is in the file.
    Delete,
}

impl<R> Edit<R> {
    /// Both, one after the other; `None` if nothing is left to do.
    fn then(self, later: Self, renumber: impl FnOnce(&mut R, u16, bool)) -> Option<Self> {
        match (self, later) {
            (Edit::Insert(_), Edit::Delete) => None,
            (Edit::Insert(mut row), Edit::Number { packet_id, released }) => {
                renumber(&mut row, packet_id, released);
                Some(Edit::Insert(row))
            }
            (_, later) => Some(later),
        }
    }
}

/// Changed rows by their keys; in order, so that those of one session lie together, here and in the file.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Sessions that are gone with all their rows. They come first.
    pub ended: Vec<SessionId>,
    pub messages: BTreeMap<u64, Edit<Arc<Message>>>,
    pub retained: AHashMap<Arc<str>, Option<u64>>,
    pub sessions: AHashMap<SessionId, SessionRow>,
    pub subscriptions: BTreeMap<(SessionId, Arc<str>), Option<SubscriptionRow>>,
    pub deliveries: BTreeMap<(SessionId, u64), Edit<DeliveryRow>>,
    /// Whether the identifier is in use.
    pub received: BTreeMap<(SessionId, u16), bool>,
    /// Of bridges.
    pub spools: spool::Dirty,
}

impl Dirty {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows that are to be changed.
    pub fn len(&self) -> usize {
        self.ended.len()
            + self.messages.len()
            + self.retained.len()
            + self.sessions.len()
            + self.subscriptions.len()
            + self.deliveries.len()
            + self.received.len()
            + self.spools.len()
    }

    pub fn message(&mut self, id: u64, edit: Edit<Arc<Message>>) {
        follow(&mut self.messages, id, edit, |_, _, _| {});
    }

    pub fn delivery(&mut self, key: (SessionId, u64), edit: Edit<DeliveryRow>) {
        follow(&mut self.deliveries, key, edit, |row, packet_id, released| {
            row.packet_id = packet_id;
            if released {
                row.message = None;
            }
        });
    }

    /// Takes a session out with all that was to be written of it.
    pub fn end(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        take_out(&mut self.subscriptions, session, Arc::default());
        take_out(&mut self.deliveries, session, u64::MIN);
        take_out(&mut self.received, session, u16::MIN);
        self.ended.push(session);
    }

    /// Adds what happened after this. A write that failed is tried again so.
    pub fn extend(&mut self, later: Dirty) {
        for session in later.ended {
            self.end(session);
        }
        for (id, edit) in later.messages {
            self.message(id, edit);
        }
        self.retained.extend(later.retained);
        self.sessions.extend(later.sessions);
        self.subscriptions.extend(later.subscriptions);
        for (key, edit) in later.deliveries {
            self.delivery(key, edit);
        }
        self.received.extend(later.received);
        self.spools.extend(later.spools);
    }
}

/// Takes the rows of a session out; `least` is the least key that one can have. What other sessions have costs nothing.
fn take_out<K: Ord + Clone, R>(map: &mut BTreeMap<(SessionId, K), R>, session: SessionId, least: K) {
    let of_session = map.range((session, least)..).take_while(|((of, _), _)| *of == session);
    let keys: Vec<_> = of_session.map(|(key, _)| key.clone()).collect();
    keys.iter().for_each(|key| drop(map.remove(key)));
}

fn follow<K, R>(
    map: &mut BTreeMap<K, Edit<R>>,
    key: K,
    later: Edit<R>,
    renumber: impl FnOnce(&mut R, u16, bool),
) where
    K: Ord,
{
    let edit = match map.remove(&key) {
        Some(earlier) => earlier.then(later, renumber),
        None => Some(later),
    };
    if let Some(edit) = edit {
        map.insert(key, edit);
    }
}
