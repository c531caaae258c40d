//! What is in force and not on disk: it is tried again until it is.

use std::{sync::Arc, time::Duration};

use super::{
    lock::Lock,
    state::State,
    store::{Edit, Entry, LockStoreError},
};

/// Between two attempts to keep what could not be kept.
const PAUSE: Duration = Duration::from_secs(1);
/// Most lines of the log that wait to be written; beyond them the oldest are lost, as they are in the file.
const LINES: usize = 10_000;

/// What is on disk.
#[derive(Debug)]
pub(super) struct Stored {
    /// The state that a restart brings back.
    pub state: State,
    /// Lines of the log about what is in force already, oldest first, that could not be written yet.
    pub unwritten: Vec<Entry>,
}

impl Lock {
    /// Why what is closed is not on disk, if so. A restart opens it then.
    pub fn not_stored(&self) -> Option<String> {
        self.not_stored.lock().clone()
    }

    /// Tries again and again to keep what is in force, whenever that failed; for ever.
    pub async fn keep_trying(self: Arc<Self>) {
        loop {
            self.failed.notified().await;
            while !self.try_again().await {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Keeps what is in force, if it is not kept; whether it is now.
    pub(super) async fn try_again(&self) -> bool {
        let mut kept = self.kept.lock().await;
        let now = self.state();
        if kept.state == *now && kept.unwritten.is_empty() {
            return true;
        }
        let lines = kept.unwritten.clone();
        match self.save(&kept.state, &now, lines).await {
            Ok(()) => self.is_stored(&mut kept, (*now).clone()),
            Err(error) => *self.not_stored.lock() = Some(error.what),
        }
        self.not_stored.lock().is_none()
    }

    /// Writes what makes `kept` into `new`.
    pub(super) async fn save(
        &self,
        kept: &State,
        new: &State,
        log: Vec<Entry>,
    ) -> Result<(), LockStoreError> {
        let (store, difference, since) = (self.store.clone(), kept.difference(new), new.since());
        let save = move || store.save(&Edit { difference: &difference, since, log: &log });
        let saved = tokio::task::spawn_blocking(save).await;
        saved.unwrap_or_else(|error| Err(LockStoreError { what: error.to_string() }))
    }

    /// Notes that all of `state` is on disk, and says so if it was told that it is not.
    pub(super) fn is_stored(&self, kept: &mut Stored, state: State) {
        *kept = Stored { state, unwritten: Vec::new() };
        if self.not_stored.lock().take().is_some() {
            tracing::info!("the state of the lock is stored now: a restart brings back what is closed");
        }
    }

    /// Notes that `in_force` could not be written, with the lines about what was done all the same.
    pub(super) fn is_not_stored(
        &self,
        kept: &mut Stored,
        in_force: &State,
        lines: Vec<Entry>,
        error: &LockStoreError,
    ) {
        if kept.state == *in_force {
            return; // Nothing was closed.
        }
        kept.unwritten.extend(lines);
        let many = kept.unwritten.len().saturating_sub(LINES);
        kept.unwritten.drain(..many);
        *self.not_stored.lock() = Some(error.what.clone());
        self.failed.notify_one();
    }
}
