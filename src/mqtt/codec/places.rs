//! Every property in every packet, against the specification's table 2-4 written a second time by packet.

use super::super::{DecodeError, Version};
use super::table::{LIMIT, bytes};
use super::{decode, properties::places};

/// A packet with room for properties, and the identifiers that may stand there. AUTH has its method already.
const PLACES: [(&str, &str, &[u8]); 14] = [
    (
        "CONNECT",
        "10 * <MQTT> 05 02 003C [ P ] <dev>",
        &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27],
    ),
    ("will", "10 * <MQTT> 05 06 003C [ ] <dev> [ P ] <w> <bye>", &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26]),
    (
        "CONNACK",
        "20 * 00 00 [ P ]",
        &[
            0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29,
            0x2A,
        ],
    ),
    ("PUBLISH", "30 * <a> [ P ]", &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26]),
    ("PUBACK", "40 * 0001 00 [ P ]", &[0x1F, 0x26]),
    ("PUBREC", "50 * 0001 00 [ P ]", &[0x1F, 0x26]),
    ("PUBREL", "62 * 0001 00 [ P ]", &[0x1F, 0x26]),
    ("PUBCOMP", "70 * 0001 00 [ P ]", &[0x1F, 0x26]),
    ("SUBSCRIBE", "82 * 0001 [ P ] <a> 00", &[0x0B, 0x26]),
    ("SUBACK", "90 * 0001 [ P ] 00", &[0x1F, 0x26]),
    ("UNSUBSCRIBE", "A2 * 0001 [ P ] <a>", &[0x26]),
    ("UNSUBACK", "B0 * 0001 [ P ] 00", &[0x1F, 0x26]),
    ("DISCONNECT", "E0 * 00 [ P ]", &[0x11, 0x1C, 0x1F, 0x26]),
    ("AUTH", "F0 * 18 [ 15 <m> P ]", &[0x15, 0x16, 0x1F, 0x26]),
];

/// A value for each property; authentication data stand after the method they need.
const VALUES: [(u8, &str); 27] = [
    (0x01, "01 01"),
    (0x02, "02 00000001"),
    (0x03, "03 <t>"),
    (0x08, "08 <t>"),
    (0x09, "09 <t>"),
    (0x0B, "0B 01"),
    (0x11, "11 00000001"),
    (0x12, "12 <t>"),
    (0x13, "13 0001"),
    (0x15, "15 <m>"),
    (0x16, "15 <m> 16 <d>"),
    (0x17, "17 01"),
    (0x18, "18 00000001"),
    (0x19, "19 01"),
    (0x1A, "1A <t>"),
    (0x1C, "1C <t>"),
    (0x1F, "1F <t>"),
    (0x21, "21 0001"),
    (0x22, "22 0001"),
    (0x23, "23 0001"),
    (0x24, "24 01"),
    (0x25, "25 01"),
    (0x26, "26 <k> <v>"),
    (0x27, "27 00000001"),
    (0x28, "28 01"),
    (0x29, "29 01"),
    (0x2A, "2A 01"),
];

fn decoded(packet: &str, properties: &str) -> Result<(), DecodeError> {
    let notation = packet.replace('P', properties).replace("15 <m> 15 <m>", "15 <m>");
    let first = (!packet.starts_with("10")).then_some(Version::V5);
    let bytes = bytes(&notation);
    decode(&bytes, first, LIMIT).map(|packet| assert!(packet.is_some(), "{notation} is incomplete"))
}

#[test]
fn every_property_stands_exactly_in_its_packets() {
    for (name, packet, allowed) in PLACES {
        for (id, value) in VALUES {
            let outcome = decoded(packet, value);
            match allowed.contains(&id) {
                true => assert_eq!(outcome, Ok(()), "0x{id:02X} in {name}"),
                false => assert!(
                    matches!(outcome, Err(DecodeError::Malformed(_))),
                    "0x{id:02X} in {name}: {outcome:?}"
                ),
            }
        }
    }
}

#[test]
fn no_property_stands_twice_but_those_that_may() {
    for (name, packet, allowed) in PLACES {
        for (id, value) in VALUES.into_iter().filter(|(id, _)| allowed.contains(id) && *id != 0x16) {
            let outcome = decoded(packet, &format!("{value} 26 <x> <y> {value}"));
            let may_repeat = id == 0x26 || id == 0x0B && name == "PUBLISH";
            match may_repeat {
                true => assert_eq!(outcome, Ok(()), "0x{id:02X} twice in {name}"),
                false => assert!(
                    matches!(outcome, Err(DecodeError::Protocol(_))),
                    "0x{id:02X} twice in {name}: {outcome:?}"
                ),
            }
        }
    }
}

#[test]
fn no_other_property_exists() {
    let known: Vec<u8> = VALUES.iter().map(|(id, _)| *id).collect();
    for id in 0..=255 {
        assert_eq!(places(id).is_some(), known.contains(&id), "0x{id:02X}");
    }
}
