//! `acl_file`: copied, for the gateway reads such files itself.

use std::path::Path;

use super::{
    homes::Homes,
    password_file::joined,
    reader,
    report::{Line, Report, Verdict},
};
use crate::policy::auth::files::{Dialect, Files, FilesSettings};

/// Most lines that may be wrong.
const MOST_WRONG: usize = 1000;

/// What Mosquitto allows without an `acl_file`, as one.
pub(super) const OPEN: &str = "# Without an acl_file Mosquitto allows everything.\n\
    pattern readwrite #\npattern read $SYS/#\npattern write $SYS/broker/connection/+/state\n";

/// Copies the file; its new name. A line that allows and cannot be understood is left out; one that denies, or says whose
/// the next ones are, cannot be.
///
/// # Errors
/// If nothing of the file can be used.
pub(super) fn copy(
    file: &Path,
    dialect: Dialect,
    homes: &mut Homes,
    report: &mut Report,
) -> Result<String, String> {
    let bytes = reader::bytes(file).map_err(|error| error.to_string())?;
    let mut texts: Vec<String> = Vec::new();
    let mut lines: Vec<Option<Line>> = Vec::new();
    for (number, bytes) in reader::split(&bytes).enumerate() {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if text.trim().is_empty() || text.starts_with('#') {
            report.add_quiet(file, number + 1, &text);
            lines.push(None);
        } else {
            lines.push(Some(report.add(file, number + 1, &text)));
        }
        texts.push(text);
    }
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary file can be made: {error}"))?;
    let trial = folder.path().join("acl");
    for _ in 0..MOST_WRONG {
        std::fs::write(&trial, joined(&texts))
            .map_err(|error| format!("no temporary file can be made: {error}"))?;
        let settings = FilesSettings { acl_file: Some(trial.clone()), dialect, ..FilesSettings::default() };
        let Err(error) = Files::open(settings) else {
            for line in lines.into_iter().flatten() {
                report.say(line, Verdict::Translated, "");
            }
            return Ok(homes.file("acl", "", joined(&texts)));
        };
        let Some(number) = error.line.and_then(|line| line.checked_sub(1)) else {
            return Err(error.to_string());
        };
        let what = error.what;
        let Some(Some(line)) = lines.get(number).copied() else { return Err(what) };
        let mut words = texts[number].split_whitespace();
        let allows = matches!(words.next(), Some("topic" | "pattern")) && words.next() != Some("deny");
        if !allows {
            report.say(
                line,
                Verdict::NotPossible,
                format!("{what}; without it the file would allow more, so all of it is left out"),
            );
            return Err(format!("line {} cannot be used", number + 1));
        }
        report.say(line, Verdict::NotPossible, format!("{what}; it allows something, and is left out"));
        texts[number] = format!("# left out by the import: {}", texts[number]);
    }
    Err(format!("more than {MOST_WRONG} of its lines are wrong"))
}
