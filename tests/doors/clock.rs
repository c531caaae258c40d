//! A clock that is not set: clients that show a certificate wait for it, others do not.

use std::process::Command;

use super::{Authority, Dialer, REQUIRED, accept, gateway_with, reject, save, tls_client::recorded};
use crate::support::{BOUND, Connect, Packet, Subject};

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

/// What was a good certificate when it was shown is one, whatever the clock says later; and nobody comes in by one meanwhile, nor by a
/// session that is resumed.
#[test]
fn a_clock_that_goes_astray_ends_no_connection_and_lets_no_certificate_in_until_it_is_back() {
    let home = tempfile::tempdir().expect("a directory");
    let clock = home.path().join("clock");
    std::fs::write(&clock, "+0").expect("write");
    let authority = Authority::new("home");
    let crl = format!("{REQUIRED}crl = \"revoked.pem\"\n");
    let subject = gateway_with(Subject::with().clock(&clock), &authority, &crl);
    save(&subject, "revoked.pem", &authority.revoke(&[]));
    let (lamp, fan) = (authority.client("lamp"), authority.client("fan"));
    let dialer = Dialer::showing(&authority, &lamp);
    let mut stays = accept(&subject, &dialer, &Connect::v5("stays"));
    let mut goes = accept(&subject, &Dialer::showing(&authority, &fan), &Connect::v5("goes"));

    std::fs::write(&clock, "@2001-01-01 00:00:00").expect("write");
    reject(&subject, &Dialer::showing(&authority, &lamp), &Connect::v5("new"));
    reject(&subject, &dialer.again(), &Connect::v5("resumed"));
    recorded(&subject, &["operation=connect", "the clock of this machine is not set"]);
    // The files are read again, so that everyone is looked at anew.
    save(&subject, "revoked.pem", &authority.revoke(&[&fan]));
    goes.set_read_timeout(BOUND);
    assert!(
        matches!(goes.read(), Packet::Disconnect { code: 0x87, .. }),
        "what was revoked ends all the same"
    );
    stays.ping();

    std::fs::write(&clock, "+0").expect("write");
    let _new = accept(&subject, &Dialer::showing(&authority, &lamp), &Connect::v5("new"));
    stays.ping();
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
    touch("now + 2 years");
    subject.start_again();
    reject(&subject, &Dialer::showing(&authority, &lamp), &Connect::v5("with"));
    assert!(subject.log().contains("and was ahead when the gateway wrote: `touch`"), "{}", subject.log());
    subject.kill();
    touch("now");
    subject.start_again();
    let _lamp = accept(&subject, &Dialer::showing(&authority, &lamp), &Connect::v5("with"));
}
