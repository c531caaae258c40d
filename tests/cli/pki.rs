//! `pki`: what it issues, judged by Debian's openssl.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::support::subject::{Answer, latchgate};
use super::support::{eventually, subject};

/// Runs `latchgate pki` in a directory; words are separated by single spaces.
fn pki(place: &Path, line: &str) -> Answer {
    let words: Vec<_> = ["pki"].into_iter().chain(line.split(' ')).collect();
    latchgate(place, &words, "")
}

fn openssl(place: &Path, line: &str) -> Output {
    Command::new("openssl")
        .args(line.split(' '))
        .current_dir(place)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is installed")
}

/// What openssl printed; it must have been content.
fn told(place: &Path, line: &str) -> String {
    let output = openssl(place, line);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{line}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// What openssl complained about.
fn refused(place: &Path, line: &str) -> String {
    let output = openssl(place, line);
    assert!(!output.status.success(), "{line} is content");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn authority() -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a temporary directory");
    pki(place.path(), "init --name Home").exits(0);
    place
}

fn listed(place: &Path) -> Vec<Value> {
    let answer = pki(place, "show --all --json").exits(0);
    let list: Value = serde_json::from_str(&answer.out).expect("--json prints JSON");
    list["certificates"].as_array().expect("a list").clone()
}

#[test]
fn openssl_accepts_the_chain_for_its_purpose_and_for_no_other() {
    let place = authority();
    let place = place.path();
    pki(place, "issue gateway --server --san gateway.example 192.168.1.5 --san ::1").exits(0);
    pki(place, "issue lamp").exits(0);
    pki(place, "issue cloud --bridge").exits(0);
    let verify = "verify -x509_strict -CAfile pki/ca.crt -purpose";
    for (purpose, name) in [("sslserver", "gateway"), ("sslclient", "lamp"), ("sslclient", "cloud")] {
        told(place, &format!("{verify} {purpose} pki/issued/{name}.crt"));
    }
    for (purpose, name) in [("sslclient", "gateway"), ("sslserver", "lamp"), ("crlsign", "lamp")] {
        refused(place, &format!("{verify} {purpose} pki/issued/{name}.crt"));
    }
    for name in ["-verify_hostname gateway.example", "-verify_ip 192.168.1.5", "-verify_ip ::1"] {
        told(place, &format!("verify -CAfile pki/ca.crt {name} pki/issued/gateway.crt"));
    }
    refused(place, "verify -CAfile pki/ca.crt -verify_hostname other.example pki/issued/gateway.crt");
    // Nobody else's authority.
    pki(place, "--dir other init").exits(0);
    refused(place, "verify -CAfile other/ca.crt pki/issued/lamp.crt");
}

#[test]
fn the_extensions_are_as_the_standard_has_them() {
    let place = authority();
    let place = place.path();
    pki(place, "issue gateway --server --san gateway.example 10.0.0.1 --days 90").exits(0);
    let text = told(place, "x509 -noout -text -in pki/issued/gateway.crt");
    for words in [
        "Issuer: CN = Home",
        "Subject: CN = gateway",
        "ASN1 OID: prime256v1",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Key Usage: critical\n                Digital Signature",
        "TLS Web Server Authentication\n",
        "DNS:gateway.example, IP Address:10.0.0.1",
        "X509v3 Authority Key Identifier",
        "X509v3 Subject Key Identifier",
    ] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
    told(place, "x509 -noout -checkend 7689600 -in pki/issued/gateway.crt");
    refused(place, "x509 -noout -checkend 7862400 -in pki/issued/gateway.crt");
    let text = told(place, "x509 -noout -text -in pki/ca.crt");
    for words in ["CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign"] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
}

#[test]
fn keys_are_private_whatever_the_umask_and_are_never_overwritten_unasked() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let place = place.path();
    let script = format!("umask 000; {0} pki init && {0} pki issue lamp", subject::EXECUTABLE);
    let status = Command::new("sh").args(["-c", &script]).current_dir(place).stdout(Stdio::null()).status();
    assert!(status.expect("sh runs").success());
    for key in ["pki/ca.key", "pki/issued/lamp.key"] {
        let mode = place.join(key).metadata().expect("the key is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let files = || -> Vec<_> {
        ["ca.key", "ca.crt", "issued/lamp.key", "issued/lamp.crt"]
            .map(|file| std::fs::read(place.join("pki").join(file)).expect("the file is there"))
            .into()
    };
    let before = files();
    for line in ["init", "issue lamp", "issue lamp --server --san a.example"] {
        let answer = pki(place, line).exits(1);
        assert!(answer.err.contains("--force"), "{line}: {answer:?}");
    }
    assert_eq!(files(), before);
}

#[test]
fn a_renewed_certificate_has_the_same_key_and_the_revoked_one_is_on_the_list() {
    let place = authority();
    let place = place.path();
    pki(place, "issue lamp --days 10").exits(0);
    let key = "x509 -noout -pubkey -in pki/issued/lamp.crt";
    let (before, old) =
        (told(place, key), std::fs::read(place.join("pki/issued/lamp.crt")).expect("it is there"));
    std::fs::write(place.join("old.crt"), &old).expect("write");
    let answer = pki(place, "renew").exits(0);
    assert!(answer.out.contains("lamp"), "{answer:?}");
    assert_eq!(told(place, key), before);
    assert_ne!(std::fs::read(place.join("pki/issued/lamp.crt")).expect("it is there"), old);
    let verify = "verify -crl_check -CAfile pki/ca.crt -CRLfile pki/revoked.pem";
    told(place, "crl -noout -CAfile pki/ca.crt -in pki/revoked.pem");
    told(place, &format!("{verify} old.crt"));
    pki(place, "revoke lamp --replaced").exits(0);
    assert!(refused(place, &format!("{verify} old.crt")).contains("revoked"));
    told(place, &format!("{verify} pki/issued/lamp.crt"));
    pki(place, "revoke lamp").exits(0);
    assert!(refused(place, &format!("{verify} pki/issued/lamp.crt")).contains("revoked"));
    let text = told(place, "crl -noout -text -in pki/revoked.pem");
    assert_eq!(text.matches("Serial Number").count(), 2, "{text}");
    for one in listed(place) {
        let serial = one["serial"].as_str().expect("a serial number").to_uppercase();
        assert!(text.contains(&serial), "{serial} is not in:\n{text}");
        assert_eq!(one["state"], "revoked");
    }
    pki(place, "renew lamp").exits(1);
}

#[test]
fn only_the_key_is_taken_from_a_device_s_request() {
    let place = authority();
    let place = place.path();
    let ask = "-subj /CN=admin -addext subjectAltName=DNS:bank.example -addext basicConstraints=CA:TRUE -out device.csr";
    for new in
        ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-256", "ec -pkeyopt ec_paramgen_curve:P-384", "ed25519"]
    {
        told(place, &format!("req -new -newkey {new} -nodes -keyout device.key {ask}"));
        pki(place, "issue lamp --force --csr device.csr").exits(0);
        told(place, "verify -purpose sslclient -CAfile pki/ca.crt pki/issued/lamp.crt");
        let text = told(place, "x509 -noout -text -in pki/issued/lamp.crt");
        assert!(text.contains("Subject: CN = lamp") && text.contains("CA:FALSE"), "{text}");
        assert!(!text.contains("admin") && !text.contains("bank.example"), "{text}");
        let public = told(place, "pkey -pubout -in device.key");
        assert_eq!(told(place, "x509 -noout -pubkey -in pki/issued/lamp.crt"), public, "{new}");
        pki(place, "renew lamp").exits(0);
        assert_eq!(told(place, "x509 -noout -pubkey -in pki/issued/lamp.crt"), public, "{new}");
        assert!(!place.join("pki/issued/lamp.key").exists());
    }
    told(place, &format!("req -new -newkey rsa:1024 -nodes -keyout device.key {ask}"));
    let answer = pki(place, "issue weak --csr device.csr").exits(1);
    assert!(answer.err.contains("1024"), "{answer:?}");
    std::fs::copy(place.join("pki/ca.crt"), place.join("device.csr")).expect("copy");
    pki(place, "issue weak --csr device.csr").exits(1);
    assert!(listed(place).iter().all(|one| one["name"] == "lamp"));
}

#[test]
fn what_show_says_of_a_file_is_what_openssl_says() {
    let place = authority();
    let place = place.path();
    pki(place, "issue gateway --server --san gateway.example").exits(0);
    let answer = pki(place, "show pki/issued/gateway.crt --json").exits(0);
    let shown: Value = serde_json::from_str(&answer.out).expect("--json prints JSON");
    let fingerprint = told(place, "x509 -noout -fingerprint -sha256 -in pki/issued/gateway.crt");
    let fingerprint =
        fingerprint.trim().rsplit('=').next().expect("a fingerprint").replace(':', "").to_lowercase();
    assert_eq!(shown[0]["fingerprint"], fingerprint.as_str());
    let serial = told(place, "x509 -noout -serial -in pki/issued/gateway.crt").trim().to_lowercase();
    assert_eq!(format!("serial={}", shown[0]["serial"].as_str().expect("a serial")), serial);
    // An authority and a certificate that openssl made are shown too.
    told(place, "req -x509 -newkey rsa:2048 -nodes -keyout x.key -out x.crt -days 5 -subj /O=Org/CN=other");
    let answer = pki(place, "show x.crt").exits(0);
    assert!(answer.out.contains("O=Org, CN=other") && answer.out.contains("RSA 2048"), "{answer:?}");
    assert!(["4", "5"].iter().any(|days| answer.out.contains(&format!("{days} day(s) left"))), "{answer:?}");
}

/// A process that is stopped when the test ends.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn openssl_s_client_and_server_shake_hands_with_the_issued_pairs() {
    let place = authority();
    let place = place.path();
    pki(place, "issue localhost --server").exits(0);
    pki(place, "issue lamp").exits(0);
    for (at, version) in ["-tls1_2", "-tls1_3"].into_iter().enumerate() {
        let port = subject::free_port();
        let log = format!("server{at}.log");
        let server = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                &format!("127.0.0.1:{port}"),
                "-www",
                "-Verify",
                "1",
                "-verify_return_error",
            ])
            .args([
                "-CAfile",
                "pki/ca.crt",
                "-cert",
                "pki/issued/localhost.crt",
                "-key",
                "pki/issued/localhost.key",
            ])
            .current_dir(place)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(place.join(&log)).expect("a log"))
            .stderr(Stdio::null())
            .spawn()
            .map(Running)
            .expect("openssl is installed");
        eventually("s_server listens", || TcpListener::bind(("127.0.0.1", port)).is_err().then_some(()));
        let connect = format!(
            "s_client -connect 127.0.0.1:{port} {version} -CAfile pki/ca.crt -verify_hostname localhost -verify_return_error"
        );
        eventually("a handshake", || {
            let output =
                openssl(place, &format!("{connect} -cert pki/issued/lamp.crt -key pki/issued/lamp.key"));
            String::from_utf8_lossy(&output.stdout).contains("Verify return code: 0 (ok)").then_some(())
        });
        drop(server);
    }
}

#[test]
fn commands_at_the_same_time_lose_nothing() {
    let place = authority();
    let place = place.path();
    std::thread::scope(|scope| {
        for name in 0..8 {
            scope.spawn(move || pki(place, &format!("issue device{name}")).exits(0));
        }
    });
    assert_eq!(listed(place).len(), 8);
}
