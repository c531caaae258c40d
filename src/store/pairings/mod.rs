//! Pairings with the Latch service in `latch.db`.
//!
//! A file of its own: the gateway notes what the service said every few minutes, which must not look like a change of
//! accounts. A row that cannot be understood shuts its user out, since leaving it out would let the user by unasked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::types::ValueRef;
use rusqlite::{Transaction, params};

use super::StoreError;
use super::accounts::check;
use super::database::Database;
use crate::latch::{Id, Instance, Known, Pairing, PairingError, PairingStore};

/// One step a version; a released one is never edited.
const MIGRATIONS: &[&str] = &["
CREATE TABLE pairing (
    user     TEXT    PRIMARY KEY,
    account  TEXT    NOT NULL,
    known_at INTEGER,
    known    TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE instance (
    user  TEXT NOT NULL REFERENCES pairing (user) ON DELETE CASCADE,
    topic TEXT NOT NULL,
    id    TEXT NOT NULL,
    PRIMARY KEY (user, topic)
) STRICT, WITHOUT ROWID;
"];

/// The open database of pairings.
pub struct PairingsDb {
    database: Database,
    /// Counts our own changes: SQLite's data version shows only those of other connections.
    changes: AtomicU32,
}

impl PairingsDb {
    /// Name of the file in the state directory.
    pub const FILE: &str = "latch.db";

    /// Opens `latch.db` in the state directory; both are made, private to their owner, if they are missing. A damaged or
    /// newer file is refused. Blocks.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let database = Database::open(&state.join(Self::FILE), MIGRATIONS)?;
        Ok(PairingsDb { database, changes: AtomicU32::new(0) })
    }

    /// One change, on disk when this returns, and seen by [`PairingStore::revision`].
    fn change<T>(&self, work: impl FnOnce(&Transaction) -> rusqlite::Result<T>) -> Result<T, PairingError> {
        let result = self
            .database
            .write(|transaction| work(transaction).map_err(|error| self.database.failed(error)))?;
        self.changes.fetch_add(1, Ordering::Release);
        Ok(result)
    }
}

impl PairingStore for PairingsDb {
    fn load(&self) -> Result<Vec<Pairing>, PairingError> {
        let pairings = self
            .database
            .read(|transaction| all(transaction).map_err(|error| self.database.failed(error)))?;
        pairings.map_err(|what| {
            let path = self.database.path().display();
            PairingError { what: format!("{path}: {what}; restore a backup, or remove the row") }
        })
    }

    fn revision(&self) -> Result<u64, PairingError> {
        if self.database.follow(MIGRATIONS)? {
            self.changes.fetch_add(1, Ordering::Release);
        }
        let theirs: i64 = self
            .database
            .connection()
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(|error| self.database.failed(error))?;
        let ours = self.changes.load(Ordering::Acquire);
        Ok(((theirs as u64) << 32) | u64::from(ours))
    }

    fn pair(&self, user: &str, account: &Id) -> Result<(), PairingError> {
        check::user_name(user).map_err(StoreError::Invalid)?;
        self.change(|transaction| {
            transaction.execute("DELETE FROM pairing WHERE user = ?1", [user])?;
            let row = params![user, account.as_str()];
            transaction.execute("INSERT INTO pairing (user, account) VALUES (?1, ?2)", row).map(drop)
        })
    }

    fn unpair(&self, user: &str) -> Result<bool, PairingError> {
        self.change(|transaction| Ok(transaction.execute("DELETE FROM pairing WHERE user = ?1", [user])? > 0))
    }

    fn add_instance(&self, user: &str, instance: &Instance) -> Result<(), PairingError> {
        self.change(|transaction| {
            let row = params![user, instance.topic, instance.id.as_str()];
            let sql = "INSERT OR REPLACE INTO instance (user, topic, id) VALUES (?1, ?2, ?3)";
            transaction.execute(sql, row).map(drop)
        })
    }

    fn remove_instance(&self, user: &str, topic: &str) -> Result<bool, PairingError> {
        self.change(|transaction| {
            let sql = "DELETE FROM instance WHERE user = ?1 AND topic = ?2";
            Ok(transaction.execute(sql, [user, topic])? > 0)
        })
    }

    fn remember(&self, user: &str, account: &Id, known: &Known) -> Result<(), PairingError> {
        let state = serde_json::to_string(&known.state)
            .map_err(|error| PairingError { what: format!("cannot be written as JSON: {error}") })?;
        // Past `change`: nobody has to be asked about because of it.
        self.database.write(|transaction| {
            let row = params![user, account.as_str(), i64::try_from(known.at).unwrap_or(i64::MAX), state];
            let sql = "UPDATE pairing SET known_at = ?3, known = ?4 WHERE user = ?1 AND account = ?2";
            transaction.execute(sql, row).map_err(|error| self.database.failed(error))
        })?;
        Ok(())
    }
}

/// Every pairing; in the inner error what makes the whole table unusable.
fn all(transaction: &Transaction) -> rusqlite::Result<Result<Vec<Pairing>, String>> {
    let mut pairings: BTreeMap<String, Pairing> = BTreeMap::new();
    let mut statement = transaction.prepare("SELECT user, account, known_at, known FROM pairing")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(user) = text(row.get_ref(0)?) else {
            return Ok(Err("a pairing has a user name that cannot be read".to_owned()));
        };
        let account = text(row.get_ref(1)?).and_then(|account| Id::new(account).ok());
        let at = row.get_ref(2)?.as_i64().ok().and_then(|at| u64::try_from(at).ok());
        let state = text(row.get_ref(3)?).and_then(|state| serde_json::from_str(state).ok());
        let known = at.zip(state).map(|(at, state)| Known { at, state });
        let pairing = Pairing { user: user.to_owned(), account, instances: Vec::new(), known };
        pairings.insert(user.to_owned(), pairing);
    }
    let mut statement = transaction.prepare("SELECT user, topic, id FROM instance ORDER BY topic")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(pairing) = text(row.get_ref(0)?).and_then(|user| pairings.get_mut(user)) else { continue };
        match (text(row.get_ref(1)?), text(row.get_ref(2)?).map(Id::new)) {
            (Some(topic), Some(Ok(id))) => {
                pairing.instances.push(Instance { id, topic: topic.to_owned() });
            }
            // What it would have locked is not known.
            _ => pairing.account = None,
        }
    }
    Ok(Ok(pairings.into_values().collect()))
}

/// The text in a column, whatever somebody else put there.
fn text(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(bytes) if bytes.len() <= super::accounts::MAX_TEXT => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

impl From<StoreError> for PairingError {
    fn from(error: StoreError) -> Self {
        Self { what: error.to_string() }
    }
}

#[cfg(test)]
mod tests;
