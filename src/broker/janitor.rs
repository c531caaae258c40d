//! What falls due while nobody is connected: sessions that expire, wills that were delayed, retained messages that
//! are over.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    broker::Broker,
    clock,
    counters::Dropped,
    journal::Change,
    registry::{Parked, Seat},
    will::LateWill,
};

/// How often expired retained messages are taken out; they are never delivered in between either.
const SWEEP: Duration = Duration::from_secs(60);

/// Room for this many deadlines is not given back.
const ROOMY: usize = 1024;
/// Room for at least this many more is made at a time.
const FEW: usize = 64;

/// Deadlines of parked sessions, soonest first. A deadline may have become void: the seat knows.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: Mutex<BinaryHeap<Due>>,
    sooner: Notify,
}

#[derive(Debug)]
struct Due(Reverse<Instant>, Weak<Seat>);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl Deadlines {
    /// Has `seat` looked at when its next deadline comes.
    pub fn park(&self, seat: &Arc<Seat>, parked: &Parked) {
        let will = parked.will.as_ref().map(|(at, _)| *at);
        if let Some(at) = parked.ends.into_iter().chain(will).min() {
            self.look_at(seat, at);
        }
    }

    /// Has `seat` looked at no later than `at`. One that comes and goes has one entry, not one for each time.
    pub fn look_at(&self, seat: &Arc<Seat>, at: Instant) {
        let mut scheduled = seat.scheduled.lock();
        if scheduled.is_none_or(|earlier| at < earlier) {
            *scheduled = Some(at);
            let mut heap = self.heap.lock();
            if heap.len() == heap.capacity() {
                forget_the_gone(&mut heap);
            }
            heap.push(Due(Reverse(at), Arc::downgrade(seat)));
            drop(heap);
            self.sooner.notify_one();
        }
    }

    fn next(&self) -> Option<Instant> {
        self.heap.lock().peek().map(|due| due.0.0)
    }

    fn due(&self, now: Instant) -> Option<Weak<Seat>> {
        let mut heap = self.heap.lock();
        let top = heap.peek_mut()?;
        let due = (top.0.0 <= now).then(|| std::collections::binary_heap::PeekMut::pop(top).1);
        if heap.capacity() > ROOMY && heap.len() < heap.capacity() / 8 {
            heap.shrink_to_fit();
        }
        due
    }
}

/// Before the heap grows: a session that ended long before its deadline must not keep its place until then. Whatever
/// is left has as much room again, so that this is rare.
fn forget_the_gone(heap: &mut BinaryHeap<Due>) {
    heap.retain(|due| due.1.strong_count() > 0);
    let room = heap.len().max(FEW);
    heap.shrink_to(heap.len() + room);
    heap.reserve(room);
}

impl Broker {
    /// Does what falls due, for ever.
    pub async fn keep_house(self: Arc<Self>) {
        let mut sweep = clock::now() + SWEEP;
        let mut told = [0; Dropped::ALL.len()];
        loop {
            for will in std::mem::take(&mut *self.late_wills.lock()) {
                tokio::spawn(will.fire(self.clone()));
            }
            let until = self.deadlines.next().map_or(sweep, |next| next.min(sweep));
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                () = self.deadlines.sooner.notified() => continue,
            }
            let now = clock::now();
            self.do_what_is_due(now);
            if now >= sweep {
                sweep = now + SWEEP;
                self.router.retained.sweep(now, &*self.router.journal);
                self.tell_drops(&mut told);
            }
        }
    }

    /// Has a will published by a task of its own, since a backend must be asked about it.
    pub(super) fn fire_later(&self, will: LateWill) {
        self.late_wills.lock().push(will);
        self.deadlines.sooner.notify_one();
    }

    /// Ends sessions and fires wills whose time has come.
    pub(super) fn do_what_is_due(&self, now: Instant) {
        while let Some(seat) = self.deadlines.due(now) {
            if let Some(seat) = seat.upgrade() {
                *seat.scheduled.lock() = None;
                self.fall_due(&seat, now);
            }
        }
    }

    /// Logs what was dropped since it was told last, so that an operator sees where a bound bites.
    fn tell_drops(&self, told: &mut [u64; Dropped::ALL.len()]) {
        for (reason, told) in Dropped::ALL.into_iter().zip(told) {
            let total = self.counters.dropped(reason);
            if total > *told {
                tracing::warn!(dropped = reason.text(), count = total - *told, total, "in the last minute");
                *told = total;
            }
        }
    }

    fn fall_due(&self, seat: &Arc<Seat>, now: Instant) {
        // Whoever holds the session has made its deadlines void, or will park it anew.
        let Ok(mut session) = seat.session.clone().try_lock_owned() else { return };
        let (will, ended) = {
            let mut parked = seat.parked.lock();
            let due = parked.will.as_ref().is_some_and(|(at, _)| *at <= now);
            let will = due.then(|| parked.will.take()).flatten();
            (will, parked.ends.is_some_and(|at| at <= now))
        };
        // The will, that it was sent, and what becomes of the session are one thing: a restart in between would have it
        // sent twice, or never.
        let _together = self.router.journal.together();
        if let Some((_, will)) = will {
            will.fire(self, seat.outbox.key, now);
            self.router.journal.record(Change::WillSent { client: &seat.outbox.client_id });
        }
        if ended {
            self.counters.expired.fetch_add(1, Ordering::Relaxed);
        }
        if ended || seat.is_abandoned() {
            self.forget(seat, &mut session);
        } else {
            self.deadlines.park(seat, &seat.parked.lock());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::outbox::Outbox;
    use crate::policy::Identity;

    fn seat(number: usize) -> Arc<Seat> {
        let owner = Identity {
            client_id: "c".into(),
            user: "u".into(),
            address: ([127, 0, 0, 1], 1).into(),
            listener: "l".into(),
            backend: None,
            token: None,
            credential: None,
            certificate: None,
        };
        let outbox = Outbox::new(number as u64, "c".into(), 1, 1);
        Arc::new(Seat::new(outbox, Arc::new(owner)))
    }

    #[test]
    fn sessions_that_ended_long_before_their_deadline_keep_no_place() {
        let (deadlines, now) = (Deadlines::default(), clock::now());
        let stays: Vec<_> = (0..100).map(seat).collect();
        stays.iter().for_each(|seat| deadlines.look_at(seat, now + Duration::from_secs(1)));
        for number in 0..100_000 {
            deadlines.look_at(&seat(number), now + Duration::from_secs(1_000_000));
            assert!(deadlines.heap.lock().len() <= 2 * (stays.len() + FEW), "{number}");
        }
        let later = now + Duration::from_secs(2);
        let due = std::iter::from_fn(|| deadlines.due(later)).filter(|seat| seat.strong_count() > 0);
        assert_eq!(due.count(), stays.len());
    }

    #[test]
    fn room_for_many_deadlines_is_given_back_when_they_are_over() {
        let (deadlines, now) = (Deadlines::default(), clock::now());
        let many: Vec<_> = (0..100_000).map(seat).collect();
        many.iter().for_each(|seat| deadlines.look_at(seat, now));
        assert_eq!(std::iter::from_fn(|| deadlines.due(now)).count(), many.len());
        assert!(deadlines.heap.lock().capacity() <= 8 * ROOMY);
    }
}
