//! `latchgate reload`.

use std::{fmt::Write, path::Path, process::ExitCode};

use serde_json::Value;

use super::{admin, output};

/// Have the running gateway read its configuration, accounts and rules again, now
///
/// Accounts and rules it follows by itself, within a second; this waits until it is done. Of the configuration, listeners and
/// most of [acl] are changed in the running gateway; the answer names what takes a restart. If anything is wrong, nothing
/// is changed. `check --diff` says before what would be.
#[derive(Debug, clap::Args)]
pub struct ReloadArgs {
    /// Answer as JSON
    #[arg(long)]
    json: bool,
}

/// Asks the gateway that uses `state`.
pub fn run(args: ReloadArgs, state: &Path) -> anyhow::Result<ExitCode> {
    let answer = admin::ask(state, "POST", "/reload", None)?;
    if args.json {
        output::print_json(&answer)?;
    } else {
        let mut text = String::from("accounts and rules were read again\n");
        list(&answer["applied"], "changed  ", &mut text);
        list(&answer["restart"], "restart  ", &mut text);
        output::print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Each of a list of words on a line of its own.
pub(super) fn list(words: &Value, label: &str, out: &mut String) {
    for word in words.as_array().into_iter().flatten().filter_map(Value::as_str) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{label}{word}");
    }
}
