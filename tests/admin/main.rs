//! What an operator sees of a running gateway: `$SYS`, the admin socket, `explain`, metrics.

#[path = "../support/mod.rs"]
mod support;

mod ban;
mod explain;
mod metrics;
mod reload;
mod socket;
mod sys;

use std::io::{Read, Write};

use support::subject::Settings;
use support::{BOUND, Subject};

/// The password of every account of these tests.
const PASSWORD: &str = "correct horse battery staple";

/// Its stored form with few rounds, because strong ones take seconds in a debug build.
const HASH: &str =
    "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$31ltvuXrbs8POP2F4tw9851NSNQCQpm0sCwu2eEvId8";

/// A gateway on which nothing is permitted to anybody but the markers of `nothing_arrives`.
fn closed(settings: Settings) -> Subject {
    let subject = settings.without_rules().prepare();
    acl(&subject, "allow * all fence/#");
    subject
}

/// Runs `acl …`, which must succeed; words are separated by single spaces.
fn acl(subject: &Subject, line: &str) {
    let words: Vec<&str> = ["acl"].into_iter().chain(line.split(' ')).collect();
    subject.command(&words).exits(0);
}

fn add_user(subject: &Subject, name: &str) {
    subject.command(&["user", "add", name, "--hash", HASH]).exits(0);
}

/// One HTTP request over whatever stream; the head and the body of the answer.
fn http(mut stream: impl Read + Write, method: &str, path: &str, body: &str) -> (String, String) {
    let request = format!("{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).expect("send the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read the answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    (head.to_owned(), body.to_owned())
}

/// One request over the admin socket; status and body.
fn admin(subject: &Subject, method: &str, path: &str, body: &str) -> (u16, String) {
    subject.port();
    let socket = subject.directory().join("state/admin.sock");
    let stream = std::os::unix::net::UnixStream::connect(socket).expect("the admin socket is there");
    stream.set_read_timeout(Some(BOUND)).expect("set the bound");
    let (head, body) = http(stream, method, path, body);
    (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), body)
}
