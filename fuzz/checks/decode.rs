//! The codec on any bytes, as a broker and as a client would read them.
//!
//! Input: one byte that says which version and limit, then the bytes of the wire.

use latchgate::mqtt::codec::{PublishHead, decode, encode, encode_properties};
use latchgate::mqtt::{DecodeError, Packet, Property, Publish, Version};

pub fn check(input: &[u8]) {
    let Some((&how, wire)) = input.split_first() else { return };
    let version = [None, Some(Version::V31), Some(Version::V311), Some(Version::V5)][usize::from(how & 3)];
    let limit = if how & 4 == 0 { 1 << 20 } else { 32 };

    let outcome = decode(wire, version, limit);
    let declared = declared_size(wire);
    match &outcome {
        Ok(None) => {
            assert!(declared.is_none_or(|size| wire.len() < size), "a whole packet is called incomplete");
        }
        Ok(Some((packet, taken))) => {
            assert_eq!(Some(*taken), declared, "another length than the header says");
            assert!(*taken <= limit && *taken <= wire.len());
            written_and_read_again(packet, &wire[..*taken], version, limit);
        }
        Err(error) => {
            assert!(!matches!(error, DecodeError::TooLarge(size) if *size <= limit));
            let _ = error.reason();
        }
    }
    prefixes_wait(wire, version, limit, &outcome);
    what_follows_changes_nothing(wire, version, limit, &outcome);
}

/// The size of the first packet as its fixed header has it, read the naive way; `None` if that is not there.
fn declared_size(wire: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (at, byte) in wire.iter().skip(1).take(4).enumerate() {
        length += usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(2 + at + length);
        }
    }
    None
}

fn written(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, version, &mut bytes);
    bytes
}

/// What was decoded is written in no more bytes, and those mean the same.
fn written_and_read_again(packet: &Packet<'_>, wire: &[u8], version: Option<Version>, limit: usize) {
    let own = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version.expect("only a CONNECT is decoded before the version is known"),
    };
    let bytes = written(packet, own);
    assert!(!bytes.is_empty(), "a decoded packet cannot be written: {packet:?}");
    assert!(bytes.len() <= wire.len(), "{packet:?} was read from {wire:02X?} and is written {bytes:02X?}");
    assert_eq!(decode(&bytes, version, limit), Ok(Some((packet.clone(), bytes.len()))));
    assert_eq!(decode(wire, version, limit), Ok(Some((packet.clone(), wire.len()))), "cut to its length");

    if let Packet::Publish(publish) = packet {
        assert_eq!(delivered(publish, own), bytes, "the delivery path writes {publish:?} otherwise");
    }
    // Another version may have no words for it, but whatever is written is one whole packet.
    for other in [Version::V31, Version::V311, Version::V5] {
        let bytes = written(packet, other);
        assert!(bytes.is_empty() || declared_size(&bytes) == Some(bytes.len()), "half of {packet:?}");
    }
}

/// The same packet as the broker's delivery path writes it.
fn delivered(publish: &Publish<'_>, version: Version) -> Vec<u8> {
    let (alias, list) = match &publish.properties.0[..] {
        [Property::TopicAlias(alias), rest @ ..] => (Some(*alias), rest),
        list => (None, list),
    };
    let mut properties = Vec::new();
    encode_properties(&list.iter().copied().collect(), &mut properties);
    let head = PublishHead {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        packet_id: publish.packet_id,
        topic: publish.topic,
        alias,
        properties: (version == Version::V5).then_some([&[], properties.as_slice()]),
        payload_len: publish.payload.len(),
    };
    let mut bytes = Vec::new();
    head.encode(&mut bytes);
    bytes.extend_from_slice(publish.payload);
    assert_eq!(bytes.len(), head.size());
    bytes
}

type Outcome<'a> = Result<Option<(Packet<'a>, usize)>, DecodeError>;

/// A part of a packet is never taken for a whole one, and never refused for another reason than the whole.
fn prefixes_wait(wire: &[u8], version: Option<Version>, limit: usize, outcome: &Outcome<'_>) {
    let end = match outcome {
        Ok(Some((_, taken))) => *taken,
        _ => wire.len(),
    };
    let near_the_end = end.saturating_sub(4)..end;
    for cut in (0..end.min(16)).chain(near_the_end) {
        match (decode(&wire[..cut], version, limit), outcome) {
            (Ok(None), _) => {}
            (Err(early), Err(late)) => assert_eq!(&early, late, "cut to {cut} bytes"),
            (early, _) => panic!("{early:?} from {cut} bytes, {outcome:?} from {end}"),
        }
    }
}

/// Whatever follows a packet or an error is of no concern to it.
fn what_follows_changes_nothing(wire: &[u8], version: Option<Version>, limit: usize, outcome: &Outcome<'_>) {
    if matches!(outcome, Ok(None)) {
        return;
    }
    for next in [0x00, 0x30, 0xFF] {
        let mut longer = wire.to_vec();
        longer.push(next);
        // A refused packet that is not complete yet may become complete: then it is refused all the same.
        let again = decode(&longer, version, limit);
        match outcome {
            Ok(_) => assert_eq!(&again, outcome),
            Err(_) => assert_eq!(again.as_ref().err(), outcome.as_ref().err()),
        }
    }
}
