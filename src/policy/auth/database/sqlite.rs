//! Another program's SQLite file. It is local and quick, so its answers count until the file changes, which is looked for
//! several times a second.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle, OpenFlags, types::ValueRef};

use super::{
    queries::{Cell, LONGEST, MOST_ROWS, Queries, QueryError, QuerySettings, Rows, Value},
    statement::{Sql, Statement},
};
use crate::policy::auth::{
    backend::{Asking, Failure, Question, Remote, Who},
    stamp::{Stamp, stamp},
};

/// How long a query waits while the other program writes.
const BUSY: Duration = Duration::from_secs(2);
/// Connections that are kept.
const KEPT: usize = 4;
/// After a change the next one is told no earlier: a program that writes all the time must not have everything asked anew
/// with each of its commits.
const CALM: Duration = Duration::from_millis(500);

/// Why a file cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum SqliteError {
    /// A query is wrong.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The file cannot be opened, or is no database.
    #[error("{0}")]
    File(String),
}

/// An SQLite file that is asked.
pub struct SqliteBackend {
    path: PathBuf,
    queries: Arc<Queries>,
    idle: Arc<Mutex<Idle>>,
    watch: Mutex<Watch>,
}

/// Connections that nobody uses.
#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    /// Raised when the file was replaced: connections to the earlier one are not kept.
    generation: u64,
}

/// What is known of the file's state.
struct Watch {
    /// Stays open: only an open connection is told of commits.
    connection: Option<Connection>,
    version: Option<i64>,
    stamp: Stamp,
    told: Option<Instant>,
    changed: bool,
}

impl SqliteBackend {
    /// Opens the file and tries the queries. Blocks.
    ///
    /// # Errors
    /// A file or a query that cannot be used.
    pub fn open(path: PathBuf, settings: &QuerySettings) -> Result<Self, SqliteError> {
        let queries = Queries::compile(settings, Sql::Sqlite)?;
        let stamp = stamp(&path);
        let unusable = |error: rusqlite::Error| SqliteError::File(error.to_string());
        if path.metadata().is_ok_and(|file| !file.is_file()) {
            return Err(SqliteError::File("it is not a regular file".to_owned()));
        }
        let connection = connect(&path, BUSY).map_err(unusable)?;
        let version = version(&connection).map_err(unusable)?;
        for (kind, statement) in queries.all() {
            try_out(&connection, statement).map_err(|what| QueryError { kind, what })?;
        }
        // Whoever looks several times a second must not wait.
        connection.busy_timeout(Duration::ZERO).map_err(unusable)?;
        let connection = Some(connection);
        let watch = Watch { connection, version: Some(version), stamp, told: None, changed: false };
        Ok(SqliteBackend { path, queries: Arc::new(queries), idle: Arc::default(), watch: Mutex::new(watch) })
    }

    fn has_changed(&self, watch: &mut Watch) -> bool {
        let stamp = stamp(&self.path);
        let replaced = stamp.map(|stamp| (stamp.0, stamp.1)) != watch.stamp.map(|stamp| (stamp.0, stamp.1));
        if replaced || watch.connection.is_none() {
            watch.stamp = stamp;
            let mut idle = self.idle.lock();
            idle.generation += 1;
            idle.connections.clear();
            // Opening a pipe would wait for whoever writes to it.
            let is_file = self.path.metadata().is_ok_and(|file| file.is_file());
            watch.connection = is_file.then(|| connect(&self.path, Duration::ZERO).ok()).flatten();
            watch.version = watch.connection.as_ref().and_then(|connection| version(connection).ok());
            return replaced;
        }
        // Busy is no change; it is seen the next time.
        let now = watch.connection.as_ref().and_then(|connection| version(connection).ok());
        let changed = now.is_some() && now != watch.version || stamp != watch.stamp;
        watch.version = now.or(watch.version);
        watch.stamp = stamp;
        changed
    }
}

impl Remote for SqliteBackend {
    fn answers(&self, question: &Question) -> bool {
        self.queries.about(question).is_some()
    }

    fn is_watched(&self) -> bool {
        true
    }

    fn look(&self) -> bool {
        let mut watch = self.watch.lock();
        let now = Instant::now();
        watch.changed |= self.has_changed(&mut watch);
        let calm = watch.told.is_none_or(|told| now >= told + CALM);
        let tell = watch.changed && calm;
        if tell {
            watch.told = Some(now);
            watch.changed = false;
        }
        tell
    }

    fn ask<'a>(&'a self, who: &'a Who, question: &'a Question) -> Asking<'a> {
        Box::pin(async move {
            let unable = || Failure::of_question("it has no query for this");
            let statement = self.queries.about(question).ok_or_else(unable)?.clone();
            let values: Vec<rusqlite::types::Value> = self
                .queries
                .values(&statement, who, question)
                .into_iter()
                .map(|value| match value {
                    Value::Text(text) => text.to_owned().into(),
                    Value::Number(number) => number.into(),
                })
                .collect();
            let (path, idle) = (self.path.clone(), self.idle.clone());
            let stop = Arc::new(Stop::default());
            let _guard = StopGuard(stop.clone());
            let ask = move || ask(&path, &idle, &statement, &values, &stop);
            let asked = tokio::task::spawn_blocking(ask).await;
            let rows = asked.map_err(Failure::passing)?.map_err(Failure::passing)?;
            self.queries.read(who, question, rows)
        })
    }
}

/// How a query is ended that nobody waits for any more.
#[derive(Default)]
struct Stop(Mutex<(bool, Option<InterruptHandle>)>);

struct StopGuard(Arc<Stop>);

impl Drop for StopGuard {
    fn drop(&mut self) {
        let mut stop = self.0.0.lock();
        stop.0 = true;
        if let Some(handle) = stop.1.take() {
            handle.interrupt();
        }
    }
}

/// Asks on a connection of the pool. Blocks.
fn ask(
    path: &Path,
    idle: &Mutex<Idle>,
    statement: &Statement,
    values: &[rusqlite::types::Value],
    stop: &Stop,
) -> rusqlite::Result<Rows> {
    let (kept, generation) = {
        let mut idle = idle.lock();
        (idle.connections.pop(), idle.generation)
    };
    let connection = match kept {
        Some(connection) => connection,
        None => connect(path, BUSY)?,
    };
    {
        let mut stop = stop.0.lock();
        if stop.0 {
            return Ok(Rows::default());
        }
        stop.1 = Some(connection.get_interrupt_handle());
    }
    let rows = rows(&connection, statement, values);
    stop.0.lock().1 = None;
    if rows.is_ok() {
        let mut idle = idle.lock();
        if idle.generation == generation && idle.connections.len() < KEPT {
            idle.connections.push(connection);
        }
    }
    rows
}

fn rows(
    connection: &Connection,
    statement: &Statement,
    values: &[rusqlite::types::Value],
) -> rusqlite::Result<Rows> {
    let mut prepared = connection.prepare_cached(&statement.text)?;
    let columns = prepared.column_count();
    let mut found = prepared.query(rusqlite::params_from_iter(values))?;
    let mut first = Vec::new();
    while let Some(row) = found.next()?
        && first.len() < MOST_ROWS
    {
        first.push(match row.get_ref(0)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(number) => Cell::Number(number),
            ValueRef::Real(_) => Cell::Other("a fraction"),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) if bytes.len() > LONGEST => {
                Cell::Other("a text that is too long")
            }
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Cell::Text(text.to_owned()),
                Err(_) => Cell::Other("bytes that are no text"),
            },
        });
    }
    Ok(Rows { columns, first })
}

fn connect(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    // What is named is a file, whatever is in its name.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy)?;
    // Whoever can write the schema must not have its functions run here.
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

/// What is wrong with a statement, as a predicate.
fn try_out(connection: &Connection, statement: &Statement) -> Result<(), String> {
    let prepared =
        connection.prepare(&statement.text).map_err(|error| format!("cannot be prepared: {error}"))?;
    if !prepared.readonly() {
        return Err("is no SELECT".to_owned());
    }
    match prepared.column_count() {
        1 => Ok(()),
        columns => Err(format!("gives {columns} columns; it must give one")),
    }
}
