//! `latchgate import`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use super::{BAD_USAGE, FAILED, check, context::BadUsage, output};
use crate::{
    config::Config,
    import::{self, ImportError, Request},
};

/// What to import.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Translate a mosquitto.conf, with the files that it names, into a new folder
    ///
    /// The folder then holds latchgate.toml and, in state/, the database of accounts and rules. The report says of every line
    /// of every file what became of it: "translated", "changed" (what differs), "not needed", or "not possible" (what to
    /// do). Exit status 0: everything was translated or is not needed; 1: something is not possible; 2: nothing could be
    /// imported, or no listener of it, and the gateway does not start with what was made. What Mosquitto has is only read.
    Mosquitto(MosquittoArgs),
}

/// Arguments of `import mosquitto`.
#[derive(Debug, clap::Args)]
pub struct MosquittoArgs {
    /// The mosquitto.conf. Relative names in it are looked for in the working directory, as by Mosquitto, and then beside it
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The folder to make; it must not exist
    #[arg(long, value_name = "DIR", default_value = "./latchgate-import")]
    out: PathBuf,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Imports, and prints the report. Exit status 2 if nothing could be imported, or no listener.
pub fn run(command: ImportCommand) -> anyhow::Result<ExitCode> {
    let ImportCommand::Mosquitto(MosquittoArgs { file, out, json }) = command;
    let looks_right =
        |file: &Path| Config::load(Some(file)).and_then(|config| check::warnings(&config)).map(drop);
    // As Mosquitto would find out by opening a socket.
    let ipv6 = std::net::TcpListener::bind("[::]:0").is_ok();
    let report = match import::mosquitto(&Request { file: &file, out: &out, ipv6, check: &looks_right }) {
        Ok(report) => report,
        Err(error @ (ImportError::Unreadable { .. } | ImportError::Exists(_))) => {
            return Err(BadUsage(error.to_string()).into());
        }
        Err(error) => return Err(error.into()),
    };
    if json {
        output::print_json(&report.as_json())?;
    } else {
        output::print(&report.as_text())?;
        output::note(&format!(
            "made {}; look at it with: latchgate --config {}/latchgate.toml check",
            out.display(),
            out.display()
        ));
    }
    Ok(match report.is_shut() {
        true => ExitCode::from(BAD_USAGE),
        false if report.lacks_something() => ExitCode::from(FAILED),
        false => ExitCode::SUCCESS,
    })
}
