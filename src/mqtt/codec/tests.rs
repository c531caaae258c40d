//! What the codec promises, over the table of named packets and over random ones.

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::{Ack, DecodeError, Packet, Properties, Property, Publish, QoS, ReasonCode, Version};
use super::table::{Expect, Kind, LIMIT, Row, rows};
use super::{PublishHead, decode, encode, encode_properties, random};

fn kind(error: DecodeError) -> Kind {
    match error {
        DecodeError::Malformed(_) => Kind::Malformed,
        DecodeError::Protocol(_) => Kind::Protocol,
        DecodeError::TooLarge(_) => Kind::TooLarge,
        DecodeError::UnsupportedVersion => Kind::UnsupportedVersion,
        DecodeError::TopicName(_) => Kind::TopicName,
    }
}

fn encoded(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    encode(packet, version, &mut out);
    out
}

/// The version a row's packet is written in: a CONNECT names its own.
fn version_of(row: &Row) -> Version {
    row.version.unwrap_or(Version::V5)
}

#[test]
fn every_named_packet_decodes_to_its_value_or_its_error() {
    let rows = rows();
    assert!(rows.len() >= 150, "only {} rows", rows.len());
    for row in &rows {
        let outcome = decode(&row.bytes, row.version, LIMIT);
        match &row.expect {
            Expect::Exactly(packet) | Expect::Decodes(packet) => {
                assert_eq!(outcome, Ok(Some((packet.clone(), row.bytes.len()))), "{}", row.name);
            }
            Expect::Refused(expected) => match outcome {
                Err(error) => assert_eq!(kind(error), *expected, "{}: {error}", row.name),
                Ok(packet) => panic!("{} was accepted: {packet:?}", row.name),
            },
        }
    }
}

#[test]
fn the_names_of_the_table_are_unique() {
    let mut names = HashSet::new();
    for row in rows() {
        assert!(names.insert(row.name), "two rows are called {}", row.name);
    }
}

#[test]
fn every_named_packet_in_its_shortest_form_encodes_to_the_same_bytes() {
    for row in rows() {
        match &row.expect {
            Expect::Exactly(packet) => {
                assert_eq!(encoded(packet, version_of(&row)), row.bytes, "{}", row.name);
            }
            Expect::Decodes(packet) => {
                let bytes = encoded(packet, version_of(&row));
                assert_ne!(bytes, row.bytes, "{} is written the same after all", row.name);
                let again = decode(&bytes, row.version, LIMIT);
                assert_eq!(again, Ok(Some((packet.clone(), bytes.len()))), "{}", row.name);
            }
            Expect::Refused(_) => {}
        }
    }
}

#[test]
fn every_strict_prefix_of_a_valid_packet_is_incomplete() {
    for row in rows().iter().filter(|row| !matches!(row.expect, Expect::Refused(_))) {
        for end in 0..row.bytes.len() {
            let outcome = decode(&row.bytes[..end], row.version, LIMIT);
            assert_eq!(outcome, Ok(None), "{} cut to {end} bytes", row.name);
        }
    }
}

#[test]
fn bytes_after_a_packet_are_left_for_the_next() {
    let bytes = [0xC0, 0x00, 0xE0, 0x00];
    assert_eq!(decode(&bytes, Some(Version::V311), LIMIT), Ok(Some((Packet::PingReq, 2))));
}

#[test]
fn a_packet_of_exactly_the_limit_is_accepted_and_one_byte_more_is_not() {
    let bytes = encoded(&message(b"0123456789"), Version::V311);
    assert!(matches!(decode(&bytes, Some(Version::V311), bytes.len()), Ok(Some(_))));
    let refused = decode(&bytes[..2], Some(Version::V311), bytes.len() - 1);
    assert_eq!(refused, Err(DecodeError::TooLarge(bytes.len())));
}

fn message(payload: &[u8]) -> Packet<'_> {
    Packet::Publish(publish("a/b", payload))
}

fn publish<'a>(topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic,
        packet_id: None,
        properties: Properties::default(),
        payload,
    }
}

#[test]
fn remaining_lengths_at_the_edges_of_their_sizes_round_trip() {
    for remaining in [127, 128, 16_383, 16_384, 2_097_151, 2_097_152_usize] {
        let payload = vec![b'x'; remaining - 5];
        let packet = message(&payload);
        let bytes = encoded(&packet, Version::V311);
        assert_eq!(decode(&bytes, Some(Version::V311), 4 << 20), Ok(Some((packet, bytes.len()))));
    }
}

#[test]
fn a_packet_whose_topic_is_too_long_is_not_begun() {
    let topic = "x".repeat(65_536);
    let mut out = vec![1, 2, 3];
    encode(&Packet::Publish(publish(&topic, b"")), Version::V5, &mut out);
    assert_eq!(out, [1, 2, 3]);
    encode(&Packet::Publish(publish(&topic[1..], b"")), Version::V5, &mut out);
    assert!(out.len() > 65_535, "65,535 bytes do fit");
}

#[test]
fn a_property_that_is_too_long_is_left_out_and_its_packet_stays_whole() {
    let long = "x".repeat(65_536);
    let list =
        [Property::ReasonString(&long), Property::UserProperty("k", &long), Property::UserProperty("k", "v")];
    let ack = Ack { packet_id: 1, reason: ReasonCode::NotAuthorized, properties: list.into_iter().collect() };
    let bytes = encoded(&Packet::PubAck(ack), Version::V5);
    let expected = Packet::PubAck(Ack {
        packet_id: 1,
        reason: ReasonCode::NotAuthorized,
        properties: [Property::UserProperty("k", "v")].into_iter().collect(),
    });
    assert_eq!(decode(&bytes, Some(Version::V5), LIMIT), Ok(Some((expected, bytes.len()))));
}

#[test]
fn a_qos1_publish_without_an_identifier_is_not_begun() {
    let packet = Packet::Publish(Publish { qos: QoS::AtLeastOnce, ..publish("a", b"") });
    assert!(encoded(&packet, Version::V5).is_empty());
}

#[test]
fn what_3_1_1_does_not_have_is_left_out() {
    let rows = rows();
    for row in rows.iter().filter(|row| row.version == Some(Version::V5)) {
        let (Expect::Exactly(packet) | Expect::Decodes(packet)) = &row.expect else { continue };
        if matches!(packet, Packet::Publish(Publish { topic: "", .. })) {
            continue; // an alias needs version 5
        }
        let bytes = encoded(packet, Version::V311);
        match packet {
            Packet::Auth(_) => assert!(bytes.is_empty(), "{}", row.name),
            _ => {
                let outcome = decode(&bytes, Some(Version::V311), LIMIT);
                assert!(matches!(outcome, Ok(Some(_))), "{}: {outcome:?}", row.name);
            }
        }
    }
}

#[test]
fn a_password_is_not_in_the_debug_text_of_a_connect() {
    let bytes = super::table::bytes("10 * <MQTT> 04 C2 003C <dev> <ann> <hunter2>");
    let packet = decode(&bytes, None, LIMIT);
    let text = format!("{packet:?}");
    assert!(text.contains("ann") && !text.contains("hunter2") && !text.contains("104"), "{text}");
}

/// Writes a PUBLISH as the broker does: head from encoded parts, then the payload.
fn delivered(publish: &Publish<'_>, version: Version, split: usize) -> (Vec<u8>, usize) {
    let (alias, list) = match &publish.properties.0[..] {
        [Property::TopicAlias(alias), rest @ ..] => (Some(*alias), rest),
        list => (None, list),
    };
    let split = split.min(list.len());
    let (mut own, mut shared) = (Vec::new(), Vec::new());
    encode_properties(&list[..split].iter().copied().collect(), &mut own);
    encode_properties(&list[split..].iter().copied().collect(), &mut shared);
    let head = PublishHead {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        packet_id: publish.packet_id,
        topic: publish.topic,
        alias,
        properties: (version == Version::V5).then_some([&own[..], &shared[..]]),
        payload_len: publish.payload.len(),
    };
    let mut out = Vec::new();
    head.encode(&mut out);
    out.extend_from_slice(publish.payload);
    (out, head.size())
}

#[test]
fn a_head_of_more_than_a_packet_can_be_is_not_begun() {
    let head = PublishHead {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        packet_id: None,
        topic: "a",
        alias: None,
        properties: None,
        payload_len: 268_435_456 - 3,
    };
    let mut out = Vec::new();
    head.encode(&mut out);
    assert!(out.is_empty());
    let largest = PublishHead { payload_len: head.payload_len - 1, ..head };
    largest.encode(&mut out);
    assert_eq!(out, b"\x30\xFF\xFF\xFF\x7F\0\x01a");
    assert_eq!(largest.size(), 268_435_460);
}

proptest! {
    #[test]
    fn random_packets_round_trip_in_every_version((version, packet) in random::packet()) {
        let bytes = encoded(&packet, version);
        let first = if matches!(packet, Packet::Connect(_)) { None } else { Some(version) };
        prop_assert_eq!(decode(&bytes, first, 1 << 20), Ok(Some((packet, bytes.len()))));
    }

    #[test]
    fn a_delivery_from_encoded_parts_is_the_same_as_the_encoded_packet(
        (version, packet) in random::packet(),
        split in 0..4_usize,
    ) {
        if let Packet::Publish(publish) = &packet {
            let (bytes, size) = delivered(publish, version, split);
            prop_assert_eq!(size, bytes.len());
            prop_assert_eq!(bytes, encoded(&packet, version));
        }
    }

    #[test]
    fn random_bytes_never_panic_and_never_take_more_than_there_is(
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        version in proptest::sample::select(vec![None, Some(Version::V31), Some(Version::V311), Some(Version::V5)]),
    ) {
        if let Ok(Some((_, taken))) = decode(&bytes, version, LIMIT) {
            prop_assert!(taken <= bytes.len());
        }
    }

    #[test]
    fn damaged_packets_never_panic_and_what_is_still_accepted_round_trips(
        row in 0..rows().len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let row = &rows()[row];
        let mut bytes = row.bytes.clone();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(Some((packet, _))) = decode(&bytes, row.version, LIMIT) {
            let again = encoded(&packet, version_of(row));
            prop_assert_eq!(decode(&again, row.version, LIMIT), Ok(Some((packet, again.len()))));
        }
    }
}
