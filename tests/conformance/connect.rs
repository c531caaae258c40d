//! CONNECT and CONNACK: versions, client identifiers, the first packet.

use crate::support::packet::{VERSIONS, frame};
use crate::support::property::{self, Value};
use crate::support::{Client, Connect, Subject, Version, skip_for_mosquitto};

/// [v5: MQTT-3.1.4-5, MQTT-4.2-1] [v3.1.1: MQTT-3.1.4-4, MQTT-7.0.0-2, MQTT-7.1.1-1]
#[test]
fn all_three_versions_are_served_on_one_port() {
    let subject = Subject::start();
    for version in VERSIONS {
        let (mut client, connack) =
            subject.accept_with_connack(&Connect::new(version, &format!("client{}", version as u8)));
        assert!(!connack.session_present);
        client.ping();
        client.disconnect();
    }
}

/// [v5: MQTT-3.1.2-2] [v3.1.1: MQTT-3.1.2-2]
#[test]
fn an_unknown_protocol_level_is_answered_with_unacceptable_version() {
    let subject = Subject::start();
    let mut bytes = Connect::v311("future").encode();
    bytes[8] = 6;
    let mut client = Client::open(subject.port(), Version::V5);
    client.send(&bytes);
    match client.try_read() {
        // [MQTT-3.1.2-2]: 0x01 in the form of 3.1.1 or 0x84 in the form of v5, then close.
        Ok(crate::support::Packet::ConnAck { code, .. }) => assert!(matches!(code, 1 | 0x84), "{code:#04x}"),
        Ok(other) => panic!("expected CONNACK, got {other:?}"),
        Err(gone) => panic!("no CONNACK: {gone:?}"),
    }
    client.expect_closed();
}

/// [v3.1.1: MQTT-3.1.2-1]
#[test]
fn a_wrong_protocol_name_is_closed() {
    let subject = Subject::start();
    let mut bytes = Connect::v311("x").encode();
    bytes[4..8].copy_from_slice(b"HTTP");
    let mut client = Client::open(subject.port(), Version::V311);
    client.send(&bytes);
    client.drain();
    subject.still_serves();
}

/// [v5: MQTT-3.1.0-2] [v3.1.1: MQTT-3.1.0-2]
#[test]
fn a_second_connect_ends_the_connection() {
    let subject = Subject::start();
    for version in VERSIONS {
        let connect = Connect::new(version, "twice");
        let mut client = subject.accept(&connect);
        client.send(&connect.encode());
        client.expect_disconnect(0x82);
    }
}

#[test]
fn a_connack_as_first_packet_closes_that_socket_only() {
    let subject = Subject::start();
    for bytes in
        [frame(0x20, &[0, 0]), frame(0x20, &[0, 0, 0]), frame(0xB0, &[0, 1]), frame(0xB0, &[0, 1, 0, 0])]
    {
        let mut client = Client::open(subject.port(), Version::V5);
        client.send(&bytes);
        client.drain();
    }
    subject.still_serves();
}

/// [v5: MQTT-3.1.0-1] [v3.1.1: MQTT-3.1.0-1]
#[test]
fn any_packet_before_connect_closes_the_socket() {
    let subject = Subject::start();
    for kind in (0..=15).filter(|kind| *kind != 1) {
        let mut client = Client::open(subject.port(), Version::V5);
        client.send(&frame(kind << 4 | u8::from(matches!(kind, 6 | 8 | 10)) << 1, &[0, 1, 0, 0]));
        client.drain();
    }
    subject.still_serves();
}

#[test]
fn a_client_identifier_with_a_slash_is_served() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "dev/1"));
        client.ping();
    }
}

#[test]
fn a_client_identifier_of_any_utf8_and_of_hundreds_of_bytes_is_served() {
    let subject = Subject::start();
    for id in ["温度-é", "with space", "+", "#", "$SYS/x", &"long".repeat(150)] {
        let mut client = subject.accept(&Connect::v5(id));
        client.ping();
    }
}

/// [v3.1.1: MQTT-3.1.3-6]
#[test]
fn an_empty_client_identifier_with_clean_session_is_given_a_name() {
    let subject = Subject::start();
    let mut one = subject.accept(&Connect::v311(""));
    let mut two = subject.accept(&Connect::v311(""));
    one.ping();
    two.ping();
}

/// [v3.1.1: MQTT-3.1.3-7, MQTT-3.1.3-8, MQTT-3.1.3-9, MQTT-3.2.2-4, MQTT-3.2.2-5]
#[test]
fn an_empty_client_identifier_that_wants_to_keep_its_session_is_refused() {
    let subject = Subject::start();
    // [MQTT-3.1.3-8] of 3.1.1.
    assert_eq!(subject.refuse(&Connect::v311("").clean(false)).code, 2);
}

#[test]
fn an_empty_client_identifier_is_refused_in_version_3_1() {
    skip_for_mosquitto!("accepts an empty client identifier in 3.1");
    let subject = Subject::start();
    assert_eq!(subject.refuse(&Connect::new(Version::V31, "")).code, 2);
}

/// [v5: MQTT-3.1.3-6, MQTT-3.1.3-7, MQTT-3.2.2-16]
#[test]
fn a_v5_client_without_identifier_is_told_the_assigned_one_and_can_resume_with_it() {
    let subject = Subject::start();
    let connect = Connect::v5("").with(property::session_expiry(600));
    let (one, connack) = subject.accept_with_connack(&connect);
    let Some(Value::Text(assigned)) = property::one(&connack.properties, property::ASSIGNED_CLIENT_ID) else {
        panic!("no assigned client identifier [MQTT-3.2.2-16]: {connack:?}");
    };
    assert!(!assigned.is_empty());
    let (_two, other) = subject.accept_with_connack(&connect);
    assert_ne!(
        property::one(&other.properties, property::ASSIGNED_CLIENT_ID),
        Some(&Value::Text(assigned.clone())),
        "the assigned identifier is used by nobody else"
    );
    one.disconnect();
    let (_, back) = subject.accept_with_connack(&Connect::v5(assigned).keep_session());
    assert!(back.session_present);
}

/// [v3.1.1: MQTT-3.1.2-22]
#[test]
fn a_password_without_a_user_name_is_refused_before_v5() {
    let subject = Subject::start();
    let mut connect = Connect::v311("nameless");
    connect.password = Some(b"secret".to_vec());
    // [MQTT-3.1.2-22]: a protocol violation; the connection is closed.
    let mut client = Client::open(subject.port(), Version::V311);
    client.send(&connect.encode());
    client.drain();
}

#[test]
fn a_connect_that_arrives_byte_by_byte_is_served() {
    let subject = Subject::start();
    let mut client = Client::open(subject.port(), Version::V5);
    for byte in Connect::v5("dribble").with(property::user_property("a", "b")).encode() {
        client.send(&[byte]);
    }
    assert!(matches!(client.read(), crate::support::Packet::ConnAck { code: 0, .. }));
    client.ping();
}

#[test]
fn packets_sent_in_one_write_with_connect_are_all_answered() {
    let subject = Subject::start();
    let mut client = Client::open(subject.port(), Version::V311);
    let mut bytes = Connect::v311("eager").encode();
    bytes.extend(crate::support::Subscribe::to("eager/#", 1).encode(Version::V311, 9));
    bytes.extend(crate::support::Publish::to("eager/x").payload("early").encode(Version::V311));
    bytes.extend(crate::support::packet::PINGREQ);
    client.send(&bytes);
    assert!(matches!(client.read(), crate::support::Packet::ConnAck { code: 0, .. }));
    client.ping();
    assert!(matches!(client.read(), crate::support::Packet::SubAck { id: 9, .. }));
    assert_eq!(client.receive().text(), "early");
}

/// [v5: MQTT-3.2.2-6, MQTT-3.2.2-7, MQTT-3.14.0-1, MQTT-4.12.0-1, MQTT-4.13.2-1]
#[test]
fn an_authentication_method_is_answered_0x8c() {
    let subject = Subject::start();
    let connect = Connect::v5("sasl").with(property::authentication_method("SCRAM-SHA-256"));
    assert_eq!(subject.refuse(&connect).code, 0x8C);
}

/// [v5: MQTT-3.2.2-9]
#[test]
fn the_connack_of_v5_announces_only_what_holds() {
    let subject = Subject::start();
    let (mut client, connack) = subject.accept_with_connack(&Connect::v5("curious"));
    // Where no maximum is told, QoS 2 is spoken.
    let qos = if property::one(&connack.properties, 0x24).is_some() { 1 } else { 2 };
    assert_eq!(client.publish(crate::support::Publish::to("a").qos(qos)), 0);
    for id in [0x24, 0x25, 0x28, 0x29, 0x2A] {
        if let Some(Value::Byte(available)) = property::one(&connack.properties, id) {
            assert_eq!(*available, 1, "property {id:#04x}");
        }
    }
    if let Some(Value::Two(receive_maximum)) = property::one(&connack.properties, property::RECEIVE_MAXIMUM) {
        assert!(*receive_maximum > 0);
    }
}
