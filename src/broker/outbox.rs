//! The queue between publishers and one subscriber's task.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;

use crate::mqtt::QoS;
use crate::policy::Gate;

use super::{counters::Dropped, journal::Journal, message::Candidate};

/// So many more than `max_messages` can be put aside: they were taken out of a queue within its bounds.
const TAKEN: usize = 512;
/// An empty queue gives back memory for more candidates than this.
const ROOMY: usize = 1024;

/// What became of an offered candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It is queued. `wake`: the queue was empty, so the subscriber's task must be woken. `kept`: the journal was told,
    /// so that nothing may be acknowledged before it is durable.
    Queued { wake: bool, kept: bool },
    /// The same, but the subscriber is behind: a publisher should wait for room.
    Behind { wake: bool, kept: bool },
    /// It is not queued; the reason, where it counts as a loss.
    Dropped(Option<Dropped>),
}

/// The queue of one session; it outlives connections.
///
/// Bounds: `max_messages` and `max_bytes`, of which a single message larger than the latter may use all.
/// Above half of either a publisher is asked to wait, for a limited time; QoS 0 is dropped at the bound, QoS 1 and
/// 2 too, which is counted apart. While its client is offline nothing of QoS 0 is queued and nobody waits.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Tells sessions apart.
    pub key: u64,
    /// Client identifier.
    pub client_id: Arc<str>,
    /// Wakes the subscriber's task.
    pub bell: AtomicWaker,
    online: AtomicBool,
    /// Whether the session outlives its connection, so that what is queued must be kept.
    durable: AtomicBool,
    /// Whether the lock keeps its client from receiving anything but what is always received. Changed under `queue`.
    suspended: AtomicBool,
    /// Waiting for this subscriber did not help: publishers no longer do until it has caught up. Those of QoS 0 give up
    /// sooner, so they are told apart.
    lagging: Lagging,
    max_messages: usize,
    max_bytes: usize,
    queue: Mutex<Queue>,
    /// Changes with every claim of the session; see `registry`.
    pub turn: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Candidate>,
    /// While suspended: what goes out all the same.
    always: VecDeque<Candidate>,
    /// What the lock keeps back although other things go out, in order.
    held: VecDeque<Candidate>,
    /// Of all of them.
    bytes: usize,
    /// Of `held`.
    held_bytes: usize,
    /// The last number given to a message that is kept.
    seq: u64,
    /// Publishers that wait for room.
    waiting: Vec<Waker>,
}

impl Queue {
    fn len(&self) -> usize {
        self.items.len() + self.always.len() + self.held.len()
    }

    /// Puts everything back into one queue: what was put aside is older than what is queued.
    fn recall(&mut self) {
        if self.always.is_empty() && self.held.is_empty() {
            return;
        }
        let mut all = std::mem::take(&mut self.held);
        all.append(&mut self.always);
        all.append(&mut self.items);
        self.items = all;
        self.held_bytes = 0;
    }
}

/// Whom it did not help to wait.
#[derive(Debug, Default)]
struct Lagging {
    qos0: AtomicBool,
    promised: AtomicBool,
}

impl Lagging {
    fn of(&self, qos: QoS) -> &AtomicBool {
        if qos == QoS::AtMostOnce { &self.qos0 } else { &self.promised }
    }

    fn clear(&self) {
        self.qos0.store(false, Ordering::Relaxed);
        self.promised.store(false, Ordering::Relaxed);
    }
}

impl Outbox {
    pub fn new(key: u64, client_id: Arc<str>, max_messages: usize, max_bytes: usize) -> Self {
        Outbox {
            key,
            client_id,
            bell: AtomicWaker::new(),
            online: AtomicBool::new(false),
            durable: AtomicBool::new(false),
            suspended: AtomicBool::new(false),
            lagging: Lagging::default(),
            max_messages,
            max_bytes,
            queue: Mutex::default(),
            turn: AtomicU64::new(0),
        }
    }

    pub fn is_online(&self) -> bool {
        self.online.load(Ordering::Relaxed)
    }

    pub fn is_durable(&self) -> bool {
        self.durable.load(Ordering::Relaxed)
    }

    /// Notes whether a client is connected and whether the session outlives the connection.
    pub fn set_state(&self, online: bool, durable: bool) {
        let mut queue = self.queue.lock();
        self.online.store(online, Ordering::Relaxed);
        self.durable.store(durable, Ordering::Relaxed);
        self.suspended.store(false, Ordering::Relaxed);
        queue.recall();
        self.lagging.clear();
        // Publishers need not wait for somebody who is gone.
        queue.waiting.drain(..).for_each(Waker::wake);
    }

    /// Offers a candidate; a publisher's side. If the session is kept, `journal` is told of it, in the order of the
    /// queue and before the subscriber's side can see it.
    pub fn offer(&self, mut candidate: Candidate, journal: &dyn Journal) -> Offer {
        let size = candidate.size();
        let qos = candidate.qos;
        let mut queue = self.queue.lock();
        let online = self.is_online();
        if !online && (qos == QoS::AtMostOnce || !self.is_durable()) {
            return Offer::Dropped(None);
        }
        let full = queue.len() >= self.max_messages || queue.bytes.saturating_add(size) > self.max_bytes;
        if full && !queue.items.is_empty() {
            let reason = if qos == QoS::AtMostOnce { Dropped::SlowSubscriber } else { Dropped::QueueFull };
            return Offer::Dropped(Some(reason));
        }
        let suspended = self.is_suspended();
        let goes_out = !suspended || Gate::is_always_received(&candidate.message.topic);
        let waiting = if suspended { &queue.always } else { &queue.items };
        let wake = goes_out && waiting.is_empty() && online;
        let kept = qos != QoS::AtMostOnce && self.is_durable();
        if kept {
            queue.seq += 1;
            candidate.seq = queue.seq;
            journal.record(candidate.queued(&self.client_id));
        }
        let line = if suspended && goes_out { &mut queue.always } else { &mut queue.items };
        line.push_back(candidate);
        queue.bytes = queue.bytes.saturating_add(size);
        // Nobody waits for somebody who is kept from receiving.
        if online && !suspended && self.over_mark(&queue) && !self.lagging.of(qos).load(Ordering::Relaxed) {
            Offer::Behind { wake, kept }
        } else {
            Offer::Queued { wake, kept }
        }
    }

    fn over_mark(&self, queue: &Queue) -> bool {
        // What is put aside takes room, but is not what the subscriber is behind with.
        let messages = self.max_messages.saturating_sub(queue.held.len());
        let bytes = self.max_bytes.saturating_sub(queue.held_bytes);
        queue.items.len() > messages / 2 || queue.bytes - queue.held_bytes > bytes / 2
    }

    /// Waits until the subscriber has caught up, went away or was given up on by those who publish at `qos`.
    pub fn poll_room(&self, qos: QoS, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.queue.lock();
        let given_up = self.lagging.of(qos).load(Ordering::Relaxed);
        if !self.is_online() || self.is_suspended() || given_up || !self.over_mark(&queue) {
            return Poll::Ready(());
        }
        if !queue.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            queue.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Gives up waiting for this subscriber, at `qos`, until it has caught up.
    pub fn give_up(&self, qos: QoS) {
        let mut queue = self.queue.lock();
        self.lagging.of(qos).store(true, Ordering::Relaxed);
        queue.waiting.drain(..).for_each(Waker::wake);
    }

    /// Moves up to `most` candidates that may go out into `ready`, which is empty; the subscriber's side.
    pub fn take(&self, ready: &mut VecDeque<Candidate>, most: usize) {
        let mut queue = self.queue.lock();
        if self.is_suspended() {
            let taken: usize = queue.always.iter().map(Candidate::size).sum();
            ready.append(&mut queue.always);
            queue.bytes = queue.bytes.saturating_sub(taken);
            return;
        }
        if queue.items.len() <= most && ready.is_empty() {
            std::mem::swap(ready, &mut queue.items);
            queue.bytes = queue.held_bytes;
        } else {
            let count = most.min(queue.items.len());
            let taken: usize = queue.items.iter().take(count).map(Candidate::size).sum();
            ready.extend(queue.items.drain(..count));
            queue.bytes = queue.bytes.saturating_sub(taken);
        }
        if !self.over_mark(&queue) {
            self.lagging.clear();
            queue.waiting.drain(..).for_each(Waker::wake);
        }
        if queue.items.is_empty() && queue.items.capacity() > ROOMY {
            queue.items = VecDeque::new();
        }
    }

    /// Whether nothing is queued that may go out.
    pub fn is_empty(&self) -> bool {
        let queue = self.queue.lock();
        if self.is_suspended() { queue.always.is_empty() } else { queue.items.is_empty() }
    }

    /// Whether the lock keeps its client from receiving.
    pub fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }

    /// Has everything go out in its order again, before anything newer; or, if `suspended`, nothing but what is always
    /// received. Publishers that wait for a subscriber that is suspended need not any more.
    pub fn resume(&self, suspended: bool) {
        let mut queue = self.queue.lock();
        queue.recall();
        self.suspended.store(suspended, Ordering::Relaxed);
        if suspended {
            let (always, items) = std::mem::take(&mut queue.items)
                .into_iter()
                .partition(|candidate| Gate::is_always_received(&candidate.message.topic));
            (queue.always, queue.items) = (always, items);
            self.lagging.clear();
            queue.waiting.drain(..).for_each(Waker::wake);
        }
    }

    /// Puts a candidate aside that was taken and may not go out now, until [`Outbox::resume`].
    ///
    /// # Errors
    /// Gives it back if as much is put aside as may be queued.
    pub fn put_aside(&self, candidate: Candidate) -> Result<(), Candidate> {
        let size = candidate.size();
        let mut queue = self.queue.lock();
        let most_bytes = self.max_bytes.saturating_mul(2);
        let full = queue.held.len() >= self.max_messages.saturating_add(TAKEN)
            || queue.held_bytes.saturating_add(size) > most_bytes;
        if full && !queue.held.is_empty() {
            return Err(candidate);
        }
        queue.held.push_back(candidate);
        queue.bytes = queue.bytes.saturating_add(size);
        queue.held_bytes = queue.held_bytes.saturating_add(size);
        Ok(())
    }

    /// How many messages the lock keeps back.
    pub fn withheld(&self) -> usize {
        let queue = self.queue.lock();
        queue.held.len() + if self.is_suspended() { queue.items.len() } else { 0 }
    }

    /// How many messages are queued, and about how many bytes.
    pub fn size(&self) -> (usize, usize) {
        let queue = self.queue.lock();
        (queue.len(), queue.bytes)
    }

    /// Takes `count` numbers for messages that are recorded in another way; the first of them.
    pub fn reserve(&self, count: usize) -> u64 {
        let mut queue = self.queue.lock();
        let first = queue.seq + 1;
        queue.seq += count as u64;
        first
    }

    /// The highest number so far. The journal was told of everything that has it or a lower one, except by
    /// [`Outbox::reserve`].
    pub fn last(&self) -> u64 {
        self.queue.lock().seq
    }

    /// Fills the queue of a session that was kept over a restart.
    pub fn restore(&self, items: VecDeque<Candidate>, seq: u64) {
        let mut queue = self.queue.lock();
        queue.bytes = items.iter().map(Candidate::size).sum();
        queue.items = items;
        queue.seq = seq;
    }

    /// Puts candidates back in front that were taken but not sent.
    pub fn put_back(&self, ready: &mut VecDeque<Candidate>) {
        let mut queue = self.queue.lock();
        while let Some(candidate) = ready.pop_back() {
            queue.bytes = queue.bytes.saturating_add(candidate.size());
            queue.items.push_front(candidate);
        }
    }

    /// Takes out everything `unwanted` picks, of a session without a connection.
    pub fn remove(&self, mut unwanted: impl FnMut(&Candidate) -> bool) -> Vec<Candidate> {
        let mut queue = self.queue.lock();
        queue.recall();
        let mut removed = Vec::new();
        for candidate in std::mem::take(&mut queue.items) {
            if unwanted(&candidate) {
                queue.bytes = queue.bytes.saturating_sub(candidate.size());
                removed.push(candidate);
            } else {
                queue.items.push_back(candidate);
            }
        }
        removed
    }
}
