//! The lock over real sockets: what is closed is closed in live sessions when the command returns, and nothing that
//! should wait is lost.

#[path = "../support/mod.rs"]
mod support;

mod command;
mod refusal;

use serde_json::Value;
use support::Subject;

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
    let subject = Subject::with().lasting().section(&format!("[lock]\n{lines}")).prepare();
    subject.command(&["acl", "allow", "*", "read", "LATCH/#"]).exits(0);
    subject
}
