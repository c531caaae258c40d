//! The spool: what waits for the remote broker, in order.
//!
//! What it knows of each message is a few bytes; the messages themselves are on disk. Those that will be sent next, and
//! fresh ones as long as there is room, are in memory as well.

mod full;
mod queue;
mod retained;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;

use crate::broker::{Message, Outlet};
use crate::mqtt::QoS;

use super::{
    keeper::{Entry, Keeper, KeptSpool},
    ledger::{Fate, Ledger, LedgerIn, Reason},
};

pub use full::{Bounds, WhenFull};

use queue::{Queue, Slot, State};
use retained::Offered;

/// Bytes of messages that are held in memory besides what is on its way.
const AT_HAND: usize = 1 << 20;
/// Messages of QoS 0 that wait for the socket, and their bytes.
const MOST_QOS0: usize = 1000;
const MOST_QOS0_BYTES: usize = 1 << 20;

/// Messages that the lock holds, from which on nothing behind them is looked at.
const MOST_HELD: usize = 1000;

/// More than this cannot have been on its way at a time.
const MOST_SENT: usize = 8192;

/// A message that is to be sent next.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its number; 0: QoS 0, which is not kept.
    pub seq: u64,
    /// QoS to send it at.
    pub qos: QoS,
    /// The message.
    pub message: Arc<Message>,
}

/// What there is to send.
#[derive(Debug)]
pub enum Next {
    /// A message.
    Item(Item),
    /// Messages from this number on must be read back first, see [`Spool::loaded`].
    Load(u64),
    /// Nothing.
    Nothing,
}

/// What waits, and what went.
#[derive(Clone, Debug, Default)]
pub struct Amount {
    /// Messages in the spool.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long the oldest has waited.
    pub age: Option<Duration>,
    /// Totals of every route.
    pub ledgers: Vec<(Arc<str>, Ledger)>,
    /// QoS 0 since the start: sent, and dropped.
    pub qos0: (u64, u64),
}

/// The spool of one bridge.
#[derive(Debug)]
pub struct Spool {
    bridge: Arc<str>,
    key: u64,
    /// The client identifier of the remote broker's own bridge here, if it is known.
    pub peer: Option<Arc<str>>,
    /// The highest QoS of each route.
    qos: Vec<QoS>,
    bounds: Bounds,
    keeper: Arc<dyn Keeper>,
    epoch: Instant,
    queue: Mutex<Queue>,
    /// What was offered because it is retained.
    offered: Mutex<Offered>,
    /// Rung when there is something to send.
    pub bell: Arc<AtomicWaker>,
}

/// A message that was sent before a restart, in the order of the spool.
#[derive(Debug)]
pub struct SentBefore {
    /// Its number.
    pub seq: u64,
    /// The identifier it has; 0 if it has none.
    pub packet_id: u16,
    /// QoS it was sent at.
    pub qos: QoS,
    /// Whether PUBREC came.
    pub released: bool,
}

impl Spool {
    /// A spool with what was kept; `routes` are labels and QoS of those that go out. Also says what was on its way when it was kept.
    pub fn new(
        bridge: Arc<str>,
        key: u64,
        routes: &[(Arc<str>, QoS)],
        bounds: Bounds,
        live_first: bool,
        keeper: Arc<dyn Keeper>,
        kept: KeptSpool,
    ) -> (Self, Vec<SentBefore>) {
        let ledgers = routes.iter().map(|(label, _)| (label.clone(), Ledger::default())).collect();
        let mut queue = Queue { ledgers, ..Queue::default() };
        for (label, ledger) in kept.ledgers {
            let number = queue.route(&label);
            queue.ledgers[number].1 = ledger;
        }
        // A message that waited before one that was sent was sent as well, where there is an order.
        let sent_to = kept.entries.iter().rposition(|entry| entry.packet_id != 0);
        let in_order = !live_first && sent_to.is_some_and(|to| to < MOST_SENT);
        let sent_to = sent_to.filter(|_| in_order).map(|to| kept.entries[to].seq);
        let mut sent = Vec::new();
        for entry in kept.entries {
            let was_sent = entry.packet_id != 0 || sent_to.is_some_and(|to| entry.seq < to);
            let state = if was_sent { State::Sent } else { State::Waiting };
            if state == State::Sent {
                let (seq, qos) = (entry.seq, entry.qos);
                sent.push(SentBefore { seq, qos, packet_id: entry.packet_id, released: entry.released });
            }
            let seconds = |span: Duration| i32::try_from(span.as_secs()).unwrap_or(i32::MAX);
            let route = queue.route(&entry.route);
            queue.messages += 1;
            queue.bytes += entry.size as usize;
            queue.last = entry.seq;
            queue.slots.push_back(Slot {
                seq: entry.seq,
                message: None,
                size: entry.size,
                at: -seconds(entry.age),
                expires: entry.left.map(|left| match left {
                    Duration::ZERO => 0,
                    left => seconds(left).saturating_add(1),
                }),
                route: route as u16,
                qos: entry.qos,
                state,
                numbered: entry.packet_id != 0,
            });
        }
        let mut waiting = vec![0; queue.ledgers.len()];
        queue.slots.iter().for_each(|slot| waiting[usize::from(slot.route)] += 1);
        for ((route, ledger), waiting) in queue.ledgers.iter_mut().zip(waiting) {
            let open = ledger.open();
            if open == waiting {
                continue;
            }
            // Somebody has edited the file, or damaged it.
            tracing::error!(%bridge, %route, open, waiting, "the ledger did not balance with the spool that was kept, and is made to");
            ledger.dropped[Reason::Unreadable as usize] += open.saturating_sub(waiting);
            ledger.accepted += waiting.saturating_sub(open);
            keeper.note(&bridge, Entry::Counted { route, ledger: *ledger });
        }
        let qos = routes.iter().map(|(_, qos)| *qos).collect();
        let (epoch, queue) = (Instant::now(), Mutex::new(queue));
        let (peer, offered, bell) = (None, Mutex::default(), Arc::default());
        (Spool { bridge, key, peer, qos, bounds, keeper, epoch, queue, offered, bell }, sent)
    }

    /// What is there to be sent next.
    pub fn next(&self, now: Instant) -> Next {
        let mut queue = self.queue.lock();
        if let Some(item) = queue.fresh.pop_front() {
            queue.fresh_bytes -= item.message.size();
            queue.qos0.0 += 1;
            return Next::Item(item);
        }
        loop {
            if queue.held >= MOST_HELD {
                return Next::Nothing;
            }
            let Some(place) = queue.first_waiting() else { return Next::Nothing };
            if self.is_over(&queue.slots[place], now) {
                self.end(&mut queue, place, Fate::Expired);
                continue;
            }
            let slot = &mut queue.slots[place];
            let Some(message) = slot.message.take() else { return Next::Load(slot.seq) };
            slot.state = State::Sent;
            let (seq, qos, size) = (slot.seq, slot.qos, slot.size as usize);
            queue.at_hand = queue.at_hand.saturating_sub(size);
            return Next::Item(Item { seq, qos, message });
        }
    }

    /// Takes messages that were read back from number `from` on, made by `revive`, which is told when they expire.
    pub fn loaded<M>(
        &self,
        from: u64,
        read: Vec<(u64, M)>,
        mut revive: impl FnMut(M, Option<Instant>) -> Arc<Message>,
    ) {
        let mut queue = self.queue.lock();
        for (seq, message) in read {
            let Some(place) = queue.place_of(seq) else { continue };
            let slot = &mut queue.slots[place];
            if slot.state == State::Waiting && slot.message.is_none() {
                let expires =
                    slot.expires.map(|at| self.epoch + Duration::from_secs(u64::try_from(at).unwrap_or(0)));
                slot.message = Some(revive(message, expires));
                let size = slot.size as usize;
                queue.at_hand += size;
            }
        }
        if let Some(place) = queue.place_of(from)
            && queue.slots[place].state == State::Waiting
            && queue.slots[place].message.is_none()
        {
            tracing::error!(bridge = %self.bridge, "a message of the spool cannot be read back");
            self.end(&mut queue, place, Fate::Dropped(Reason::Unreadable));
        }
    }

    /// When a message that is on its way expires.
    pub fn expires(&self, seq: u64) -> Option<Instant> {
        let queue = self.queue.lock();
        let at = queue.slots[queue.place_of(seq)?].expires?;
        Some(self.epoch + Duration::from_secs(u64::try_from(at).unwrap_or(0)))
    }

    /// Notes that a message is about to be sent under `id`, or that PUBREC came for it.
    pub fn number(&self, seq: u64, id: u16, released: bool) {
        let mut queue = self.queue.lock();
        let Some(place) = queue.place_of(seq) else { return };
        queue.slots[place].numbered = true;
        self.keeper.note(&self.bridge, Entry::Numbered { seq, id, released });
    }

    /// Ends a message's stay.
    pub fn settle(&self, seq: u64, fate: Fate) {
        let mut queue = self.queue.lock();
        match (queue.place_of(seq), fate) {
            (Some(place), fate) => self.end(&mut queue, place, fate),
            // It was QoS 0.
            (None, Fate::Dropped(_) | Fate::Expired) => {
                queue.qos0.0 = queue.qos0.0.saturating_sub(1);
                queue.qos0.1 += 1;
            }
            (None, Fate::Delivered | Fate::Unacknowledged) => {}
        }
    }

    /// A message that was sent is to be sent again.
    pub fn put_back(&self, seq: u64) {
        let mut queue = self.queue.lock();
        let Some(place) = queue.place_of(seq) else { return };
        self.wait_again(&mut queue, place);
        queue.next = queue.next.min(seq);
    }

    /// A message that was about to be sent is held by the lock until [`Spool::let_go`]; others go on without it. One of
    /// QoS 0 does not wait.
    pub fn hold(&self, seq: u64) {
        let mut queue = self.queue.lock();
        let Some(place) = queue.place_of(seq) else {
            queue.qos0.0 = queue.qos0.0.saturating_sub(1);
            queue.qos0.1 += 1;
            return;
        };
        self.wait_again(&mut queue, place);
        queue.slots[place].state = State::Held;
        queue.held += 1;
    }

    /// What the lock held is to be sent after all, in its order; whether there is any.
    pub fn let_go(&self) -> bool {
        let mut queue = self.queue.lock();
        if queue.held == 0 {
            return false;
        }
        queue.held = 0;
        queue.next = 0;
        for slot in queue.slots.iter_mut().filter(|slot| slot.state == State::Held) {
            slot.state = State::Waiting;
        }
        true
    }

    /// The remote broker knows nothing of what was sent: it is all to be sent again, in order.
    pub fn rewind(&self) {
        let mut queue = self.queue.lock();
        for place in 0..queue.slots.len() {
            self.wait_again(&mut queue, place);
        }
        queue.held = 0;
        queue.next = 0;
    }

    fn wait_again(&self, queue: &mut Queue, place: usize) {
        let slot = &mut queue.slots[place];
        if matches!(slot.state, State::Sent | State::Held) {
            slot.state = State::Waiting;
        }
        if std::mem::take(&mut slot.numbered) {
            self.keeper.note(&self.bridge, Entry::Numbered { seq: slot.seq, id: 0, released: false });
        }
    }

    /// Notes whether the remote broker is there; `live_first`: what comes from now on goes first.
    pub fn connected(&self, connected: bool, live_first: bool) {
        let mut queue = self.queue.lock();
        queue.connected = connected;
        queue.live = (connected && live_first).then_some(queue.last + 1);
        let lost = queue.fresh.len() as u64;
        queue.fresh.clear();
        queue.fresh_bytes = 0;
        queue.qos0.1 += lost;
    }

    /// Notes that packet identifiers are those of this session from now on.
    pub fn session(&self, of: &Arc<str>) {
        self.keeper.note(&self.bridge, Entry::Session { of });
    }

    /// Notes a message of QoS 1 or 2 from the remote broker.
    pub fn arrived(&self, route: &Arc<str>, ledger: LedgerIn) {
        self.keeper.note(&self.bridge, Entry::Arrived { route, ledger });
    }

    /// Notes a QoS 2 message from the remote broker.
    pub fn received(&self, id: u16, open: bool) {
        self.keeper.note(&self.bridge, Entry::Received { id, open });
    }

    /// Whether the ledger has anything of a route.
    pub fn is_new(&self, route: usize) -> bool {
        self.queue.lock().ledgers.get(route).is_none_or(|(_, ledger)| *ledger == Ledger::default())
    }

    /// How many messages the remote broker acknowledged, all routes together.
    pub fn delivered(&self) -> u64 {
        self.queue.lock().ledgers.iter().map(|(_, ledger)| ledger.delivered).sum()
    }

    /// What there is, and how many messages of each route wait.
    pub fn amount(&self) -> (Amount, Vec<u64>) {
        let queue = self.queue.lock();
        let now = self.seconds(Instant::now());
        let mut queued = vec![0; queue.ledgers.len()];
        for slot in queue.slots.iter().filter(|slot| slot.state != State::Gone) {
            queued[usize::from(slot.route)] += 1;
        }
        let amount = Amount {
            messages: queue.messages as u64,
            bytes: queue.bytes as u64,
            age: queue.slots.front().map(|slot| {
                Duration::from_secs(u64::from(now.saturating_sub(slot.at).max(0).unsigned_abs()))
            }),
            ledgers: queue.ledgers.clone(),
            qos0: queue.qos0,
        };
        (amount, queued)
    }

    fn seconds(&self, at: Instant) -> i32 {
        i32::try_from(at.saturating_duration_since(self.epoch).as_secs()).unwrap_or(i32::MAX)
    }

    fn is_over(&self, slot: &Slot, now: Instant) -> bool {
        match &slot.message {
            Some(message) => message.expired(now),
            None => slot.expires.is_some_and(|at| at <= self.seconds(now)),
        }
    }

    fn end(&self, queue: &mut Queue, place: usize, fate: Fate) {
        let slot = &mut queue.slots[place];
        match std::mem::replace(&mut slot.state, State::Gone) {
            State::Gone => return,
            State::Held => queue.held -= 1,
            State::Waiting | State::Sent => {}
        }
        let slot = &mut queue.slots[place];
        let (seq, route, size) = (slot.seq, usize::from(slot.route), slot.size as usize);
        let numbered = slot.numbered;
        if slot.message.take().is_some() {
            queue.at_hand = queue.at_hand.saturating_sub(size);
        }
        queue.messages -= 1;
        queue.bytes -= size;
        let (label, ledger) = &mut queue.ledgers[route];
        ledger.settle(fate);
        self.keeper.note(&self.bridge, Entry::Left { seq, route: label, numbered, ledger: *ledger });
        while queue.slots.front().is_some_and(|slot| slot.state == State::Gone) {
            queue.slots.pop_front();
        }
    }

    /// Takes a message on; the number that it waits under, if it does.
    fn take_on(&self, route: usize, message: &Arc<Message>) -> Option<u64> {
        let qos = message.qos.min(self.qos[route]);
        let size = message.size();
        let now = Instant::now();
        let mut queue = self.queue.lock();
        if qos == QoS::AtMostOnce {
            self.offer_qos0(&mut queue, message);
            return None;
        }
        queue.ledgers[route].1.accepted += 1;
        if !self.make_room(&mut queue, size, now) {
            self.note_dropped(&mut queue, now);
            let (label, ledger) = &mut queue.ledgers[route];
            ledger.settle(Fate::Dropped(Reason::Full));
            self.keeper.note(&self.bridge, Entry::Counted { route: label, ledger: *ledger });
            return None;
        }
        queue.last += 1;
        let seq = queue.last;
        let (label, ledger) = &queue.ledgers[route];
        self.keeper.note(&self.bridge, Entry::Kept { seq, route: label, qos, message, ledger: *ledger });
        queue.messages += 1;
        queue.bytes += size;
        // Whoever waits behind a backlog will be read back.
        let hold = queue.at_hand == 0 || (queue.connected && queue.at_hand + size <= AT_HAND);
        queue.at_hand += if hold { size } else { 0 };
        let expires = message.expires.map(|at| self.seconds(at).saturating_add(1));
        let at = self.seconds(now);
        let message = hold.then(|| message.clone());
        let (size, route) = (u32::try_from(size).unwrap_or(u32::MAX), route as u16);
        let state = State::Waiting;
        queue.slots.push_back(Slot { seq, message, size, at, expires, route, qos, state, numbered: false });
        Some(seq)
    }

    fn offer_qos0(&self, queue: &mut Queue, message: &Arc<Message>) {
        let size = message.size();
        let full = queue.fresh.len() >= MOST_QOS0 || queue.fresh_bytes + size > MOST_QOS0_BYTES;
        if !queue.connected || (full && !queue.fresh.is_empty()) {
            queue.qos0.1 += 1;
            return;
        }
        queue.fresh_bytes += size;
        queue.fresh.push_back(Item { seq: 0, qos: QoS::AtMostOnce, message: message.clone() });
    }
}

impl Outlet for Spool {
    fn key(&self) -> u64 {
        self.key
    }

    fn peer(&self) -> Option<&str> {
        self.peer.as_deref()
    }

    fn offer(&self, route: usize, message: &Arc<Message>) -> bool {
        self.take_on(route, message).is_some()
    }

    fn wake(&self) {
        self.bell.wake();
    }
}
