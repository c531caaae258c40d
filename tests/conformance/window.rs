//! Flow control of version 5: how much may be unacknowledged in either direction (4.9).

use crate::support::packet::{PUBACK, PUBCOMP, PUBREC, ack};
use crate::support::property::{self, Value};
use crate::support::{Client, Connect, Packet, Publish, Subject, Version, skip_for_mosquitto};

/// [v5: MQTT-3.3.4-9, MQTT-3.3.4-10, MQTT-4.9.0-1, MQTT-4.9.0-2]
#[test]
fn receive_maximum_2_means_two_in_flight() {
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v5("narrow").with(property::receive_maximum(2)));
    client.subscribe("a", 1);
    let mut publisher = subject.v311("pub");
    for n in 0..10 {
        publisher.say("a", &n.to_string());
    }
    assert_eq!((client.expect_publish().text(), client.expect_publish().text()), ("0", "1"));
    client.send(&crate::support::packet::PINGREQ);
    assert_eq!(client.read(), Packet::PingResp, "no third before an acknowledgement");
}

/// [v5: MQTT-3.3.4-9, MQTT-4.9.0-2, MQTT-4.9.0-3]
#[test]
fn each_acknowledgement_lets_one_more_out_of_the_window() {
    skip_for_mosquitto!("has three in flight after the first acknowledgement");
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v5("narrow").with(property::receive_maximum(2)));
    client.subscribe("a", 1);
    let mut publisher = subject.v311("pub");
    for n in 0..6 {
        publisher.say("a", &n.to_string());
    }
    let mut window: Vec<_> = (0..2).map(|_| client.expect_publish()).collect();
    for expected in 2..6 {
        // PINGRESP is not held up by the window.
        client.send(&crate::support::packet::PINGREQ);
        assert_eq!(client.read(), Packet::PingResp);
        client.send(&ack(PUBACK, window.remove(0).id.unwrap()));
        let message = client.expect_publish();
        assert_eq!(message.text(), expected.to_string());
        window.push(message);
    }
}

/// [v5: MQTT-3.3.4-9, MQTT-4.9.0-2]
#[test]
fn receive_maximum_counts_qos_2_until_pubcomp() {
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v5("narrow").with(property::receive_maximum(1)));
    client.subscribe("a", 2);
    let mut publisher = subject.v311("pub");
    for n in 0..3 {
        publisher.publish(Publish::to("a").qos(2).payload(n.to_string()));
    }
    for n in 0..3 {
        let message = client.expect_publish();
        assert_eq!(message.text(), n.to_string());
        let id = message.id.unwrap();
        client.send(&ack(PUBREC, id));
        assert!(matches!(client.read(), Packet::PubRel { id: of, .. } if of == id));
        client.send(&crate::support::packet::PINGREQ);
        assert_eq!(client.read(), Packet::PingResp, "nothing new before PUBCOMP");
        client.send(&ack(PUBCOMP, id));
    }
    client.nothing_arrives();
}

#[test]
fn receive_maximum_0_is_a_protocol_error() {
    let subject = Subject::start();
    let mut client = Client::open(subject.port(), Version::V5);
    client.send(&Connect::v5("zero").with(property::receive_maximum(0)).encode());
    match client.try_read() {
        Ok(Packet::ConnAck { code, .. }) => assert!(matches!(code, 0x81 | 0x82), "{code:#04x}"),
        Ok(other) => panic!("{other:?}"),
        Err(gone) => assert_eq!(gone, crate::support::Gone::Closed),
    }
}

/// [v5: MQTT-3.3.4-7]
#[test]
fn a_publisher_over_the_servers_receive_maximum_is_disconnected_with_0x93() {
    skip_for_mosquitto!("does not count");
    let subject = Subject::start();
    let (mut client, connack) = subject.accept_with_connack(&Connect::v5("greedy"));
    let maximum = match property::one(&connack.properties, property::RECEIVE_MAXIMUM) {
        Some(Value::Two(maximum)) => *maximum,
        _ => 65535,
    };
    if maximum == 65535 {
        return;
    }
    let mut bytes = Vec::new();
    for id in 1..=maximum + 1 {
        bytes.extend(Publish::to("a").qos(2).id(id).encode(Version::V5));
    }
    client.send(&bytes);
    for _ in 0..maximum {
        assert!(matches!(client.read(), Packet::PubRec { .. }));
    }
    client.expect_disconnect(0x93);
}
