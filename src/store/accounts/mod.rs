//! Accounts, roles and rules in `accounts.db`.
//!
//! The gateway reads them through [`AccountStore`]; the commands change them, whether the gateway runs or not.
//! Rows may have been written by other programs, so each is checked again when it is read. One that cannot be
//! understood is logged and left out, **unless it denies**: leaving out a denying rule would allow what
//! somebody meant to forbid, so then nothing is loaded at all ([`StoreError::UnreadableDenial`]).

pub mod check;
mod roles;
mod rules;
mod schema;
mod users;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Transaction, params};

use super::StoreError;
use super::database::Database;
use crate::policy::accounts::{AccountError, AccountStore, Accounts};

pub use roles::RoleRow;
pub use rules::RuleRow;

/// The open accounts database.
pub struct AccountsDb {
    database: Database,
    /// Counts our own changes: SQLite's data version shows only those of other connections.
    changes: AtomicU32,
}

impl AccountsDb {
    /// Name of the file in the state directory.
    pub const FILE: &str = "accounts.db";

    /// Whether there is an `accounts.db` in the state directory. One that cannot be looked at may well be there: opening it
    /// says what is wrong.
    pub fn exists(state: &Path) -> bool {
        state.join(Self::FILE).try_exists().unwrap_or(true)
    }

    /// Opens `accounts.db` in the state directory; both are made, private to their owner, if they are missing.
    /// A damaged or newer file is refused. Blocks; reads the whole file once to check it.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        Self::open_file(&state.join(Self::FILE))
    }

    /// Opens an accounts database of any name.
    pub fn open_file(path: &Path) -> Result<Self, StoreError> {
        Ok(AccountsDb { database: Database::open(path, schema::MIGRATIONS)?, changes: AtomicU32::new(0) })
    }

    /// One change, of as many steps as there are, on disk when this returns, and seen by [`AccountStore::revision`].
    ///
    /// # Errors
    /// Those of `work`: then nothing has changed.
    pub fn change<T>(&self, work: impl FnOnce(&Change) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let path = self.database.path();
        let result = self.database.write(|transaction| work(&Change { transaction, path }))?;
        self.changes.fetch_add(1, Ordering::Release);
        Ok(result)
    }

    fn read<T>(&self, work: impl FnOnce(&Transaction) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.database.read(|transaction| work(transaction).map_err(|error| self.database.failed(error)))
    }
}

impl AccountStore for AccountsDb {
    fn load(&self) -> Result<Accounts, AccountError> {
        let (accounts, rows) =
            self.read(|transaction| Ok((users::all(transaction)?, rules::all(transaction, None)?)))?;
        let mut rules = Vec::with_capacity(rows.len());
        for row in rows {
            match row.rule {
                Ok(rule) => rules.push(rule),
                Err(why) if row.deny => {
                    let path = self.database.path().to_owned();
                    return Err(StoreError::UnreadableDenial { path, row: row.id, why }.into());
                }
                Err(why) => tracing::warn!(
                    row = row.id, subject = ?row.subject, filter = ?row.filter, why,
                    "a rule that allows cannot be understood and is left out"
                ),
            }
        }
        Ok(Accounts { accounts, rules })
    }

    fn revision(&self) -> Result<u64, AccountError> {
        if self.database.follow(schema::MIGRATIONS)? {
            self.changes.fetch_add(1, Ordering::Release);
        }
        let theirs: i64 = self
            .database
            .connection()
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(|error| self.database.failed(error))?;
        // Both count up in 32 bits, so that no change of one can hide a change of the other.
        let ours = self.changes.load(Ordering::Acquire);
        Ok(((theirs as u64) << 32) | u64::from(ours))
    }

    fn upgrade_hash(&self, user: &str, old: &str, new: &str) -> Result<bool, AccountError> {
        // Past `change`: the account is the same for everyone but the verifier.
        let updated = self.database.write(|transaction| {
            transaction
                .execute("UPDATE user SET hash = ?3 WHERE name = ?1 AND hash = ?2", params![user, old, new])
                .map_err(|error| self.database.failed(error))
        })?;
        Ok(updated == 1)
    }
}

/// A change under way.
pub struct Change<'a> {
    transaction: &'a Transaction<'a>,
    path: &'a Path,
}

impl Change<'_> {
    /// Runs one statement; the number of rows it changed.
    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, StoreError> {
        self.transaction.execute(sql, parameters).map_err(|error| self.failed(error))
    }

    /// The number that a query yields, if it yields a row.
    fn number(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Option<i64>, StoreError> {
        self.transaction
            .query_row(sql, parameters, |row| row.get(0))
            .optional()
            .map_err(|error| self.failed(error))
    }

    fn failed(&self, error: rusqlite::Error) -> StoreError {
        StoreError::sqlite(self.path, error)
    }
}

/// Longest text read from a row, in bytes: a topic filter's bound.
pub(super) const MAX_TEXT: usize = 65_535;

/// The text in a column, whatever somebody else put there.
fn text(value: ValueRef<'_>) -> Result<&str, &'static str> {
    match value {
        ValueRef::Text(bytes) if bytes.len() > MAX_TEXT => Err("it is longer than 65535 bytes"),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8"),
        _ => Err("it is not text"),
    }
}
