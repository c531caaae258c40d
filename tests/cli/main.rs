//! What a person types and what comes back: exit statuses, messages, listings, start and stop.

#[path = "../support/mod.rs"]
mod support;

mod account;
#[path = "../bridge/cloud.rs"]
#[expect(dead_code, reason = "the bridge's tests use all of it")]
mod cloud;
mod config;
mod doctor;
#[path = "../latch/service.rs"]
#[expect(dead_code, reason = "the tests of the second factor use all of it")]
mod latch_service;
#[path = "../backends/peer.rs"]
#[expect(dead_code, reason = "the backends' tests use all of it")]
mod peer;
mod pki;
mod provision;
mod run;
mod service;
mod setup;
mod tool;

use std::path::Path;

use support::Answer;
use support::subject::latchgate;

/// A directory with a configuration whose state lies beside it.
fn workplace() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write(directory.path(), "[gateway]\nstate = \"state\"\n");
    directory
}

fn write(directory: &Path, toml: &str) {
    std::fs::write(directory.join("latchgate.toml"), toml).expect("write the configuration");
}

/// Runs a command with the workplace's configuration; words are separated by single spaces.
fn command(directory: &tempfile::TempDir, line: &str) -> Answer {
    command_with_input(directory, line, "")
}

fn command_with_input(directory: &tempfile::TempDir, line: &str, input: &str) -> Answer {
    let mut words = vec!["--config", "latchgate.toml"];
    words.extend(line.split(' '));
    latchgate(directory.path(), &words, input)
}

fn json(answer: Answer) -> serde_json::Value {
    serde_json::from_str(&answer.exits(0).out).expect("--json prints JSON")
}
