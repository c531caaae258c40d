//! Why bytes are not an MQTT packet.

use super::ReasonCode;

/// A packet that cannot be decoded. The connection must be closed; what the bytes that follow mean is
/// not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Bytes that no packet can have (answered 0x81).
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// A well-formed packet that the protocol forbids here (answered 0x82).
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The packet says it is longer than the limit in bytes (answered 0x95).
    #[error("packet of {0} bytes is larger than the limit")]
    TooLarge(usize),
    /// A protocol name or level that is not spoken here (answered 0x84; 3.x return code 1).
    #[error("unsupported protocol version")]
    UnsupportedVersion,
    /// A topic name with wildcards or an empty one (answered 0x90).
    #[error("invalid topic name: {0}")]
    TopicName(&'static str),
}

impl DecodeError {
    /// The version 5 reason code that tells the peer.
    pub fn reason(&self) -> ReasonCode {
        match self {
            DecodeError::Malformed(_) => ReasonCode::MalformedPacket,
            DecodeError::Protocol(_) => ReasonCode::ProtocolError,
            DecodeError::TooLarge(_) => ReasonCode::PacketTooLarge,
            DecodeError::UnsupportedVersion => ReasonCode::UnsupportedProtocolVersion,
            DecodeError::TopicName(_) => ReasonCode::TopicNameInvalid,
        }
    }
}
