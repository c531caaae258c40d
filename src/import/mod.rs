//! What did Mosquitto's configuration say, and how is that said here?
//!
//! This room reads a `mosquitto.conf` with all that it names and writes a folder for this gateway: `latchgate.toml`, the
//! files that it names, and a database of accounts and rules. It promises that every line of every file has exactly one
//! entry in the [`Report`], that what cannot be said here is left out closed and never open, that secrets go to files of
//! their own and into no report, and that the folder is there whole or not at all. It must never touch what it reads,
//! nor a folder that exists.

mod acl_file;
mod bridge;
mod document;
mod dynsec;
mod folder;
mod general;
mod homes;
mod limits;
mod listener;
mod model;
mod password_file;
mod plugins;
mod reader;
mod report;
mod security;
mod settings;
mod table;
mod tls;
mod values;
mod write;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError};

pub use report::{Entry, Report, Verdict};

/// What to import, and where to.
pub struct Request<'a> {
    /// The `mosquitto.conf`.
    pub file: &'a Path,
    /// The folder to make; it must not exist.
    pub out: &'a Path,
    /// Whether this machine has IPv6, as Mosquitto would find out at its start.
    pub ipv6: bool,
    /// Whether the gateway would run with a configuration: `latchgate check`.
    pub check: &'a dyn Fn(&Path) -> Result<(), ConfigError>,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file of Mosquitto's configuration that cannot be read.
    #[error("{}: cannot read it: {why}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's words.
        why: String,
    },
    /// The folder to make is there already.
    #[error("{} is there already: name another folder with --out, or remove it", .0.display())]
    Exists(PathBuf),
    /// The folder cannot be written.
    #[error("{}: cannot write it: {why}", file.display())]
    Unwritable {
        /// The file or folder.
        file: PathBuf,
        /// The system's words.
        why: String,
    },
    /// What was written is refused for a reason that concerns no line in particular.
    #[error("the configuration that was made is refused, which is a mistake of the import: {0}")]
    Refused(String),
}

/// Imports a Mosquitto configuration.
///
/// # Errors
/// If a file cannot be read, or the folder cannot be made. Then there is no folder.
pub fn mosquitto(request: &Request<'_>) -> Result<Report, ImportError> {
    let mut report = Report::default();
    let source = reader::read(request.file, &mut report)?;
    let model = model::build(source.statements, &mut report);
    let draft = write::draft(model, &source.folder, request.ipv6, &mut report);
    folder::make(request, draft, &mut report)?;
    report.finish();
    Ok(report)
}

/// What an import would say and make, as far as that needs no folder: the report, and the text of the configuration.
///
/// # Errors
/// As [`mosquitto`].
pub fn rehearse(file: &Path, ipv6: bool) -> Result<(Report, String), ImportError> {
    let mut report = Report::default();
    let source = reader::read(file, &mut report)?;
    let model = model::build(source.statements, &mut report);
    let mut draft = write::draft(model, &source.folder, ipv6, &mut report);
    let text = folder::until_right(&mut draft.document, "", &mut report, |text| {
        Ok(Config::parse(text, Path::new("latchgate.toml")).map(drop))
    })?;
    report.finish();
    Ok((report, text))
}
