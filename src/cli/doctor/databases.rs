//! The state directory and the databases in it.

use std::{io::Read, path::Path};

use super::finding::Findings;
use crate::file;
use crate::store::{AccountsDb, LockDb, PairingsDb, StateDb, lost};

/// How each database begins.
const BEGINNING: &[u8; 16] = b"SQLite format 3\0";

/// Whether the databases hold anything. They are looked at only: opening one could change it under its gateway.
pub fn look(state: &Path, findings: &mut Findings) {
    let restore =
        "stop the gateway and restore a backup of the whole state directory; if there is none, begin anew";
    for lost in lost(state) {
        let help = format!("{restore} (`latchgate user add`, `latchgate acl allow`)");
        findings.wrong(lost.path.display(), &lost, help);
    }
    for name in [AccountsDb::FILE, StateDb::FILE, LockDb::FILE, PairingsDb::FILE] {
        let path = state.join(name);
        let mut begins = [0; 16];
        match file::open(&path, u64::MAX).and_then(|(mut file, _)| file.read_exact(&mut begins)) {
            Ok(()) if begins == *BEGINNING => {}
            Ok(()) => findings.wrong(path.display(), "it is no SQLite database", restore),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            // Empty ones were told above, where they matter; the lock never begins with an empty file.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                let is_empty = path.metadata().is_ok_and(|file| file.len() == 0);
                if !is_empty || name == LockDb::FILE {
                    findings.wrong(path.display(), "it is empty or cut short", restore);
                }
            }
            Err(error) => {
                let what = format!("it cannot be read: {error}");
                findings.wrong(path.display(), what, "run this as the gateway's user or as root (sudo)");
            }
        }
    }
    if !AccountsDb::exists(state) && findings.all_is_fine() {
        let what = "there is no database of accounts yet, so nobody can log in with one";
        let help = "`latchgate setup` or `latchgate user add` begins one; if there was one, is `state` in [gateway] the right directory?";
        findings.warn(state.display(), what, help);
    }
    if findings.all_is_fine() {
        findings.fine(state.display(), "no database is missing or empty");
    }
}
