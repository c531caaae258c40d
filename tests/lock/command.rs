//! `latchgate lock`, who may do what with it, and what is left after a crash.

use super::{gateway, lock, run, state};
use crate::support::Subject;

#[test]
fn it_closes_opens_and_tells() {
    let subject = gateway();
    subject.port();
    assert_eq!(lock(&subject, "status"), "open\n");
    run(&subject, "status --quiet", 0);
    assert_eq!(lock(&subject, "close"), "gateway: closed\n");
    assert_eq!(lock(&subject, "close"), "gateway: was closed already\n");
    lock(&subject, "close topic:doors/# --user bob");
    run(&subject, "status --quiet", 3);
    let now = state(&subject);
    assert_eq!((&now["gateway"], now["holders"][0].as_str()), (&"closed".into(), Some("command")), "{now}");
    let door = &now["scopes"][1];
    assert_eq!(
        (door["scope"].as_str(), door["user"].as_str()),
        (Some("topic:doors/#"), Some("bob")),
        "{now}"
    );
    let told = lock(&subject, "status");
    assert!(told.contains("closed  topic:doors/# for user bob, held by command since 20"), "{told}");
    lock(&subject, "open");
    assert_eq!(state(&subject)["gateway"], "open");
    lock(&subject, "open topic:doors/# --user bob");
    assert_eq!(lock(&subject, "open publish"), "publish: was open already\n");
    assert_eq!(lock(&subject, "status"), "open\n");
    let log: serde_json::Value = serde_json::from_str(&lock(&subject, "log --json")).expect("JSON");
    let lines: Vec<_> =
        log.as_array().expect("a list").iter().map(|line| (&line["did"], &line["scope"])).collect();
    assert_eq!(lines.len(), 4, "{log}");
    assert_eq!(lines[0], (&"closed".into(), &"gateway".into()));
    assert_eq!(lines[3], (&"opened".into(), &"topic:doors/# for user \"bob\"".into()));
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(log[0]["by"], format!("uid {uid}"));
    assert!(lock(&subject, "log").contains(&format!("command   closed    gateway  by uid {uid}")));
    assert_eq!(lock(&subject, "log --lines 1").lines().count(), 1);
}

#[test]
fn a_scope_or_holder_that_is_none_is_bad_usage() {
    let subject = gateway();
    subject.port();
    for wrong in
        ["close doors", "close topic:a#", "open topic:", "release nobody", "status --quiet --json", "shut"]
    {
        run(&subject, wrong, 2);
    }
    let place = tempfile::tempdir().expect("a temporary directory");
    let alone = crate::support::subject::latchgate(place.path(), &["lock", "status"], "").exits(1);
    assert!(alone.err.contains("no gateway is running"), "{}", alone.err);
}

#[test]
fn only_root_may_release_a_holder_and_it_is_on_record() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root can show both sides.
    }
    let subject = gateway();
    subject.port();
    lock(&subject, "close");
    // As somebody else, whom the file system lets at the socket.
    let state = subject.directory().join("state");
    for path in [subject.directory(), &state, &state.join("admin.sock")] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("set the mode");
    }
    let request = "POST /lock/release HTTP/1.0\r\nContent-Length: 20\r\n\r\n{\"holder\":\"command\"}";
    let asked = std::process::Command::new("python3")
        .args(["-c", "import os,socket,sys\nos.setuid(65534)\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ns.sendall(sys.argv[2].encode())\nprint(s.makefile().read())"])
        .arg(state.join("admin.sock"))
        .arg(request)
        .output()
        .expect("python3 runs");
    let answer = String::from_utf8_lossy(&asked.stdout);
    assert!(answer.contains("403") && answer.contains("only root"), "{answer} {asked:?}");
    assert_eq!(super::state(&subject)["gateway"], "closed");
    let out = lock(&subject, "release command");
    assert_eq!(out, "released command\nopen\n");
    crate::support::eventually("both are in the log", || {
        let log = subject.log();
        (log.contains("refused to release") && log.contains("by=uid 65534") && log.contains("is released"))
            .then_some(())
    });
}

fn everything_is_closed_still(subject: &Subject) {
    let before = state(subject);
    subject.kill();
    subject.start_again();
    assert_eq!(state(subject), before);
    assert_eq!(before["scopes"].as_array().map(Vec::len), Some(3));
}

#[test]
fn after_a_kill_it_is_what_it_was() {
    let subject = gateway();
    subject.port();
    for scope in ["gateway", "topic:doors/# --user bob", "publish", "subscribe"] {
        lock(&subject, &format!("close {scope}"));
    }
    lock(&subject, "open publish");
    everything_is_closed_still(&subject);
}

#[test]
fn a_damaged_state_of_the_lock_begins_closed_and_root_opens_it() {
    begins_closed_and_root_opens_it("this is no database ".repeat(1000).as_bytes());
}

#[test]
fn an_empty_file_of_the_lock_is_damage_and_not_an_open_gateway() {
    begins_closed_and_root_opens_it(b"");
}

fn begins_closed_and_root_opens_it(file: &[u8]) {
    if !rustix::process::geteuid().is_root() {
        return; // The way out is root's.
    }
    let subject = gateway();
    subject.port();
    subject.kill();
    let state_dir = subject.directory().join("state");
    for tail in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(state_dir.join(format!("lock.db{tail}")));
    }
    assert!(!subject.log().contains("CLOSED"), "a first start is no damage: {}", subject.log());
    std::fs::write(state_dir.join("lock.db"), file).expect("write");
    subject.start_again();
    let log = subject.log();
    assert!(log.contains("CLOSED") && log.contains("lock release panel"), "{log}");
    // Nobody looked at it, and there was a power cut.
    subject.kill();
    subject.start_again();
    let now = state(&subject);
    assert_eq!(now["holders"][0], "panel", "{now}");
    let mut client = subject.v5("a");
    assert_eq!(client.say("a", "x"), 0x87);
    let refused = run(&subject, "open", 1);
    assert!(refused.err.contains("held by panel"), "{}", refused.err);
    lock(&subject, "release panel");
    assert_eq!(client.say("a", "x"), 0);
    subject.kill();
    subject.start_again();
    assert_eq!(lock(&subject, "status"), "open\n");
}

#[test]
fn bug_closing_for_a_user_without_an_account_looked_like_success() {
    let subject = gateway();
    super::add_user(&subject, "ann", &[]);
    subject.port();
    let answer = run(&subject, "close --user nosuch", 0);
    assert_eq!(answer.out, "gateway for user \"nosuch\": closed\n");
    assert!(answer.err.starts_with("note: there is no account \"nosuch\""), "{}", answer.err);
    assert_eq!(state(&subject)["scopes"][0]["user"], "nosuch");
    let answer = run(&subject, "close publish --user nosuch --json", 0);
    assert!(answer.err.starts_with("note: there is no account"), "{}", answer.err);
    serde_json::from_str::<serde_json::Value>(&answer.out).expect("JSON");
    for line in ["close --user ann", "close", "open --user nosuch"] {
        assert_eq!(run(&subject, line, 0).err, "", "{line}");
    }
}
