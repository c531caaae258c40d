//! `password_file`: a user name, a colon and a stored password on each line.

use std::{path::Path, sync::Arc};

use ahash::AHashMap;

use super::{Dialect, FileError};
use crate::policy::auth::password::{SaltReading, StoredPassword};

impl Dialect {
    /// How the salt of a `PBKDF2$` string is meant.
    pub fn salt(self) -> SaltReading {
        match self {
            Dialect::Mosquitto => SaltReading::Auto,
            Dialect::GoAuth => SaltReading::Decoded,
            Dialect::AuthPlug => SaltReading::Text,
        }
    }
}

/// Reads the lines. A name that comes twice counts as it comes last.
pub(super) fn parse(
    text: &str,
    file: &Path,
    dialect: Dialect,
) -> Result<AHashMap<Arc<str>, Arc<str>>, FileError> {
    let mut passwords = AHashMap::default();
    for (number, line) in text.lines().enumerate() {
        let wrong = |what: String| FileError { file: file.to_owned(), line: Some(number + 1), what };
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let Some((name, stored)) = line.split_once(':') else {
            return Err(wrong("there is no colon: a line is USER:PASSWORD, stored as a hash".into()));
        };
        let (name, stored) = (name.trim(), stored.trim());
        if name.is_empty() || name.contains('\0') || name.len() > 65_535 {
            return Err(wrong("the user name is empty, too long, or holds the null character".into()));
        }
        StoredPassword::parse_reading(stored, dialect.salt()).map_err(|error| wrong(error.to_string()))?;
        if passwords.insert(name.into(), stored.into()).is_some() {
            tracing::warn!(file = %file.display(), line = number + 1, user = ?name, "this user came before: the later line counts");
        }
    }
    Ok(passwords)
}
