//! Decodes what a server sends. Strict: a packet that breaks the format fails the test.

use super::packet::{Publish, Version};
use super::property::{Property, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    ConnAck { session_present: bool, code: u8, properties: Vec<Property> },
    Publish(Publish),
    PubAck { id: u16, code: u8, properties: Vec<Property> },
    PubRec { id: u16, code: u8, properties: Vec<Property> },
    PubRel { id: u16, code: u8, properties: Vec<Property> },
    PubComp { id: u16, code: u8, properties: Vec<Property> },
    SubAck { id: u16, codes: Vec<u8>, properties: Vec<Property> },
    UnsubAck { id: u16, codes: Vec<u8>, properties: Vec<Property> },
    PingResp,
    Disconnect { code: u8, properties: Vec<Property> },
    Auth { code: u8, properties: Vec<Property> },
}

/// The length of the first packet in `bytes` (header included) and of its header, once both are known.
pub fn packet_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (position, byte) in bytes.iter().skip(1).enumerate() {
        assert!(position < 4, "the server sent a remaining length of more than four bytes: {bytes:02x?}");
        length |= usize::from(byte & 0x7F) << (7 * position);
        if byte & 0x80 == 0 {
            assert!(position == 0 || *byte != 0, "a remaining length with a byte too many: {bytes:02x?}");
            return Some((2 + position + length, 2 + position));
        }
    }
    None
}

struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        assert!(self.0.len() >= count, "the server sent a packet that ends too early");
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        head
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn two(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().expect("two bytes"))
    }

    fn four(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().expect("four bytes"))
    }

    fn variable(&mut self) -> u32 {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte();
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                assert!(
                    shift == 0 || byte != 0,
                    "the server sent a variable byte integer with a byte too many"
                );
                return value;
            }
        }
        panic!("the server sent a variable byte integer of more than four bytes");
    }

    fn binary(&mut self) -> Vec<u8> {
        let length = self.two();
        self.take(length.into()).to_vec()
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.binary()).expect("the server sends UTF-8")
    }

    fn properties(&mut self) -> Vec<Property> {
        let length = self.variable() as usize;
        let mut list = Body(self.take(length));
        let mut properties = Vec::new();
        while !list.0.is_empty() {
            let id = list.byte();
            let value = match id {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => Value::Byte(list.byte()),
                0x13 | 0x21 | 0x22 | 0x23 => Value::Two(list.two()),
                0x02 | 0x11 | 0x18 | 0x27 => Value::Four(list.four()),
                0x0B => Value::Variable(list.variable()),
                0x03 | 0x08 | 0x12 | 0x15 | 0x1A | 0x1C | 0x1F => Value::Text(list.text()),
                0x09 | 0x16 => Value::Binary(list.binary()),
                0x26 => Value::Pair(list.text(), list.text()),
                _ => panic!("the server sent an unknown property {id:#04x}"),
            };
            properties.push(Property { id, value });
        }
        properties
    }

    fn rest(&mut self) -> Vec<u8> {
        self.take(self.0.len()).to_vec()
    }
}

/// The reason codes that a server may use, packet by packet (the tables of the specifications).
fn check_codes(version: Version, packet: &Packet) {
    let v5 = version == Version::V5;
    let (codes, table): (&[u8], &[u8]) = match packet {
        // Before version 5 a refusal has a code from 1 to 5, also the one of an unknown version.
        Packet::ConnAck { code: 0..=5, .. } => return,
        Packet::ConnAck { code, .. } if v5 => (
            &[*code],
            &[
                0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
                0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
            ],
        ),
        Packet::PubAck { code, .. } | Packet::PubRec { code, .. } => {
            (&[*code], &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
        }
        Packet::PubRel { code, .. } | Packet::PubComp { code, .. } => (&[*code], &[0, 0x92]),
        Packet::SubAck { codes, .. } if v5 => {
            (codes, &[0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2])
        }
        Packet::SubAck { codes, .. } => (codes, &[0, 1, 2, 0x80]),
        Packet::UnsubAck { codes, .. } => (codes, &[0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]),
        Packet::Disconnect { code, properties } => {
            assert!(!properties.iter().any(|p| p.id == 0x11), "session expiry from a server: {packet:?}");
            (
                &[*code],
                &[
                    0, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
                    0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
                ],
            )
        }
        _ => return,
    };
    assert!(codes.iter().all(|code| table.contains(code)), "a code that no table lists: {packet:?}");
}

/// Decodes one whole packet whose header is `header` bytes long.
pub fn decode(version: Version, bytes: &[u8], header: usize) -> Packet {
    let (first, v5) = (bytes[0], version == Version::V5);
    let mut body = Body(&bytes[header..]);
    let kind = first >> 4;
    let expected_flags = if kind == 6 { 2 } else { 0 };
    assert!(kind == 3 || first & 0x0F == expected_flags, "reserved flags in {bytes:02x?}");
    let packet = match kind {
        2 => {
            let flags = body.byte();
            assert!(flags <= 1, "reserved flags of CONNACK in {bytes:02x?}");
            let code = body.byte();
            // A server that does not speak the version offered may answer in the form of an older one.
            let properties = if v5 && !body.0.is_empty() { body.properties() } else { Vec::new() };
            Packet::ConnAck { session_present: flags == 1, code, properties }
        }
        3 => {
            let qos = first >> 1 & 3;
            assert!(qos < 3, "QoS 3 in {bytes:02x?}");
            let topic = body.text();
            let id = (qos > 0).then(|| body.two());
            assert_ne!(id, Some(0), "packet identifier 0 in {bytes:02x?}");
            let properties = if v5 { body.properties() } else { Vec::new() };
            let payload = body.rest();
            let (dup, retain) = (first & 8 != 0, first & 1 != 0);
            Packet::Publish(Publish { dup, qos, retain, topic, id, properties, payload })
        }
        4..=7 => {
            let id = body.two();
            let code = if v5 && !body.0.is_empty() { body.byte() } else { 0 };
            let properties = if v5 && !body.0.is_empty() { body.properties() } else { Vec::new() };
            match kind {
                4 => Packet::PubAck { id, code, properties },
                5 => Packet::PubRec { id, code, properties },
                6 => Packet::PubRel { id, code, properties },
                _ => Packet::PubComp { id, code, properties },
            }
        }
        9 | 11 => {
            let id = body.two();
            let properties = if v5 { body.properties() } else { Vec::new() };
            let codes = body.rest();
            if kind == 9 {
                Packet::SubAck { id, codes, properties }
            } else {
                Packet::UnsubAck { id, codes, properties }
            }
        }
        13 => Packet::PingResp,
        14 | 15 if v5 => {
            let code = if body.0.is_empty() { 0 } else { body.byte() };
            let properties = if body.0.is_empty() { Vec::new() } else { body.properties() };
            if kind == 14 {
                Packet::Disconnect { code, properties }
            } else {
                Packet::Auth { code, properties }
            }
        }
        _ => {
            panic!("the server sent a packet that only clients send, or one of another version: {bytes:02x?}")
        }
    };
    assert!(body.0.is_empty(), "bytes left over after {packet:?}");
    check_codes(version, &packet);
    packet
}
