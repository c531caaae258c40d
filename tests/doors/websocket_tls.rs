//! WebSocket over TLS: one door after the other.

use super::tls_client::is_user;
use super::tunnel::BOTH;
use super::websocket::{client, pong};
use super::websocket_http::drive_paho;
use super::{Authority, Dialer, REQUIRED, gateway_speaking, save};
use crate::support::packet::VERSIONS;
use crate::support::subject::Settings;
use crate::support::websocket::{OFFER, request};
use crate::support::{Connect, Packet, Publish, Subject, Subscribe, Version, WebSocket};

fn secure_door(authority: &Authority, more: &str) -> Subject {
    secure_door_with(Subject::with(), authority, more)
}

fn secure_door_with(settings: Settings, authority: &Authority, more: &str) -> Subject {
    gateway_speaking("websocket", settings, authority, more)
}

/// Whether the request on this connection is never answered.
fn is_closed_unanswered(port: u16) -> bool {
    let mut socket = WebSocket::open(port);
    socket.send_anyway(request("/mqtt", OFFER).as_bytes());
    socket.read_answer().is_empty()
}

#[test]
fn the_certificate_is_the_login_in_every_version() {
    let authority = Authority::new("home");
    let door = secure_door(&authority, REQUIRED);
    let lamp = authority.client("lamp");
    for tls in BOTH {
        for version in VERSIONS {
            let dialer = Dialer::with(&authority, Some(&lamp), &[tls], &[]);
            let mut socket = client(dialer.open(door.port()), &Connect::new(version, "c"));
            is_user(&door, "c", "lamp", "logged in with a certificate");
            pong(&mut socket);
            let nobody = Dialer::with(&authority, None, &[tls], &[]);
            assert!(is_closed_unanswered(nobody.open(door.port())), "{tls:?}");
        }
    }
}

#[test]
fn without_client_certificates_large_messages_go_both_ways_in_any_frames() {
    let authority = Authority::new("home");
    let door = secure_door(&authority, "");
    let mut socket = client(Dialer::new(&authority).open(door.port()), &Connect::v5("c"));
    is_user(&door, "c", "guest", "without a login");
    let large = "x".repeat(300_000);
    let subscribe = Subscribe::to("a", 1).encode(Version::V5, 1);
    let publish = Publish::to("a").qos(1).id(7).payload(&large).encode(Version::V5);
    // Frames that begin and end where no TLS record and no packet does.
    for piece in [subscribe, publish].concat().chunks(1009) {
        socket.mqtt(piece);
    }
    loop {
        match socket.read(Version::V5) {
            Packet::Publish(publish) => break assert!(publish.text() == large, "it comes back as it was"),
            Packet::SubAck { .. } | Packet::PubAck { id: 7, .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_browser_s_wish_for_http_is_granted_and_one_for_mqtt_alone_is_not() {
    let authority = Authority::new("home");
    let door = secure_door(&authority, "");
    let asking = |protocols: &[&str]| Dialer::with(&authority, None, BOTH, protocols).open(door.port());
    for protocols in [&["http/1.1"][..], &["h2", "http/1.1"], &[]] {
        pong(&mut client(asking(protocols), &Connect::v5("c")));
    }
    assert!(is_closed_unanswered(asking(&["mqtt"])));
}

#[test]
fn a_client_whose_certificate_is_revoked_is_disconnected_here_too() {
    let authority = Authority::new("home");
    let door = secure_door(&authority, &format!("{REQUIRED}crl = \"revoked.pem\"\n"));
    save(&door, "revoked.pem", &authority.revoke(&[]));
    let (lamp, fan) = (authority.client("lamp"), authority.client("fan"));
    let open =
        |pair, name: &str| client(Dialer::showing(&authority, pair).open(door.port()), &Connect::v5(name));
    let (mut lost, mut other) = (open(&lamp, "lost"), open(&fan, "other"));
    save(&door, "revoked.pem", &authority.revoke(&[&lamp]));
    match lost.read(Version::V5) {
        Packet::Disconnect { code: 0x87, .. } => {}
        other => panic!("{other:?}"),
    }
    assert!(is_closed_unanswered(Dialer::showing(&authority, &lamp).open(door.port())));
    pong(&mut other);
}

#[test]
fn a_stall_at_either_door_is_closed_in_time_and_holds_nobody_else() {
    let authority = Authority::new("home");
    let door = secure_door_with(Subject::with().limit("connect_timeout", 1), &authority, "");
    let mut silent = WebSocket::open(door.port());
    let mut half = WebSocket::open(Dialer::new(&authority).open(door.port()));
    half.send(&request("/", OFFER).as_bytes()[..40]);
    pong(&mut client(Dialer::new(&authority).open(door.port()), &Connect::v5("other")));
    silent.expect_closed();
    half.expect_closed();
}

#[test]
fn the_origin_of_a_page_is_looked_at_behind_tls_too() {
    let authority = Authority::new("home");
    let door = secure_door(&authority, "");
    for (origin, status) in [("https://127.0.0.1", "101"), ("https://evil.example", "403")] {
        let mut socket = WebSocket::open(Dialer::new(&authority).open(door.port()));
        socket.send(request("/", &format!("{OFFER}Origin: {origin}\r\n")).as_bytes());
        assert_eq!(socket.read_answer().split(' ').nth(1), Some(status), "{origin}");
    }
}

#[test]
fn paho_for_python_does_every_qos_over_secure_websocket_with_and_without_a_certificate() {
    let authority = Authority::new("home");
    let door = secure_door(&authority, "");
    drive_paho(&door, &["ca.crt"]);
    let door = secure_door(&authority, REQUIRED);
    authority.client("lamp").save(&door, "lamp");
    drive_paho(&door, &["ca.crt", "lamp.crt", "lamp.key"]);
}
