//! What waits for bridges, looked at and dropped by commands, whether the gateway runs or not.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::store::StoreError;
use crate::store::database::{BUSY_TIMEOUT, Database};

use super::spool::SEQ_BITS;
use super::{StateDb, schema};

impl StateDb {
    /// Bridges but those of these names for which messages wait in the state directory, and how many. Nothing is changed. Blocks.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn waiting_but_for(state: &Path, names: &[&str]) -> Result<Vec<(String, u64)>, StoreError> {
        let path = state.join(Self::FILE);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let failed = |error| StoreError::sqlite(&path, error);
        let Some(file) = look_into(&path).map_err(failed)? else { return Ok(Vec::new()) };
        file.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        // A file of an earlier release has no bridges.
        if !file.table_exists(None, "spool").map_err(failed)? {
            return Ok(Vec::new());
        }
        let waiting = || {
            let mut bridges = file.prepare("SELECT id, name FROM bridge ORDER BY name")?;
            let mut found = Vec::new();
            for bridge in
                bridges.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?
            {
                let (id, name) = bridge?;
                if names.contains(&&*name) {
                    continue;
                }
                let count = count(&file, id)?;
                if count > 0 {
                    found.push((name, count));
                }
            }
            Ok(found)
        };
        waiting().map_err(failed)
    }

    /// Drops all that is kept of the bridge of this name; how many messages waited, `None` if nothing is known of it. Blocks.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn forget_bridge(state: &Path, name: &str) -> Result<Option<u64>, StoreError> {
        let path = state.join(Self::FILE);
        if !path.exists() {
            return Ok(None);
        }
        let file = Database::open(&path, schema::MIGRATIONS)?;
        file.write(|transaction| {
            let forget = || {
                let sql = "SELECT id FROM bridge WHERE name = ?1";
                let id: Option<i64> = transaction.query_row(sql, [name], |row| row.get(0)).optional()?;
                let Some(id) = id else { return Ok(None) };
                let waited = count(transaction, id)?;
                for table in ["spool", "spool_sent"] {
                    let sql = format!("DELETE FROM {table} WHERE id >= ?1 AND id < ?2");
                    transaction.execute(&sql, params![id << SEQ_BITS, (id + 1) << SEQ_BITS])?;
                }
                for table in ["ledger", "ledger_in", "bridge_received"] {
                    transaction.execute(&format!("DELETE FROM {table} WHERE bridge = ?1"), [id])?;
                }
                transaction.execute("UPDATE bridge SET session = NULL WHERE id = ?1", [id])?;
                Ok(Some(waited))
            };
            forget().map_err(|error| file.failed(error))
        })
    }
}

/// Opens the file to look at, so that none is made beside it: a companion that belongs to whoever looks would lock the gateway
/// out. `None` where that cannot be done.
fn look_into(path: &Path) -> rusqlite::Result<Option<Connection>> {
    let is_there = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        Path::new(&name).exists()
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match (is_there("-wal"), is_there("-shm")) {
        (true, true) => Connection::open_with_flags(path, flags).map(Some),
        (true, false) => Ok(None),
        // Nobody has it open.
        (false, _) => {
            let Some(path) = path.to_str() else { return Ok(None) };
            let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let name = format!("file:{path}?immutable=1");
            Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_URI).map(Some)
        }
    }
}

/// How many messages wait for the bridge of this number.
fn count(file: &Connection, bridge: i64) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM spool WHERE id >= ?1 AND id < ?2";
    file.query_row(sql, params![bridge << SEQ_BITS, (bridge + 1) << SEQ_BITS], |row| row.get(0))
}
