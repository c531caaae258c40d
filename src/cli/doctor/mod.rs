//! `latchgate doctor`: what is wrong with this gateway and what is around it, and what to do about each.
//!
//! One file is one check. Each notes what it finds in [`Findings`]; none changes anything, and none needs another's
//! outcome, so that whatever is broken, the rest is still told.

mod backends;
mod bridges;
mod clock;
mod configuration;
mod databases;
mod disk;
mod finding;
mod latch;
mod panel;
mod ports;
mod running;
mod secrets;
mod unit;

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{BAD_USAGE, DONE, FAILED, admin, context::Context, output};
use crate::config::{Config, ConfigError};
use finding::{Finding, Findings, Level};

/// Look for what is wrong with this gateway and around it: configuration, clock and certificates, disk, databases, secrets, ports, GPIO
/// lines, bridges, backends, Latch, the unit of systemd
///
/// Each finding says how bad it is, what it is about and what to do. Nothing is changed, whether the gateway runs or not; bridges are
/// connected to without logging in, backends are asked about a user who does not exist. Exit status 0: nothing is wrong (there may be
/// warnings), 1: something is, 2: the configuration is. Best run as root or as the gateway's user: `sudo latchgate doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Answer as JSON
    #[arg(long)]
    json: bool,
}

/// Runs every check.
pub fn run(args: &DoctorArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let loaded = context.config();
    let mut list = Vec::new();
    match &loaded {
        Ok(config) => all(config, &mut list)?,
        Err(error) => what_can_be(error, &mut list),
    }
    let is_wrong = list.iter().any(|finding| finding.level == Level::Wrong);
    match args.json {
        true => output::print_json(&json!({ "fine": !is_wrong, "findings": list }))?,
        false => output::print(&finding::as_text(&list))?,
    }
    Ok(ExitCode::from(match (loaded.is_err(), is_wrong) {
        (true, _) => BAD_USAGE,
        (false, true) => FAILED,
        (false, false) => DONE,
    }))
}

/// One check.
fn check(list: &mut Vec<Finding>, name: &'static str, look: impl FnOnce(&mut Findings)) {
    let mut findings = Findings::of(name);
    look(&mut findings);
    list.extend(findings.into_list());
}

fn all(config: &Config, list: &mut Vec<Finding>) -> anyhow::Result<()> {
    let state = &config.gateway.state;
    check(list, "configuration", |findings| configuration::look(config, findings));
    let mut status = None;
    check(list, "gateway", |findings| status = running::look(state, findings));
    check(list, "clock", |findings| clock::look(config, findings));
    of_the_state(state, list);
    check(list, "secrets", |findings| secrets::look(config, findings));
    check(list, "ports", |findings| ports::look(config, status.as_ref(), findings));
    check(list, "panel", |findings| panel::look(config, status.is_some(), findings));
    let bridges: Option<Value> =
        status.as_ref().and_then(|_| admin::ask(state, "GET", "/bridges", None).ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    check(list, "bridges", |findings| runtime.block_on(bridges::look(config, bridges.as_ref(), findings)));
    check(list, "backends", |findings| runtime.block_on(backends::look(config, findings)));
    check(list, "latch", |findings| runtime.block_on(latch::look(config, findings)));
    check(list, "unit", unit::look);
    // A name server that does not answer must not hold up the end.
    runtime.shutdown_background();
    Ok(())
}

fn of_the_state(state: &Path, list: &mut Vec<Finding>) {
    check(list, "disk", |findings| disk::look(state, findings));
    check(list, "databases", |findings| databases::look(state, findings));
}

/// What can be looked at although the configuration is wrong.
fn what_can_be(error: &ConfigError, list: &mut Vec<Finding>) {
    check(list, "configuration", |findings| configuration::wrong(error, findings));
    if let Some(state) = error.state() {
        check(list, "gateway", |findings| drop(running::look(&state, findings)));
        of_the_state(&state, list);
        check(list, "secrets", |findings| secrets::look(&Config::with_state(state.clone()), findings));
    }
    check(list, "unit", unit::look);
}
