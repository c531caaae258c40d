//! The state of the lock and its log in `lock.db`.
//!
//! A row that cannot be understood may have closed anything, so it is damage: the lock then begins closed. So it does
//! when the file is damaged, which is put aside for whoever wants to look at it. An empty file is damaged too: a new one
//! is made under another name, and has its place only when it is whole, so no power cut leaves an empty one.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::StoreError;
use super::database::Database;
use crate::policy::lock::{
    Area, Cause, Edit, Entry, Hold, Holder, Kept, LockStore, LockStoreError, Scope, State, Who,
};

/// One step a version; a released one is never edited.
const MIGRATIONS: &[&str] = &["
CREATE TABLE hold (
    area   TEXT    NOT NULL,
    who    TEXT    NOT NULL,
    holder TEXT    NOT NULL,
    cause  TEXT    NOT NULL,
    since  INTEGER NOT NULL,
    by     TEXT    NOT NULL,
    PRIMARY KEY (area, who, holder)
) STRICT, WITHOUT ROWID;

CREATE TABLE changed (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER) STRICT;

CREATE TABLE log (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    holder TEXT    NOT NULL,
    did    TEXT    NOT NULL,
    scope  TEXT    NOT NULL,
    by     TEXT    NOT NULL
) STRICT;
"];

/// Lines of the log that are kept; the oldest go.
const LINES: i64 = 10_000;
/// Longest text that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// The open database of the lock.
pub struct LockDb {
    database: Database,
    /// Why an earlier file is no longer in use.
    damage: Option<String>,
}

impl LockDb {
    /// Name of the file in the state directory.
    pub const FILE: &str = "lock.db";

    /// Opens `lock.db` in the state directory; both are made, private to their owner, if they are missing. A damaged file
    /// is put aside, and [`LockStore::load`] tells of it. Blocks.
    ///
    /// # Errors
    /// Whatever else is wrong with the file.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let path = state.join(Self::FILE);
        let opened = match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                put_in_place(&make(&path, None)?, &path)?;
                Database::open(&path, MIGRATIONS)
            }
            Ok(file) if file.is_file() && file.len() == 0 => {
                Err(StoreError::Corrupt { path: path.clone(), detail: "it is empty".into() })
            }
            _ => Database::open(&path, MIGRATIONS),
        };
        match opened {
            Ok(database) => Ok(LockDb { database, damage: None }),
            Err(damaged @ StoreError::Corrupt { .. }) => {
                // First the new one: if there is no room for it, the damage is there still at the next start.
                let new = make(&path, Some(closed_by_damage()))?;
                let aside = exchange(&new, &path)?;
                let damage = format!("{damaged}; it was moved to {}", aside.display());
                Ok(LockDb { database: Database::open(&path, MIGRATIONS)?, damage: Some(damage) })
            }
            Err(error) => Err(error),
        }
    }

    fn failed(&self, error: rusqlite::Error) -> LockStoreError {
        self.database.failed(error).into()
    }
}

/// What is held when nobody knows what was: a restart must not forget it.
fn closed_by_damage() -> State {
    let hold =
        Hold { cause: Cause::Locked, since: Timestamp::now(), by: "the state could not be read".into() };
    let since = Some(hold.since);
    State::restore([(Scope::GATEWAY, Holder::Panel, hold)], since)
}

/// Makes a database beside `path`, whole and on disk, that holds this. Returns its name.
fn make(path: &Path, state: Option<State>) -> Result<PathBuf, StoreError> {
    let new = path.with_extension("new");
    // What an attempt that was cut short left.
    for tail in ["", "-wal", "-shm"] {
        remove(&new, tail)?;
    }
    let database = Database::open(&new, MIGRATIONS)?;
    if let Some(state) = state {
        let edit = Edit { difference: &State::default().difference(&state), since: state.since(), log: &[] };
        database.write(|transaction| {
            write(transaction, &edit).map_err(|error| StoreError::sqlite(path, error))
        })?;
    }
    // Everything into the one file that is given its place, and an error if there is no room.
    let busy: i64 = database
        .connection()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .map_err(|error| database.failed(error))?;
    if busy != 0 {
        return Err(StoreError::Busy { path: new });
    }
    drop(database);
    Ok(new)
}

/// Gives a database its place; on disk when this returns.
fn put_in_place(new: &Path, path: &Path) -> Result<(), StoreError> {
    fs::rename(new, path).map_err(|error| StoreError::file("move into place", new, error))?;
    let directory = path.parent().unwrap_or(path);
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| StoreError::file("write the directory", directory, error))
}

/// Gives a new database the place of a damaged one, which is moved away; what it is called then. At no moment is there
/// none: whoever is killed in between would find a first start, and the gateway open.
fn exchange(new: &Path, path: &Path) -> Result<PathBuf, StoreError> {
    let aside = path.with_extension(format!("damaged-{}", Timestamp::now().as_second()));
    renameat_with(CWD, new, CWD, path, RenameFlags::EXCHANGE)
        .map_err(|error| StoreError::file("put a new database in place of", path, error.into()))?;
    // Not before: without its log an older state might be readable, and open.
    for tail in ["-wal", "-shm"] {
        remove(path, tail)?;
    }
    put_in_place(new, &aside)?;
    Ok(aside)
}

/// Removes the file with this at the end of its name, if there is one.
fn remove(path: &Path, tail: &str) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    match fs::remove_file(&name) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(StoreError::file("remove", Path::new(&name), error))
        }
        _ => Ok(()),
    }
}

impl From<StoreError> for LockStoreError {
    fn from(error: StoreError) -> Self {
        LockStoreError { what: error.to_string() }
    }
}

impl LockStore for LockDb {
    fn load(&self) -> Result<Kept, LockStoreError> {
        let read = |transaction: &Transaction| all(transaction).map_err(|error| self.database.failed(error));
        match self.database.read(read)? {
            Ok(state) => Ok(Kept { state, damage: self.damage.clone() }),
            Err((state, row)) => {
                let damage = format!("{}: {row}", self.database.path().display());
                Ok(Kept { state, damage: Some(damage) })
            }
        }
    }

    fn save(&self, edit: &Edit<'_>) -> Result<(), LockStoreError> {
        let write =
            |transaction: &Transaction| write(transaction, edit).map_err(|error| self.database.failed(error));
        Ok(self.database.write(write)?)
    }

    fn log(&self, most: usize) -> Result<Vec<Entry>, LockStoreError> {
        let connection = self.database.connection();
        let sql = "SELECT at, holder, did, scope, by FROM
            (SELECT * FROM log ORDER BY id DESC LIMIT ?1) ORDER BY id";
        let entry = |row: &Row<'_>| {
            Ok(Entry {
                at: Timestamp::from_millisecond(row.get(0)?).unwrap_or_default(),
                holder: row.get(1)?,
                did: row.get(2)?,
                scope: row.get(3)?,
                by: row.get(4)?,
            })
        };
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let read = || -> rusqlite::Result<Vec<Entry>> {
            connection.prepare(sql)?.query_map([most], entry)?.collect()
        };
        read().map_err(|error| self.failed(error))
    }
}

fn write(transaction: &Transaction, edit: &Edit<'_>) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare("DELETE FROM hold WHERE area = ?1 AND who = ?2 AND holder = ?3")?;
    for (scope, holder) in &edit.difference.removed {
        delete.execute(params![scope.area.to_string(), who_text(&scope.who), holder.name()])?;
    }
    let mut insert = transaction.prepare(
        "INSERT OR REPLACE INTO hold (area, who, holder, cause, since, by) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (scope, holder, hold) in &edit.difference.put {
        insert.execute(params![
            scope.area.to_string(),
            who_text(&scope.who),
            holder.name(),
            hold.cause.name(),
            hold.since.as_millisecond(),
            &*hold.by,
        ])?;
    }
    let since = edit.since.map(Timestamp::as_millisecond);
    transaction.execute("INSERT OR REPLACE INTO changed (one, at) VALUES (1, ?1)", [since])?;
    let mut line =
        transaction.prepare("INSERT INTO log (at, holder, did, scope, by) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for Entry { at, holder, did, scope, by } in edit.log {
        line.execute(params![at.as_millisecond(), holder, did, scope, by])?;
    }
    transaction.execute("DELETE FROM log WHERE id <= (SELECT max(id) FROM log) - ?1", [LINES])?;
    Ok(())
}

/// For whom, as it is written.
fn who_text(who: &Who) -> String {
    match who {
        Who::Everyone => "*".to_owned(),
        Who::User(user) => format!("user:{user}"),
        // A list of texts is always JSON.
        Who::EveryoneBut(users) => {
            let users: Vec<&str> = users.iter().map(|user| &**user).collect();
            format!("but:{}", serde_json::Value::from(users))
        }
    }
}

fn read_who(text: &str) -> Option<Who> {
    if let Some(user) = text.strip_prefix("user:") {
        return Some(Who::User(user.into()));
    }
    if let Some(users) = text.strip_prefix("but:") {
        let users: BTreeSet<String> = serde_json::from_str(users).ok()?;
        return Some(Who::EveryoneBut(Arc::new(users.into_iter().map(Arc::from).collect())));
    }
    (text == "*").then_some(Who::Everyone)
}

/// Everything; in the inner error what could be understood, and what was wrong with the rest.
fn all(transaction: &Transaction) -> rusqlite::Result<Result<State, (State, String)>> {
    let mut holds = Vec::new();
    let mut damaged = None;
    let mut statement = transaction.prepare("SELECT area, who, holder, cause, since, by FROM hold")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match hold(row) {
            Some(hold) => holds.push(hold),
            None => damaged = Some("a row of the table `hold` cannot be understood".to_owned()),
        }
    }
    let since: Option<Option<i64>> =
        transaction.query_row("SELECT at FROM changed WHERE one = 1", [], |row| row.get(0)).optional()?;
    let since = since.flatten().and_then(|at| Timestamp::from_millisecond(at).ok());
    let state = State::restore(holds, since);
    Ok(match damaged {
        None => Ok(state),
        Some(why) => Err((state, why)),
    })
}

/// One hold; `None` if somebody wrote something else there.
fn hold(row: &Row<'_>) -> Option<(Scope, Holder, Hold)> {
    let area: Area = text(row, 0)?.parse().ok()?;
    let who = read_who(text(row, 1)?)?;
    let holder: Holder = text(row, 2)?.parse().ok()?;
    let cause =
        [Cause::Locked, Cause::Unavailable].into_iter().find(|cause| text(row, 3) == Some(cause.name()))?;
    let since = Timestamp::from_millisecond(row.get(4).ok()?).ok()?;
    let by = text(row, 5)?.into();
    Some((Scope { area, who }, holder, Hold { cause, since, by }))
}

fn text<'r>(row: &'r Row<'_>, column: usize) -> Option<&'r str> {
    match row.get_ref(column).ok()? {
        ValueRef::Text(bytes) if bytes.len() <= LONGEST => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}
