//! A clock that is not set: clients that show a certificate wait for it, others do not.

use std::process::Command;

use super::{Authority, Dialer, REQUIRED, accept, gateway_with, reject, tls_client::recorded};
use crate::support::{Connect, Subject};

#[test]
fn while_the_clock_is_not_set_no_certificate_of_a_client_is_taken_and_clients_without_one_are_served() {
    let home = tempfile::tempdir().expect("a directory");
    let clock = home.path().join("clock");
    std::fs::write(&clock, "@2001-01-01 00:00:00").expect("write");
    let authority = Authority::new("home");
    let optional = REQUIRED.replace("required", "optional");
    let subject = gateway_with(Subject::with().clock(&clock), &authority, &optional);
    let lamp = authority.client("lamp");
    let _without = accept(&subject, &Dialer::new(&authority), &Connect::v5("without"));
    reject(&subject, &Dialer::showing(&authority, &lamp), &Connect::v5("with"));
    recorded(&subject, &["operation=connect", "the clock of this machine is not set"]);

    std::fs::write(&clock, "+0").expect("write");
    let _with = accept(&subject, &Dialer::showing(&authority, &lamp), &Connect::v5("with"));
}

#[test]
fn after_a_clock_that_was_years_ahead_it_is_told_how_to_have_certificates_taken_again() {
    let authority = Authority::new("home");
    let lamp = authority.client("lamp");
    let subject = gateway_with(Subject::with(), &authority, REQUIRED);
    drop(accept(&subject, &Dialer::showing(&authority, &lamp), &Connect::v5("before")));
    subject.kill();
    let touch = |when: &str| {
        let line = format!("touch -d '{when}' state/*.db");
        let status = Command::new("sh").args(["-c", &line]).current_dir(subject.directory()).status();
        assert!(status.expect("touch").success());
    };
    touch("2099-01-01");
    subject.start_again();
    reject(&subject, &Dialer::showing(&authority, &lamp), &Connect::v5("with"));
    assert!(subject.log().contains("and was ahead when the gateway wrote: `touch`"), "{}", subject.log());
    subject.kill();
    touch("now");
    subject.start_again();
    let _lamp = accept(&subject, &Dialer::showing(&authority, &lamp), &Connect::v5("with"));
}
