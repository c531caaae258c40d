//! The fixed header: flags, lengths, packet identifiers; and what ends a connection with them.

use crate::raw::{self, BOTH, ends};
use crate::support::packet::frame;
use crate::support::property::{self, block};
use crate::support::{Connect, Publish, Subject, Subscribe, Version, Will, skip_for_mosquitto};

/// A packet, the flags it must have in its first byte, and its body.
type Framed = (&'static str, u8, Vec<u8>);

/// The packets whose flags are 2.
fn with_flags(version: Version) -> Vec<Framed> {
    let with_filter =
        |options: &[u8]| [&[0, 9][..], raw::no_properties(version), &block(b"a"), options].concat();
    vec![
        ("PUBREL", 0x62, vec![0, 9]),
        ("SUBSCRIBE", 0x82, with_filter(&[0])),
        ("UNSUBSCRIBE", 0xA2, with_filter(&[])),
    ]
}

/// The packets whose flags are 0.
fn without_flags(version: Version) -> Vec<Framed> {
    let mut packets = vec![
        ("PUBACK", 0x40, vec![0, 9]),
        ("PUBREC", 0x50, vec![0, 9]),
        ("PUBCOMP", 0x70, vec![0, 9]),
        ("PINGREQ", 0xC0, vec![]),
        ("DISCONNECT", 0xE0, vec![]),
    ];
    if version == Version::V5 {
        packets.push(("AUTH", 0xF0, vec![0x18, 0]));
    }
    packets
}

fn wrong_flags_end(packets: fn(Version) -> Vec<Framed>) {
    let subject = Subject::start();
    for version in BOTH {
        for (name, first, body) in packets(version) {
            for bit in 0..4 {
                ends(&subject, version, name, &frame(first ^ 1 << bit, &body), 0x81);
            }
        }
    }
    subject.still_serves();
}

/// [v5: MQTT-3.6.1-1, MQTT-3.8.1-1, MQTT-3.10.1-1, MQTT-4.13.1-1, MQTT-4.13.2-1]
/// [v3.1.1: MQTT-3.6.1-1, MQTT-3.8.1-1, MQTT-3.10.1-1, MQTT-4.8.0-1]
#[test]
fn pubrel_subscribe_and_unsubscribe_with_other_flags_than_2_end_the_connection() {
    wrong_flags_end(with_flags);
}

/// [v5: MQTT-2.1.3-1, MQTT-3.14.1-1, MQTT-3.15.1-1] [v3.1.1: MQTT-2.2.2-1, MQTT-2.2.2-2]
#[test]
fn flags_where_there_are_none_end_the_connection() {
    skip_for_mosquitto!("does not look at the flags of PUBACK, PUBREC, PUBCOMP and PINGREQ");
    wrong_flags_end(without_flags);
}

/// [v5: MQTT-3.14.1-1] [v3.1.1: MQTT-3.14.1-1]
#[test]
fn a_disconnect_with_flags_deletes_no_will() {
    let subject = Subject::start();
    let mut watcher = subject.v5("watcher");
    watcher.subscribe("will", 1);
    for version in BOTH {
        let mut client =
            subject.accept(&Connect::new(version, "leaver").will(Will::new("will", "gone").qos(1)));
        client.send(&frame(0xE1, &[]));
        client.drain();
        assert_eq!(watcher.receive().text(), "gone");
    }
}

/// [v5: MQTT-3.3.1-4] [v3.1.1: MQTT-3.3.1-4]
#[test]
fn a_publish_of_qos_3_ends_the_connection() {
    let subject = Subject::start();
    for version in BOTH {
        for first in [0x36, 0x37, 0x3E, 0x3F] {
            let body = [&block(b"a")[..], &[0, 9], raw::no_properties(version), b"x"].concat();
            ends(&subject, version, "PUBLISH", &frame(first, &body), 0x81);
        }
    }
    subject.still_serves();
}

/// [v5: MQTT-2.2.1-3] [v3.1.1: MQTT-2.3.1-1]
#[test]
fn a_packet_identifier_of_0_ends_the_connection() {
    let subject = Subject::start();
    for version in BOTH {
        for qos in 1..=2 {
            let bytes = Publish::to("a").qos(qos).id(0).encode(version);
            ends(&subject, version, "PUBLISH", &bytes, 0x82);
        }
        ends(&subject, version, "SUBSCRIBE", &Subscribe::to("a", 0).encode(version, 0), 0x82);
        let bytes = crate::support::packet::unsubscribe(version, 0, &["a"]);
        ends(&subject, version, "UNSUBSCRIBE", &bytes, 0x82);
    }
    subject.still_serves();
}

/// A packet identifier would be taken for the property length (version 5) or for payload.
///
/// [v5: MQTT-2.2.1-2, MQTT-2.2.2-1] [v3.1.1: MQTT-2.3.1-5]
#[test]
fn a_qos_0_publish_has_no_packet_identifier_and_no_properties_are_a_length_of_0() {
    let subject = Subject::start();
    let mut publisher = subject.v311("pub");
    for version in BOTH {
        let mut client = subject.accept(&Connect::new(version, "sub"));
        client.subscribe("a", 0);
        publisher.publish(Publish::to("a").qos(1).payload("x"));
        let message = client.expect_publish();
        assert_eq!((message.qos, message.text(), &message.properties[..]), (0, "x", &[][..]));
    }
}

/// The reader of these tests takes no length with a byte more than it needs.
///
/// [v5: MQTT-1.5.5-1]
#[test]
fn lengths_are_sent_with_as_few_bytes_as_they_need() {
    let subject = Subject::start();
    let mut client = subject.v5("lengths");
    client.subscribe("a", 1);
    for size in (110..140).chain(16_370..16_390).chain([2_097_130, 2_097_160]) {
        client.publish(Publish::to("a").qos(1).payload(vec![b'x'; size]));
        assert_eq!(client.receive().payload.len(), size);
        if size < 20_000 {
            let user = property::user_property("n", &"v".repeat(size));
            client.publish(Publish::to("a").qos(1).with(user.clone()));
            assert_eq!(client.receive().properties, [user]);
        }
    }
    for number in [127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
        client.subscribe_all(&Subscribe::to("a", 1).with(property::subscription_identifier(number)));
        client.say("a", "x");
        assert_eq!(client.receive().properties, [property::subscription_identifier(number)]);
    }
}
