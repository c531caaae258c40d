//! The lock over real sockets: what is closed is closed in live sessions when the command returns, and nothing that
//! should wait is lost.

#[path = "../support/mod.rs"]
mod support;

mod announced;
mod command;
mod full;
mod hold;
mod load;
mod refusal;
mod schedule;
mod stopping;

use serde_json::Value;
use support::{Connect, Subject};

/// Runs `lock …`, which must succeed; words are separated by single spaces.
fn lock(subject: &Subject, line: &str) -> String {
    run(subject, line, 0).out
}

fn run(subject: &Subject, line: &str, code: i32) -> support::Answer {
    let words: Vec<&str> = ["lock"].into_iter().chain(line.split(' ')).collect();
    subject.command(&words).exits(code)
}

fn state(subject: &Subject) -> Value {
    serde_json::from_str(&lock(subject, "status --json")).expect("--json prints JSON")
}

/// A gateway on which everybody may do everything, `LATCH/` included.
fn gateway() -> Subject {
    gateway_with("")
}

/// The same with these lines in `[lock]`.
fn gateway_with(lines: &str) -> Subject {
    let subject = Subject::with().section(&format!("[lock]\n{lines}")).prepare();
    subject.command(&["acl", "allow", "*", "read", "LATCH/#"]).exits(0);
    subject
}

const PASSWORD: &str = "correct horse battery staple";

fn add_user(subject: &Subject, name: &str, more: &[&str]) {
    // Its stored form with few rounds, because strong ones take seconds in a debug build.
    const HASH: &str =
        "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$31ltvuXrbs8POP2F4tw9851NSNQCQpm0sCwu2eEvId8";
    let mut words = vec!["user", "add", name, "--hash", HASH];
    words.extend(more);
    subject.command(&words).exits(0);
}

/// CONNECT of version 5 with the user's name as client identifier.
fn login(user: &str) -> Connect {
    Connect::v5(user).login(user, PASSWORD)
}
