//! Packets as the hot loops see them: a frame found in a buffer, and a PUBLISH that is encoded once and patched.

use anyhow::bail;

use super::stamp::Stamp;
use crate::mqtt::{Packet, Publish, QoS, Version, codec};

/// No packet of a benchmark is larger than this.
pub const MAX_PACKET: usize = 2 << 20;

pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const PUBREC: u8 = 5;
pub const PUBREL: u8 = 6;
pub const PUBCOMP: u8 = 7;
pub const DISCONNECT: u8 = 14;

/// One packet in a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub first: u8,
    pub body: &'a [u8],
    /// Bytes of the whole packet.
    pub size: usize,
}

impl<'a> Frame<'a> {
    /// The first packet of `bytes`, if all of it is there.
    ///
    /// # Errors
    /// If its length is not one, or is above [`MAX_PACKET`].
    #[inline]
    pub fn find(bytes: &'a [u8]) -> anyhow::Result<Option<Self>> {
        let mut length = 0;
        for at in 1..=4 {
            let Some(&byte) = bytes.get(at) else { return Ok(None) };
            length |= usize::from(byte & 0x7F) << (7 * (at - 1));
            if byte < 0x80 {
                let (start, size) = (at + 1, at + 1 + length);
                if size > MAX_PACKET {
                    bail!("the broker sent a packet of {size} bytes, more than a benchmark has");
                }
                let body = bytes.get(start..size);
                return Ok(body.map(|body| Frame { first: bytes[0], body, size }));
            }
        }
        bail!("the broker sent a packet whose length is malformed")
    }

    #[inline]
    pub fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// Packet identifier of an acknowledgement, and whether it says that the message was refused.
    #[inline]
    pub fn acknowledgement(&self) -> Option<([u8; 2], bool)> {
        let (id, rest) = self.body.split_first_chunk()?;
        Some((*id, rest.first().is_some_and(|&reason| reason >= 0x80)))
    }

    /// QoS, packet identifier and payload of a PUBLISH.
    #[inline]
    pub fn publish(&self, version: Version) -> Option<(u8, [u8; 2], &'a [u8])> {
        let qos = self.first >> 1 & 3;
        let (length, rest) = self.body.split_first_chunk()?;
        let mut rest = rest.get(usize::from(u16::from_be_bytes(*length))..)?;
        let mut id = [0; 2];
        if qos > 0 {
            let (found, after) = rest.split_first_chunk()?;
            (id, rest) = (*found, after);
        }
        if version == Version::V5 {
            let mut length = 0;
            for at in 0.. {
                let byte = *rest.get(at)?;
                length |= usize::from(byte & 0x7F) << (7 * at);
                if byte < 0x80 {
                    rest = rest.get(at + 1 + length..)?;
                    break;
                }
                if at == 3 {
                    return None;
                }
            }
        }
        Some((qos, id, rest))
    }
}

/// A PUBLISH, encoded but for its packet identifier and stamp.
#[derive(Debug)]
pub struct Template {
    bytes: Vec<u8>,
    id_at: Option<usize>,
    stamp_at: usize,
}

impl Template {
    /// `payload`: its size in bytes, at least [`Stamp::SIZE`].
    pub fn new(topic: &str, qos: QoS, payload: usize, version: Version) -> Self {
        let payload = vec![b'.'; payload.max(Stamp::SIZE)];
        let packet_id = (qos != QoS::AtMostOnce).then_some(1);
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic,
            packet_id,
            properties: Default::default(),
            payload: &payload,
        };
        let mut bytes = Vec::new();
        codec::encode(&Packet::Publish(publish), version, &mut bytes);
        let stamp_at = bytes.len().saturating_sub(payload.len());
        let properties = usize::from(version == Version::V5);
        Template { id_at: packet_id.map(|_| stamp_at - properties - 2), bytes, stamp_at }
    }

    /// Appends one message.
    #[inline]
    pub fn append(&self, packet_id: u16, stamp: &Stamp, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let packet = &mut out[start..];
        if let Some(at) = self.id_at {
            packet[at..at + 2].copy_from_slice(&packet_id.to_be_bytes());
        }
        if let Some(place) = packet[self.stamp_at..].first_chunk_mut() {
            stamp.write(place);
        }
    }

    /// Bytes of a message on the wire.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// Appends an acknowledgement that says that all is well, in any version of the protocol.
#[inline]
pub fn acknowledge(kind: u8, id: [u8; 2], out: &mut Vec<u8>) {
    let flags = if kind == PUBREL { 0b0010 } else { 0 };
    out.extend_from_slice(&[kind << 4 | flags, 2, id[0], id[1]]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patched_template_is_the_packet_the_codec_reads() {
        for version in [Version::V311, Version::V5] {
            for (qos, bits) in [(QoS::AtMostOnce, 0), (QoS::AtLeastOnce, 1), (QoS::ExactlyOnce, 2)] {
                for payload in [24, 64, 20_000] {
                    let stamp = Stamp { run: 7, publisher: 8, sequence: 9, due: 10 };
                    let mut out = vec![0xFF];
                    Template::new("bench/8", qos, payload, version).append(0x1234, &stamp, &mut out);
                    let (packet, size) =
                        codec::decode(&out[1..], Some(version), MAX_PACKET).unwrap().unwrap();
                    let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
                    assert_eq!(
                        (publish.topic, publish.qos, publish.payload.len()),
                        ("bench/8", qos, payload)
                    );
                    assert_eq!(publish.packet_id, (bits > 0).then_some(0x1234));
                    assert_eq!(Stamp::read(publish.payload), Some(stamp));

                    let frame = Frame::find(&out[1..]).unwrap().unwrap();
                    assert_eq!((frame.size, frame.kind()), (size, PUBLISH));
                    let (found, id, body) = frame.publish(version).unwrap();
                    assert_eq!((found, u16::from_be_bytes(id) != 0), (bits, bits > 0));
                    assert_eq!(body, publish.payload);
                }
            }
        }
    }

    #[test]
    fn half_a_frame_is_waited_for_and_a_malformed_one_is_an_error() {
        assert!(Frame::find(&[0x30]).unwrap().is_none());
        assert!(Frame::find(&[0x30, 0x80]).unwrap().is_none());
        assert!(Frame::find(&[0x30, 2, 0]).unwrap().is_none());
        assert!(Frame::find(&[0x30, 0x80, 0x80, 0x80, 0x80]).is_err());
        assert!(Frame::find(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]).is_err());
        for body in [&[][..], &[0], &[0, 9, b'a'], &[0, 1, b'a', 1]] {
            let frame = Frame { first: 0x32, body, size: 0 };
            assert!(frame.publish(Version::V311).is_none(), "{body:?}");
        }
        let endless = Frame { first: 0x30, body: &[0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1], size: 9 };
        assert!(endless.publish(Version::V5).is_none());
    }
}
