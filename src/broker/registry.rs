//! Every session by client identifier, and who holds it.
//!
//! A session is a locked value. A connection claims it and holds the lock as long as it lives; the next one with
//! the same identifier raises `turn`, which the holder notices and steps down, and then gets the lock. Locks are
//! handed on in the order of the claims.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use ahash::AHashMap;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::policy::Identity;
use crate::session::Session;

use super::{backlog::Backlog, broker::Broker, clock, message::Candidate, outbox::Outbox, will::DelayedWill};

/// A session's place in the registry.
#[derive(Debug)]
pub(super) struct Seat {
    pub outbox: Arc<Outbox>,
    /// The user whose session it is: as long as there is one, another user can neither have it nor end it.
    pub owner: Mutex<Arc<Identity>>,
    pub session: Arc<tokio::sync::Mutex<Session<Candidate>>>,
    /// Retained messages still to be sent, while nobody is connected.
    pub backlog: Mutex<Backlog>,
    /// What is to happen while nobody is connected.
    pub parked: Mutex<Parked>,
    /// When the janitor will look at it, if it will.
    pub scheduled: Mutex<Option<Instant>>,
    /// Claims that have neither got the session nor been given up. Changed under the registry's lock.
    claims: AtomicUsize,
}

/// Deadlines of a session without a connection.
#[derive(Debug, Default)]
pub(super) struct Parked {
    /// Whether the session was left with all it holds.
    pub kept: bool,
    pub ends: Option<Instant>,
    pub will: Option<(Instant, DelayedWill)>,
}

impl Claim<'_> {
    /// Waits for the session. Until then the claim can be dropped without harm.
    pub async fn session(&self) -> OwnedMutexGuard<Session<Candidate>> {
        self.seat.session.clone().lock_owned().await
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let claims = {
            let _seats = self.broker.registry.seats.lock();
            self.seat.claims.fetch_sub(1, Ordering::AcqRel) - 1
        };
        // If it was given up, perhaps nobody is left to take the seat out.
        if claims == 0 && !self.seat.outbox.is_online() {
            self.broker.deadlines.look_at(&self.seat, clock::now());
        }
    }
}

impl Seat {
    /// A new seat with one claim on it.
    pub fn new(outbox: Outbox, owner: Arc<Identity>) -> Self {
        Seat {
            outbox: Arc::new(outbox),
            owner: Mutex::new(owner),
            session: Arc::default(),
            backlog: Mutex::default(),
            parked: Mutex::default(),
            scheduled: Mutex::default(),
            claims: AtomicUsize::new(1),
        }
    }

    /// Whether it holds nothing and nobody wants it.
    pub fn is_abandoned(&self) -> bool {
        !self.parked.lock().kept && self.claims.load(Ordering::Acquire) == 0
    }
}

impl Parked {
    /// Whether there is a session to go on with.
    pub fn is_kept(&self) -> bool {
        self.kept
    }
}

/// A claim on a session, until it is got or given up.
pub(super) struct Claim<'a> {
    broker: &'a Broker,
    pub seat: Arc<Seat>,
    /// This claim's number; when the seat's is another, a later claim waits.
    pub turn: u64,
}

/// Why a session could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimError {
    /// There is a session of that identifier, and it is another user's.
    AnotherUser,
    /// The bound on sessions that outlive their connection is reached.
    Full,
    /// Half of them are this user's.
    FullForUser,
}

/// Bounds of a session's queue.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many messages.
    pub messages: usize,
    /// Their size in bytes.
    pub bytes: usize,
}

#[derive(Debug)]
pub(super) struct Registry {
    seats: Mutex<AHashMap<Arc<str>, Arc<Seat>>>,
    next_key: AtomicU64,
    max_sessions: usize,
}

impl Registry {
    pub fn new(max_sessions: usize) -> Self {
        Registry { seats: Mutex::default(), next_key: AtomicU64::new(1), max_sessions }
    }

    /// A number that nobody else has.
    pub fn next_key(&self) -> u64 {
        self.next_key.fetch_add(1, Ordering::Relaxed)
    }

    /// Claims the session of `client_id` for `owner`, asking whoever holds it to step down [MQTT-3.1.4-3].
    /// A session that is to outlive its connection (`durable`) must find room.
    pub fn claim<'a>(
        &self,
        broker: &'a Broker,
        client_id: &Arc<str>,
        owner: &Arc<Identity>,
        durable: bool,
        bounds: Bounds,
    ) -> Result<Claim<'a>, ClaimError> {
        let mut seats = self.seats.lock();
        if let Some(seat) = seats.get(client_id) {
            let mut present = seat.owner.lock();
            if present.user != owner.user {
                let in_use = seat.outbox.is_online() || seat.session.try_lock().is_err();
                // Nobody can come back to the session of an account that is gone.
                let kept = !seat.is_abandoned() && !broker.policy.is_gone(&present);
                if in_use || kept {
                    return Err(ClaimError::AnotherUser);
                }
                seat.parked.lock().kept = false;
            }
            *present = owner.clone();
            drop(present);
            let turn = seat.outbox.turn.fetch_add(1, Ordering::AcqRel) + 1;
            seat.claims.fetch_add(1, Ordering::AcqRel);
            seat.outbox.bell.wake();
            return Ok(Claim { broker, seat: seat.clone(), turn });
        }
        let most_for_user = self.max_sessions.div_ceil(2);
        // Counted only when there are enough that it matters.
        if durable && seats.len() >= most_for_user {
            let kept = || seats.values().filter(|seat| seat.outbox.is_durable());
            if kept().count() >= self.max_sessions {
                return Err(ClaimError::Full);
            }
            if kept().filter(|seat| seat.owner.lock().user == owner.user).count() >= most_for_user {
                return Err(ClaimError::FullForUser);
            }
        }
        let seat = self.seat(owner.clone(), client_id.clone(), Session::default(), bounds, 1);
        seats.insert(client_id.clone(), seat.clone());
        Ok(Claim { broker, seat, turn: 0 })
    }

    /// Gives a session that was kept over a restart its seat.
    pub fn restore(&self, owner: &Arc<Identity>, session: Session<Candidate>, bounds: Bounds) -> Arc<Seat> {
        let client_id = &owner.client_id;
        let seat = self.seat(owner.clone(), client_id.clone(), session, bounds, 0);
        self.seats.lock().insert(client_id.clone(), seat.clone());
        seat
    }

    fn seat(
        &self,
        owner: Arc<Identity>,
        client_id: Arc<str>,
        session: Session<Candidate>,
        bounds: Bounds,
        claims: usize,
    ) -> Arc<Seat> {
        let key = self.next_key();
        let outbox = Outbox::new(key, client_id, bounds.messages, bounds.bytes);
        let session = Arc::new(tokio::sync::Mutex::new(session));
        Arc::new(Seat { session, claims: AtomicUsize::new(claims), ..Seat::new(outbox, owner) })
    }

    /// Takes a seat out, unless somebody claims it. The caller holds the session, and has emptied it.
    pub fn release(&self, seat: &Arc<Seat>, _session: &OwnedMutexGuard<Session<Candidate>>) {
        let mut seats = self.seats.lock();
        if seat.claims.load(Ordering::Acquire) > 0 {
            return;
        }
        if seats.get(&seat.outbox.client_id).is_some_and(|there| Arc::ptr_eq(there, seat)) {
            seats.remove(&seat.outbox.client_id);
        }
        if seats.capacity() > 1024 && seats.len() < seats.capacity() / 8 {
            seats.shrink_to_fit();
        }
    }

    /// Every seat there is now.
    pub fn all(&self) -> Vec<Arc<Seat>> {
        self.seats.lock().values().cloned().collect()
    }
}
