//! TLS with required client certificates, passwords; and files that change.

use std::{fs, path::Path};

use crate::cloud::Cloud;
use crate::support::subject::free_port;
use crate::support::{Publish, Subject, eventually, subject::latchgate};
use crate::{ledger, route, status, until_connected, until_drained};

/// Makes an authority, a server and a client certificate in a directory.
pub fn certificates(directory: &Path) {
    latchgate(directory, &["pki", "init", "--dir", "pki"], "").exits(0);
    latchgate(directory, &["pki", "issue", "localhost", "--server", "--dir", "pki"], "").exits(0);
    latchgate(directory, &["pki", "issue", "b8_broker", "--dir", "pki"], "").exits(0);
}

pub fn section(port: u16, pki: &Path, more: &str) -> String {
    let pki = pki.display();
    format!(
        "[[bridge]]\nname = 'cloud'\naddress = 'mqtts://localhost:{port}'\nclient_id = 'b8_broker'\nretry_min = '50ms'\n\
         retry_max = '200ms'\n{more}\n[bridge.tls]\nca = '{pki}/ca.crt'\ncertificate = '{pki}/issued/b8_broker.crt'\n\
         key = '{pki}/issued/b8_broker.key'\n{}",
        route("t", "out", 1)
    )
}

/// Mosquitto with TLS that requires client certificates, and whose users are these.
pub fn cloud(pki: &Path) -> (Cloud, u16) {
    let port = free_port();
    let pki = pki.display();
    let lines = format!(
        "listener {port} 127.0.0.1\ncafile {pki}/ca.crt\ncertfile {pki}/issued/localhost.crt\nkeyfile {pki}/issued/localhost.key\n\
         require_certificate true\nuse_identity_as_username true\nallow_anonymous false"
    );
    (Cloud::start(&format!("per_listener_settings true\n{lines}")), port)
}

#[test]
fn a_cloud_that_requires_certificates_lets_the_bridge_in() {
    let home = tempfile::tempdir().expect("a directory");
    certificates(home.path());
    let pki = home.path().join("pki");
    let (_cloud, port) = cloud(&pki);
    let subject = Subject::with().gateway("id = 'b8'").section(&section(port, &pki, "")).start();
    until_connected(&subject);
    subject.v5("sensor").publish(Publish::to("t").qos(1).payload("x"));
    assert_eq!(until_drained(&subject)["delivered"], 1);
}

#[test]
fn an_authority_that_is_not_ours_is_not_trusted_and_a_new_file_mends_it() {
    let (home, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    certificates(home.path());
    certificates(other.path());
    let pki = home.path().join("pki");
    let (_cloud, port) = cloud(&pki);
    let right = fs::read(pki.join("ca.crt")).expect("read");
    let mine = other.path().join("mine");
    fs::create_dir_all(mine.join("issued")).expect("make it");
    for file in ["b8_broker.crt", "b8_broker.key"] {
        fs::copy(pki.join("issued").join(file), mine.join("issued").join(file)).expect("copy");
    }
    fs::copy(other.path().join("pki/ca.crt"), mine.join("ca.crt")).expect("copy");
    let subject = Subject::with().gateway("id = 'b8'").section(&section(port, &mine, "")).start();
    eventually("it is refused", || {
        let status = status(&subject);
        status["error"].as_str().is_some_and(|error| error.contains("TLS")).then_some(())
    });
    subject.v5("sensor").publish(Publish::to("t").qos(1).payload("x"));
    assert_eq!(ledger(&subject)["queued"], 1);
    fs::write(mine.join("ca.crt"), right).expect("write");
    assert_eq!(until_drained(&subject)["delivered"], 1);
}

#[test]
fn when_certificates_are_renewed_a_connected_bridge_connects_anew_with_them() {
    let home = tempfile::tempdir().expect("a directory");
    certificates(home.path());
    let pki = home.path().join("pki");
    let (_cloud, port) = cloud(&pki);
    let subject = Subject::with().gateway("id = 'b8'").section(&section(port, &pki, "")).start();
    until_connected(&subject);
    latchgate(home.path(), &["pki", "renew", "b8_broker", "--dir", "pki"], "").exits(0);
    eventually("it connects anew", || {
        subject.log().contains("certificates or passwords have changed").then_some(())
    });
    subject.v5("sensor").publish(Publish::to("t").qos(1).payload("x"));
    assert_eq!(until_drained(&subject)["delivered"], 1);
}

#[test]
fn a_password_comes_from_a_file_and_never_into_the_log() {
    let port = free_port();
    let home = tempfile::tempdir().expect("a directory");
    fs::write(home.path().join("secret"), "hunter22\n").expect("write");
    fs::write(home.path().join("users"), "").expect("write");
    let made = std::process::Command::new("mosquitto_passwd")
        .args(["-b", "users", "b8", "hunter22"])
        .current_dir(home.path())
        .status()
        .expect("mosquitto_passwd");
    assert!(made.success());
    let users = home.path().join("users");
    let lines =
        format!("per_listener_settings true\nlistener {port} 127.0.0.1\npassword_file {}", users.display());
    let _cloud = Cloud::start(&lines);
    let secret = home.path().join("secret");
    let keys = format!("username = '{{gateway.id}}'\npassword_file = '{}'", secret.display());
    let subject = crate::settings(port, &keys, &route("t", "out", 1)).start();
    until_connected(&subject);
    assert!(!subject.log().contains("hunter22"));
}
