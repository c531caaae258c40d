//! One table of users and topics, asked of `acl test` and asked over the wire.

use super::{PASSWORD, acl, add_user, add_user_with, gateway, v5};
use crate::support::{Connect, Subject, Subscribe};

const TOPICS: [&str; 5] = ["loc/a", "loc/jjolie", "mega/secret", "loc/test", "$SYS/broker/log/N"];

/// For each user, whether each of the topics is permitted.
const MATRIX: [(&str, [bool; 5]); 4] = [
    ("jjolie", [false, true, false, false, false]),
    ("nop", [false, false, true, false, false]),
    ("a", [false, false, false, true, true]),
    ("su1", [true, true, true, true, true]),
];

fn matrix_gateway() -> Subject {
    let subject = gateway();
    add_user(&subject, "jjolie");
    add_user(&subject, "a");
    add_user_with(&subject, "su1", &["--superuser"]);
    // `nop` has rules and no account.
    for rule in [
        "jjolie all loc/jjolie",
        "jjolie all $SYS/something",
        "a all loc/test/#",
        "a all $SYS/broker/log/+",
        "su1 all mega/secret",
        "nop all mega/secret",
    ] {
        acl(&subject, &format!("allow {rule}"));
    }
    subject
}

#[test]
fn acl_test_answers_the_permission_matrix() {
    let subject = matrix_gateway();
    for (user, row) in MATRIX {
        for (topic, permitted) in TOPICS.iter().zip(row) {
            for access in ["subscribe", "receive", "read"] {
                let answer = subject.command(&["acl", "test", user, access, topic]);
                assert_eq!(answer.code, if permitted { 0 } else { 3 }, "{user} {access} {topic}: {answer:?}");
                assert!(answer.out.contains(if permitted { "allow" } else { "deny" }), "{answer:?}");
            }
            // Publishing below $SYS is nobody's.
            let permitted = permitted && !topic.starts_with('$');
            for access in ["write", "publish", "all"] {
                let answer = subject.command(&["acl", "test", user, access, topic]);
                assert_eq!(answer.code, if permitted { 0 } else { 3 }, "{user} {access} {topic}: {answer:?}");
            }
        }
    }
}

#[test]
fn acl_test_needs_no_running_gateway() {
    let subject = matrix_gateway();
    subject.signal(rustix::process::Signal::TERM);
    subject.wait();
    subject.command(&["acl", "test", "jjolie", "write", "loc/jjolie"]).exits(0);
    subject.command(&["acl", "test", "jjolie", "write", "loc/a"]).exits(3);
    subject.command(&["acl", "test", "never-heard-of", "write", "loc/a"]).exits(3);
}

#[test]
fn the_wire_answers_the_permission_matrix() {
    let subject = matrix_gateway();
    for (user, row) in MATRIX.into_iter().filter(|(user, _)| *user != "nop") {
        let mut client = v5(&subject, user);
        for (topic, permitted) in TOPICS.iter().zip(row) {
            let expected = if permitted { 0 } else { 0x87 };
            assert_eq!(
                client.subscribe_all(&Subscribe::to(topic, 0)),
                [expected],
                "{user} subscribes {topic}"
            );
            client.unsubscribe(&[topic]);
            if !topic.starts_with('$') {
                assert_eq!(client.say(topic, "x"), expected, "{user} publishes {topic}");
            }
        }
    }
    assert_eq!(subject.refuse(&Connect::v5("x").login("nop", PASSWORD)).code, 0x86);
}

#[test]
fn acl_test_puts_the_client_identifier_into_patterns() {
    let subject = gateway();
    acl(&subject, "allow alice write dev/%c/x");
    subject.command(&["acl", "test", "alice", "write", "dev/7/x", "--client-id", "7"]).exits(0);
    subject.command(&["acl", "test", "alice", "write", "dev/7/x", "--client-id", "8"]).exits(3);
    subject.command(&["acl", "test", "alice", "write", "dev/7/x"]).exits(3);
}
