//! What is in the file, or soon will be, as far as it must be known to tell what a change does to it. No I/O.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use ahash::AHashMap;

use crate::bridge::Entry;
use crate::broker::{Change, Message};

use super::dirty::{DeliveryRow, Dirty, Edit, SessionId, SessionRow};
use super::spool::Spools;

/// Keys and references of everything that is kept.
#[derive(Debug, Default)]
pub(super) struct Image {
    sessions: AHashMap<Arc<str>, Kept>,
    /// How many rows need each message.
    references: AHashMap<u64, u32>,
    retained: AHashMap<Arc<str>, u64>,
    last_session: SessionId,
    last_message: u64,
    pub spools: Spools,
    /// What the file does not have yet.
    pub dirty: Dirty,
    /// How many changes were recorded.
    pub recorded: u64,
}

#[derive(Debug)]
struct Kept {
    id: SessionId,
    row: SessionRow,
    /// Messages on their way to the client, by number in the queue.
    deliveries: AHashMap<u64, u64>,
    /// Numbers in the queue of what waits for PUBCOMP, by packet identifier.
    released: AHashMap<u16, u64>,
}

impl Image {
    /// Takes a change in.
    pub fn record(&mut self, change: Change<'_>) {
        match change {
            Change::Opened { client, fresh, owner, expiry, inflight, will } => {
                if fresh {
                    self.end(client);
                }
                let owner = Arc::new(owner.clone());
                let sent = self.sessions.get(client).map_or(0, |kept| kept.row.sent);
                self.open(
                    client,
                    SessionRow { owner, expiry, gone: None, sent, inflight, will: will.cloned() },
                );
            }
            Change::Parked { client, expiry, sent, will } => self.change(client, |row| {
                (row.expiry, row.gone, row.sent) = (expiry, Some(Instant::now()), sent);
                row.will = will.cloned();
            }),
            Change::WillSent { client } => self.change(client, |row| row.will = None),
            Change::Ended { client } => self.end(client),
            Change::Subscribed { client, text, subscription, owed } => {
                let Some(kept) = self.sessions.get(client) else { return };
                let row = Some((subscription.clone(), owed));
                self.dirty.subscriptions.insert((kept.id, text.clone()), row);
            }
            Change::Unsubscribed { client, text } => {
                let Some(kept) = self.sessions.get(client) else { return };
                self.dirty.subscriptions.insert((kept.id, text.into()), None);
            }
            Change::Queued { client, seq, message, qos, retain, stored, identifiers, share } => {
                let row = DeliveryRow {
                    message: None,
                    qos,
                    retain,
                    stored,
                    packet_id: 0,
                    identifiers: identifiers.to_vec(),
                    share: share.map(|(name, filter)| (name.into(), filter.clone())),
                };
                self.queue(client, seq, message, row);
            }
            Change::Numbered { client, seq, id } => {
                let Some(kept) = self.sessions.get(client).filter(|kept| kept.deliveries.contains_key(&seq))
                else {
                    return;
                };
                self.dirty.delivery((kept.id, seq), Edit::Number { packet_id: id, released: false });
            }
            Change::Settled { client, seq } => {
                let Some(kept) = self.sessions.get_mut(client) else { return };
                let Some(message) = kept.deliveries.remove(&seq) else { return };
                self.dirty.delivery((kept.id, seq), Edit::Delete);
                self.let_go(message);
            }
            Change::Released { client, seq, id } => {
                let Some(kept) = self.sessions.get_mut(client) else { return };
                let Some(message) = kept.deliveries.remove(&seq) else { return };
                kept.released.insert(id, seq);
                self.dirty.delivery((kept.id, seq), Edit::Number { packet_id: id, released: true });
                self.let_go(message);
            }
            Change::Completed { client, id } => {
                let Some(kept) = self.sessions.get_mut(client) else { return };
                let Some(seq) = kept.released.remove(&id) else { return };
                self.dirty.delivery((kept.id, seq), Edit::Delete);
            }
            Change::Received { client, id, open } => {
                let Some(kept) = self.sessions.get(client) else { return };
                self.dirty.received.insert((kept.id, id), open);
            }
            Change::Retained { topic, message } => self.retain(topic, message),
        }
        self.recorded += 1;
    }

    /// Takes a change of a bridge's spool in.
    pub fn note(&mut self, bridge: &Arc<str>, entry: Entry<'_>) {
        self.spools.note(bridge, entry, &mut self.dirty.spools);
        self.recorded += 1;
    }

    fn open(&mut self, client: &Arc<str>, row: SessionRow) {
        if let Some(kept) = self.sessions.get_mut(client) {
            kept.row = row.clone();
            self.dirty.sessions.insert(kept.id, row);
            return;
        }
        self.last_session += 1;
        let id = self.last_session;
        self.dirty.sessions.insert(id, row.clone());
        self.know_session(client.clone(), id, row);
    }

    fn change(&mut self, client: &str, change: impl FnOnce(&mut SessionRow)) {
        let Some(kept) = self.sessions.get_mut(client) else { return };
        change(&mut kept.row);
        self.dirty.sessions.insert(kept.id, kept.row.clone());
    }

    fn end(&mut self, client: &str) {
        let Some(kept) = self.sessions.remove(client) else { return };
        self.dirty.end(kept.id);
        for message in kept.deliveries.into_values() {
            self.let_go(message);
        }
    }

    fn queue(&mut self, client: &str, seq: u64, message: &Arc<Message>, row: DeliveryRow) {
        if !self.sessions.contains_key(client) {
            return;
        }
        let id = self.hold(message);
        let Some(kept) = self.sessions.get_mut(client) else { return };
        kept.deliveries.insert(seq, id);
        self.dirty.delivery((kept.id, seq), Edit::Insert(DeliveryRow { message: Some(id), ..row }));
    }

    fn retain(&mut self, topic: &Arc<str>, message: Option<&Arc<Message>>) {
        let id = message.map(|message| self.hold(message));
        let old = match id {
            Some(id) => self.retained.insert(topic.clone(), id),
            None => self.retained.remove(topic),
        };
        self.dirty.retained.insert(topic.clone(), id);
        if let Some(old) = old {
            self.let_go(old);
        }
    }

    /// One more row needs `message`; its number.
    fn hold(&mut self, message: &Arc<Message>) -> u64 {
        // The number is given here only, under the lock of the image.
        let mut id = message.row.load(Ordering::Relaxed);
        if id == 0 || !self.references.contains_key(&id) {
            self.last_message += 1;
            id = self.last_message;
            message.row.store(id, Ordering::Relaxed);
            self.dirty.message(id, Edit::Insert(message.clone()));
        }
        *self.references.entry(id).or_insert(0) += 1;
        id
    }

    /// One row less needs a message.
    fn let_go(&mut self, id: u64) {
        let Some(count) = self.references.get_mut(&id) else { return };
        *count -= 1;
        if *count == 0 {
            self.references.remove(&id);
            self.dirty.message(id, Edit::Delete);
        }
    }

    // ---- what the file has -------------------------------------------------------------------------

    /// Learns of a session that the file has.
    pub fn know_session(&mut self, client: Arc<str>, id: SessionId, row: SessionRow) {
        self.last_session = self.last_session.max(id);
        let kept = Kept { id, row, deliveries: AHashMap::default(), released: AHashMap::default() };
        self.sessions.insert(client, kept);
    }

    /// Gives no session this number or a lower one.
    pub fn skip_sessions(&mut self, last: SessionId) {
        self.last_session = self.last_session.max(last);
    }

    /// Learns of a delivery that the file has.
    pub fn know_delivery(&mut self, client: &str, seq: u64, message: Option<u64>, packet_id: u16) {
        let Some(kept) = self.sessions.get_mut(client) else { return };
        match message {
            Some(message) => {
                kept.deliveries.insert(seq, message);
                *self.references.entry(message).or_insert(0) += 1;
            }
            None => {
                kept.released.insert(packet_id, seq);
            }
        }
    }

    /// Learns of a retained message that the file has.
    pub fn know_retained(&mut self, topic: Arc<str>, message: u64) {
        self.retained.insert(topic, message);
        *self.references.entry(message).or_insert(0) += 1;
    }

    /// Learns of a message that the file has.
    pub fn know_message(&mut self, id: u64) {
        self.last_message = self.last_message.max(id);
    }

    /// Whether any row needs this message.
    pub fn needs(&self, id: u64) -> bool {
        self.references.contains_key(&id)
    }
}
