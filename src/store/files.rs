//! Whose the files are. A database holds secrets: its owner alone may read it. A command run by root works on
//! the files of the gateway's own user and must leave none behind that this user cannot open.
//!
//! The directory may belong to that unprivileged user while root works in it, so nothing here follows a
//! symbolic link or touches a file with a second name: both could point at a file of root's.

use std::fs::{DirBuilder, Metadata, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use super::StoreError;

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |cause| StoreError::file(doing, &path, cause)
}

/// Makes sure that the database file exists, is private, and belongs to the owner of its directory if we may
/// decide that. Returns its path without symbolic links. A missing directory is made, private too.
pub(super) fn prepare(path: &Path) -> Result<PathBuf, StoreError> {
    let name =
        path.file_name().ok_or_else(|| StoreError::NotAFile { path: path.into(), what: "a directory" })?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let create = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    create.map_err(failed("create the directory", directory))?;
    let directory = directory.canonicalize().map_err(failed("find the directory", directory))?;
    let owner = directory.symlink_metadata().map_err(failed("read the directory", &directory))?;
    let path = directory.join(name);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("open", &path)(error)),
    }
    // SQLite gives the two companions it makes the mode and owner of the database; old ones are put right here.
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.clone().into_os_string();
        file.push(suffix);
        adopt(Path::new(&file), &owner, suffix.is_empty())?;
    }
    Ok(path)
}

/// Checks one file and puts its mode and owner right.
fn adopt(path: &Path, directory: &Metadata, required: bool) -> Result<(), StoreError> {
    let file = match path.symlink_metadata() {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound && !required => return Ok(()),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let what = match file.file_type() {
        kind if kind.is_symlink() => Some("a symbolic link"),
        kind if kind.is_dir() => Some("a directory"),
        kind if !kind.is_file() => Some("a device, pipe or socket"),
        _ if file.nlink() > 1 => Some("a file with several names (hard links)"),
        _ => None,
    };
    if let Some(what) = what {
        return Err(StoreError::NotAFile { path: path.into(), what });
    }
    let we = rustix::process::geteuid();
    if file.mode() & 0o077 != 0 && (we.is_root() || we.as_raw() == file.uid()) {
        std::fs::set_permissions(path, Permissions::from_mode(0o600))
            .map_err(failed("make private", path))?;
    }
    if we.is_root() && (file.uid(), file.gid()) != (directory.uid(), directory.gid()) {
        lchown(path, Some(directory.uid()), Some(directory.gid()))
            .map_err(failed("give to the directory's owner", path))?;
    }
    Ok(())
}
