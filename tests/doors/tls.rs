//! TLS of the gateway alone: versions, bystanders, and those who do not speak it.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustls::ProtocolVersion;

use super::{Authority, Dialer, accept, gateway, gateway_with, reject, tunnel::BOTH};
use crate::support::packet::VERSIONS;
use crate::support::{BOUND, Client, Connect, Publish, Subject, Version, eventually};

#[test]
fn clients_of_either_tls_and_of_every_mqtt_version_are_served() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, "");
    for (tls, expected) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        for version in VERSIONS {
            let dialer = Dialer::with(&authority, None, &[tls], &[]);
            let mut client = accept(&subject, &dialer, &Connect::new(version, "c"));
            assert_eq!(dialer.seen().version, Some(expected));
            client.subscribe("a/#", 2);
            for (qos, payload) in [(0, vec![1; 10]), (1, vec![2; 100_000]), (2, vec![3; 1_000_000])] {
                client.publish(Publish::to("a/b").qos(qos).payload(payload.clone()));
                assert!(client.receive().payload == payload, "{version:?} {qos}");
            }
            client.disconnect();
        }
    }
}

#[test]
fn mqtt_may_be_asked_for_by_alpn_and_nothing_else() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, "");
    let dialer = Dialer::with(&authority, None, BOTH, &["x", "mqtt"]);
    accept(&subject, &dialer, &Connect::v5("c")).ping();
    assert_eq!(dialer.seen().protocol.as_deref(), Some(&b"mqtt"[..]));
    let other = Dialer::with(&authority, None, BOTH, &["h2"]);
    let why = reject(&subject, &other, &Connect::v5("c"));
    assert!(why.contains("NoApplicationProtocol"), "{why}");
}

#[test]
fn whoever_trusts_another_authority_does_not_trust_the_gateway() {
    let subject = gateway(&Authority::new("home"), "");
    let why = reject(&subject, &Dialer::new(&Authority::new("elsewhere")), &Connect::v5("c"));
    assert!(why.contains("UnknownIssuer") || why.contains("BadSignature"), "{why}");
}

#[test]
fn a_session_is_resumed_and_asks_the_login_again() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, "");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let dialer = Dialer::with(&authority, None, &[version], &[]);
        accept(&subject, &dialer, &Connect::v5("c")).disconnect();
        eventually("a session is resumed", || {
            let again = dialer.again();
            accept(&subject, &again, &Connect::v5("c")).disconnect();
            again.seen().resumed.then_some(())
        });
    }
}

#[test]
fn plain_mqtt_on_a_tls_port_is_closed_and_tls_on_a_plain_port_too() {
    let authority = Authority::new("home");
    let tls = gateway(&authority, "");
    for version in VERSIONS {
        let mut client = Client::open(tls.port(), version);
        client.send(&Connect::new(version, "c").encode());
        // The TLS alert is no packet: bytes are read as they are.
        let mut rest = Vec::new();
        let mut socket = client.writer();
        let _ = socket.read_to_end(&mut rest);
        assert_ne!(rest.first(), Some(&0x20), "that is a CONNACK: {rest:02x?}");
    }
    accept(&tls, &Dialer::new(&authority), &Connect::v5("c")).ping();

    let plain = Subject::start();
    reject(&plain, &Dialer::new(&authority), &Connect::v5("c"));
    plain.still_serves();
}

#[test]
fn handshakes_that_stall_hold_nobody_else() {
    let authority = Authority::new("home");
    let subject = gateway_with(Subject::with().limit("connect_timeout", 60), &authority, "");
    let silent: Vec<_> = (0..20)
        .map(|n| {
            let mut socket = TcpStream::connect(("127.0.0.1", subject.port())).unwrap();
            // Some say nothing, some begin a ClientHello.
            socket.write_all(&[0x16, 3, 1, 2, 0, 1][..n % 7]).unwrap();
            socket
        })
        .collect();
    for n in 0..5 {
        let mut client = accept(&subject, &Dialer::new(&authority), &Connect::v5(&format!("c{n}")));
        client.nothing_arrives();
    }
    drop(silent);
}

#[test]
fn a_handshake_that_stalls_ends_in_time_and_makes_room_when_there_is_none() {
    let authority = Authority::new("home");
    let ends = |subject: &Subject| {
        let mut socket = TcpStream::connect(("127.0.0.1", subject.port())).unwrap();
        socket.set_read_timeout(Some(BOUND)).unwrap();
        move || assert!(matches!(socket.read(&mut [0; 10]), Ok(0)), "it is closed")
    };
    let hasty = gateway_with(Subject::with().limit("connect_timeout", 1), &authority, "");
    ends(&hasty)();
    let small =
        gateway_with(Subject::with().limit("connect_timeout", 600).limit("pending", 2), &authority, "");
    let mut first = ends(&small);
    let _others = [ends(&small), ends(&small)];
    first();
    accept(&small, &Dialer::new(&authority), &Connect::new(Version::V311, "c")).ping();
}
