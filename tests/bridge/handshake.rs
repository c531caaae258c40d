//! How a connection is begun: WebSocket over TLS, ALPN, SNI, and files that were replaced meanwhile.

use std::{fs, path::Path};

use crate::cloud::Cloud;
use crate::front::{Front, certificate};
use crate::remote::Remote;
use crate::support::subject::{free_port, latchgate};
use crate::support::{Publish, Subject, Version, eventually};
use crate::tls::certificates;
use crate::{ledger, route, status, until_connected, until_drained};

/// A bridge to this address, with these keys and TLS keys besides the files.
fn bridge(address: &str, pki: &Path, keys: &str, tls: &str) -> Subject {
    let pki = pki.display();
    let section = format!(
        "[bridge.tls]\nca = '{pki}/ca.crt'\ncertificate = '{pki}/issued/b8_broker.crt'\n\
         key = '{pki}/issued/b8_broker.key'\n{tls}"
    );
    let section = if address.starts_with("ws:") { "" } else { &section };
    let route = route("t", "both", 2);
    Subject::with()
        .gateway("id = 'b8'")
        .section(&format!(
            "[[bridge]]\nname = 'cloud'\naddress = '{address}'\nclient_id = 'b8_broker'\nretry_min = '50ms'\n\
             retry_max = '200ms'\n{keys}\n{section}\n{route}"
        ))
        .start()
}

/// Messages of all sizes go out, and one comes in.
fn carries(subject: &Subject, cloud: &Cloud, largest: usize, what: &str) {
    until_connected(subject);
    let mut here = subject.v5("sensor");
    for (size, qos) in [(1, 1), (200, 2), (largest / 4, 1), (largest, 2)] {
        here.publish(Publish::to("t").qos(qos).payload(vec![b'x'; size]));
    }
    assert_eq!(until_drained(subject)["delivered"], 4, "{what}");
    here.subscribe("t", 2);
    let mut there = cloud.client("app");
    eventually("something comes in", || {
        there.say("devices/b8/t", "probe");
        (status(subject)["in_published"].as_u64() > Some(0)).then_some(())
    });
    there.publish(Publish::to("devices/b8/t").qos(2).payload(vec![b'y'; largest / 3]));
    eventually("all of it", || (here.receive().payload.len() == largest / 3).then_some(()));
}

#[test]
fn websocket_carries_a_bridge_with_tls_and_without_in_both_versions() {
    let home = tempfile::tempdir().expect("a directory");
    certificates(home.path());
    let pki = home.path().join("pki");
    for (scheme, protocol) in [("wss", "3.1.1"), ("wss", "5"), ("ws", "3.1.1"), ("ws", "5")] {
        let (port, files) = (free_port(), pki.display());
        let tls = format!(
            "cafile {files}/ca.crt\ncertfile {files}/issued/localhost.crt\nkeyfile {files}/issued/localhost.key\n\
             require_certificate true\nuse_identity_as_username true"
        );
        let (lines, largest) = match scheme {
            // Mosquitto sends and takes little at a time there.
            "wss" => (&*tls, 12_000),
            _ => ("allow_anonymous true", 300_000),
        };
        let listener = format!("listener {port} 127.0.0.1\nprotocol websockets\n{lines}");
        let cloud = Cloud::start(&format!("per_listener_settings true\n{listener}"));
        let address = format!("{scheme}://localhost:{port}/mqtt");
        let subject = bridge(&address, &pki, &format!("protocol = '{protocol}'"), "");
        carries(&subject, &cloud, largest, &format!("{scheme} {protocol}"));
    }
}

#[test]
fn the_cloud_is_told_the_protocol_and_the_name_that_are_wanted() {
    let home = tempfile::tempdir().expect("a directory");
    certificates(home.path());
    let pki = home.path().join("pki");
    let cloud = Cloud::start("");
    let front = Front::start(&pki, Some("x-amzn-mqtt-ca"), cloud.port);
    // By an address, with a name that the certificate has.
    let address = format!("mqtts://127.0.0.1:{}", front.port);
    let subject = bridge(&address, &pki, "", "alpn = ['x-amzn-mqtt-ca']\nserver_name = 'localhost'");
    carries(&subject, &cloud, 300_000, "ALPN");
    let visit = front.visits().pop().expect("it was there");
    assert_eq!(
        (visit.name.as_deref(), visit.protocol.as_deref()),
        (Some("localhost"), Some("x-amzn-mqtt-ca"))
    );

    // Whoever names another protocol, or none, or another name than the certificate's, is not let in.
    for tls in [
        "alpn = ['mqtt']\nserver_name = 'localhost'",
        "server_name = 'localhost'",
        "alpn = ['x-amzn-mqtt-ca']\nserver_name = 'elsewhere.example'",
    ] {
        let visits = front.visits().len();
        let subject = bridge(&address, &pki, "", tls);
        subject.v5("sensor").say("t", "x");
        eventually("it is told why", || status(&subject)["error"].is_string().then_some(()));
        assert_eq!(
            (status(&subject)["connected"].as_bool(), front.visits().len()),
            (Some(false), visits),
            "{tls}"
        );
        assert_eq!(ledger(&subject)["queued"], 1);
    }

    // WebSocket is HTTP: that is what it names unless told otherwise.
    let port = free_port();
    let behind = Cloud::start(&format!("listener {port} 127.0.0.1\nprotocol websockets"));
    let front = Front::start(&pki, Some("http/1.1"), port);
    let subject = bridge(&format!("wss://localhost:{}/mqtt", front.port), &pki, "", "");
    carries(&subject, &behind, 300_000, "wss");
    let visit = front.visits().pop().expect("it was there");
    assert_eq!((visit.name.as_deref(), visit.protocol.as_deref()), (Some("localhost"), Some("http/1.1")));
}

#[test]
fn a_certificate_that_was_renewed_is_the_one_that_is_shown_next() {
    let home = tempfile::tempdir().expect("a directory");
    certificates(home.path());
    let pki = home.path().join("pki");
    let cloud = Cloud::start("");
    let front = Front::start(&pki, None, cloud.port);
    let subject = bridge(&format!("mqtts://localhost:{}", front.port), &pki, "", "");
    until_connected(&subject);
    let file = pki.join("issued/b8_broker.crt");
    let old = certificate(&file);
    assert_eq!(front.visits().pop().expect("it was there").certificate, old);
    latchgate(home.path(), &["pki", "renew", "b8_broker", "--dir", "pki"], "").exits(0);
    let new = certificate(&file);
    assert_ne!(old, new);
    eventually("the new one is shown", || (front.visits().pop()?.certificate == new).then_some(()));
    subject.v5("sensor").say("t", "x");
    assert_eq!(until_drained(&subject)["delivered"], 1);
    // Files that are broken for a while cost a connection, not the bridge.
    let right = fs::read(&file).expect("read");
    fs::write(&file, "no certificate").expect("write");
    eventually("it says so", || {
        status(&subject)["error"].as_str().is_some_and(|error| error.contains("certificate")).then_some(())
    });
    subject.v5("sensor").say("t", "y");
    fs::write(&file, right).expect("write");
    assert_eq!(until_drained(&subject)["delivered"], 2);
}

#[test]
fn a_password_that_was_replaced_is_the_one_that_is_said_next() {
    for (protocol, version) in [("3.1.1", Version::V311), ("5", Version::V5)] {
        let home = tempfile::tempdir().expect("a directory");
        let secret = home.path().join("secret");
        fs::write(&secret, "first-secret\n").expect("write");
        let remote = Remote::start();
        let keys =
            format!("protocol = '{protocol}'\nusername = 'b8'\npassword_file = '{}'", secret.display());
        let subject = crate::settings(remote.port, &keys, &route("t", "out", 1)).start();
        let said = |connect: &[u8], password: &str| {
            let wanted = [&(password.len() as u16).to_be_bytes()[..], password.as_bytes()].concat();
            connect.ends_with(&wanted)
        };
        let (mut link, connect) = remote.accept_with_connect();
        assert!(said(&connect, "first-secret"), "{protocol}");
        link.accept_as(version, false);
        until_connected(&subject);
        fs::write(&secret, "second-secret\n").expect("write");
        let (mut link, connect) = remote.accept_with_connect();
        assert!(said(&connect, "second-secret"), "{protocol}");
        link.accept_as(version, true);
        until_connected(&subject);
        let log = subject.log();
        assert!(!log.contains("first-secret") && !log.contains("second-secret"));
    }
}
