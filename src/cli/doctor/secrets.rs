//! Who can read the secrets: the state directory, its databases, keys, password files; and whether the gateway can.

use std::{
    fs::Metadata,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::finding::Findings;
use crate::config::Config;
use crate::store::{AccountsDb, LockDb, PairingsDb, StateDb};

/// Entries of a directory of keys that are looked at.
const MOST: usize = 10_000;
const AS_ROOT: &str = "run this as the gateway's user or as root (sudo)";

/// Looks at modes and owners. The gateway's user is the owner of the state directory.
pub fn look(config: &Config, findings: &mut Findings) {
    let state = &config.gateway.state;
    let Some(directory) = metadata(state, findings) else { return };
    if directory.mode() & 0o027 != 0 {
        let what = format!("others can get into it (mode {:03o})", directory.mode() & 0o777);
        findings.wrong(state.display(), what, format!("chmod 700 {}", state.display()));
    }
    let databases = [AccountsDb::FILE, StateDb::FILE, LockDb::FILE, PairingsDb::FILE];
    let companions = databases.iter().flat_map(|name| ["", "-wal", "-shm"].map(|end| format!("{name}{end}")));
    for path in companions.map(|name| state.join(name)).filter(|path| path.exists()) {
        let Some(file) = metadata(&path, findings) else { continue };
        exposed(&path, &file, 0o077, findings);
        if file.uid() != directory.uid() {
            let what = format!("it belongs to user {} and the directory to {}", file.uid(), directory.uid());
            let help = format!("chown --reference={} {}", state.display(), path.display());
            findings.wrong(path.display(), what, help);
        }
    }
    for path in keys_of_the_authority(&state.join("pki")) {
        if let Some(file) = metadata(&path, findings) {
            exposed(&path, &file, 0o077, findings);
        }
    }
    for file in config.secret_files() {
        let path = &file.path;
        let Some(found) = metadata(path, findings) else { continue };
        // A service manager's credentials, and files that root owns, are read by the group.
        exposed(path, &found, 0o037, findings);
        if !can_read(path, &found, &directory) {
            let what = format!("the gateway's user (number {}) cannot read it", directory.uid());
            let help = format!(
                "chown --reference={} {}; it must also be let into the folders above",
                state.display(),
                path.display()
            );
            findings.wrong(path.display(), what, help);
        }
    }
    if findings.all_is_fine() {
        findings
            .fine(state.display(), "nobody else can read databases, keys and passwords, and the gateway can");
    }
}

/// The file's metadata; notes if it cannot be looked at. One that is missing was told where it matters.
fn metadata(path: &Path, findings: &mut Findings) -> Option<Metadata> {
    match path.metadata() {
        Ok(found) => Some(found),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            findings.wrong(path.display(), format!("it cannot be looked at: {error}"), AS_ROOT);
            None
        }
    }
}

/// Notes permissions that nobody should have.
fn exposed(path: &Path, file: &Metadata, nobody: u32, findings: &mut Findings) {
    let mode = file.mode() & 0o777;
    if mode & nobody != 0 {
        let who = if mode & 0o007 != 0 { "every user of this machine" } else { "the file's group" };
        let can = if mode & 0o022 != 0 { "change" } else { "read" };
        let what = format!("{who} can {can} it (mode {mode:03o})");
        let help = format!(
            "chmod 600 {}; whoever could read it may have a copy: replace the secret",
            path.display()
        );
        findings.wrong(path.display(), what, help);
    }
}

/// The private keys in a directory of `latchgate pki`.
fn keys_of_the_authority(directory: &Path) -> Vec<PathBuf> {
    let mut keys = Vec::new();
    for folder in [directory.to_owned(), directory.join("issued")] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MOST);
        keys.extend(
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "key")),
        );
    }
    keys
}

/// Whether the owner of the state directory, with its group, may read a file.
fn can_read(path: &Path, file: &Metadata, gateway: &Metadata) -> bool {
    let may = |of: &Metadata, owner: u32, group: u32, other: u32| {
        let bit = match (of.uid() == gateway.uid(), of.gid() == gateway.gid()) {
            (true, _) => owner,
            (false, true) => group,
            (false, false) => other,
        };
        gateway.uid() == 0 || of.mode() & bit != 0
    };
    let folders = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    let mut folders = folders.filter_map(|folder| folder.metadata().ok());
    may(file, 0o400, 0o040, 0o004) && folders.all(|folder| may(&folder, 0o100, 0o010, 0o001))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn a_file_or_folder_that_the_gateways_user_may_not_enter_cannot_be_read() {
        let place = tempfile::tempdir().unwrap();
        let (folder, file, state) =
            (place.path().join("d"), place.path().join("d/key"), place.path().join("state"));
        for directory in [&folder, &state] {
            std::fs::create_dir(directory).unwrap();
        }
        std::fs::write(&file, "x").unwrap();
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        if chown(&state, Some(12_345), Some(12_345)).is_err() {
            return; // Only root can give files away.
        }
        let reads = || can_read(&file, &file.metadata().unwrap(), &state.metadata().unwrap());
        assert!(!reads(), "it is root's");
        chown(&file, Some(12_345), None).unwrap();
        assert!(reads());
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!reads(), "the folder is root's");
        chown(&folder, None, Some(12_345)).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o710)).unwrap();
        assert!(reads(), "by its group");
    }
}
