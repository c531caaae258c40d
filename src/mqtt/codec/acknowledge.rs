//! PUBACK, PUBREC, PUBREL, PUBCOMP (3.4 to 3.7), DISCONNECT and AUTH (3.14, 3.15): a reason code and
//! properties, both of which may be left out.

use super::super::{Ack, Auth, DecodeError, Disconnect, Properties, ReasonCode, Version};
use super::packet_type;
use super::properties::{self, Place};
use super::reader::Reader;
use super::writer::{self, Written};

/// Reason codes of PUBACK and PUBREC (3.4.2.1, 3.5.2.1).
const RECEIVED: &[ReasonCode] = {
    use ReasonCode::*;
    &[
        Success,
        NoMatchingSubscribers,
        UnspecifiedError,
        ImplementationSpecificError,
        NotAuthorized,
        TopicNameInvalid,
        PacketIdentifierInUse,
        QuotaExceeded,
        PayloadFormatInvalid,
    ]
};

/// Reason codes of PUBREL and PUBCOMP (3.6.2.1, 3.7.2.1).
const RELEASED: &[ReasonCode] = &[ReasonCode::Success, ReasonCode::PacketIdentifierNotFound];

/// Reason codes of DISCONNECT (3.14.2.1), and Bad authentication method, which only the list of all codes
/// (2.4) names for it.
const DISCONNECTED: &[ReasonCode] = {
    use ReasonCode::*;
    &[
        Success,
        DisconnectWithWill,
        UnspecifiedError,
        MalformedPacket,
        ProtocolError,
        ImplementationSpecificError,
        NotAuthorized,
        ServerBusy,
        ServerShuttingDown,
        BadAuthenticationMethod,
        KeepAliveTimeout,
        SessionTakenOver,
        TopicFilterInvalid,
        TopicNameInvalid,
        ReceiveMaximumExceeded,
        TopicAliasInvalid,
        PacketTooLarge,
        MessageRateTooHigh,
        QuotaExceeded,
        AdministrativeAction,
        PayloadFormatInvalid,
        RetainNotSupported,
        QoSNotSupported,
        UseAnotherServer,
        ServerMoved,
        SharedSubscriptionsNotSupported,
        ConnectionRateExceeded,
        MaximumConnectTime,
        SubscriptionIdentifiersNotSupported,
        WildcardSubscriptionsNotSupported,
    ]
};

/// Reason codes of AUTH (3.15.2.1).
const AUTHENTICATING: &[ReasonCode] =
    &[ReasonCode::Success, ReasonCode::ContinueAuthentication, ReasonCode::ReAuthenticate];

/// Reads a reason code and properties to the end of the packet; either may be missing (3.4.2.1, 3.4.2.2.1).
fn outcome<'a>(
    mut reader: Reader<'a>,
    packet_type: u8,
    allowed: &[ReasonCode],
) -> Result<(ReasonCode, Properties<'a>), DecodeError> {
    let reason = if reader.is_empty() { ReasonCode::Success } else { reader.reason(allowed)? };
    let properties = match reader.is_empty() {
        true => Properties::default(),
        false => properties::read(&mut reader, Place::packet(packet_type))?,
    };
    reader.end()?;
    Ok((reason, properties))
}

/// Writes the shortest form of a reason code and properties.
fn write_outcome(reason: ReasonCode, properties: &Properties<'_>, out: &mut Vec<u8>) -> Written {
    if reason != ReasonCode::Success || !properties.is_empty() {
        writer::u8(reason as u8, out)?;
    }
    if !properties.is_empty() {
        properties::write_block(properties, out)?;
    }
    Ok(())
}

pub(super) fn decode_ack<'a>(
    packet_type: u8,
    body: &'a [u8],
    version: Version,
) -> Result<Ack<'a>, DecodeError> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    if version < Version::V5 {
        reader.end()?;
        return Ok(Ack::new(packet_id, ReasonCode::Success));
    }
    let allowed = match packet_type {
        packet_type::PUBACK | packet_type::PUBREC => RECEIVED,
        _ => RELEASED,
    };
    let (reason, properties) = outcome(reader, packet_type, allowed)?;
    Ok(Ack { packet_id, reason, properties })
}

pub(super) fn encode_ack(ack: &Ack<'_>, version: Version, out: &mut Vec<u8>) -> Written {
    writer::u16(ack.packet_id, out)?;
    match version {
        Version::V5 => write_outcome(ack.reason, &ack.properties, out),
        _ => Ok(()),
    }
}

pub(super) fn decode_disconnect<'a>(body: &'a [u8], version: Version) -> Result<Disconnect<'a>, DecodeError> {
    let reader = Reader::new(body);
    if version < Version::V5 {
        reader.end()?;
        return Ok(Disconnect { reason: ReasonCode::Success, properties: Properties::default() });
    }
    let (reason, properties) = outcome(reader, packet_type::DISCONNECT, DISCONNECTED)?;
    Ok(Disconnect { reason, properties })
}

pub(super) fn encode_disconnect(disconnect: &Disconnect<'_>, version: Version, out: &mut Vec<u8>) -> Written {
    match version {
        Version::V5 => write_outcome(disconnect.reason, &disconnect.properties, out),
        _ => Ok(()),
    }
}

pub(super) fn decode_auth<'a>(body: &'a [u8]) -> Result<Auth<'a>, DecodeError> {
    let (reason, properties) = outcome(Reader::new(body), packet_type::AUTH, AUTHENTICATING)?;
    // Only a success may leave everything out (3.15.2.1); else the method is required (3.15.2.2.2).
    let bare_success = reason == ReasonCode::Success && properties.is_empty();
    if properties.authentication_method().is_none() && !bare_success {
        return Err(DecodeError::Protocol("AUTH without an authentication method"));
    }
    Ok(Auth { reason, properties })
}

pub(super) fn encode_auth(auth: &Auth<'_>, out: &mut Vec<u8>) -> Written {
    write_outcome(auth.reason, &auth.properties, out)
}
