//! `latchgate lock …`: what is closed in the running gateway, whatever the rules say.

use std::{fmt::Write, path::Path, process::ExitCode};

use anyhow::bail;
use serde_json::{Value, json};

use super::{NO, admin, console::shown, context::BadUsage, output};
use crate::policy::lock::{Holder, Scope};
use crate::store::AccountsDb;

/// The lock of the running gateway: closes it, in part or as a whole, at once and in live sessions
#[derive(Debug, clap::Subcommand)]
pub enum LockCommand {
    /// Tell what is closed
    Status {
        /// Print nothing; the exit status is 3 if anything is closed, else 0
        #[arg(long)]
        quiet: bool,
        /// Print JSON, as on LATCH/lock, and whether that is stored
        #[arg(long, conflicts_with = "quiet")]
        json: bool,
    },
    /// Close something; returns when every session obeys and it is announced
    Close(ScopeArgs),
    /// Let go of what was closed by this command; it stays closed if another holder holds it
    Open(ScopeArgs),
    /// Tell who closed and opened what, when
    Log {
        /// How many lines, the newest
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        lines: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Free everything that a holder holds, such as a broken button or a lost phone; for root only
    Release {
        /// panel, command, latch or schedule
        #[arg(value_parser = |word: &str| word.parse::<Holder>())]
        holder: Holder,
    },
}

/// What to close or open.
#[derive(Debug, clap::Args)]
pub struct ScopeArgs {
    /// gateway; publish; subscribe (and receive); or topic:FILTER
    #[arg(default_value = "gateway")]
    scope: String,
    /// For this user only
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Asks the gateway that uses `state`.
pub fn run(command: LockCommand, state: &Path) -> anyhow::Result<ExitCode> {
    match command {
        LockCommand::Status { quiet, json } => {
            let now = admin::ask(state, "GET", "/lock", None)?;
            let is_closed = now["scopes"].as_array().is_none_or(|scopes| !scopes.is_empty());
            match (quiet, json) {
                (true, _) if is_closed => return Ok(ExitCode::from(NO)),
                (true, _) => {}
                (_, true) => output::print_json(&now)?,
                _ => output::print(&status(&now))?,
            }
        }
        LockCommand::Close(args) => change(state, "/lock/close", &args)?,
        LockCommand::Open(args) => change(state, "/lock/open", &args)?,
        LockCommand::Log { lines, json } => {
            let mut log = admin::ask(state, "GET", "/lock/log", None)?;
            let all = log.as_array_mut().map(std::mem::take).unwrap_or_default();
            let newest = &all[all.len().saturating_sub(lines)..];
            match json {
                true => output::print_json(&Value::from(newest))?,
                false => output::print(&newest.iter().map(line).collect::<String>())?,
            }
        }
        LockCommand::Release { holder } => {
            let answer =
                admin::ask(state, "POST", "/lock/release", Some(&json!({ "holder": holder.name() })))?;
            let nothing = if answer["changed"] == true { "" } else { ", which held nothing" };
            output::print(&format!("released {holder}{nothing}\n{}", status(&answer["state"])))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn change(state: &Path, path: &str, args: &ScopeArgs) -> anyhow::Result<()> {
    let scope = Scope::parse(&args.scope, args.user.as_deref()).map_err(BadUsage)?;
    let answer = admin::ask(state, "POST", path, Some(&json!({ "scope": args.scope, "user": args.user })))?;
    if args.json {
        output::print_json(&answer)?;
    }
    if let (true, Some(user)) = (path.ends_with("close"), &args.user)
        && has_account(state, user) == Some(false)
    {
        output::note(&format!(
            "there is no account {user:?}; it is closed for whoever logs in under the name by another way, such as a \
             certificate"
        ));
    }
    if let Some(why) = answer["not_kept"].as_str() {
        bail!(
            "{scope} is closed now, but that is not stored yet, so a restart would open it; the gateway tries again \
             every second, `latchgate lock status` tells whether it is stored: {why}"
        );
    }
    let holders = words(&answer["holders"]);
    let is_closing = path.ends_with("close");
    if !is_closing && !holders.is_empty() {
        bail!(
            "{scope} stays closed: held by {holders}; only the holder can open it, or root with \
             `latchgate lock release HOLDER`"
        );
    }
    if !args.json {
        let did = match (is_closing, answer["changed"] == true) {
            (true, true) => "closed",
            (true, false) => "was closed already",
            (false, true) => "opened",
            (false, false) => "was open already",
        };
        output::print(&format!("{scope}: {did}\n"))?;
    }
    Ok(())
}

/// Whether there is an account of the name; `None` if that cannot be told, as by somebody who may talk to the gateway
/// but not read its files.
fn has_account(state: &Path, user: &str) -> Option<bool> {
    match AccountsDb::exists(state) {
        true => AccountsDb::open(state).ok()?.has_user(user).ok(),
        false => Some(false),
    }
}

/// The state for people.
fn status(state: &Value) -> String {
    let mut text = String::new();
    let empty = Vec::new();
    let scopes = state["scopes"].as_array().unwrap_or(&empty);
    if scopes.is_empty() {
        return "open\n".to_owned();
    }
    for scope in scopes {
        let who = match (scope["user"].as_str(), scope["everyone_but"].as_array()) {
            (Some(user), _) => format!(" for user {}", shown(user)),
            (None, Some(users)) => format!(" for everyone but {} users", users.len()),
            (None, None) => String::new(),
        };
        let unavailable = match scope["cause"].as_str() {
            Some("unavailable") => ", since its service does not answer",
            _ => "",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "closed  {}{who}, held by {} since {}{unavailable}",
            shown(scope["scope"].as_str().unwrap_or_default()),
            words(&scope["holders"]),
            scope["since"].as_str().unwrap_or("?"),
        );
    }
    if let Some(why) = state["not_kept"].as_str() {
        let _ = writeln!(text, "not stored yet, a restart would open what is closed: {}", shown(why));
    }
    text
}

/// One line of the log for people.
fn line(entry: &Value) -> String {
    let word = |key: &str| entry[key].as_str().unwrap_or("?").to_owned();
    format!(
        "{}  {:<8}  {:<8}  {}  by {}\n",
        word("at"),
        word("holder"),
        word("did"),
        shown(&word("scope")),
        shown(&word("by"))
    )
}

fn words(list: &Value) -> String {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}
