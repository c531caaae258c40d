//! `admin.sock`: who may use it, and what becomes of it.

use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::{acl, add_user, admin, closed};
use crate::support::subject::EXECUTABLE;
use crate::support::{Connect, Subject};

#[test]
fn it_is_a_socket_of_mode_0660_and_goes_with_its_gateway() {
    let subject = Subject::start();
    let path = subject.directory().join("state/admin.sock");
    let file = path.symlink_metadata().expect("it is there");
    assert!(file.file_type().is_socket());
    assert_eq!(file.mode() & 0o777, 0o660);
    subject.signal(Signal::TERM);
    assert!(subject.wait().success());
    assert!(!path.exists());
}

#[test]
fn a_second_gateway_with_the_same_state_is_refused_and_the_first_goes_on() {
    let subject = Subject::start();
    subject.port();
    let second = subject.directory().join("second.toml");
    let toml = "[gateway]\nstate = \"state\"\n[[listener]]\nname = \"x\"\naddress = \"127.0.0.1:0\"\n";
    std::fs::write(&second, toml).expect("write the configuration");
    let output = Command::new(EXECUTABLE)
        .arg("--config")
        .arg(&second)
        .arg("run")
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("already running") && complaint.contains("state"), "{complaint}");
    assert_eq!(admin(&subject, "GET", "/healthz", ""), (200, "ok\n".into()));
    subject.still_serves();
}

#[test]
fn connections_that_are_left_half_open_keep_no_command_out() {
    let subject = Subject::start();
    subject.port();
    let path = subject.directory().join("state/admin.sock");
    let half_open: Vec<UnixStream> = (0..100)
        .map(|_| {
            let mut stream = UnixStream::connect(&path).expect("connect");
            let head = "POST /lock/close HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100\r\n\r\n{";
            // It may be closed for a later one already.
            let _ = stream.write_all(head.as_bytes());
            stream
        })
        .collect();
    assert!(subject.command(&["lock", "close"]).exits(0).out.contains("closed"));
    drop(half_open);
}

#[test]
fn the_socket_of_a_killed_gateway_is_replaced() {
    let subject = Subject::start();
    subject.port();
    let path = subject.directory().join("state/admin.sock");
    subject.signal(Signal::KILL);
    subject.wait();
    assert!(path.exists(), "nobody could clean up");
    let answer = subject.command(&["reload"]).exits(1);
    assert!(answer.err.contains("no gateway is running"), "{}", answer.err);
    let next = Command::new(EXECUTABLE)
        .arg("--config")
        .arg(subject.config())
        .arg("run")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut next = next.expect("it starts");
    crate::support::eventually("the next gateway answers on the socket", || {
        (subject.command(&["reload"]).code == 0).then_some(())
    });
    next.kill().expect("end it");
    next.wait().expect("it ended");
}

#[test]
fn status_tells_what_is_there() {
    let subject = Subject::start();
    let _client = subject.v5("somebody");
    let (code, body) = admin(&subject, "GET", "/status", "");
    assert_eq!(code, 200);
    let status: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(status["clients"]["connected"], 1, "{body}");
    assert_eq!(status["listeners"][0]["address"], format!("127.0.0.1:{}", subject.port()), "{body}");
    assert!(!body.contains("somebody"));
}

#[test]
fn after_a_reload_the_new_rules_are_in_force() {
    let subject = closed(Subject::with());
    add_user(&subject, "alice");
    let mut alice = subject.accept(&Connect::v5("a").login("alice", super::PASSWORD));
    assert_eq!(alice.say("plant/valve", "open"), 0x87);
    acl(&subject, "allow alice write plant/valve");
    subject.command(&["reload"]).exits(0);
    assert_eq!(alice.say("plant/valve", "open"), 0, "no waiting is needed");
}

#[test]
fn nonsense_is_answered_and_changes_nothing() {
    let subject = Subject::start();
    for (method, path, body, code) in [
        ("GET", "/nothing", "", 404),
        ("GET", "/reload", "", 405),
        ("GET", "/explain", "", 405),
        ("POST", "/explain", "", 400),
        ("POST", "/explain", "{}", 400),
        ("POST", "/explain", r#"{"user": "u", "access": "fly", "topic": "a"}"#, 400),
        ("POST", "/explain", r#"{"user": "u", "access": "read", "topic": ""}"#, 400),
        ("POST", "/explain", r#"{"user": "u", "client": "c", "access": "read", "topic": "a"}"#, 400),
        ("POST", "/explain", r#"{"user": "u", "access": "read", "topic": "a", "more": 1}"#, 400),
        ("POST", "/explain", r#"{"client": "nobody", "access": "read", "topic": "a"}"#, 404),
    ] {
        assert_eq!(admin(&subject, method, path, body).0, code, "{method} {path} {body}");
    }
    subject.still_serves();
}
