//! What is kept of the lock, and by whom.

use jiff::Timestamp;

use super::{
    scope::Scope,
    state::{Difference, State},
};

/// One line of the log: who closed or opened what, when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// The holder's name.
    pub holder: String,
    /// What it did: `closed`, `opened` or `released`.
    pub did: String,
    /// What, as a person reads it.
    pub scope: String,
    /// Who or what was behind it.
    pub by: String,
}

/// What is written in one transaction.
#[derive(Debug)]
pub struct Edit<'a> {
    /// What is held from now on, and what is not.
    pub difference: &'a Difference,
    /// When the state changed last.
    pub since: Option<Timestamp>,
    /// What is added to the log.
    pub log: &'a [Entry],
}

/// What was kept.
#[derive(Debug, Default)]
pub struct Kept {
    /// Everything that could be understood.
    pub state: State,
    /// Why something could not, in words. Then nobody knows what was closed.
    pub damage: Option<String>,
}

/// The lock's state could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct LockStoreError {
    /// What happened and what to do, for the operator.
    pub what: String,
}

/// Where the state of the lock is kept. All methods block: they are never called on an async worker.
pub trait LockStore: Send + Sync + 'static {
    /// Everything that was kept.
    fn load(&self) -> Result<Kept, LockStoreError>;

    /// Keeps a change: all of it, on disk when this returns, or none of it.
    fn save(&self, edit: &Edit<'_>) -> Result<(), LockStoreError>;

    /// The newest `most` lines of the log, oldest first.
    fn log(&self, most: usize) -> Result<Vec<Entry>, LockStoreError>;
}

/// Keeps nothing, for tests and benchmarks.
#[derive(Clone, Copy, Debug, Default)]
pub struct VolatileLock;

impl LockStore for VolatileLock {
    fn load(&self) -> Result<Kept, LockStoreError> {
        Ok(Kept::default())
    }

    fn save(&self, _: &Edit<'_>) -> Result<(), LockStoreError> {
        Ok(())
    }

    fn log(&self, _: usize) -> Result<Vec<Entry>, LockStoreError> {
        Ok(Vec::new())
    }
}

/// The lines that a change of the state makes.
pub(super) fn entries(difference: &Difference, opened: &'static str, by: &str, now: Timestamp) -> Vec<Entry> {
    let entry = |holder: super::Holder, did: &str, scope: &Scope| Entry {
        at: now,
        holder: holder.to_string(),
        did: did.to_owned(),
        scope: scope.to_string(),
        by: by.to_owned(),
    };
    let removed = difference.removed.iter().map(|(scope, holder)| entry(*holder, opened, scope));
    let put = difference.put.iter().map(|(scope, holder, _)| entry(*holder, "closed", scope));
    removed.chain(put).collect()
}
