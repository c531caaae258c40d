//! Bytes to packets and back, for MQTT 3.1, 3.1.1 and 5, for clients and servers alike.
//!
//! One file holds both directions of related packets. Decoding borrows every string and payload from the
//! bytes it was given; a PUBLISH without properties allocates nothing. Bytes that cannot be parsed are
//! `Malformed`; bytes that can be parsed but say what the specification forbids are `Protocol` errors
//! (1.2, "Malformed Packet" and "Protocol Error").

mod acknowledge;
mod connect;
mod properties;
mod publish;
mod reader;
mod subscribe;
mod writer;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod places;
#[cfg(test)]
mod random;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;

pub use properties::encode_properties;
pub use publish::PublishHead;

use self::reader::variable_byte_integer;
use self::writer::{Written, variable_byte_integer_size, with_length};
use super::{DecodeError, Packet, Version};

/// The packet types of the fixed header (2.1.2).
mod packet_type {
    pub const CONNECT: u8 = 1;
    pub const CONNACK: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const PUBREC: u8 = 5;
    pub const PUBREL: u8 = 6;
    pub const PUBCOMP: u8 = 7;
    pub const SUBSCRIBE: u8 = 8;
    pub const SUBACK: u8 = 9;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const UNSUBACK: u8 = 11;
    pub const PINGREQ: u8 = 12;
    pub const PINGRESP: u8 = 13;
    pub const DISCONNECT: u8 = 14;
    pub const AUTH: u8 = 15;
}

/// Decodes the first packet of `bytes`.
///
/// `version` is `None` until CONNECT has told it (a client passes its own from the start). `limit` is the
/// largest packet in bytes, all of it counted [MQTT-3.1.2-24]; a longer one is refused as soon as its length
/// is known, before its body has arrived. A CONNECT is decoded whatever `version` is: a second one is the
/// caller's to refuse [MQTT-3.1.0-2]. What only one side may send (a SUBSCRIBE from a server, a PUBLISH with a
/// subscription identifier from a client [MQTT-3.3.4-6]) is decoded too.
///
/// Returns the packet and how many bytes it took, or `None` if it is not complete yet.
///
/// # Errors
/// See [`DecodeError`]. The connection is then of no more use: where the next packet begins is unknown.
pub fn decode<'a>(
    bytes: &'a [u8],
    version: Option<Version>,
    limit: usize,
) -> Result<Option<(Packet<'a>, usize)>, DecodeError> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let version = check_first_byte(first, version)?;
    let Some((length, taken)) = variable_byte_integer(rest)? else { return Ok(None) };
    let shortest = taken == variable_byte_integer_size(length);
    if !shortest && version == Some(Version::V5) {
        return Err(OVERLONG_LENGTH);
    }
    let total = 1 + taken + length as usize;
    if total > limit {
        return Err(DecodeError::TooLarge(total));
    }
    let Some(body) = bytes.get(1 + taken..total) else { return Ok(None) };
    let packet = match version {
        Some(version) => decode_body(first, body, version)?,
        None => {
            let connect = connect::decode_connect(body)?;
            if !shortest && connect.version == Version::V5 {
                return Err(OVERLONG_LENGTH);
            }
            Packet::Connect(Box::new(connect))
        }
    };
    Ok(Some((packet, total)))
}

/// [MQTT-1.5.5-1]; the 3.x specifications do not ask for the shortest form.
const OVERLONG_LENGTH: DecodeError =
    DecodeError::Malformed("the remaining length is not in its shortest form");

/// Checks the packet type and its flags as far as they do not depend on the rest. Returns the version the
/// body is to be read in, `None` for a CONNECT, which says so itself.
fn check_first_byte(first: u8, version: Option<Version>) -> Result<Option<Version>, DecodeError> {
    use packet_type::*;
    let (kind, flags) = (first >> 4, first & 0x0F);
    if kind != CONNECT && version.is_none() {
        return Err(DecodeError::Protocol("the first packet must be CONNECT")); // [MQTT-3.1.0-1]
    }
    let right = match kind {
        PUBLISH => true, // checked with the rest of it
        0 => return Err(DecodeError::Malformed("packet type 0 is reserved")),
        AUTH if version < Some(Version::V5) => {
            return Err(DecodeError::Malformed("packet type 15 is reserved before version 5"));
        }
        // [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1]. A 3.1 client repeats these with DUP set (3.1 section 2.1).
        PUBREL | SUBSCRIBE | UNSUBSCRIBE => {
            flags == 0b0010 || flags == 0b1010 && version == Some(Version::V31)
        }
        _ => flags == 0,
    };
    match right {
        true if kind == CONNECT => Ok(None),
        true => Ok(version),
        false => Err(DecodeError::Malformed("reserved flags of the fixed header are wrong")), // [MQTT-2.1.3-1]
    }
}

fn decode_body<'a>(first: u8, body: &'a [u8], version: Version) -> Result<Packet<'a>, DecodeError> {
    use packet_type::*;
    let empty = |packet| match body {
        [] => Ok(packet),
        _ => Err(DecodeError::Malformed("a packet without a body has one")),
    };
    Ok(match first >> 4 {
        PUBLISH => Packet::Publish(publish::decode_publish(first, body, version)?),
        CONNACK => Packet::ConnAck(connect::decode_connack(body, version)?),
        PUBACK => Packet::PubAck(acknowledge::decode_ack(PUBACK, body, version)?),
        PUBREC => Packet::PubRec(acknowledge::decode_ack(PUBREC, body, version)?),
        PUBREL => Packet::PubRel(acknowledge::decode_ack(PUBREL, body, version)?),
        PUBCOMP => Packet::PubComp(acknowledge::decode_ack(PUBCOMP, body, version)?),
        SUBSCRIBE => Packet::Subscribe(subscribe::decode_subscribe(body, version)?),
        SUBACK => Packet::SubAck(subscribe::decode_suback(body, version)?),
        UNSUBSCRIBE => Packet::Unsubscribe(subscribe::decode_unsubscribe(body, version)?),
        UNSUBACK => Packet::UnsubAck(subscribe::decode_unsuback(body, version)?),
        PINGREQ => empty(Packet::PingReq)?,
        PINGRESP => empty(Packet::PingResp)?,
        DISCONNECT => Packet::Disconnect(acknowledge::decode_disconnect(body, version)?),
        AUTH => Packet::Auth(acknowledge::decode_auth(body)?),
        _ => return Err(DecodeError::Malformed("unknown packet type")),
    })
}

/// Appends `packet` as `version` writes it. What the version does not have (properties, reasons, an AUTH, a
/// password without a user name) is left out. A CONNECT is written in the version it names itself.
///
/// A property that does not fit its field (a string of more than 65,535 bytes, a subscription identifier above
/// 268,435,455) is left out, since a packet means the same without it or nearly so. If the packet itself cannot
/// be written (such a string elsewhere, a QoS 1 or 2 PUBLISH without a packet identifier, 256 MiB in all), then
/// nothing at all is appended: half a packet would make the rest of the stream unreadable. No decoded packet and
/// none made from decoded strings can be like that.
pub fn encode(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) {
    let start = out.len();
    if encode_whole(packet, version, out).is_err() {
        out.truncate(start);
    }
}

fn encode_whole(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) -> Written {
    use packet_type::*;
    let (kind, flags) = match packet {
        Packet::Publish(publish) => return publish::encode_publish(publish, version, out),
        Packet::Auth(_) if version < Version::V5 => return Ok(()),
        Packet::Auth(_) => (AUTH, 0),
        Packet::Connect(_) => (CONNECT, 0),
        Packet::ConnAck(_) => (CONNACK, 0),
        Packet::PubAck(_) => (PUBACK, 0),
        Packet::PubRec(_) => (PUBREC, 0),
        Packet::PubRel(_) => (PUBREL, 0b0010),
        Packet::PubComp(_) => (PUBCOMP, 0),
        Packet::Subscribe(_) => (SUBSCRIBE, 0b0010),
        Packet::SubAck(_) => (SUBACK, 0),
        Packet::Unsubscribe(_) => (UNSUBSCRIBE, 0b0010),
        Packet::UnsubAck(_) => (UNSUBACK, 0),
        Packet::PingReq => (PINGREQ, 0),
        Packet::PingResp => (PINGRESP, 0),
        Packet::Disconnect(_) => (DISCONNECT, 0),
    };
    out.push(kind << 4 | flags);
    with_length(out, 0, |out| match packet {
        Packet::Connect(connect) => connect::encode_connect(connect, out),
        Packet::ConnAck(connack) => connect::encode_connack(connack, version, out),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            acknowledge::encode_ack(ack, version, out)
        }
        Packet::Subscribe(subscribe) => subscribe::encode_subscribe(subscribe, version, out),
        Packet::SubAck(suback) => subscribe::encode_suback(suback, version, out),
        Packet::Unsubscribe(unsubscribe) => subscribe::encode_unsubscribe(unsubscribe, version, out),
        Packet::UnsubAck(unsuback) => subscribe::encode_unsuback(unsuback, version, out),
        Packet::Disconnect(disconnect) => acknowledge::encode_disconnect(disconnect, version, out),
        Packet::Auth(auth) => acknowledge::encode_auth(auth, out),
        Packet::PingReq | Packet::PingResp | Packet::Publish(_) => Ok(()),
    })
}
