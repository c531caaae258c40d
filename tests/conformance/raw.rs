//! Packets that the builders of `support` refuse to make, and what a server does about them.

use crate::support::packet::frame;
use crate::support::property::block;
use crate::support::subject::is_mosquitto;
use crate::support::{Client, Connect, Gone, Packet, Subject, Version};

pub const BOTH: [Version; 2] = [Version::V311, Version::V5];

/// The empty property list where the version has one.
pub fn no_properties(version: Version) -> &'static [u8] {
    if version == Version::V5 { &[0] } else { &[] }
}

/// CONNECT with these flags; the parts of the payload stand as they are given.
pub fn connect(version: Version, flags: u8, payload: &[&[u8]]) -> Vec<u8> {
    let head = [&block(b"MQTT")[..], &[version as u8, flags, 0, 60], no_properties(version)].concat();
    frame(0x10, &[head, payload.concat()].concat())
}

/// QoS 0 PUBLISH of "x" to a topic of any bytes; the properties with their length in front.
pub fn publish(version: Version, topic: &[u8], properties: &[u8]) -> Vec<u8> {
    let properties = if version == Version::V5 { properties } else { &[] };
    frame(0x30, &[&block(topic)[..], properties, b"x"].concat())
}

/// SUBSCRIBE to one filter of any bytes with any options.
pub fn subscribe(version: Version, filter: &[u8], options: u8) -> Vec<u8> {
    frame(0x82, &[&[0, 9][..], no_properties(version), &block(filter), &[options]].concat())
}

/// UNSUBSCRIBE from one filter of any bytes.
pub fn unsubscribe(version: Version, filter: &[u8]) -> Vec<u8> {
    frame(0xA2, &[&[0, 9][..], no_properties(version), &block(filter)].concat())
}

/// A connected client that sends this is disconnected with the reason (3.x: closed). The words say what it
/// was when a test fails.
pub fn ends(subject: &Subject, version: Version, what: &str, bytes: &[u8], reason: u8) {
    println!("{version:?}, {what}: {bytes:02x?}");
    let mut client = subject.accept(&Connect::new(version, "hostile"));
    client.send(bytes);
    client.expect_disconnect(reason);
}

/// A CONNECT of these bytes is not accepted: in version 5 CONNACK with the reason and then closed, or only
/// closed; in 3.1.1 closed without a word.
pub fn is_refused(subject: &Subject, version: Version, what: &str, bytes: &[u8], reason: u8) {
    println!("{version:?}, {what}: {bytes:02x?}");
    let mut client = Client::open(subject.port(), version);
    client.send(bytes);
    match client.try_read() {
        Ok(Packet::ConnAck { session_present, code, .. }) if version == Version::V5 => {
            assert!(!session_present);
            assert!(code == reason || is_mosquitto() && code != 0, "{code:#04x}");
            client.expect_closed();
        }
        Ok(other) => panic!("answered {other:?}"),
        Err(gone) => assert_eq!(gone, Gone::Closed),
    }
}
