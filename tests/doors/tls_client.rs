//! Certificates of clients: who is let in by one, and as whom.

use super::{
    Authority, Dialer, REQUIRED, accept, explain, gateway, gateway_with, reject, save, tunnel::BOTH,
};
use crate::support::packet::VERSIONS;
use crate::support::{Connect, Packet, Subject, Version, eventually};

/// Waits for a record of the audit log that holds all of the words.
pub fn recorded(subject: &Subject, words: &[&str]) {
    eventually(&format!("a record with {words:?}"), || {
        let log = subject.log();
        let mut records = log.lines().filter(|line| line.contains("audit: refused"));
        records.any(|line| words.iter().all(|word| line.contains(word))).then_some(())
    });
}

pub fn is_user(subject: &Subject, client: &str, user: &str, login: &str) {
    let answer = explain(subject, client);
    assert!(answer.out.contains(&format!("any/topic by {user} as client")), "{answer:?}");
    assert!(answer.out.contains(login), "{answer:?}");
}

#[test]
fn a_required_certificate_is_the_login_in_every_version() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, REQUIRED);
    let lamp = authority.client("lamp");
    for tls in BOTH {
        for version in VERSIONS {
            let dialer = Dialer::with(&authority, Some(&lamp), &[tls], &[]);
            let mut client = accept(&subject, &dialer, &Connect::new(version, "c"));
            is_user(&subject, "c", "lamp", "logged in with a certificate");
            client.nothing_arrives();
            client.disconnect();
            reject(&subject, &Dialer::with(&authority, None, &[tls], &[]), &Connect::new(version, "c"));
        }
    }
    recorded(&subject, &["operation=connect", "the client showed no certificate"]);
}

#[test]
fn an_optional_certificate_is_the_login_of_those_who_show_one() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, &REQUIRED.replace("required", "optional"));
    let _with =
        accept(&subject, &Dialer::showing(&authority, &authority.client("lamp")), &Connect::v5("with"));
    let _without = accept(&subject, &Dialer::new(&authority), &Connect::v5("without"));
    is_user(&subject, "with", "lamp", "logged in with a certificate");
    is_user(&subject, "without", "guest", "without a login");
    // One that is shown must be right.
    let stranger = Authority::new("elsewhere").client("lamp");
    reject(&subject, &Dialer::showing(&authority, &stranger), &Connect::v5("stranger"));
}

#[test]
fn a_certificate_that_nobody_asks_for_changes_nothing() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, "");
    let _client =
        accept(&subject, &Dialer::showing(&authority, &authority.client("lamp")), &Connect::v5("c"));
    is_user(&subject, "c", "guest", "without a login");
}

#[test]
fn a_certificate_may_be_needed_without_being_the_login() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, &REQUIRED.replace("common-name", "none"));
    subject.command_with_input(&["user", "add", "ann", "--password-stdin"], "secret\n").exits(0);
    let dialer = Dialer::showing(&authority, &authority.client("lamp"));
    let _ann = accept(&subject, &dialer, &Connect::v5("ann").login("ann", "secret"));
    is_user(&subject, "ann", "ann", "logged in with a password");
    let (_, code) = dialer.connect(subject.port(), &Connect::v5("x").login("ann", "wrong")).unwrap();
    assert_eq!(code, 0x86);
}

#[test]
fn the_whole_subject_may_be_the_user_name() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, &REQUIRED.replace("common-name", "subject"));
    let _client =
        accept(&subject, &Dialer::showing(&authority, &authority.client("lamp")), &Connect::v5("c"));
    // Its parts in the order in which they were put in are CN and O; the last comes first.
    is_user(&subject, "c", r"O=Home\, Inc.,CN=lamp", "logged in with a certificate");
}

#[test]
fn a_certificate_of_another_authority_out_of_date_or_revoked_is_refused_with_a_record() {
    let authority = Authority::new("home");
    let lost = authority.client("lost");
    let subject = gateway(&authority, &format!("{REQUIRED}crl = \"revoked.pem\"\n"));
    save(&subject, "revoked.pem", &authority.revoke(&[&lost]));
    for (pair, why) in [
        (
            &Authority::new("elsewhere").client("lamp"),
            "the certificate is from none of the authorities in client_ca",
        ),
        (&authority.client_for("lamp", -2), "the certificate has expired"),
        (&lost, "the certificate was revoked"),
        (&authority.server(100), "the certificate is not one for clients"),
    ] {
        for tls in BOTH {
            let dialer = Dialer::with(&authority, Some(pair), &[tls], &[]);
            reject(&subject, &dialer, &Connect::v5("c"));
        }
        recorded(&subject, &["operation=connect", "stage=listener", why]);
    }
    accept(&subject, &Dialer::showing(&authority, &authority.client("lamp")), &Connect::v5("c")).ping();
}

#[test]
fn a_certificate_whose_authority_has_no_list_is_refused_where_there_are_lists() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, &format!("{REQUIRED}crl = \"revoked.pem\"\n"));
    save(&subject, "revoked.pem", &Authority::new("elsewhere").revoke(&[]));
    reject(&subject, &Dialer::showing(&authority, &authority.client("lamp")), &Connect::v5("c"));
    recorded(&subject, &["crl has no list of the certificate's authority"]);
}

#[test]
fn a_user_name_or_password_brought_beside_the_certificate_is_ignored() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, REQUIRED);
    let dialer = Dialer::showing(&authority, &authority.client("lamp"));
    for connect in [
        Connect::v5("c").login("admin", "x"),
        Connect::v311("c").user("admin"),
        Connect::new(Version::V31, "c").login("lamp", ""),
    ] {
        let client = accept(&subject, &dialer.again(), &connect);
        is_user(&subject, "c", "lamp", "logged in with a certificate");
        client.disconnect();
    }
}

#[test]
fn a_certificate_login_is_under_the_rules_of_its_name_and_needs_no_account() {
    let authority = Authority::new("home");
    let subject = gateway_with(Subject::with().without_rules(), &authority, REQUIRED);
    subject.command(&["acl", "allow", "lamp", "write", "lamp/%c"]).exits(0);
    let mut lamp =
        accept(&subject, &Dialer::showing(&authority, &authority.client("lamp")), &Connect::v5("1"));
    let mut fan = accept(&subject, &Dialer::showing(&authority, &authority.client("fan")), &Connect::v5("2"));
    assert_eq!((lamp.say("lamp/1", "x"), lamp.say("lamp/2", "x"), fan.say("lamp/2", "x")), (0, 0x87, 0x87));
    recorded(&subject, &["user=\"fan\"", "operation=publish", "logged in with a certificate"]);
}

#[test]
fn a_disabled_account_keeps_its_certificate_out_and_ends_live_connections() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, REQUIRED);
    subject.command_with_input(&["user", "add", "lamp", "--password-stdin"], "secret\n").exits(0);
    let dialer = Dialer::showing(&authority, &authority.client("lamp"));
    let mut new = accept(&subject, &dialer, &Connect::v5("new"));
    let mut old = accept(&subject, &dialer.again(), &Connect::v311("old"));
    subject.command(&["user", "disable", "lamp"]).exits(0);
    match new.read() {
        Packet::Disconnect { code: 0x87, .. } => {}
        other => panic!("{other:?}"),
    }
    old.expect_closed();
    for (connect, expected) in [(Connect::v5("new"), 0x87), (Connect::v311("old"), 5)] {
        let (_, code) = dialer.again().connect(subject.port(), &connect).unwrap();
        assert_eq!(code, expected);
    }
    recorded(&subject, &["the account is disabled", "login=\"logged in with a certificate\""]);
}

#[test]
fn a_common_name_that_means_something_else_in_rules_is_no_login() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, REQUIRED);
    for name in ["role:admin", "bridge:cloud", "*", ""] {
        let dialer = Dialer::showing(&authority, &authority.client(name));
        for (connect, expected) in [(Connect::v5("c"), 0x87), (Connect::v311("c").login("admin", "x"), 5)] {
            let (_, code) = dialer.again().connect(subject.port(), &connect).unwrap();
            assert_eq!(code, expected, "{name:?}");
        }
    }
    recorded(&subject, &["the certificate holds nothing that can be a user name"]);
}
