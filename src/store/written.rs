//! When this gateway wrote last: a moment that has been, whatever the clock says now.

use std::{path::Path, time::UNIX_EPOCH};

use super::{AccountsDb, LockDb, StateDb};

/// The file of the state directory that was written last, and when, in seconds since 1970. Blocks.
pub fn last_written(state: &Path) -> Option<(String, i64)> {
    let written = |name: String| {
        let at = state.join(&name).metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some((name, i64::try_from(at.as_secs()).ok()?))
    };
    let files = [StateDb::FILE, AccountsDb::FILE, LockDb::FILE];
    let logs = files.map(|file| format!("{file}-wal"));
    files.map(str::to_owned).into_iter().chain(logs).filter_map(written).max_by_key(|(_, at)| *at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_newest_of_the_files_counts_logs_included() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(last_written(state.path()), None);
        for (name, at) in [("accounts.db", 5), ("state.db", 3), ("state.db-wal", 9), ("other.db", 20)] {
            let file = std::fs::File::create(state.path().join(name)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(at)).unwrap();
        }
        assert_eq!(last_written(state.path()), Some(("state.db-wal".to_owned(), 9)));
    }
}
