//! The button and the LED, against the real executable with the simulated driver.

#[path = "../support/mod.rs"]
mod support;

mod hardware;
mod led;
mod press;
mod recovery;

use serde_json::Value;
use support::Subject;
use support::subject::Settings;

/// A gateway with the driver of a desk.
fn gateway() -> Subject {
    Settings::default().section("[panel]\ndriver = \"simulated\"").start()
}

/// What a command answers with `--json`.
fn json(subject: &Subject, line: &str) -> Value {
    let words: Vec<&str> = line.split(' ').chain(["--json"]).collect();
    serde_json::from_str(&subject.command(&words).exits(0).out).expect("--json prints JSON")
}

/// How the panel is.
fn status(subject: &Subject) -> Value {
    json(subject, "panel status")
}

fn press(subject: &Subject) -> Value {
    json(subject, "panel press")
}

fn hold(subject: &Subject, seconds: &str) -> Value {
    json(subject, &format!("panel press --hold {seconds}"))
}
