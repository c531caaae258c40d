//! The lock in force: how a change is kept, reaches every session, and is announced.
//!
//! # Why nothing is permitted after the announcement
//! A change puts the new state in place, then raises the generation, then rings every session's bell and waits until each
//! has *looked*: `Gate::review`, with which a connection begins its turn, notes the generation that it read. A publish is
//! permitted and routed within one turn, and every question reads the generation. So either the question read the new
//! one, and was answered by the new state; or it read the old one, and then its turn began before the session looked,
//! and is over, with the message routed, before the session looks again. The announcement comes after that. A session
//! whose gate is not asked yet (its handshake is not over) has nothing on its way, and is not waited for; it looks
//! before its first question. A gate that is made for one question (a delayed will) is waited for until it is dropped.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{
    closure::{Compiled, View},
    keep::Stored,
    schedule::Window,
    scope::{Cause, Held, Holder, Scope},
    state::State,
    status::Told,
    store::{Entry, LockStore, LockStoreError, entries},
};
use crate::policy::{decision::Denial, live::Live};

/// Most holds at a time.
const MOST: usize = 65_536;
/// So many lines of a change are logged one by one; the log of the lock has them all.
const LOGGED: usize = 20;

/// What the configuration says of the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Users for whom nothing is ever closed.
    pub exempt: Vec<String>,
    /// Whether what is closed for everyone is closed for what bridges bring in.
    pub bridge_in_closed: bool,
    /// Whether it is closed for what bridges take out.
    pub bridge_out_closed: bool,
    /// Whether a 3.x client whose QoS 1 or 2 publish is refused is disconnected, so that it keeps its message.
    pub disconnect_v3: bool,
    /// Whether what waits for a locked client is dropped; else it is held.
    pub drop_queued: bool,
    /// Whether nobody may log in for whom the gateway is closed.
    pub refuse_logins: bool,
    /// What is closed at certain times.
    pub schedule: Vec<Window>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            exempt: Vec::new(),
            bridge_in_closed: true,
            bridge_out_closed: false,
            disconnect_v3: true,
            drop_queued: false,
            refuse_logins: false,
            schedule: Vec::new(),
        }
    }
}

/// What a change came to.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Whether the holder holds something else than before.
    pub changed: bool,
    /// The state now.
    pub state: Arc<State>,
    /// Why it could not be kept, although it is in force: after a restart it is what it was before, unless a later
    /// attempt keeps it, see [`Lock::keep_trying`].
    pub not_kept: Option<String>,
}

/// Why nothing was opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LockError {
    /// It could not be kept.
    #[error("nothing was opened, since the state of the lock could not be kept: {0}")]
    NotKept(#[from] LockStoreError),
    /// There are too many holds.
    #[error("no more than {MOST} scopes can be held at a time: open some")]
    TooMany,
    /// It was given up.
    #[error("the gateway is stopping")]
    Stopping,
}

/// Says something under `LATCH/` in the gateway's name.
pub trait Announcer: Send + Sync + 'static {
    /// Publishes it; it is on its way to every subscriber when this returns.
    fn announce(&self, topic: &str, payload: String, retain: bool);
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// How many changes there were.
    pub count: u64,
    /// How long they took together, from being asked for to being seen by every session, in microseconds.
    pub microseconds: u64,
    /// How long the longest took.
    pub longest: u64,
}

/// The lock of a gateway.
pub struct Lock {
    compiled: ArcSwap<Compiled>,
    /// Raised by every change, after the state is in place.
    generation: AtomicU64,
    settings: ArcSwap<Settings>,
    /// Told that there are other settings.
    pub(super) settings_changed: Notify,
    live: Arc<Live>,
    pub(super) store: Arc<dyn LockStore>,
    /// What is kept. Held while something is changed: one change at a time.
    pub(super) kept: tokio::sync::Mutex<Stored>,
    /// Why what is in force is not kept, if so.
    pub(super) not_stored: parking_lot::Mutex<Option<String>>,
    /// Told that something could not be kept.
    pub(super) failed: Notify,
    announcer: OnceLock<Box<dyn Announcer>>,
    changes: watch::Sender<Arc<State>>,
    told: Told,
    count: AtomicU64,
    microseconds: AtomicU64,
    longest: AtomicU64,
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Lock {
    /// The lock as it was kept. If nobody knows what it was, the gateway is closed, and the panel holds it: a hand on the
    /// device opens it, or root. Blocks.
    pub(in crate::policy) fn load(
        store: Arc<dyn LockStore>,
        settings: Settings,
        live: Arc<Live>,
    ) -> Result<Self, LockStoreError> {
        let kept = store.load()?;
        let mut state = kept.state.clone();
        if let Some(damage) = kept.damage {
            tracing::error!(
                damage,
                "the state of the lock cannot be read, so the gateway is CLOSED; if it should be open, run \
                 `latchgate lock release panel` as root"
            );
            let held = Held { scope: Scope::GATEWAY, cause: Cause::Locked };
            state.close(Holder::Panel, held, &"the state could not be read".into(), Timestamp::now());
        } else if state.is_any_closed() {
            tracing::warn!(scopes = state.closed().count(), "the lock is as it was: something is closed");
        }
        let not_stored = (state != kept.state).then(|| "it was not written yet".to_owned());
        let failed = Notify::new();
        if not_stored.is_some() {
            failed.notify_one();
        }
        let state = Arc::new(state);
        Ok(Lock {
            compiled: ArcSwap::from_pointee(Compiled::new(state.clone())),
            generation: AtomicU64::new(1),
            settings: ArcSwap::from_pointee(settings),
            settings_changed: Notify::new(),
            live,
            store,
            kept: tokio::sync::Mutex::new(Stored { state: kept.state, unwritten: Vec::new() }),
            not_stored: parking_lot::Mutex::new(not_stored),
            failed,
            announcer: OnceLock::new(),
            changes: watch::Sender::new(state),
            told: Told::default(),
            count: AtomicU64::new(0),
            microseconds: AtomicU64::new(0),
            longest: AtomicU64::new(0),
        })
    }

    /// Has `announcer` say everything from now on, the present state at once. Only the first one counts.
    pub fn announce_with(&self, announcer: Box<dyn Announcer>) {
        if self.announcer.set(announcer).is_ok() {
            self.announce(&self.state());
        }
    }

    /// What is held now.
    pub fn state(&self) -> Arc<State> {
        self.compiled.load().state.clone()
    }

    /// The state after each announcement.
    pub fn changes(&self) -> watch::Receiver<Arc<State>> {
        self.changes.subscribe()
    }

    /// What the configuration says.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// What was counted since the start.
    pub fn counts(&self) -> Changes {
        Changes {
            count: self.count.load(Ordering::Relaxed),
            microseconds: self.microseconds.load(Ordering::Relaxed),
            longest: self.longest.load(Ordering::Relaxed),
        }
    }

    /// The newest `most` lines of the log, oldest first.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn log(self: &Arc<Self>, most: usize) -> Result<Vec<Entry>, LockStoreError> {
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || store.log(most)).await;
        read.unwrap_or_else(|error| Err(LockStoreError { what: error.to_string() }))
    }

    /// Has `holder` hold `scope`. Returns when it is kept, seen by every session and announced.
    ///
    /// # Errors
    /// [`LockError::TooMany`]. What cannot be kept is closed all the same, see [`Changed::not_kept`].
    pub async fn close(
        self: &Arc<Self>,
        holder: Holder,
        scope: Scope,
        by: &str,
    ) -> Result<Changed, LockError> {
        let held = Held { scope, cause: Cause::Locked };
        self.change(by, "opened", move |state, by, now| state.close(holder, held, by, now)).await
    }

    /// Has `holder` let go of `scope`, which stays closed if another holds it. Returns when that is kept, seen by every
    /// session and announced.
    ///
    /// # Errors
    /// [`LockError::NotKept`]; then everything is as before.
    pub async fn open(
        self: &Arc<Self>,
        holder: Holder,
        scope: Scope,
        by: &str,
    ) -> Result<Changed, LockError> {
        self.change(by, "opened", move |state, _, now| state.open(holder, &scope, now)).await
    }

    /// Has `holder` hold exactly `scopes`: one commit, one announcement, and nothing at all if it is the same.
    ///
    /// # Errors
    /// [`LockError::NotKept`], [`LockError::TooMany`]. What is to be closed is closed all the same if it cannot be kept.
    pub async fn hold(
        self: &Arc<Self>,
        holder: Holder,
        scopes: Vec<Held>,
        by: &str,
    ) -> Result<Changed, LockError> {
        self.change(by, "opened", move |state, by, now| state.replace(holder, scopes, by, now)).await
    }

    /// Frees everything that `holder` holds.
    ///
    /// # Errors
    /// [`LockError::NotKept`]; then everything is as before.
    pub async fn release(self: &Arc<Self>, holder: Holder, by: &str) -> Result<Changed, LockError> {
        self.change(by, "released", move |state, by, now| state.replace(holder, Vec::new(), by, now)).await
    }

    /// Puts other settings in force; every session looks at them.
    pub(in crate::policy) fn set(&self, settings: Settings) {
        if **self.settings.load() != settings {
            self.settings.store(Arc::new(settings));
            self.raise();
            self.settings_changed.notify_one();
        }
    }

    async fn change(
        self: &Arc<Self>,
        by: &str,
        opened: &'static str,
        edit: impl FnOnce(&mut State, &Arc<str>, Timestamp) + Send + 'static,
    ) -> Result<Changed, LockError> {
        let (lock, by) = (self.clone(), by.into());
        // A task of its own: whoever asked may give up, but no change is left half done.
        let carried_out = tokio::spawn(async move { lock.carry_out(by, opened, edit).await }).await;
        carried_out.unwrap_or(Err(LockError::Stopping))
    }

    async fn carry_out(
        self: Arc<Self>,
        by: Arc<str>,
        opened: &'static str,
        edit: impl FnOnce(&mut State, &Arc<str>, Timestamp) + Send,
    ) -> Result<Changed, LockError> {
        let mut kept = self.kept.lock().await;
        let (began, now, old) = (Instant::now(), Timestamp::now(), self.state());
        let mut new = (*old).clone();
        edit(&mut new, &by, now);
        if new.len() > MOST && new.len() > old.len() {
            return Err(LockError::TooMany);
        }
        let changed = new != *old;
        if !changed && kept.state == new && kept.unwritten.is_empty() {
            return Ok(Changed { changed, state: old, not_kept: None });
        }
        // What is closed is closed at once, what is opened only when that is kept.
        let guarded = new.and_closed_in(&old);
        if guarded != *old {
            self.put_in_force(guarded.clone());
        }
        let lines = |new: &State| entries(&old.difference(new), opened, &by, now);
        let log = kept.unwritten.iter().cloned().chain(lines(&new)).collect();
        let saved = self.save(&kept.state, &new, log).await;
        let (in_force, not_kept) = match saved {
            Ok(()) => {
                self.is_stored(&mut kept, new.clone());
                (new.clone(), None)
            }
            Err(error) => {
                tracing::error!(%error, "the state of the lock could not be kept: what was closed is closed, nothing was opened");
                self.is_not_stored(&mut kept, &guarded, lines(&guarded), &error);
                (guarded, Some(error))
            }
        };
        if *self.state() != in_force {
            self.put_in_force(in_force);
        }
        let state = self.state();
        tell(&old, &state, opened, &by);
        self.live.have_all_looked(self.generation.load(Ordering::SeqCst)).await;
        self.measure(began.elapsed());
        self.announce(&state);
        self.changes.send_replace(state.clone());
        match not_kept {
            Some(error) if *state != new => Err(LockError::NotKept(error)),
            not_kept => Ok(Changed { changed, state, not_kept: not_kept.map(|error| error.what) }),
        }
    }

    fn put_in_force(&self, state: State) {
        self.compiled.store(Arc::new(Compiled::new(Arc::new(state))));
        self.raise();
    }

    fn raise(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.live.ring();
    }

    fn announce(&self, state: &State) {
        if let Some(announcer) = self.announcer.get() {
            announcer.announce("LATCH/lock", state.to_json().to_string(), true);
        }
    }

    fn measure(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(took, Ordering::Relaxed);
        self.longest.fetch_max(took, Ordering::Relaxed);
    }

    /// Which state is in force: a number that differs from an earlier one if anything changed in between.
    pub(in crate::policy) fn generation(&self) -> &AtomicU64 {
        &self.generation
    }

    /// What is closed for `user`.
    pub(in crate::policy) fn view(&self, user: &Arc<str>) -> View {
        self.compiled.load().view(user, &self.settings.load())
    }

    /// Why the bridge of this name may not publish here what comes in for `topic`, if so; as its gate would answer.
    pub fn bridge_in(&self, bridge: &str, topic: &str) -> Option<Denial> {
        self.view(&format!("bridge:{bridge}").into()).publish(topic)
    }

    /// Why the bridge of this name may not take out a message of `topic` now, if so; as its gate would answer. Whoever
    /// waits for it to be opened follows [`Lock::changes`].
    pub fn bridge_out(&self, bridge: &str, topic: &str) -> Option<Denial> {
        self.view(&format!("bridge:{bridge}").into()).receive(topic)
    }

    /// Tells under `LATCH/status` that `user` was refused `topic`, unless that was told a moment ago.
    pub(in crate::policy) fn refused(&self, topic: &str, user: &str, cause: Cause, now: Instant) {
        if let Some(announcer) = self.announcer.get()
            && self.told.is_new(topic, user, now)
        {
            announcer.announce("LATCH/status", format!("{topic},ND={}", cause.number()), false);
        }
    }
}

/// Puts a change into the gateway's log.
fn tell(old: &State, new: &State, opened: &str, by: &str) {
    let difference = old.difference(new);
    let many = difference.put.len() + difference.removed.len();
    if many > LOGGED {
        let (closed, opened) = (difference.put.len(), difference.removed.len());
        tracing::info!(closed, opened, by, "the lock changed: `latchgate lock log` has every scope");
        return;
    }
    for (scope, holder, hold) in &difference.put {
        tracing::info!(%scope, %holder, by, cause = hold.cause.name(), "closed");
    }
    for (scope, holder) in &difference.removed {
        let still = new.holders(scope).iter().map(|holder| holder.name()).collect::<Vec<_>>();
        tracing::info!(%scope, %holder, by, ?still, "{opened}");
    }
}
