//! What happens when the spool is full.

use std::time::{Duration, Instant};

use crate::bridge::ledger::{Fate, Reason};

use super::{Spool, queue::Queue};

/// So long after the last message that was dropped it is over.
const QUIET: Duration = Duration::from_secs(10);

/// What is dropped when the spool is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// What has waited longest.
    DropOldest,
    /// What comes.
    DropNewest,
}

/// Bounds of a spool.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Messages.
    pub messages: usize,
    /// Bytes.
    pub bytes: usize,
    /// What is dropped beyond them.
    pub when_full: WhenFull,
}

#[derive(Debug)]
pub(super) struct Dropping {
    pub(super) since: Instant,
    pub(super) last: Instant,
    pub(super) count: u64,
}

impl Spool {
    /// Makes room for a message of `size` bytes; whether there is.
    pub(super) fn make_room(&self, queue: &mut Queue, size: usize, now: Instant) -> bool {
        let full = |queue: &Queue| {
            queue.messages >= self.bounds.messages || queue.bytes.saturating_add(size) > self.bounds.bytes
        };
        while full(queue) {
            let Some(place) = queue.oldest_unsent() else { return false };
            let fate = match self.bounds.when_full {
                _ if self.is_over(&queue.slots[place], now) => Fate::Expired,
                WhenFull::DropOldest => Fate::Dropped(Reason::Full),
                WhenFull::DropNewest => return false,
            };
            if fate == Fate::Dropped(Reason::Full) {
                self.note_dropped(queue, now);
            }
            self.end(queue, place, fate);
        }
        true
    }

    /// One more is dropped, since the spool is full: said when it begins.
    pub(super) fn note_dropped(&self, queue: &mut Queue, now: Instant) {
        let messages = queue.messages;
        let dropping = queue.dropping.get_or_insert_with(|| {
            let rule = match self.bounds.when_full {
                WhenFull::DropOldest => "the oldest are dropped",
                WhenFull::DropNewest => "what comes is dropped",
            };
            tracing::warn!(bridge = %self.bridge, messages, rule, "the spool of the bridge is full");
            Dropping { since: now, last: now, count: 0 }
        });
        dropping.count += 1;
        dropping.last = now;
    }

    /// Says how many were dropped, if that is over.
    pub fn say_what_was_dropped(&self, now: Instant) {
        let over = self.queue.lock().dropping.take_if(|dropping| now >= dropping.last + QUIET);
        if let Some(Dropping { since, last, count }) = over {
            let seconds = last.saturating_duration_since(since).as_secs();
            tracing::warn!(bridge = %self.bridge, dropped = count, seconds, "the spool of the bridge has room again");
        }
    }
}
