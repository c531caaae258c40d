//! What can go wrong with a database, and what the operator can do about it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or file cannot be made, read, or given to its owner.
    #[error("cannot {doing} {}: {cause}{advice}", path.display())]
    File {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not. Part of the message, and so not a `source`, which would be shown a second time.
        cause: std::io::Error,
        /// What to do about it; may be empty.
        advice: String,
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
    /// It was removed or replaced under a running gateway.
    #[error(
        "{} was removed, or another file stands in its place: nothing can be kept before the gateway is restarted",
        path.display()
    )]
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// Another process has held the file for longer than the busy timeout.
    #[error("{} is in use by another process that does not let go; try again", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Anything else SQLite reports.
    #[error("{}: {cause}{advice}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite reports. Part of the message, as above.
        cause: rusqlite::Error,
        /// What to do about it; may be empty.
        advice: String,
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
    pub(super) fn sqlite(path: &Path, cause: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
            PermissionDenied, ReadOnly, SystemIoFailure,
        };
        let path = path.to_owned();
        match cause.sqlite_error_code() {
            Some(NotADatabase | DatabaseCorrupt) => StoreError::Corrupt { path, detail: cause.to_string() },
            Some(DatabaseBusy | DatabaseLocked) => StoreError::Busy { path },
            Some(CannotOpen | PermissionDenied | ReadOnly) => {
                let advice = whose(&path).or_else(|| disk(&path));
                let advice = advice.unwrap_or_else(|| "; is it yours to write?".into());
                StoreError::Database { path, cause, advice }
            }
            // SQLite says no more than this where it finds no room for its own files.
            Some(SystemIoFailure) => {
                let failing = || "; the kernel's log may say what is wrong with the disk: dmesg".to_owned();
                let advice = disk(&path).unwrap_or_else(failing);
                StoreError::Database { path, cause, advice }
            }
            Some(DiskFull) => {
                StoreError::Database { path, cause, advice: "; make room and try again".into() }
            }
            _ => StoreError::Database { path, cause, advice: String::new() },
        }
    }

    /// An error of the file system.
    pub(super) fn file(doing: &'static str, path: &Path, cause: std::io::Error) -> Self {
        let denied = cause.kind() == std::io::ErrorKind::PermissionDenied;
        let advice = denied.then(|| whose(path)).flatten().unwrap_or_default();
        StoreError::File { doing, path: path.to_owned(), cause, advice }
    }
}

/// Whose the file is, or the directory that holds it or would hold it, if it is not ours; and what to do then.
fn whose(path: &Path) -> Option<String> {
    let we = rustix::process::geteuid();
    if we.is_root() {
        return None; // Nobody has more rights: it is something else.
    }
    for place in path.ancestors() {
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        let Ok(found) = place.metadata() else { continue };
        if found.uid() != we.as_raw() {
            let owner = user_name(found.uid());
            let what = if found.is_dir() { "the directory" } else { "the file" };
            let place = place.display();
            return Some(format!(
                "; {what} {place} belongs to {owner}: try again as that user, or with sudo"
            ));
        }
        if found.is_dir() {
            break;
        }
    }
    None
}

/// What to do if the disk on which the file lies is full or cannot be written.
fn disk(path: &Path) -> Option<String> {
    /// Less than what SQLite needs besides the database itself, in bytes.
    const LITTLE: u64 = 64 << 10;
    let disk = rustix::fs::statvfs(path.parent()?).ok()?;
    if disk.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Some("; it lies on a disk that cannot be written: mount it so, or look into dmesg".into());
    }
    let full = disk.f_bavail.saturating_mul(disk.f_frsize) < LITTLE;
    full.then(|| "; the disk is full: make room and try again".into())
}

/// The name of a user of this machine, if it is in the usual file; else the number.
fn user_name(uid: u32) -> String {
    let file = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = file.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("user {uid}"))
}

impl From<StoreError> for crate::policy::accounts::AccountError {
    fn from(error: StoreError) -> Self {
        Self { what: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = StoreError::file("open", "state/accounts.db".as_ref(), denied());
        let shown = format!("{:#}", anyhow::Error::new(error));
        assert_eq!(shown.matches(&denied().to_string()).count(), 1, "{shown}");
    }

    #[test]
    fn the_owner_is_told_by_name_or_by_number() {
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(u32::MAX), format!("user {}", u32::MAX));
    }
}
