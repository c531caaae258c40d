//! PUBLISH (3.3): the packet that there are many of.

use super::super::{DecodeError, Properties, Publish, QoS, Version};
use super::packet_type;
use super::properties::{self, Place};
use super::reader::{self, Reader};
use super::writer::{self, DoesNotFit, Written, variable_byte_integer_size, with_length};

/// Identifier of the property Topic Alias (3.3.2.3.4).
const TOPIC_ALIAS: u8 = 0x23;

/// `first` is the first byte of the fixed header, which holds DUP, QoS and RETAIN.
pub(super) fn decode_publish<'a>(
    first: u8,
    body: &'a [u8],
    version: Version,
) -> Result<Publish<'a>, DecodeError> {
    let dup = first & 0b1000 != 0;
    let retain = first & 0b0001 != 0;
    let qos = reader::qos(first >> 1, DecodeError::Malformed("PUBLISH with QoS 3"))?; // [MQTT-3.3.1-4]
    if dup && qos == QoS::AtMostOnce {
        return Err(DecodeError::Malformed("PUBLISH with QoS 0 and DUP")); // [MQTT-3.3.1-2]
    }
    let mut reader = Reader::new(body);
    // Only version 5 has an empty topic, and only beside an alias, which comes later.
    let topic = match body {
        [0, 0, ..] if version == Version::V5 => reader.text()?,
        _ => reader.topic()?,
    };
    let packet_id = match qos {
        QoS::AtMostOnce => None, // [MQTT-2.2.1-2]
        _ => Some(reader.packet_id()?),
    };
    let properties = match version {
        Version::V5 => properties::read(&mut reader, Place::packet(packet_type::PUBLISH))?,
        _ => Properties::default(),
    };
    if topic.is_empty() && properties.topic_alias().is_none() {
        return Err(DecodeError::Protocol("an empty topic name without a topic alias")); // 3.3.2.1
    }
    Ok(Publish { dup, qos, retain, topic, packet_id, properties, payload: reader.remainder() })
}

fn first_byte(dup: bool, qos: QoS, retain: bool) -> u8 {
    packet_type::PUBLISH << 4 | u8::from(dup) << 3 | (qos as u8) << 1 | u8::from(retain)
}

pub(super) fn encode_publish(publish: &Publish<'_>, version: Version, out: &mut Vec<u8>) -> Written {
    out.push(first_byte(publish.dup, publish.qos, publish.retain));
    with_length(out, publish.payload.len(), |out| {
        writer::text(publish.topic, out)?;
        match (publish.qos, publish.packet_id) {
            (QoS::AtMostOnce, _) => {}
            (_, Some(id)) => writer::u16(id, out)?,
            (_, None) => return Err(DoesNotFit),
        }
        match version {
            Version::V5 => properties::write_block(&publish.properties, out),
            _ => Ok(()),
        }
    })?;
    out.extend_from_slice(publish.payload);
    Ok(())
}

/// All of a PUBLISH but its payload, from parts that are already encoded: what the broker writes for each
/// delivery, so that a message is encoded once however many subscribers it has.
///
/// Nothing is checked but the size: compare [`PublishHead::size`] with the client's limit before writing.
#[derive(Clone, Copy, Debug)]
pub struct PublishHead<'a> {
    /// Set when this is a re-delivery.
    pub dup: bool,
    /// QoS of this delivery.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Packet identifier: present exactly when QoS is 1 or 2.
    pub packet_id: Option<u16>,
    /// The topic name; empty if an alias stands for it.
    pub topic: &'a str,
    /// Topic alias, where `properties` are given [MQTT-3.3.2-11].
    pub alias: Option<u16>,
    /// Version 5 only, `None` before: encoded properties ([`super::encode_properties`]) of this delivery, such
    /// as the subscription identifiers, and then those that all deliveries of the message share.
    pub properties: Option<[&'a [u8]; 2]>,
    /// Bytes of payload that the caller sends after this.
    pub payload_len: usize,
}

impl PublishHead<'_> {
    /// Bytes of the whole packet, payload included: what a Maximum Packet Size is compared with
    /// [MQTT-3.1.2-24].
    pub fn size(&self) -> usize {
        let remaining = self.remaining_length();
        1 + variable_byte_integer_size(remaining) + remaining as usize
    }

    /// Appends everything up to the payload. A packet above 268,435,460 bytes, which MQTT does not have, is
    /// not begun: nothing is appended. Whether it was begun, so that the payload may follow.
    pub fn encode(&self, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let begun = self.write(out).is_ok();
        if !begun {
            out.truncate(start);
        }
        begun
    }

    fn write(&self, out: &mut Vec<u8>) -> Written {
        out.push(first_byte(self.dup, self.qos, self.retain));
        writer::variable(self.remaining_length(), out)?;
        writer::text(self.topic, out)?;
        if let Some(id) = self.packet_id {
            writer::u16(id, out)?;
        }
        if let Some([per_delivery, shared]) = self.properties {
            writer::variable(length(self.alias_size() + per_delivery.len() + shared.len()), out)?;
            if let Some(alias) = self.alias {
                out.push(TOPIC_ALIAS);
                writer::u16(alias, out)?;
            }
            out.extend_from_slice(per_delivery);
            out.extend_from_slice(shared);
        }
        Ok(())
    }

    fn alias_size(&self) -> usize {
        if self.alias.is_some() { 3 } else { 0 }
    }

    fn remaining_length(&self) -> u32 {
        let packet_id = if self.packet_id.is_some() { 2 } else { 0 };
        let properties = self.properties.map_or(0, |[per_delivery, shared]| {
            let bytes = self.alias_size() + per_delivery.len() + shared.len();
            variable_byte_integer_size(length(bytes)) + bytes
        });
        length(2 + self.topic.len() + packet_id + properties + self.payload_len)
    }
}

/// A length as its field counts it; one that is too large for any field stays so.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
