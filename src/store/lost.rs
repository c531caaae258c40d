//! Databases that were emptied or removed. SQLite takes a file without a byte for a new database, so that what was in it is
//! gone without a word: whoever starts there must be told.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{AccountsDb, LockDb, StateDb};

/// A database that is empty or gone, although others of the same gateway are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The file.
    pub path: PathBuf,
    /// What was kept in it.
    pub held: &'static str,
    is_there: bool,
    /// One that is there and holds something.
    beside: &'static str,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lost { path, held, is_there, beside } = self;
        let how = if *is_there { "is empty" } else { "is missing" };
        write!(f, "{} {how}, although {beside} beside it is not: {held} are lost", path.display())
    }
}

/// Whether the file is there, and whether it holds anything.
fn look(path: &Path) -> (bool, bool) {
    match path.metadata() {
        Ok(file) => (true, file.len() > 0),
        // One that cannot be looked at may well be there; opening it says what is wrong.
        Err(error) => (error.kind() != std::io::ErrorKind::NotFound, true),
    }
}

/// The databases in `state` that should hold something and do not. A new gateway has none: accounts may be made before its
/// first start, `state.db` and `lock.db` are made by it, the latter first.
pub fn lost(state: &Path) -> Vec<Lost> {
    // What was kept, and which others show that the file was there once.
    let known: [(&str, &str, &[&'static str]); 2] = [
        (AccountsDb::FILE, "accounts, roles and rules", &[StateDb::FILE, LockDb::FILE]),
        (StateDb::FILE, "sessions, queued and retained messages", &[LockDb::FILE]),
    ];
    let holds = |name: &str| {
        let (is_there, holds) = look(&state.join(name));
        is_there && holds
    };
    let mut lost = Vec::new();
    for (name, held, since) in known {
        let path = state.join(name);
        let (is_there, has_bytes) = look(&path);
        if is_there && has_bytes {
            continue;
        }
        // One that was made and is empty was more than that once, whichever of the others is there.
        let all = [AccountsDb::FILE, StateDb::FILE, LockDb::FILE];
        let others: &[&'static str] = if is_there { &all } else { since };
        if let Some(beside) = others.iter().find(|other| **other != name && holds(other)) {
            lost.push(Lost { path, held, is_there, beside });
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[(&str, &str)]) -> Vec<String> {
        let state = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(state.path().join(name), bytes).unwrap();
        }
        let name = |lost: Lost| lost.path.file_name().unwrap().to_string_lossy().into_owned();
        lost(state.path()).into_iter().map(name).collect()
    }

    #[test]
    fn a_new_gateway_has_lost_nothing() {
        assert!(names(&[]).is_empty());
        assert!(names(&[("accounts.db", "x")]).is_empty(), "accounts come before the first start");
        assert!(names(&[("accounts.db", "x"), ("state.db", "x"), ("lock.db", "x")]).is_empty());
        assert!(names(&[("accounts.db", "")]).is_empty(), "a first start that was cut short");
    }

    #[test]
    fn one_that_is_empty_or_gone_beside_another_is_lost() {
        assert_eq!(names(&[("state.db", "x"), ("lock.db", "x")]), ["accounts.db"]);
        assert_eq!(names(&[("accounts.db", ""), ("state.db", "x"), ("lock.db", "x")]), ["accounts.db"]);
        assert_eq!(names(&[("accounts.db", "x"), ("lock.db", "x")]), ["state.db"]);
        assert_eq!(names(&[("accounts.db", "x"), ("state.db", "")]), ["state.db"]);
        assert_eq!(names(&[("accounts.db", ""), ("state.db", ""), ("lock.db", "x")]).len(), 2);
    }

    #[test]
    fn it_is_told_what_is_gone() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("lock.db"), "x").unwrap();
        let told = lost(state.path())[0].to_string();
        assert!(
            told.contains("accounts.db is missing, although lock.db beside it is not: accounts"),
            "{told}"
        );
    }
}
