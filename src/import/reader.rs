//! The lines of a `mosquitto.conf` and of the files that it includes, in the order in which Mosquitto reads them.
//!
//! A line that begins with `#` is a comment, and with a space before it is not. The first space ends the key. An
//! included file begins with nothing open: no listener, bridge or plugin; what the main file has open goes on after it.
//! `include_dir` counts in the main file only.

use std::{
    cmp::Ordering,
    fs,
    path::{Path, PathBuf},
};

use super::{
    ImportError,
    report::{Line, Report, Verdict},
};

/// Largest file that is read, in bytes.
const LARGEST: u64 = 64 << 20;
/// Most files that are read, included ones and companions together.
const MOST_FILES: usize = 1000;

/// One line that says something.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub line: Line,
    /// The reading that it belongs to: 0 is the main file, and each included file has its own.
    pub reading: usize,
    pub key: String,
    /// All that follows the space after the key.
    pub rest: String,
    /// Whether it is text. Else nobody knows what the line says, and it was reported so.
    pub is_text: bool,
}

/// What Mosquitto would read.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub statements: Vec<Statement>,
    /// The folder of the main file.
    pub folder: PathBuf,
    readings: usize,
}

/// Reads `main` and what it includes.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn read(main: &Path, report: &mut Report) -> Result<Source, ImportError> {
    let folder = main.parent().unwrap_or(Path::new("")).to_owned();
    let mut source = Source { folder, ..Source::default() };
    source.file(main, true, report)?;
    Ok(source)
}

impl Source {
    fn file(&mut self, file: &Path, is_main: bool, report: &mut Report) -> Result<(), ImportError> {
        let reading = self.readings;
        self.readings += 1;
        if self.readings > MOST_FILES {
            let why = format!("more than {MOST_FILES} files are included");
            return Err(ImportError::Unreadable { file: file.to_owned(), why });
        }
        // The lines of this file come first, then those of what it includes; what they say counts in the order of reading.
        let mut lines = Vec::new();
        for (number, bytes) in split(&bytes(file)?).enumerate() {
            let text = String::from_utf8_lossy(bytes);
            if is_quiet(&text) {
                report.add_quiet(file, number + 1, &text);
                continue;
            }
            let line = report.add(file, number + 1, &text);
            if text.contains('\0') || std::str::from_utf8(bytes).is_err() {
                let word = text.split_whitespace().next().unwrap_or_default();
                report.hide(line, format!("{word} …"));
                report.say(
                    line,
                    Verdict::NotPossible,
                    "it is not text in UTF-8, or holds the null character",
                );
                let (key, rest) = (word.to_owned(), String::new());
                lines.push(Statement { line, reading, key, rest, is_text: false });
                continue;
            }
            let (key, rest) = super::values::word(&text).unwrap_or((&text, ""));
            lines.push(Statement {
                line,
                reading,
                key: key.to_owned(),
                rest: rest.to_owned(),
                is_text: true,
            });
        }
        for statement in lines {
            match statement.key.as_str() {
                "include_dir" if is_main && statement.is_text => self.folder_of(&statement, report)?,
                "include_dir" => {
                    let note = "Mosquitto reads it in the main file only, so nothing was included";
                    report.say(statement.line, Verdict::NotNeeded, note);
                }
                _ => self.statements.push(statement),
            }
        }
        Ok(())
    }

    fn folder_of(&mut self, statement: &Statement, report: &mut Report) -> Result<(), ImportError> {
        // Spaces at the end belong to the name.
        let name = statement.rest.as_str();
        if name.is_empty() {
            report.say(statement.line, Verdict::NotPossible, "Mosquitto refuses it: the value is missing");
            return Ok(());
        }
        let folder = located(name, &self.folder);
        let unreadable =
            |why: std::io::Error| ImportError::Unreadable { file: folder.clone(), why: why.to_string() };
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            if name.len() > ".conf".len() && name.ends_with(b".conf") {
                files.push(path);
            }
        }
        files.sort_by(|one, other| order(one, other));
        let note = format!("{} files of it are imported", files.len());
        report.say(statement.line, Verdict::Translated, note);
        files.iter().try_for_each(|file| self.file(file, false, report))
    }
}

/// Where a file lies that Mosquitto's configuration names: Mosquitto looks in its own working directory. If there is no such
/// file here, the folder of the configuration is tried.
pub(super) fn located(name: &str, folder: &Path) -> PathBuf {
    let path = Path::new(name);
    let path = if path.is_absolute() || path.exists() { path.to_owned() } else { folder.join(path) };
    std::path::absolute(&path).unwrap_or(path)
}

/// The bytes of a file.
///
/// # Errors
/// If it cannot be read, or is too large.
pub(super) fn bytes(file: &Path) -> Result<Vec<u8>, ImportError> {
    crate::file::read(file, LARGEST)
        .map_err(|error| ImportError::Unreadable { file: file.to_owned(), why: error.to_string() })
}

/// The lines, without what ends them.
pub(super) fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines = (!bytes.is_empty()).then(|| whole.split(|byte| *byte == b'\n'));
    lines.into_iter().flatten().map(|line| {
        let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |at| at + 1);
        &line[..end]
    })
}

/// Whether a line says nothing: a comment, or nothing but spaces.
fn is_quiet(text: &str) -> bool {
    text.starts_with('#') || text.chars().all(|c| c == ' ')
}

/// Mosquitto's order of included files: at the first letter that differs, its case counts only if nothing else does.
fn order(one: &Path, other: &Path) -> Ordering {
    let name = |path: &Path| path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
    let (one, other) = (name(one), name(other));
    for (a, b) in one.iter().zip(&other) {
        let by_letter = a.to_ascii_uppercase().cmp(&b.to_ascii_uppercase()).then(a.cmp(b));
        if by_letter != Ordering::Equal {
            return by_letter;
        }
    }
    one.len().cmp(&other.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn included_files_come_in_mosquittos_order() {
        let mut names =
            ["b.conf", "A.conf", "01.conf", "a.conf", "B.conf", "00.conf", ".h.conf"].map(PathBuf::from);
        names.sort_by(|one, other| order(one, other));
        assert_eq!(
            names.map(|name| name.display().to_string()),
            [".h.conf", "00.conf", "01.conf", "A.conf", "a.conf", "B.conf", "b.conf"]
        );
    }

    #[test]
    fn lines_end_with_or_without_a_carriage_return() {
        let lines: Vec<&[u8]> = split(b"a\r\n\nb").collect();
        assert_eq!(lines, [b"a".as_slice(), b"", b"b"]);
        assert_eq!(split(b"").count(), 0);
        assert_eq!(split(b"\n").count(), 1);
    }

    #[test]
    fn a_file_is_read_in_order_with_what_it_includes_and_every_line_is_in_the_report() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        put("m.conf", "# x\n\n  \n port 1\ninclude_dir d\n # no comment\nlistener 2\n");
        put("d/b.conf", "listener 4\r\ninclude_dir d\n");
        put("d/a.conf", "listener  3 \n");
        put("d/a.CONF", "listener 9\n");
        let mut report = Report::default();
        let source = read(&folder.path().join("m.conf"), &mut report).unwrap();
        let said: Vec<(usize, &str, &str)> =
            source.statements.iter().map(|s| (s.reading, s.key.as_str(), s.rest.as_str())).collect();
        assert_eq!(
            said,
            [
                (0, "port", "1"),
                (1, "listener", " 3 "),
                (2, "listener", "4"),
                (0, "#", "no comment"),
                (0, "listener", "2")
            ]
        );
        assert_eq!(report.entries().len(), 10);
    }

    #[test]
    fn a_folder_or_file_that_is_not_there_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("m.conf");
        std::fs::write(&main, "include_dir nowhere\n").unwrap();
        let error = read(&main, &mut Report::default()).unwrap_err().to_string();
        assert!(error.contains("nowhere"), "{error}");
        assert!(read(folder.path(), &mut Report::default()).is_err());
        assert!(read(Path::new("/dev/zero"), &mut Report::default()).is_err());
    }
}
