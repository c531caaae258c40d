//! Which file is the configuration, and its text.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Problem};

/// The file that an installed gateway has.
pub(super) const SYSTEM_FILE: &str = "/etc/latchgate/latchgate.toml";

/// The largest file that is read, in bytes; a configuration is a few kilobytes.
const LARGEST: u64 = 1 << 20;

/// The file to read: the one asked for, else the one named by the environment, else `system` if there is one.
pub(super) fn locate(
    explicit: Option<&Path>,
    environment: Option<OsString>,
    system: &Path,
) -> Option<PathBuf> {
    if let Some(file) = explicit {
        return Some(file.to_owned());
    }
    if let Some(file) = environment.filter(|file| !file.is_empty()) {
        return Some(file.into());
    }
    // A file that cannot be looked at may well be there: reading it will say what is wrong.
    system.try_exists().unwrap_or(true).then(|| system.to_owned())
}

/// Reads the text of the configuration.
pub(super) fn read(file: &Path) -> Result<String, ConfigError> {
    read_a("configuration", "name another file with --config or LATCHGATE_CONFIG", file)
}

/// Reads the text of a file that is called `name`; `help` is what to do if it cannot be read.
pub(super) fn read_a(name: &str, help: &str, file: &Path) -> Result<String, ConfigError> {
    let unreadable = |why: String| ConfigError::Unreadable { file: file.to_owned(), why };
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|open| open.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(format!("cannot read the {name}: {error}; {help}")))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unreadable(format!("this is no {name}: it is larger than {LARGEST} bytes")));
    }
    String::from_utf8(bytes)
        .map_err(|error| not_utf8(file, error.as_bytes(), error.utf8_error().valid_up_to()))
}

/// The file's bytes stop being text after the first `valid`.
fn not_utf8(file: &Path, bytes: &[u8], valid: usize) -> ConfigError {
    let byte = bytes.get(valid).copied().unwrap_or_default();
    // The bytes before the place are valid, so they stay as they are and the place is right.
    let shown = String::from_utf8_lossy(bytes);
    let what = format!("the file is not text in UTF-8: byte 0x{byte:02x} is none");
    let help = "save the file as UTF-8".to_owned();
    let problems = vec![Problem::new(&shown, valid..valid + 1, what, help)];
    ConfigError::Wrong { file: file.to_owned(), problems, more: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_asked_for_comes_first_then_the_environment_then_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let (present, absent) = (folder.path().join("present"), folder.path().join("absent"));
        std::fs::write(&present, "").unwrap();
        let named = |name: &str| Some(OsString::from(name));

        assert_eq!(locate(Some(Path::new("a")), named("b"), &present), Some("a".into()));
        assert_eq!(locate(None, named("b"), &present), Some("b".into()));
        assert_eq!(locate(None, named(""), &present), Some(present.clone()));
        assert_eq!(locate(None, None, &present), Some(present));
        assert_eq!(locate(None, None, &absent), None);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent.toml");
        let said = read(&absent).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{}: cannot read", absent.display())), "{said}");
        assert!(read(folder.path()).is_err());
    }

    #[test]
    fn a_file_that_is_not_utf8_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("latin.toml");
        std::fs::write(&file, b"# \xc3\xa9\nname = \"caf\xe9\"\n").unwrap();
        let said = read(&file).unwrap_err().to_string();
        assert!(said.contains("latin.toml:2:12: the file is not text in UTF-8: byte 0xe9"), "{said}");
    }

    #[test]
    fn a_file_of_absurd_size_is_not_read() {
        assert!(read(Path::new("/dev/zero")).unwrap_err().to_string().contains("larger than"));
    }
}
