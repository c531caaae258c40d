//! Opening a SQLite file: owner and mode, integrity, settings, migrations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::{StoreError, files};

/// How long a write waits for another process.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// POSIX locks belong to the process: closing a second handle of a database file, as happens when it has just
/// been made, would drop the locks that SQLite holds through the first. So one is opened at a time.
static OPENING: Mutex<()> = Mutex::new(());

/// One open SQLite file.
pub(super) struct Database {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// Device and number of the file that is open.
    opened: Mutex<(u64, u64)>,
}

/// Device and number of the file that stands at `path` now.
fn identity(path: &Path) -> Result<(u64, u64), StoreError> {
    use std::os::unix::fs::MetadataExt;
    match std::fs::symlink_metadata(path) {
        Ok(file) => Ok((file.dev(), file.ino())),
        Err(error) => Err(StoreError::file("find", path, error)),
    }
}

impl Database {
    /// Opens the file, making it and its directory if they are missing, and brings its schema up to date.
    /// `migrations[n]` leads from version `n` to `n + 1`.
    pub fn open(path: &Path, migrations: &[&str]) -> Result<Self, StoreError> {
        let _one_at_a_time = OPENING.lock();
        let path = files::prepare(path)?;
        let failed = |error| StoreError::sqlite(&path, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        configure(&connection).map_err(failed)?;
        check(&connection, &path)?;
        migrate(&mut connection, migrations, &path)?;
        let opened = Mutex::new(identity(&path)?);
        Ok(Database { path, connection: Mutex::new(connection), opened })
    }

    /// Opens the file anew if another one stands in its place (a restored backup, say); whether it does. A file that
    /// is gone is an error: it is not made again, empty, under a running gateway.
    pub fn follow(&self, migrations: &[&str]) -> Result<bool, StoreError> {
        if identity(&self.path)? == *self.opened.lock() {
            return Ok(false);
        }
        let new = Database::open(&self.path, migrations)?;
        let mut connection = self.connection.lock();
        *self.opened.lock() = new.opened.into_inner();
        *connection = new.connection.into_inner();
        Ok(true)
    }

    /// The file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An SQLite error with the file it is about.
    pub fn failed(&self, error: rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.path, error)
    }

    /// The connection, for one statement that reads.
    pub fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock()
    }

    /// Reads in one transaction, so that several statements see one state.
    pub fn read<T>(&self, work: impl FnOnce(&Transaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction().map_err(|error| self.failed(error))?;
        work(&transaction)
    }

    /// Writes in one transaction: all of `work`, on disk, or none of it. Nothing is written to a file that was removed or
    /// replaced under a running gateway: the next start would know nothing of it.
    pub fn write<T>(
        &self,
        work: impl FnOnce(&Transaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection.lock();
        if identity(&self.path).ok() != Some(*self.opened.lock()) {
            return Err(StoreError::Removed { path: self.path.clone() });
        }
        // Immediate, so that a busy file is found out before anything is read that could go stale.
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| self.failed(error))?;
        let result = work(&transaction)?;
        transaction.commit().map_err(|error| self.failed(error))?;
        Ok(result)
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // The file may have been edited by anybody: its triggers and views get no functions with effects, and
    // pages are checked as they are read.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // In WAL mode anything less may lose the last commits in a power cut: a disabled account must stay so.
    connection.pragma_update(None, "synchronous", "full")
}

fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let detail: String = connection
        .pragma_query_value(None, "quick_check", |row| row.get(0))
        .map_err(|error| StoreError::sqlite(path, error))?;
    match detail.as_str() {
        "ok" => Ok(()),
        _ => Err(StoreError::Corrupt { path: path.into(), detail }),
    }
}

fn migrate(connection: &mut Connection, migrations: &[&str], path: &Path) -> Result<(), StoreError> {
    let known = migrations.len() as i64;
    let version = |connection: &Connection| -> rusqlite::Result<i64> {
        connection.pragma_query_value(None, "user_version", |row| row.get(0))
    };
    let failed = |error| StoreError::sqlite(path, error);
    // Almost always nothing is to be done: look before asking for the write lock.
    if version(connection).map_err(failed)? == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = version(&transaction).map_err(failed)?;
    if found > known {
        return Err(StoreError::Newer { path: path.into(), found, known });
    }
    let Some(missing) = usize::try_from(found).ok().and_then(|found| migrations.get(found..)) else {
        let detail = format!("its schema claims to be version {found}");
        return Err(StoreError::Corrupt { path: path.into(), detail });
    };
    for step in missing {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "user_version", known).map_err(failed)?;
    transaction.commit().map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    const ONE: &str = "CREATE TABLE lamp (name TEXT); INSERT INTO lamp VALUES ('old');";
    const TWO: &str = "ALTER TABLE lamp ADD COLUMN level INTEGER NOT NULL DEFAULT 7;";

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state").join("test.db");
        (directory, path)
    }

    fn version(database: &Database) -> i64 {
        database.connection().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    fn refusal(path: &Path) -> StoreError {
        Database::open(path, &[ONE]).err().expect("it opens")
    }

    #[test]
    fn a_new_file_gets_every_step_and_an_older_one_the_missing_ones() {
        let (_directory, path) = place();
        assert_eq!(version(&Database::open(&path, &[ONE]).unwrap()), 1);
        let database = Database::open(&path, &[ONE, TWO]).unwrap();
        assert_eq!(version(&database), 2);
        let lamp = |row: &rusqlite::Row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
        let kept = database.connection().query_row("SELECT name, level FROM lamp", [], lamp).unwrap();
        assert_eq!(kept, ("old".to_owned(), 7));
    }

    #[test]
    fn a_step_that_fails_leaves_the_older_version_whole() {
        let (_directory, path) = place();
        drop(Database::open(&path, &[ONE]).unwrap());
        assert!(Database::open(&path, &[ONE, TWO, "nonsense"]).is_err());
        assert_eq!(version(&Database::open(&path, &[ONE]).unwrap()), 1);
    }

    #[test]
    fn a_newer_file_is_refused_and_left_as_it_is() {
        let (_directory, path) = place();
        drop(Database::open(&path, &[ONE, TWO]).unwrap());
        let error = refusal(&path);
        assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }), "{error}");
        assert_eq!(version(&Database::open(&path, &[ONE, TWO]).unwrap()), 2);
    }

    #[test]
    fn a_file_that_is_no_database_or_damaged_is_refused_by_name() {
        let (_directory, path) = place();
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "this is not a database, however long it goes on".repeat(100)).unwrap();
        let error = refusal(&path);
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("test.db") && error.to_string().contains("restore a backup"));

        std::fs::remove_file(&path).unwrap();
        let database = Database::open(&path, &[ONE]).unwrap();
        let fill = "INSERT INTO lamp SELECT hex(randomblob(500)) FROM
            (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT i FROM n)";
        database.connection().execute_batch(fill).unwrap();
        drop(database);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8192..].iter_mut().for_each(|byte| *byte ^= 0x55);
        std::fs::write(&path, bytes).unwrap();
        let error = refusal(&path);
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }

    #[test]
    fn a_negative_schema_version_is_damage() {
        let (_directory, path) = place();
        let database = Database::open(&path, &[ONE]).unwrap();
        database.connection().pragma_update(None, "user_version", -1).unwrap();
        drop(database);
        assert!(matches!(refusal(&path), StoreError::Corrupt { .. }));
    }

    #[test]
    fn only_the_owner_can_read_what_is_made_here() {
        let (_directory, path) = place();
        let database = Database::open(&path, &[ONE]).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        for name in ["test.db", "test.db-wal", "test.db-shm"] {
            assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
        }
        drop(database);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let _database = Database::open(&path, &[ONE]).unwrap();
        assert_eq!(mode(&path), 0o600, "a file made readable is made private again");
    }

    #[test]
    fn a_link_in_place_of_the_database_is_not_followed() {
        let (directory, path) = place();
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let precious = directory.path().join("precious");
        std::fs::write(&precious, "").unwrap();
        let before = precious.metadata().unwrap().permissions().mode();
        symlink(&precious, &path).unwrap();
        assert!(matches!(refusal(&path), StoreError::NotAFile { .. }));
        std::fs::remove_file(&path).unwrap();
        std::fs::hard_link(&precious, &path).unwrap();
        assert!(matches!(refusal(&path), StoreError::NotAFile { .. }));
        assert_eq!(precious.metadata().unwrap().permissions().mode(), before);
        assert_eq!(precious.metadata().unwrap().len(), 0);
    }

    #[test]
    fn root_leaves_no_file_behind_that_the_owner_of_the_directory_cannot_open() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root can give files away.
        }
        let (_directory, path) = place();
        let state = path.parent().unwrap();
        std::fs::create_dir(state).unwrap();
        chown(state, Some(65534), Some(65534)).unwrap();
        let database = Database::open(&path, &[ONE]).unwrap();
        database.connection().execute_batch("INSERT INTO lamp VALUES ('new')").unwrap();
        let owners = || {
            let files = std::fs::read_dir(state).unwrap().map(|entry| entry.unwrap());
            files.map(|file| (file.file_name(), file.metadata().unwrap().uid())).collect::<Vec<_>>()
        };
        assert_eq!(owners().len(), 3);
        assert!(owners().iter().all(|(_, owner)| *owner == 65534), "{:?}", owners());
        chown(&path, Some(0), Some(0)).unwrap();
        drop(database);
        let _database = Database::open(&path, &[ONE]).unwrap();
        assert!(owners().iter().all(|(_, owner)| *owner == 65534), "{:?}", owners());
    }
}
