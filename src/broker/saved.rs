//! What was kept over a restart, and how the broker takes it up again.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use ahash::AHashMap;

use crate::mqtt::{QoS, TopicFilter};
use crate::policy::Identity;
use crate::session::{Session, Subscription};

use super::{
    broker::Broker,
    clock,
    journal::Change,
    message::{Candidate, Extra, Message},
    registry::{Parked, Seat},
    shared::Group,
    will::{DelayedWill, Will},
};

/// Everything a journal kept.
#[derive(Debug, Default)]
pub struct Saved {
    /// Every message, once.
    pub messages: Vec<SavedMessage>,
    /// The retained ones, as indexes into `messages`.
    pub retained: Vec<usize>,
    /// Every session.
    pub sessions: Vec<SavedSession>,
}

/// A message as it was kept; see [`Message`].
#[derive(Debug)]
pub struct SavedMessage {
    /// The journal's number for it.
    pub row: u64,
    /// Topic name.
    pub topic: Arc<str>,
    /// Payload.
    pub payload: Box<[u8]>,
    /// Encoded properties.
    pub properties: Box<[u8]>,
    /// QoS it was published at.
    pub qos: QoS,
    /// Whether it was published retained.
    pub retain: bool,
    /// When it expires.
    pub expires: Option<Instant>,
    /// Who published it.
    pub author: Arc<Identity>,
}

/// A session as it was kept.
#[derive(Debug)]
pub struct SavedSession {
    /// Whose it is, with the client identifier.
    pub owner: Arc<Identity>,
    /// Seconds it outlives its connection; `u32::MAX` for ever.
    pub expiry: u32,
    /// How long ago its client left; `None` if it was connected when the gateway ended.
    pub gone: Option<Duration>,
    /// A will that was not published. Its delay counts from when the client left.
    pub will: Option<Will>,
    /// Subscriptions, with their text as the client wrote it.
    pub subscriptions: Vec<(Arc<str>, Subscription)>,
    /// QoS 2 packet identifiers from the client whose PUBREL is still to come.
    pub incoming: Vec<u16>,
    /// What is on its way to the client, in its order.
    pub deliveries: Vec<SavedDelivery>,
}

/// A message on its way to one client, as it was kept.
#[derive(Debug)]
pub struct SavedDelivery {
    /// Number in the session's queue, rising.
    pub seq: u64,
    /// The packet identifier of a QoS 2 message that was or may have been sent; else 0.
    pub packet_id: u16,
    /// Index into [`Saved::messages`]; `None` once PUBREC came.
    pub message: Option<usize>,
    /// QoS of the delivery.
    pub qos: QoS,
    /// Retain flag of the delivery.
    pub retain: bool,
    /// Subscription identifiers.
    pub identifiers: Vec<u32>,
    /// Name and filter of the share group it came by.
    pub share: Option<(Arc<str>, TopicFilter)>,
}

type Groups = AHashMap<(Arc<str>, TopicFilter), Arc<Group>>;

impl Broker {
    /// Takes up what was kept over a restart. To be called before the first connection.
    pub fn restore(&self, saved: Saved) {
        let now = clock::now();
        let messages: Vec<Arc<Message>> =
            saved.messages.into_iter().map(|saved| self.message(saved)).collect();
        self.router.retained.restore(saved.retained.iter().filter_map(|&at| messages.get(at).cloned()));
        let mut groups = Groups::default();
        let mut restored = Vec::with_capacity(saved.sessions.len());
        for mut session in saved.sessions {
            let deliveries = std::mem::take(&mut session.deliveries);
            restored.push((self.restore_session(session, &mut groups, now), deliveries));
        }
        // Now that every share group has its members.
        for (seat, deliveries) in restored {
            restore_deliveries(&seat, deliveries, &messages, &groups);
        }
        // Before a client can come back to a session whose time is over.
        self.do_what_is_due(clock::now());
    }

    fn message(&self, saved: SavedMessage) -> Arc<Message> {
        let SavedMessage { row, topic, payload, properties, qos, retain, expires, author } = saved;
        let size = super::message::size(&topic, &payload);
        let _share = self.budget.take(size);
        let row = row.into();
        Arc::new(Message { topic, payload, properties, qos, retain, expires, author, row, _share })
    }

    /// A parked seat with its subscriptions.
    fn restore_session(&self, saved: SavedSession, groups: &mut Groups, now: Instant) -> Arc<Seat> {
        let SavedSession { owner, expiry, gone, will, subscriptions, incoming, .. } = saved;
        let mut session = Session { expiry, ..Session::default() };
        session.incoming.restore(incoming);
        session.subscriptions = subscriptions.into_iter().collect();
        let seat = self.registry.restore(&owner, session, self.settings.queue);
        seat.outbox.set_state(false, true);
        if gone.is_none() {
            let client = &seat.outbox.client_id;
            self.router.journal.record(Change::Parked { client, expiry, will: will.as_ref() });
        }
        let since = gone.unwrap_or_default();
        let left = |seconds: u32| now + Duration::from_secs(seconds.into()).saturating_sub(since);
        let mut parked = Parked { kept: true, ends: (expiry != u32::MAX).then(|| left(expiry)), will: None };
        parked.will = will.map(|will| (left(will.delay.min(expiry)), DelayedWill { will, identity: owner }));
        self.deadlines.park(&seat, &parked);
        *seat.parked.lock() = parked;
        if let Ok(session) = seat.session.try_lock() {
            for subscription in session.subscriptions.values() {
                if let Some(group) = self.router.enter(&seat.outbox, subscription) {
                    groups.insert((group.name.clone(), group.filter.clone()), group);
                }
            }
        }
        seat
    }
}

/// Fills the window and the queue of a session.
fn restore_deliveries(seat: &Seat, saved: Vec<SavedDelivery>, messages: &[Arc<Message>], groups: &Groups) {
    let last = saved.iter().map(|saved| saved.seq).max().unwrap_or(0);
    // A client may still answer for identifiers of a QoS 1 message that it was sent before the restart, which are not
    // kept: beginning anywhere makes it unlikely that another message has the same one.
    let mut random = [0; 2];
    let next_id = match (saved.iter().map(|saved| saved.packet_id).max(), getrandom::fill(&mut random)) {
        (_, Ok(())) => u16::from_ne_bytes(random),
        (highest, Err(_)) => highest.unwrap_or(0).wrapping_add(1),
    };
    // What waits before a message that was sent was sent as well, as QoS 1: it is sent again in its place.
    let sent_to = saved.iter().filter(|saved| saved.packet_id != 0).map(|saved| saved.seq).max();
    let in_use: HashSet<u16> = saved.iter().map(|saved| saved.packet_id).chain([0]).collect();
    let mut free = (0..=u16::MAX).map(|n| next_id.wrapping_add(n)).filter(|id| !in_use.contains(id));
    let (mut window, mut queue) = (Vec::new(), VecDeque::new());
    for saved in saved {
        let SavedDelivery { seq, mut packet_id, message, qos, retain, identifiers, share } = saved;
        if packet_id == 0 && qos == QoS::AtLeastOnce && sent_to.is_some_and(|last| seq < last) {
            packet_id = free.next().unwrap_or(0);
        }
        let Some(message) = message.and_then(|at| messages.get(at).cloned()) else {
            window.push((packet_id, QoS::ExactlyOnce, None));
            continue;
        };
        let group = share.and_then(|share| groups.get(&share)).map(|group| (group.clone(), Vec::new()));
        let extra =
            (group.is_some() || !identifiers.is_empty()).then(|| Arc::new(Extra { identifiers, group }));
        let size = message.size_u32();
        let candidate = Candidate { message, qos, retain, stored: false, seq, packet_id, size, extra };
        if packet_id == 0 {
            queue.push_back(candidate);
        } else {
            window.push((packet_id, qos, Some((candidate, size as usize))));
        }
    }
    if let Ok(mut session) = seat.session.try_lock() {
        session.outgoing.restore(window, next_id);
    }
    seat.outbox.restore(queue, last);
}
