//! The policy over real sockets: who is let in, what is refused and how it is told, and that a running
//! gateway obeys a changed account or rule within a second.

#[path = "../support/mod.rs"]
mod support;

mod change;
mod login;
mod matrix;
mod pattern;
mod reserved;
mod retained;
mod rule;
mod storm;
mod throttle;

use support::subject::Settings;
use support::{Client, Connect, Subject, Version};

/// The password of every account of these tests.
const PASSWORD: &str = "correct horse battery staple";

/// Its stored form with few rounds, because strong ones take seconds in a debug build.
const HASH: &str =
    "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$31ltvuXrbs8POP2F4tw9851NSNQCQpm0sCwu2eEvId8";

/// A gateway on which nothing is permitted but the markers of `nothing_arrives`. Anonymous clients are
/// called `guest`. It starts with the first client: commands before that need no waiting.
fn gateway() -> Subject {
    gateway_with(Subject::with())
}

fn gateway_with(settings: Settings) -> Subject {
    let subject = settings.without_rules().prepare();
    acl(&subject, "allow * all fence/#");
    subject
}

/// Runs `acl …`, which must succeed. Words are separated by single spaces.
fn acl(subject: &Subject, arguments: &str) {
    let mut words = vec!["acl"];
    words.extend(arguments.split(' '));
    subject.command(&words).exits(0);
}

fn add_user(subject: &Subject, name: &str) {
    add_user_with(subject, name, &[]);
}

fn add_user_with(subject: &Subject, name: &str, more: &[&str]) {
    let mut arguments = vec!["user", "add", name, "--hash", HASH];
    arguments.extend(more);
    subject.command(&arguments).exits(0);
}

/// CONNECT with the user's name as client identifier.
fn login(version: Version, user: &str) -> Connect {
    Connect::new(version, user).login(user, PASSWORD)
}

fn v5(subject: &Subject, user: &str) -> Client {
    subject.accept(&login(Version::V5, user))
}

fn v311(subject: &Subject, user: &str) -> Client {
    subject.accept(&login(Version::V311, user))
}

/// Repeats `step` until it answers; a change may take a second to be obeyed, and no longer.
fn within_a_second<T>(what: &str, mut step: impl FnMut() -> Option<T>) -> T {
    // Twice the promise, because the machine may be busy with other tests.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
    support::eventually(what, || {
        let answer = step();
        assert!(answer.is_some() || std::time::Instant::now() < deadline, "not within a second: {what}");
        answer
    })
}
