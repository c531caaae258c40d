//! What was kept over a restart, and how the broker takes it up again.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use ahash::AHashMap;

use crate::mqtt::{QoS, TopicFilter};
use crate::policy::Identity;
use crate::session::{Session, Subscription, identifier_of};

use super::{
    backlog::{Backlog, Search},
    broker::Broker,
    clock,
    journal::{Change, Journal, Owed},
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
    /// The highest number of a delivery that was sent when the client last left.
    pub sent: u64,
    /// Most deliveries that were unacknowledged at a time on its last connection.
    pub inflight: u16,
    /// A will that was not published. Its delay counts from when the client left.
    pub will: Option<Will>,
    /// Subscriptions, with their text as the client wrote it and what they owe of the retained messages.
    pub subscriptions: Vec<(Arc<str>, Subscription, Owed)>,
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
    /// The packet identifier, where it is not the one that goes with the number; else 0.
    pub packet_id: u16,
    /// Index into [`Saved::messages`]; `None` once PUBREC came.
    pub message: Option<usize>,
    /// QoS of the delivery.
    pub qos: QoS,
    /// Retain flag of the delivery.
    pub retain: bool,
    /// Whether it came from the retained messages.
    pub stored: bool,
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
            let sent = Sent::of(&session);
            let deliveries = std::mem::take(&mut session.deliveries);
            restored.push((self.restore_session(session, sent, &mut groups, now), deliveries, sent));
        }
        // Now that every share group has its members.
        for (seat, deliveries, sent) in restored {
            restore_deliveries(&seat, deliveries, sent, &messages, &groups, &*self.router.journal);
        }
        // Before a client can come back to a session whose time is over.
        self.do_what_is_due(clock::now());
    }

    pub(super) fn message(&self, saved: SavedMessage) -> Arc<Message> {
        let SavedMessage { row, topic, payload, properties, qos, retain, expires, author } = saved;
        let size = super::message::size(&topic, &payload);
        let _share = self.budget.take(size);
        let row = row.into();
        Arc::new(Message { topic, payload, properties, qos, retain, expires, author, row, _share })
    }

    /// A parked seat with its subscriptions.
    fn restore_session(
        &self,
        saved: SavedSession,
        sent: Sent,
        groups: &mut Groups,
        now: Instant,
    ) -> Arc<Seat> {
        let SavedSession { owner, expiry, gone, will, subscriptions, incoming, .. } = saved;
        let sent = sent.queued.max(sent.stored);
        let mut session = Session { expiry, sent, ..Session::default() };
        session.incoming.restore(incoming);
        let mut backlog = Backlog::default();
        for (text, subscription, owed) in subscriptions {
            if owed != Owed::Nothing {
                backlog.postpone(Search { text: text.clone(), subscription: subscription.clone(), owed });
            }
            session.subscriptions.insert(text, subscription);
        }
        let seat = self.registry.restore(&owner, session, self.settings.queue);
        seat.outbox.set_state(false, true);
        *seat.backlog.lock() = backlog;
        if gone.is_none() {
            let client = &seat.outbox.client_id;
            self.router.journal.record(Change::Parked { client, expiry, sent, will: will.as_ref() });
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

/// Up to which number deliveries may have been sent before the restart.
#[derive(Clone, Copy)]
struct Sent {
    queued: u64,
    /// Those that come from the retained messages.
    stored: u64,
}

impl Sent {
    fn of(session: &SavedSession) -> Self {
        // What waits before a message that was sent was sent as well.
        let named = session.deliveries.iter().filter(|delivery| delivery.packet_id != 0);
        let least = named.map(|delivery| delivery.seq).max().unwrap_or(0).max(session.sent);
        // What an earlier connection left open may count as often again, see `Outgoing::room`.
        let more = if session.gone.is_none() { 2 * usize::from(session.inflight) } else { 0 };
        let to = |stored| {
            let of_kind = session.deliveries.iter().filter(|delivery| delivery.stored == stored);
            let waiting = of_kind.map(|delivery| delivery.seq).filter(|seq| *seq > least);
            waiting.take(more).last().unwrap_or(least)
        };
        Sent { queued: to(false), stored: to(true) }
    }
}

/// Most messages that are put into a window; a file may say anything.
const LARGEST: usize = 16_384;

/// Fills the window and the queue of a session. What may have been sent is sent again, under its identifier.
fn restore_deliveries(
    seat: &Seat,
    saved: Vec<SavedDelivery>,
    sent: Sent,
    messages: &[Arc<Message>],
    groups: &Groups,
    journal: &dyn Journal,
) {
    let last = saved.iter().map(|saved| saved.seq).max().unwrap_or(0);
    // A client may still answer for messages that it was sent but that were never written. Going on at any number makes
    // it unlikely that other messages have their identifiers.
    let mut random = [0; 2];
    let skipped = getrandom::fill(&mut random).map_or(0, |()| u16::from_ne_bytes(random));
    let last = last.saturating_add(u64::from(skipped));
    let waits = |saved: &SavedDelivery| {
        saved.message.is_some() && saved.seq > if saved.stored { sent.stored } else { sent.queued }
    };
    let mut given = HashSet::new();
    let packet_ids = packet_ids(&saved, waits, &mut given);
    let (mut window, mut queue) = (Vec::new(), VecDeque::new());
    for (saved, id) in saved.into_iter().zip(packet_ids) {
        let waits = waits(&saved);
        let SavedDelivery { seq, packet_id, message, qos, retain, stored, identifiers, share } = saved;
        let Some(message) = message.and_then(|at| messages.get(at).cloned()) else {
            if window.len() < LARGEST
                && let Some(id) = id
            {
                window.push((id, QoS::ExactlyOnce, None));
            }
            continue;
        };
        let group = share.and_then(|share| groups.get(&share)).map(|group| (group.clone(), Vec::new()));
        let extra =
            (group.is_some() || !identifiers.is_empty()).then(|| Arc::new(Extra { identifiers, group }));
        let size = message.size_u32();
        let candidate = Candidate { message, qos, retain, stored, seq, packet_id, size, extra };
        if waits || window.len() >= LARGEST {
            queue.push_back(candidate);
            continue;
        }
        let id = id.unwrap_or_else(|| {
            let mut id = identifier_of(seq);
            while !given.insert(id) {
                id = id.checked_add(1).unwrap_or(1);
            }
            // It is sent under this one from now on, over the next restart too: CONNACK waits until that is durable.
            journal.record(Change::Numbered { client: &seat.outbox.client_id, seq, id });
            id
        });
        window.push((id, qos, Some((candidate, size as usize))));
    }
    if let Ok(mut session) = seat.session.try_lock() {
        session.outgoing.restore(window, last);
    }
    seat.outbox.restore(queue, last);
}

/// The packet identifiers under which deliveries were sent, if they were: those that were written, and of the others that do
/// not wait those that go with their numbers. `None` where another has it already; `given` is filled with all of them.
fn packet_ids(
    saved: &[SavedDelivery],
    waits: impl Fn(&SavedDelivery) -> bool,
    given: &mut HashSet<u16>,
) -> Vec<Option<u16>> {
    let written = |saved: &SavedDelivery| Some(saved.packet_id).filter(|id| *id != 0);
    let mut packet_ids: Vec<_> =
        saved.iter().map(|saved| written(saved).filter(|id| given.insert(*id))).collect();
    for (saved, id) in saved.iter().zip(&mut packet_ids) {
        if written(saved).is_none() && !waits(saved) {
            *id = Some(identifier_of(saved.seq)).filter(|id| given.insert(*id));
        }
    }
    packet_ids
}
