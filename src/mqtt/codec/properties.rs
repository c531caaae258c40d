//! Version 5 properties on the wire (2.2.2). The table below is the only place that knows a property's
//! identifier, its data type and the packets it may stand in.

use super::super::{DecodeError, Properties, Property};
use super::packet_type as packet;
use super::reader::Reader;
use super::writer::{self, Written, with_length};

/// Where properties stand: a packet, or the will inside a CONNECT.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u8);

/// The will properties of a CONNECT; 0 is no packet type.
pub(super) const WILL: Place = Place(0);

impl Place {
    /// The properties of packets of this type.
    pub const fn packet(packet_type: u8) -> Self {
        Place(packet_type)
    }

    pub const fn bit(self) -> u16 {
        1 << self.0
    }
}

const CONNECT: u16 = Place(packet::CONNECT).bit();
const CONNACK: u16 = Place(packet::CONNACK).bit();
const PUBLISH: u16 = Place(packet::PUBLISH).bit();
const SUBSCRIBE: u16 = Place(packet::SUBSCRIBE).bit();
const DISCONNECT: u16 = Place(packet::DISCONNECT).bit();
const AUTH: u16 = Place(packet::AUTH).bit();
const IN_WILL: u16 = WILL.bit();
const MESSAGE: u16 = PUBLISH | IN_WILL;
const ANSWERS: u16 = CONNACK
    | DISCONNECT
    | AUTH
    | Place(packet::PUBACK).bit()
    | Place(packet::PUBREC).bit()
    | Place(packet::PUBREL).bit()
    | Place(packet::PUBCOMP).bit()
    | Place(packet::SUBACK).bit()
    | Place(packet::UNSUBACK).bit();
const EVERY: u16 = ANSWERS | CONNECT | MESSAGE | SUBSCRIBE | Place(packet::UNSUBSCRIBE).bit();
const NOWHERE: u16 = 0;

/// Defines reading and writing from rows `identifier Name(data type, …), places, places where it may repeat;`.
/// A data type is a method of [`Reader`] and a function of [`writer`] of that name.
macro_rules! properties {
    ($($id:literal $name:ident($($field:ident: $data:ident),+), $places:expr, $repeats:expr;)+) => {
        /// Where the property of this identifier may stand, and where more than once.
        pub(super) fn places(id: u8) -> Option<(u16, u16)> {
            match id {
                $($id => Some(($places, $repeats)),)+
                _ => None,
            }
        }

        fn read_value<'a>(id: u8, reader: &mut Reader<'a>) -> Result<Property<'a>, DecodeError> {
            match id {
                $($id => Ok(Property::$name($(reader.$data()?),+)),)+
                _ => Err(UNKNOWN),
            }
        }

        fn write(property: &Property<'_>, out: &mut Vec<u8>) -> Written {
            match *property {
                $(Property::$name($($field),+) => {
                    out.push($id);
                    $(writer::$data($field, out)?;)+
                })+
            }
            Ok(())
        }
    };
}

properties! {
    0x01 PayloadFormatIndicator(value: flag), MESSAGE, NOWHERE;
    0x02 MessageExpiryInterval(value: u32), MESSAGE, NOWHERE;
    0x03 ContentType(value: text), MESSAGE, NOWHERE;
    0x08 ResponseTopic(value: response_topic), MESSAGE, NOWHERE; // [MQTT-3.3.2-14]
    0x09 CorrelationData(value: binary), MESSAGE, NOWHERE;
    0x0B SubscriptionIdentifier(value: nonzero_variable), PUBLISH | SUBSCRIBE, PUBLISH;
    0x11 SessionExpiryInterval(value: u32), CONNECT | CONNACK | DISCONNECT, NOWHERE;
    0x12 AssignedClientIdentifier(value: text), CONNACK, NOWHERE;
    0x13 ServerKeepAlive(value: u16), CONNACK, NOWHERE;
    0x15 AuthenticationMethod(value: text), CONNECT | CONNACK | AUTH, NOWHERE;
    0x16 AuthenticationData(value: binary), CONNECT | CONNACK | AUTH, NOWHERE;
    0x17 RequestProblemInformation(value: flag), CONNECT, NOWHERE;
    0x18 WillDelayInterval(value: u32), IN_WILL, NOWHERE;
    0x19 RequestResponseInformation(value: flag), CONNECT, NOWHERE;
    0x1A ResponseInformation(value: text), CONNACK, NOWHERE;
    0x1C ServerReference(value: text), CONNACK | DISCONNECT, NOWHERE;
    0x1F ReasonString(value: text), ANSWERS, NOWHERE;
    0x21 ReceiveMaximum(value: nonzero_u16), CONNECT | CONNACK, NOWHERE;
    0x22 TopicAliasMaximum(value: u16), CONNECT | CONNACK, NOWHERE;
    0x23 TopicAlias(value: nonzero_u16), PUBLISH, NOWHERE; // [MQTT-3.3.2-8]
    0x24 MaximumQoS(value: flag), CONNACK, NOWHERE;
    0x25 RetainAvailable(value: flag), CONNACK, NOWHERE;
    0x26 UserProperty(name: text, value: text), EVERY, EVERY;
    0x27 MaximumPacketSize(value: nonzero_u32), CONNECT | CONNACK, NOWHERE;
    0x28 WildcardSubscriptionAvailable(value: flag), CONNACK, NOWHERE;
    0x29 SubscriptionIdentifierAvailable(value: flag), CONNACK, NOWHERE;
    0x2A SharedSubscriptionAvailable(value: flag), CONNACK, NOWHERE;
}

const UNKNOWN: DecodeError = DecodeError::Malformed("a property identifier that does not exist");
const ZERO: DecodeError = DecodeError::Protocol("a property that cannot be 0 is 0");

/// The data types that only properties have.
impl Reader<'_> {
    fn flag(&mut self) -> Result<u8, DecodeError> {
        match self.u8()? {
            value @ 0..=1 => Ok(value),
            _ => Err(DecodeError::Protocol("a property that must be 0 or 1 is neither")),
        }
    }

    fn nonzero_u16(&mut self) -> Result<u16, DecodeError> {
        self.u16().and_then(|value| if value == 0 { Err(ZERO) } else { Ok(value) })
    }

    fn nonzero_u32(&mut self) -> Result<u32, DecodeError> {
        self.u32().and_then(|value| if value == 0 { Err(ZERO) } else { Ok(value) })
    }

    fn nonzero_variable(&mut self) -> Result<u32, DecodeError> {
        self.variable().and_then(|value| if value == 0 { Err(ZERO) } else { Ok(value) })
    }
}

/// Reads a property length and the properties of that length.
pub(super) fn read<'a>(reader: &mut Reader<'a>, place: Place) -> Result<Properties<'a>, DecodeError> {
    let length = reader.variable()?;
    let mut block = Reader::new(reader.bytes(length as usize)?);
    let mut properties = Properties::default();
    let mut seen = 0_u64; // one bit an identifier, the largest is 0x2A
    while !block.is_empty() {
        // The identifier is a Variable Byte Integer, but all that exist take one byte.
        let id = block.u8()?;
        let (allowed, repeats) = places(id).ok_or(UNKNOWN)?;
        if allowed & place.bit() == 0 {
            return Err(DecodeError::Malformed("a property that this packet cannot hold"));
        }
        if seen & 1 << id != 0 && repeats & place.bit() == 0 {
            return Err(DecodeError::Protocol("a property stands twice"));
        }
        seen |= 1 << id;
        properties.push(read_value(id, &mut block)?);
    }
    let authentication = |id: u64| seen & 1 << id != 0;
    if authentication(0x16) && !authentication(0x15) {
        return Err(DecodeError::Protocol("authentication data without an authentication method"));
    }
    Ok(properties)
}

/// Writes a property length and the properties.
pub(super) fn write_block(properties: &Properties<'_>, out: &mut Vec<u8>) -> Written {
    with_length(out, 0, |out| {
        encode_properties(properties, out);
        Ok(())
    })
}

/// Appends the properties in their order, without a property length before them. One that does not fit its
/// field (a string of more than 65,535 bytes, a subscription identifier above 268,435,455) is left out.
pub fn encode_properties(properties: &Properties<'_>, out: &mut Vec<u8>) {
    for property in properties.iter() {
        let start = out.len();
        if write(property, out).is_err() {
            out.truncate(start);
        }
    }
}
