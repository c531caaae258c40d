//! Reads the data types of section 1.5 from the body of a packet, borrowing.

use super::super::{DecodeError, QoS, ReasonCode, TopicError, valid_topic_name};
use super::writer::variable_byte_integer_size;

/// A length inside the packet points past its end, or a field is missing. The packet is complete, so this is
/// never a matter of waiting for more.
const ENDS_EARLY: DecodeError = DecodeError::Malformed("the packet ends in the middle of a field");

/// Reads a Variable Byte Integer from the start of `bytes`: its value (at most 268,435,455) and how many bytes
/// it took, or `None` if it is not complete. Longer forms than needed are accepted here.
///
/// # Errors
/// More than four bytes.
pub(super) fn variable_byte_integer(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((value, i + 1)));
        }
    }
    match bytes.len() {
        0..=3 => Ok(None),
        _ => Err(DecodeError::Malformed("a variable byte integer of more than four bytes")),
    }
}

/// What is left of a packet's body.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Reader { rest: body }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left.
    pub fn remainder(self) -> &'a [u8] {
        self.rest
    }

    /// Refuses bytes after the last field.
    pub fn end(self) -> Result<(), DecodeError> {
        match self.rest {
            [] => Ok(()),
            _ => Err(DecodeError::Malformed("bytes follow the last field")),
        }
    }

    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A Variable Byte Integer in its shortest form [MQTT-1.5.5-1].
    pub fn variable(&mut self) -> Result<u32, DecodeError> {
        let (value, taken) = variable_byte_integer(self.rest)?.ok_or(ENDS_EARLY)?;
        if taken != variable_byte_integer_size(value) {
            return Err(DecodeError::Malformed("a variable byte integer is not in its shortest form"));
        }
        self.bytes(taken)?;
        Ok(value)
    }

    /// Binary Data: a two-byte length and that many bytes.
    pub fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u16()?;
        self.bytes(length.into())
    }

    /// A UTF-8 Encoded String. Surrogates and other ill-formed UTF-8 [MQTT-1.5.4-1] and U+0000 [MQTT-1.5.4-2]
    /// are refused; U+FEFF is kept where it stands [MQTT-1.5.4-3].
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.binary()?;
        if bytes.contains(&0) {
            return Err(DecodeError::Malformed("a string holds the null character"));
        }
        str::from_utf8(bytes).map_err(|_| DecodeError::Malformed("a string is not well-formed UTF-8"))
    }

    /// A string that is a topic name: not empty [MQTT-4.7.3-1], no wildcards [MQTT-3.3.2-2].
    pub fn topic(&mut self) -> Result<&'a str, DecodeError> {
        let topic = self.text()?;
        match valid_topic_name(topic) {
            Ok(()) => Ok(topic),
            Err(TopicError::Empty) => Err(DecodeError::TopicName("it is empty")),
            Err(_) => Err(DecodeError::TopicName("it holds the wildcards + or #")),
        }
    }

    /// A response topic: a topic name too [MQTT-3.3.2-14]. A property that the protocol forbids, not a name that the
    /// server does not take.
    pub fn response_topic(&mut self) -> Result<&'a str, DecodeError> {
        self.topic().map_err(|error| match error {
            DecodeError::TopicName(_) => DecodeError::Protocol("a response topic that is not a topic name"),
            error => error,
        })
    }

    /// A packet identifier: never 0 [MQTT-2.2.1-3].
    pub fn packet_id(&mut self) -> Result<u16, DecodeError> {
        match self.u16()? {
            0 => Err(DecodeError::Protocol("packet identifier 0")),
            id => Ok(id),
        }
    }

    /// One of the reason codes that this kind of packet may hold.
    pub fn reason(&mut self, allowed: &[ReasonCode]) -> Result<ReasonCode, DecodeError> {
        ReasonCode::from_byte(self.u8()?)
            .filter(|reason| allowed.contains(reason))
            .ok_or(DecodeError::Protocol("a reason code that this packet cannot hold"))
    }
}

/// The QoS of a two-bit field.
pub(super) fn qos(bits: u8, error: DecodeError) -> Result<QoS, DecodeError> {
    QoS::from_bits(bits & 0b11).ok_or(error)
}
