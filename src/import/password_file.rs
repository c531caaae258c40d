//! `password_file`: accounts of the database, or a file that the gateway reads itself.

use std::{collections::HashSet, path::Path};

use super::{
    homes::{Account, Homes},
    reader,
    report::{Line, Report, Verdict},
};
use crate::policy::auth::password::{SaltReading, StoredPassword};

/// A line of the file that can be used.
struct Entry {
    /// Counted from 0.
    number: usize,
    line: Line,
    name: String,
    stored: String,
}

/// Reads the file. Lines that nobody can log in by are reported and left out.
fn read(file: &Path, salt: SaltReading, report: &mut Report) -> Result<(Vec<String>, Vec<Entry>), String> {
    let bytes = reader::bytes(file).map_err(|error| error.to_string())?;
    let (mut texts, mut entries) = (Vec::new(), Vec::<Entry>::new());
    for (number, bytes) in reader::split(&bytes).enumerate() {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if text.trim().is_empty() || text.starts_with('#') {
            report.add_quiet(file, number + 1, if text.trim().is_empty() { "" } else { "# …" });
            texts.push(text);
            continue;
        }
        let (name, stored) = text.split_once(':').unwrap_or((&text, ""));
        let (name, stored) = (name.trim().to_owned(), stored.trim().to_owned());
        let line = report.add(file, number + 1, &format!("{name}:…"));
        let wrong = if std::str::from_utf8(bytes).is_err() {
            Some("it is not text in UTF-8".to_owned())
        } else if name.is_empty() || name.contains('\0') {
            Some("the user name is empty or holds the null character".to_owned())
        } else if stored.is_empty() {
            Some("there is no password in it".to_owned())
        } else if !stored.starts_with('$') && !stored.starts_with("PBKDF2") {
            Some("the password is not stored as a hash: run mosquitto_passwd -U on the file first".to_owned())
        } else {
            StoredPassword::parse_reading(&stored, salt).err().map(|error| error.to_string())
        };
        match wrong {
            Some(why) => {
                report.say(line, Verdict::NotPossible, format!("nobody can log in by this line: {why}"));
                texts.push(format!("# left out by the import: {}", name.replace(char::is_control, " ")));
            }
            None => {
                entries.push(Entry { number, line, name, stored });
                texts.push(text);
            }
        }
    }
    // The later line counts.
    let mut later = HashSet::new();
    entries.reverse();
    entries.retain(|entry| {
        let counts = later.insert(entry.name.clone());
        if !counts {
            report.say(entry.line, Verdict::NotNeeded, "the user comes again: the later line counts");
        }
        counts
    });
    entries.reverse();
    Ok((texts, entries))
}

/// Makes accounts of the file's lines; whether it could be read.
pub(super) fn to_accounts(file: &Path, homes: &mut Homes, report: &mut Report) -> Result<(), String> {
    let (_, entries) = read(file, SaltReading::Auto, report)?;
    for entry in entries {
        if let Err(why) = crate::store::accounts::check::user_name(&entry.name) {
            report.say(entry.line, Verdict::NotPossible, format!("no account can have this name: {why}"));
            continue;
        }
        let stored = Some(entry.stored);
        homes.accounts.push(Account { name: entry.name, stored, superuser: false, disabled: false });
        report.say(entry.line, Verdict::Translated, "");
    }
    Ok(())
}

/// Copies the file; its new name.
pub(super) fn copy(
    file: &Path,
    salt: SaltReading,
    homes: &mut Homes,
    report: &mut Report,
) -> Result<String, String> {
    let (texts, entries) = read(file, salt, report)?;
    for entry in &entries {
        debug_assert!(entry.number < texts.len());
        report.say(entry.line, Verdict::Translated, "");
    }
    Ok(homes.file("passwd", "", joined(&texts)))
}

/// Lines as a file.
pub(super) fn joined(lines: &[String]) -> Vec<u8> {
    lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes()
}
