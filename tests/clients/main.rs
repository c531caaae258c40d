//! Clients that nobody here wrote. `scenario.rs` has what each of them must be able to do; `mosquitto.rs` and
//! `rumqtt.rs` drive theirs in their own way.
//!
//! A tool that is missing is a failure, not a skip: `tests/run` installs them all.

#[path = "../support/mod.rs"]
mod support;

mod foreign;
mod mosquitto;
mod rumqtt;
mod scenario;

use std::process::{Child, Command, Output, Stdio};

use support::{Subject, eventually};

/// Runs a tool to its end, within the bound.
fn finish(mut child: Child, what: &str) -> Output {
    eventually(what, || child.try_wait().expect("ask for its status"));
    child.wait_with_output().expect("its output can be read")
}

/// A server that knows alice, whose password is "secret".
fn subject_with_alice() -> Subject {
    // Few rounds, and left like that: strong ones take seconds in a debug build.
    const HASH: &str =
        "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$dClvKSmj66n6MdMWNv3Go4mvH1Ym2WIGiJvquqa+mfE";
    let subject = Subject::with().section("[auth]\nupgrade_passwords = false").prepare();
    subject.command(&["user", "add", "alice", "--hash", HASH]).exits(0);
    subject
}

/// The Python that has the modules, see `tests/run`.
fn python() -> String {
    std::env::var("LATCHGATE_TEST_PYTHON").unwrap_or_else(|_| "python3".into())
}

fn start(tool: &str, arguments: &[&str]) -> Child {
    Command::new(tool)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{tool} does not start ({e}): tests/run installs it"))
}
