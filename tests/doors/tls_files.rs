//! Files that are not what the configuration says they are: `check` and `run` say which, where, and what to do.

use std::os::unix::fs::PermissionsExt;

use super::{Authority, REQUIRED, gateway, save};
use crate::support::{Subject, eventually};

/// `check` and `run` must refuse: exit status 2, `server.conf:LINE:COLUMN` and the words.
fn refused(subject: &Subject, place: &str, words: &[&str]) {
    for command in ["check", "run"] {
        let answer = subject.command(&[command]).exits(2);
        assert!(answer.err.contains(&format!("server.conf:{place}: `listener.tls.")), "{}", answer.err);
        for word in words {
            assert!(answer.err.contains(word), "{word}: {}", answer.err);
        }
    }
}

#[test]
fn what_is_wrong_with_a_file_is_told_at_its_place_with_what_to_do() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, &format!("{REQUIRED}crl = \"revoked.pem\"\n"));
    let good = authority.server(100);
    let (certificate, key, ca, crl) = ("12:15", "13:7", "14:13", "17:7");
    save(&subject, "revoked.pem", &authority.revoke(&[]));
    subject.command(&["check"]).exits(0);

    std::fs::remove_file(subject.directory().join("server.crt")).unwrap();
    refused(
        &subject,
        certificate,
        &["server.crt cannot be read: No such file", "give the path of a PEM file"],
    );
    save(&subject, "server.crt", &good.key);
    refused(
        &subject,
        certificate,
        &["holds no certificate in PEM form", "it holds PRIVATE KEY: give the other file"],
    );
    save(&subject, "server.crt", &good.certificate.replace("MII", "M!I"));
    refused(&subject, certificate, &["is not PEM"]);
    save(&subject, "server.crt", &authority.server(100).certificate);
    refused(&subject, key, &["is not the key of the certificate in", "made together"]);
    save(
        &subject,
        "server.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    refused(&subject, key, &["holds no private key", "it is encrypted"]);
    good.save(&subject, "server");
    save(&subject, "ca.crt", "hello");
    refused(&subject, ca, &["holds no certificate in PEM form", "-----BEGIN"]);
    save(&subject, "ca.crt", &authority.pem());
    save(&subject, "revoked.pem", &authority.pem());
    refused(&subject, crl, &["holds no list of revoked certificates", "it holds CERTIFICATE"]);
    save(&subject, "revoked.pem", "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n");
    refused(&subject, crl, &["holds a list that is not usable", "version 2"]);
}

#[test]
fn bug_a_certificate_that_every_client_refuses_passed_check_and_doctor() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, &format!("{REQUIRED}crl = \"revoked.pem\"\n"));
    save(&subject, "revoked.pem", &authority.revoke(&[]));
    authority.client("porch").save(&subject, "server");
    let words = ["server.crt is no certificate of a server", "latchgate pki issue NAME --server"];
    refused(&subject, "12:15", &words);
    let doctor = subject.command(&["doctor"]);
    assert!(doctor.code != 0 && words.iter().all(|word| doctor.out.contains(word)), "{doctor:?}");
}

#[test]
fn a_key_that_everybody_can_read_is_warned_of() {
    let subject = gateway(&Authority::new("home"), "");
    assert!(!subject.command(&["check"]).exits(0).out.contains("warning"));
    let key = subject.directory().join("server.key");
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let warned = "every user of this machine can use the private key";
    assert!(subject.command(&["check"]).exits(0).out.contains(warned));
    subject.port();
    eventually("it is in the log", || subject.log().contains(warned).then_some(()));
}

#[test]
fn a_list_of_an_unknown_authority_is_warned_of() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, &format!("{REQUIRED}crl = \"revoked.pem\"\n"));
    save(&subject, "revoked.pem", &Authority::new("elsewhere").revoke(&[]));
    let answer = subject.command(&["check"]).exits(0);
    assert!(answer.out.contains("the list of CN=elsewhere is of none of the authorities"), "{answer:?}");
}

#[test]
fn commands_that_need_no_certificate_do_not_read_any() {
    let subject = gateway(&Authority::new("home"), "");
    std::fs::remove_file(subject.directory().join("server.key")).unwrap();
    subject.command(&["acl", "allow", "lamp", "read", "a"]).exits(0);
    subject.command(&["user", "list"]).exits(0);
}
