//! The codec beside another one: packets written by either are read alike by both.
//!
//! Random packets are put into the other codec's words ([`Theirs::of`]). Ours must write what theirs reads as
//! those words, and read what theirs writes as a packet that gives the same words.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use rmqtt_codec::{v3, v5};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

use super::super::{Connect, Packet, Version};
use super::{decode, encode, random};

mod words;

/// A packet as the other codec has it.
#[derive(Debug, PartialEq)]
enum Theirs {
    V3(v3::Packet),
    V5(v5::Packet),
}

impl Theirs {
    /// `None` if the other codec has no words for the packet, or is known to refuse what is allowed.
    fn of(packet: &Packet<'_>, version: Version) -> Option<Self> {
        match version {
            Version::V5 => words::v5(packet).map(Theirs::V5),
            _ => words::v3(packet).map(Theirs::V3),
        }
    }

    fn read(bytes: &[u8], version: Version) -> Result<Option<(Self, usize)>, String> {
        let mut rest = BytesMut::from(bytes);
        let packet = match version {
            Version::V5 => v5::Codec::new(0, 0).decode(&mut rest).map(|it| it.map(|(it, _)| Theirs::V5(it))),
            _ => v3::Codec::new(0).decode(&mut rest).map(|it| it.map(|(it, _)| Theirs::V3(it))),
        };
        packet.map(|it| it.map(|it| (it, bytes.len() - rest.len()))).map_err(|error| error.to_string())
    }

    fn written(self) -> Result<Vec<u8>, String> {
        let mut bytes = BytesMut::new();
        match self {
            Theirs::V5(packet) => v5::Codec::new(0, 0).encode(packet, &mut bytes),
            Theirs::V3(packet) => v3::Codec::new(0).encode(packet, &mut bytes),
        }
        .map_err(|error| error.to_string())?;
        Ok(bytes.to_vec())
    }
}

fn ours(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, version, &mut bytes);
    bytes
}

/// What is decoded before and after the version is known.
fn expected_by(packet: &Packet<'_>, version: Version) -> Option<Version> {
    (!matches!(packet, Packet::Connect(_))).then_some(version)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_is_written_here_is_read_alike_by_another_codec((version, packet) in random::packet()) {
        let Some(words) = Theirs::of(&packet, version) else { return Ok(()) };
        let bytes = ours(&packet, version);
        prop_assert_eq!(Theirs::read(&bytes, version), Ok(Some((words, bytes.len()))), "{:02X?}", bytes);
    }

    #[test]
    fn what_another_codec_writes_is_read_alike_here((version, packet) in random::packet()) {
        let Some(words) = Theirs::of(&packet, version) else { return Ok(()) };
        // The other codec writes the name of 3.1 with the level of 3.1.1.
        prop_assume!(expected_by(&packet, version).is_some() || version != Version::V31);
        let bytes = words.written().map_err(TestCaseError::fail)?;
        let read = decode(&bytes, expected_by(&packet, version), 1 << 20);
        let Ok(Some((read, taken))) = read else { return Err(TestCaseError::fail(format!("{read:?}: {bytes:02X?}"))) };
        prop_assert_eq!(taken, bytes.len());
        prop_assert_eq!(Theirs::of(&read, version), Theirs::of(&packet, version), "{:02X?}", bytes);
    }

    #[test]
    fn a_packet_cut_short_is_a_whole_one_to_neither_codec(
        (version, packet) in random::packet(),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = ours(&packet, version);
        let part = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(decode(part, expected_by(&packet, version), 1 << 20), Ok(None));
        if Theirs::of(&packet, version).is_some() {
            prop_assert_eq!(Theirs::read(part, version), Ok(None));
        }
    }
}

/// The generators would say nothing if most of what they make were left out.
#[test]
fn most_random_packets_of_every_kind_have_words_in_both_codecs() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<(u8, &str), (u32, u32)>::new();
    for _ in 0..4000 {
        let (version, packet) = random::packet().new_tree(&mut runner).unwrap().current();
        let connect = matches!(&packet, Packet::Connect(connect) if simple(connect));
        if matches!(packet, Packet::Connect(_)) && !connect {
            continue;
        }
        let kind = ours(&packet, version)[0] >> 4;
        let (all, put) = seen.entry((kind, if version == Version::V5 { "5" } else { "3" })).or_default();
        *all += 1;
        *put += u32::from(Theirs::of(&packet, version).is_some());
    }
    assert_eq!(seen.len(), 15 + 14, "{seen:?}");
    for (kind, (all, put)) in seen {
        assert!(put * 2 >= all, "of {all} packets of {kind:?} only {put} are compared");
    }
}

/// Not a bridge, and with a client identifier.
fn simple(connect: &Connect<'_>) -> bool {
    !connect.bridge && !connect.client_id.is_empty()
}
