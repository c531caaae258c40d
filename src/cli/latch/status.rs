//! `latchgate latch status`: what the running gateway knows; without one, what the service says now.

use std::fmt::Write;

use serde_json::Value;

use super::{Opened, wait};
use crate::admin;
use crate::cli::console::{Console, shown};
use crate::config::Config;
use crate::latch::Watcher;

/// How the service and the paired users stand, as the running gateway knows it; without one the service is asked
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// User name; without it, every paired user
    user: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StatusArgs, config: &Config, console: &mut Console) -> anyhow::Result<()> {
    let state = &config.gateway.state;
    let mut report = match admin::connect(state) {
        Ok(_) => crate::cli::admin::ask(state, "GET", "/latch", None)?,
        Err(_) => {
            let Opened { client, rules, store } = Opened::new(config)?;
            wait(async { anyhow::Ok(Watcher::new(client, store, rules)?.look().await) })??.report(|_| true)
        }
    };
    if let Some(user) = &args.user {
        let users = report["users"].as_array_mut();
        let users: Vec<Value> =
            users.into_iter().flat_map(std::mem::take).filter(|view| view["user"] == **user).collect();
        anyhow::ensure!(!users.is_empty(), "user {user:?} is not paired");
        report["users"] = Value::Array(users);
    }
    if args.json { console.json(&report) } else { Ok(write!(console.out, "{}", text(&report))?) }
}

/// The report for people. What comes from elsewhere is escaped.
fn text(report: &Value) -> String {
    let word = |value: &Value| shown(value.as_str().unwrap_or("unknown"));
    let mut out = format!("service  {}\n", word(&report["service"]));
    // Writing to a string cannot fail.
    if let Some(error) = report["error"].as_str() {
        let _ = writeln!(out, "         {}", shown(error));
    }
    if report["must_be_paired"] == true {
        out.push_str("users without a pairing are shut out\n");
    }
    for user in report["users"].as_array().into_iter().flatten() {
        let closed = user["closed"].as_array().map(Vec::as_slice).unwrap_or_default();
        let verdict = match closed {
            [] => "open".to_owned(),
            closed => {
                let scopes =
                    closed.iter().map(|one| format!("{} ({})", word(&one["scope"]), word(&one["cause"])));
                format!("closed: {}", scopes.collect::<Vec<_>>().join(", "))
            }
        };
        let _ = writeln!(out, "user     {}  {verdict}", word(&user["user"]));
        let _ = writeln!(
            out,
            "         application {}, publish {}, subscribe {}",
            word(&user["application"]),
            word(&user["publish"]),
            word(&user["subscribe"])
        );
        for instance in user["instances"].as_array().into_iter().flatten() {
            let _ =
                writeln!(out, "         topic {}  {}", word(&instance["topic"]), word(&instance["state"]));
        }
        if let Some(error) = user["error"].as_str() {
            let _ = writeln!(out, "         {}", shown(error));
        }
    }
    out
}
