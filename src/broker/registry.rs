//! Every session by client identifier, and who holds it.
//!
//! A session is a locked value. A connection claims it and holds the lock as long as it lives; the next one with
//! the same identifier raises `turn`, which the holder notices and steps down, and then gets the lock. Locks are
//! handed on in the order of the claims.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use ahash::AHashMap;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::session::Session;

use super::{message::Candidate, outbox::Outbox, will::DelayedWill};

/// A session's place in the registry.
#[derive(Debug)]
pub(super) struct Seat {
    pub outbox: Arc<Outbox>,
    /// The user whose session it is: another user neither resumes nor ends it.
    pub owner: Mutex<Arc<str>>,
    pub session: Arc<tokio::sync::Mutex<Session<Candidate>>>,
    /// What is to happen while nobody is connected.
    pub parked: Mutex<Parked>,
}

/// Deadlines of a session without a connection.
#[derive(Debug, Default)]
pub(super) struct Parked {
    /// Whether the session was left with all it holds.
    pub kept: bool,
    pub ends: Option<Instant>,
    pub will: Option<(Instant, DelayedWill)>,
}

impl Parked {
    /// Whether there is a session to go on with.
    pub fn is_kept(&self) -> bool {
        self.kept
    }
}

/// A claimed session.
#[derive(Debug)]
pub(super) struct Claim {
    pub seat: Arc<Seat>,
    /// This claim's number; when the seat's is another, a later claim waits.
    pub turn: u64,
    /// Whether the seat was there before.
    pub existed: bool,
}

/// Why a session could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimError {
    /// The identifier is in use by a connected client of another user.
    AnotherUser,
    /// The bound on sessions is reached.
    Full,
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

    /// Claims the session of `client_id` for `owner`, asking whoever holds it to step down [MQTT-3.1.4-3].
    /// The bounds are those of its queue, should it be new.
    pub fn claim(
        &self,
        client_id: &Arc<str>,
        owner: &Arc<str>,
        max_messages: usize,
        max_bytes: usize,
    ) -> Result<Claim, ClaimError> {
        let mut seats = self.seats.lock();
        if let Some(seat) = seats.get(client_id) {
            if *seat.owner.lock() != *owner && seat.outbox.is_online() {
                return Err(ClaimError::AnotherUser);
            }
            let turn = seat.outbox.turn.fetch_add(1, Ordering::AcqRel) + 1;
            seat.outbox.bell.wake();
            return Ok(Claim { seat: seat.clone(), turn, existed: true });
        }
        if seats.len() >= self.max_sessions {
            return Err(ClaimError::Full);
        }
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(Seat {
            outbox: Arc::new(Outbox::new(key, client_id.clone(), max_messages, max_bytes)),
            owner: Mutex::new(owner.clone()),
            session: Arc::default(),
            parked: Mutex::default(),
        });
        seats.insert(client_id.clone(), seat.clone());
        Ok(Claim { seat, turn: 0, existed: false })
    }

    /// Takes a seat out, unless somebody has claimed it after `turn`. The caller holds the session.
    pub fn release(
        &self,
        seat: &Arc<Seat>,
        turn: u64,
        _session: &OwnedMutexGuard<Session<Candidate>>,
    ) -> bool {
        let mut seats = self.seats.lock();
        let mine = seat.outbox.turn.load(Ordering::Acquire) == turn
            && seats.get(&seat.outbox.client_id).is_some_and(|there| Arc::ptr_eq(there, seat));
        if mine {
            seats.remove(&seat.outbox.client_id);
            if seats.capacity() > 1024 && seats.len() < seats.capacity() / 8 {
                seats.shrink_to_fit();
            }
        }
        mine
    }

    /// Every seat there is now.
    pub fn all(&self) -> Vec<Arc<Seat>> {
        self.seats.lock().values().cloned().collect()
    }
}
