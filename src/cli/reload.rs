//! `latchgate reload`.

use std::{path::Path, process::ExitCode};

use super::{admin, output};

/// Have the running gateway read its accounts and rules again, now
///
/// It does so by itself within a second of a change; this waits until it is done. The configuration file is not
/// read again: restart the gateway for that.
#[derive(Debug, clap::Args)]
pub struct ReloadArgs {}

/// Asks the gateway that uses `state`.
pub fn run(_args: ReloadArgs, state: &Path) -> anyhow::Result<ExitCode> {
    admin::ask(state, "POST", "/reload", None)?;
    output::print("accounts and rules were read again\n")?;
    Ok(ExitCode::SUCCESS)
}
