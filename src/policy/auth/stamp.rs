//! What tells a file from an earlier one of its name.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Device, inode, size, and the times of change in nanoseconds; `None`: there is no such file.
pub type Stamp = Option<(u64, u64, u64, i128, i128)>;

/// The stamp of a file as it is now.
pub fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    let changed = nanoseconds(found.mtime(), found.mtime_nsec());
    Some((found.dev(), found.ino(), found.size(), changed, nanoseconds(found.ctime(), found.ctime_nsec())))
}
