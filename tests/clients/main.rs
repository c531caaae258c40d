//! Clients that nobody here wrote: quality of service × protocol version × retained × will.
//!
//! A tool that is missing is a failure, not a skip: `tests/run` installs them all.

#[path = "../support/mod.rs"]
mod support;

mod mosquitto;
mod paho;
mod rumqtt;

use std::process::{Child, Command, Output, Stdio};

use support::eventually;

/// Runs a tool to its end, within the bound.
fn finish(mut child: Child, what: &str) -> Output {
    eventually(what, || child.try_wait().expect("ask for its status"));
    child.wait_with_output().expect("its output can be read")
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
