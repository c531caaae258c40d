//! CONNECT: who may come in.

use super::{PASSWORD, acl, add_user, gateway, gateway_with, login, within_a_second};
use crate::support::packet::VERSIONS;
use crate::support::{Client, Connect, Packet, Subject, Version, Will};

/// The CONNACK code of a refusal in this version.
fn code(version: Version, v3: u8, v5: u8) -> u8 {
    if version == Version::V5 { v5 } else { v3 }
}

#[test]
fn the_right_password_is_accepted_and_a_wrong_one_answered_4_or_0x86() {
    let subject = gateway();
    subject
        .command_with_input(&["user", "add", "alice", "--password-stdin"], &format!("{PASSWORD}\n"))
        .exits(0);
    for version in VERSIONS {
        subject.accept(&login(version, "alice")).ping();
        for wrong in ["", "wrong", &PASSWORD[1..], &format!("{PASSWORD} ")] {
            let connack = subject.refuse(&Connect::new(version, "x").login("alice", wrong));
            assert_eq!(connack.code, code(version, 4, 0x86), "{version:?} {wrong:?}");
        }
    }
}

#[test]
fn an_unknown_user_is_answered_like_a_wrong_password() {
    let subject = gateway();
    add_user(&subject, "alice");
    for version in VERSIONS {
        for name in ["nobody", "Alice", "alice ", "*", "role:x", "guest"] {
            let connack = subject.refuse(&Connect::new(version, "x").login(name, PASSWORD));
            assert_eq!(connack.code, code(version, 4, 0x86), "{version:?} {name:?}");
        }
    }
}

#[test]
fn a_name_without_password_is_not_a_login() {
    let subject = gateway();
    add_user(&subject, "alice");
    for version in VERSIONS {
        let connack = subject.refuse(&Connect::new(version, "x").user("alice"));
        assert_eq!(connack.code, code(version, 4, 0x86));
    }
}

#[test]
fn an_account_without_password_cannot_log_in() {
    let subject = gateway();
    acl(&subject, "allow nop all mega/secret");
    let connack = subject.refuse(&Connect::v5("x").login("nop", ""));
    assert_eq!(connack.code, 0x86);
}

#[test]
fn a_disabled_user_is_refused_and_welcome_again_when_enabled() {
    let subject = gateway();
    add_user(&subject, "alice");
    subject.command(&["user", "disable", "alice"]).exits(0);
    for version in VERSIONS {
        let connack = within_a_second("alice is refused", || {
            let (_, connack) = crate::support::Client::connect(subject.port(), &login(version, "alice"));
            (connack.code != 0).then_some(connack)
        });
        let expected: &[u8] = if version == Version::V5 { &[0x86, 0x87] } else { &[4, 5] };
        assert!(expected.contains(&connack.code), "{version:?} {connack:?}");
    }
    subject.command(&["user", "enable", "alice"]).exits(0);
    within_a_second("alice is welcome", || {
        let (_, connack) = crate::support::Client::connect(subject.port(), &login(Version::V5, "alice"));
        (connack.code == 0).then_some(())
    });
}

#[test]
fn a_client_without_a_name_has_the_listeners_anonymous_name() {
    let subject = gateway();
    acl(&subject, "allow guest all public/#");
    let mut client = subject.v5("nameless");
    client.subscribe("public/x", 1);
    assert_eq!(client.say("public/x", "hello"), 0);
    assert_eq!(client.receive().text(), "hello");
    assert_eq!(client.say("private/x", "hello"), 0x87);
}

#[test]
fn without_an_anonymous_name_a_client_without_a_name_is_refused() {
    let subject = gateway_with(Subject::with().listener("# no anonymous name"));
    for version in VERSIONS {
        let connack = subject.refuse(&Connect::new(version, "nameless"));
        let expected: &[u8] = if version == Version::V5 { &[0x86, 0x87] } else { &[4, 5] };
        assert!(expected.contains(&connack.code), "{version:?} {connack:?}");
    }
}

#[test]
fn the_anonymous_name_is_no_account_to_log_in_with() {
    let subject = gateway();
    for password in ["", "guest"] {
        assert_eq!(subject.refuse(&Connect::v5("x").login("guest", password)).code, 0x86);
    }
}

#[test]
fn a_will_that_may_not_be_published_is_refused_at_connect() {
    let subject = gateway();
    add_user(&subject, "alice");
    acl(&subject, "allow alice write allowed");
    for version in VERSIONS {
        let refused = login(version, "alice").will(Will::new("forbidden", "x"));
        let connack = subject.refuse(&refused);
        assert_eq!(connack.code, code(version, 5, 0x87), "{version:?}");
        let permitted = login(version, "alice").will(Will::new("allowed", "x"));
        subject.accept(&permitted).disconnect();
    }
}

#[test]
fn a_refused_will_is_explained_by_a_reason_string() {
    let subject = gateway();
    let (mut client, connack) =
        crate::support::Client::connect(subject.port(), &Connect::v5("x").will(Will::new("forbidden", "x")));
    assert_eq!(connack.code, 0x87);
    let reason = crate::support::property::one(&connack.properties, crate::support::property::REASON_STRING);
    assert!(reason.is_some(), "{connack:?}");
    client.expect_closed();
}

#[test]
fn a_will_whose_right_was_lost_meanwhile_is_not_sent() {
    let subject = gateway();
    add_user(&subject, "alice");
    acl(&subject, "allow alice write last/words");
    acl(&subject, "allow guest read last/#");
    let mut watcher = subject.v5("watcher");
    watcher.subscribe("last/#", 1);
    let mut alice = subject.accept(&login(Version::V5, "alice").will(Will::new("last/words", "x")));
    acl(&subject, "remove alice write last/words");
    within_a_second("alice may not publish", || (alice.say("last/words", "") == 0x87).then_some(()));
    while let Ok(Packet::Publish(message)) = {
        watcher.ping();
        watcher.set_read_timeout(std::time::Duration::from_millis(1));
        watcher.try_read()
    } {
        watcher.acknowledge(&message);
    }
    watcher.set_read_timeout(crate::support::BOUND);
    alice.drop_connection();
    // The next connection of the name begins after the will was decided.
    subject.accept(&login(Version::V5, "alice")).disconnect();
    watcher.nothing_arrives();
}

#[test]
fn a_stored_legacy_form_is_verified_and_rewritten_at_the_first_login() {
    let subject = gateway();
    subject.command(&["user", "add", "old", "--hash", LEGACY]).exits(0);
    assert_eq!(subject.refuse(&Connect::v5("x").login("old", "wrong")).code, 0x86);
    assert_eq!(stored_form(&subject, "old"), LEGACY);
    let mut first = subject.accept(&Connect::v5("first").login("old", "password"));
    crate::support::eventually("the stored form is ours", || {
        (stored_form(&subject, "old") != LEGACY).then_some(())
    });
    subject.accept(&Connect::v5("second").login("old", "password")).ping();
    // An upgrade is no change of the password: the live session stays.
    first.ping();
    first.nothing_arrives();
}

/// The stored password of a user, as the database holds it.
fn stored_form(subject: &Subject, user: &str) -> String {
    let database = subject.directory().join("state/accounts.db");
    let database = rusqlite::Connection::open(database).expect("the database opens");
    let hash = database.query_row("SELECT hash FROM user WHERE name = ?1", [user], |row| row.get(0));
    hash.expect("the account has a password")
}

/// An older PBKDF2 form of "password": digest, 901 rounds, salt taken as text, key of 24 bytes.
const LEGACY: &str = "PBKDF2$sha256$901$x9wXPTyOTV/bqmyx$Lzb8fwEp9z+3uGpRrMUj9mygIgo7AUNG";

#[test]
fn the_session_of_a_removed_account_does_not_hold_its_client_identifier() {
    let subject = gateway();
    subject.command(&["user", "add", "old", "--hash", LEGACY]).exits(0);
    subject.command(&["user", "add", "new", "--hash", LEGACY]).exits(0);
    subject.accept(&Connect::v5("dev1").login("old", "password").keep_session()).drop_connection();
    let newcomer = Connect::v5("dev1").login("new", "password").keep_session();
    assert_eq!(subject.refuse(&newcomer).code, 0x87);
    subject.command(&["user", "remove", "old"]).exits(0);
    crate::support::eventually("the identifier is free", || {
        let (_, connack) = Client::connect(subject.port(), &newcomer);
        assert!(!connack.session_present);
        (connack.code == 0).then_some(())
    });
}

#[test]
fn every_refused_connect_is_one_record() {
    let subject = gateway();
    subject.command(&["user", "add", "old", "--hash", LEGACY]).exits(0);
    subject.accept(&Connect::v5("dev1").login("old", "password").keep_session()).drop_connection();
    subject.refuse(&Connect::v5("dev1"));
    subject.refuse(&Connect::v5("dev2").with(crate::support::property::authentication_method("x")));
    let log = subject.log();
    for client in ["dev1", "dev2"] {
        let records = log.lines().filter(|line| line.contains("audit: refused") && line.contains(client));
        assert_eq!(records.count(), 1, "{client}: {log}");
    }
}
