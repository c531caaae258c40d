//! What can go wrong with a database, and what the operator can do about it.

use std::path::{Path, PathBuf};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or file cannot be made, read, or given to its owner.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Something that is not a plain file of its own stands where the database should be.
    #[error("{} is {what}, not a file of its own; move it away, or set `state` to the directory that holds the database", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The file is no database, or a damaged one.
    #[error(
        "{} is damaged or not a database ({detail}); stop the gateway, then restore a backup or move the file away to begin with an empty one",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        detail: String,
    },
    /// The file was written by a later release.
    #[error(
        "{} was written by a newer release (its schema is version {found}, this program knows {known}); install that release or restore a backup",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// Another process has held the file for longer than the busy timeout.
    #[error("{} is in use by another process that does not let go; try again", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Anything else SQLite reports.
    #[error("{}: {source} (is the disk full, or the file not yours to write?)", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite reports.
        source: rusqlite::Error,
    },
    /// A name, filter or stored password that may not be kept.
    #[error("{0}")]
    Invalid(String),
    /// There is one already.
    #[error("{0} exists already")]
    Exists(String),
    /// There is none.
    #[error("{0}")]
    Missing(String),
    /// A denying rule that cannot be understood: without it, more would be allowed than was meant.
    #[error(
        "{}: row {row} of table `rule` denies, but cannot be understood ({why}); nothing is allowed by these rules until it is removed: latchgate acl remove --row {row}",
        path.display()
    )]
    UnreadableDenial {
        /// The file.
        path: PathBuf,
        /// The rule's row.
        row: i64,
        /// What is wrong with it.
        why: String,
    },
}

impl StoreError {
    /// Tells SQLite's errors apart by what can be done about them.
    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseCorrupt, DatabaseLocked, NotADatabase};
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(NotADatabase | DatabaseCorrupt) => StoreError::Corrupt { path, detail: source.to_string() },
            Some(DatabaseBusy | DatabaseLocked) => StoreError::Busy { path },
            _ => StoreError::Database { path, source },
        }
    }
}

impl From<StoreError> for crate::policy::accounts::AccountError {
    fn from(error: StoreError) -> Self {
        Self { what: error.to_string() }
    }
}
