//! The application's secret: from a file, into signatures, and nowhere else.

use std::{
    fmt, io,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Longest secret: the service's have 40 characters.
const LONGEST: usize = 256;

/// What requests are signed with. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not. Part of the message, and so not a `source`.
        cause: io::Error,
    },
    /// Others on this machine can read it.
    #[error("{}: others can read it (mode {mode:03o}): chmod 600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What is in it is no secret.
    #[error("{}: holds no Latch secret: the one line that the developers' page shows (40 characters)", path.display())]
    NoSecret {
        /// The file.
        path: PathBuf,
    },
}

impl Secret {
    /// Takes a secret that was typed; `None` if it cannot be one.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Secret(text.into()))
    }

    /// Reads the one line of `path`. A file that others may read, or that the group may do more with than read (which
    /// a service manager's credentials let it), is refused.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let failed = |cause| SecretError::File { path: path.to_owned(), cause };
        let (file, metadata) = crate::file::open(path, u64::MAX).map_err(failed)?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o007 != 0 || mode & 0o070 != 0 && mode & 0o070 != 0o040 {
            return Err(SecretError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(LONGEST as u64 + 3).read_to_string(&mut text).map_err(failed)?;
        Secret::new(&text).ok_or_else(|| SecretError::NoSecret { path: path.to_owned() })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// For the file that `latch setup` writes.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_secret_is_one_line_and_not_printed() {
        let secret = Secret::read(file("0123456789\n", 0o600).path()).unwrap();
        assert_eq!((secret.reveal(), format!("{secret:?}").as_str()), ("0123456789", "***"));
        assert!(Secret::read(file("0123456789", 0o440).path()).is_ok());
        for wrong in ["", "\n", "two\nlines", "two words", "ä", &"x".repeat(300)] {
            let error = Secret::read(file(wrong, 0o600).path()).unwrap_err();
            assert!(matches!(error, SecretError::NoSecret { .. }), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        for mode in [0o644, 0o604, 0o666, 0o660] {
            let error = Secret::read(file("0123456789", mode).path()).unwrap_err();
            assert!(matches!(error, SecretError::Exposed { .. }), "{mode:o}: {error}");
            assert!(!error.to_string().contains("0123456789"));
        }
    }
}
