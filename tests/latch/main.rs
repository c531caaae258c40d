//! The second factor over real sockets: the executable, MQTT clients, and a stand-in for the Latch service that
//! recomputes every signature by itself.

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod command;
mod live;
mod poll;
mod publish;
mod service;

use serde_json::Value;
use support::subject::{Answer, Settings};
use support::{Client, Connect, Subject, Version, eventually};

/// The password of every account of these tests.
const PASSWORD: &str = "correct horse battery staple";

/// Its stored form with few rounds, because strong ones take seconds in a debug build.
const HASH: &str =
    "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$31ltvuXrbs8POP2F4tw9851NSNQCQpm0sCwu2eEvId8";

/// A gateway with this `[latch]`, in which lamp and phone may do everything. It starts with the first client.
fn gateway(section: &str) -> Subject {
    gateway_with(Subject::with().section(section))
}

fn gateway_with(settings: Settings) -> Subject {
    let subject = settings.without_rules().prepare();
    for user in ["lamp", "phone"] {
        subject.command(&["user", "add", user, "--hash", HASH]).exits(0);
        subject.command(&["acl", "allow", user, "all", "#"]).exits(0);
    }
    subject
}

/// Runs `latch …`; words are separated by single spaces.
fn latch(subject: &Subject, words: &str) -> Answer {
    let words: Vec<&str> = std::iter::once("latch").chain(words.split(' ')).collect();
    subject.command(&words)
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.out).unwrap_or_else(|error| panic!("{error}: {}", answer.out))
}

/// What `latch status --json` says of one user; `Null` if it is not paired.
fn status_of(subject: &Subject, user: &str) -> Value {
    let status = json(&latch(subject, "status --json").exits(0));
    let mut users = status["users"].as_array().expect("a list").iter();
    users.find(|view| view["user"] == user).cloned().unwrap_or_default()
}

/// CONNECT with the user's name as client identifier.
fn login(version: Version, user: &str) -> Connect {
    Connect::new(version, user).login(user, PASSWORD)
}

fn v5(subject: &Subject, user: &str) -> Client {
    subject.accept(&login(Version::V5, user))
}

/// Waits until the log has a line with all of these words.
fn logged(subject: &Subject, words: &[&str]) -> String {
    eventually(&format!("the log says {words:?}"), || {
        let log = subject.log();
        log.lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
    })
}
