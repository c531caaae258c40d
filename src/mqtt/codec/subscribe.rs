//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (3.8 to 3.11).

use super::super::{
    DecodeError, Properties, ReasonCode, RetainHandling, SubAck, Subscribe, SubscribeFilter,
    SubscriptionOptions, UnsubAck, Unsubscribe, Version,
};
use super::packet_type;
use super::properties::{self, Place};
use super::reader::{self, Reader};
use super::writer::{self, Written};

/// Bits of the subscription options (3.8.3.1); the lowest two are the QoS.
mod option {
    pub const QOS: u8 = 0x03;
    pub const NO_LOCAL: u8 = 0x04;
    pub const RETAIN_AS_PUBLISHED: u8 = 0x08;
    pub const RETAIN_HANDLING_SHIFT: u8 = 4;
    pub const RESERVED: u8 = 0xC0;
}

/// Packet identifier and properties, with which all four begin.
fn start<'a>(
    body: &'a [u8],
    packet_type: u8,
    version: Version,
) -> Result<(Reader<'a>, u16, Properties<'a>), DecodeError> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    let properties = match version {
        Version::V5 => properties::read(&mut reader, Place::packet(packet_type))?,
        _ => Properties::default(),
    };
    Ok((reader, packet_id, properties))
}

fn write_start(packet_id: u16, properties: &Properties<'_>, version: Version, out: &mut Vec<u8>) -> Written {
    writer::u16(packet_id, out)?;
    match version {
        Version::V5 => properties::write_block(properties, out),
        _ => Ok(()),
    }
}

pub(super) fn decode_subscribe<'a>(body: &'a [u8], version: Version) -> Result<Subscribe<'a>, DecodeError> {
    let (mut reader, packet_id, properties) = start(body, packet_type::SUBSCRIBE, version)?;
    let mut filters = Vec::new();
    while !reader.is_empty() {
        let filter = reader.text()?;
        let options = decode_options(reader.u8()?, version)?;
        if options.no_local && filter.starts_with("$share/") {
            return Err(DecodeError::Protocol("no local on a shared subscription")); // [MQTT-3.8.3-4]
        }
        filters.push(SubscribeFilter { filter, options });
    }
    if filters.is_empty() {
        return Err(DecodeError::Protocol("SUBSCRIBE without a filter")); // [MQTT-3.8.3-2]
    }
    Ok(Subscribe { packet_id, filters, properties })
}

fn decode_options(byte: u8, version: Version) -> Result<SubscriptionOptions, DecodeError> {
    let reserved = if version == Version::V5 { option::RESERVED } else { !option::QOS };
    if byte & reserved != 0 {
        return Err(DecodeError::Malformed("reserved bits of the subscription options are set")); // [MQTT-3.8.3-5]
    }
    // 3.1.1 calls the packet malformed [MQTT-3.8.3-4 of 3.1.1], version 5 a protocol error (3.8.3.1).
    let wrong_qos = match version {
        Version::V5 => DecodeError::Protocol("subscription with QoS 3"),
        _ => DecodeError::Malformed("subscription with QoS 3"),
    };
    let retain_handling = match byte >> option::RETAIN_HANDLING_SHIFT {
        0 => RetainHandling::Always,
        1 => RetainHandling::IfNew,
        2 => RetainHandling::Never,
        _ => return Err(DecodeError::Protocol("retain handling 3")),
    };
    Ok(SubscriptionOptions {
        qos: reader::qos(byte & option::QOS, wrong_qos)?,
        no_local: byte & option::NO_LOCAL != 0,
        retain_as_published: byte & option::RETAIN_AS_PUBLISHED != 0,
        retain_handling,
    })
}

pub(super) fn encode_subscribe(subscribe: &Subscribe<'_>, version: Version, out: &mut Vec<u8>) -> Written {
    write_start(subscribe.packet_id, &subscribe.properties, version, out)?;
    for SubscribeFilter { filter, options } in &subscribe.filters {
        writer::text(filter, out)?;
        let mut byte = options.qos as u8;
        if version == Version::V5 {
            byte |= (options.retain_handling as u8) << option::RETAIN_HANDLING_SHIFT;
            byte |= if options.no_local { option::NO_LOCAL } else { 0 };
            byte |= if options.retain_as_published { option::RETAIN_AS_PUBLISHED } else { 0 };
        }
        writer::u8(byte, out)?;
    }
    Ok(())
}

/// Reason codes of a SUBACK (3.9.3).
const SUBSCRIBED: &[ReasonCode] = {
    use ReasonCode::*;
    &[
        Success,
        GrantedQoS1,
        GrantedQoS2,
        UnspecifiedError,
        ImplementationSpecificError,
        NotAuthorized,
        TopicFilterInvalid,
        PacketIdentifierInUse,
        QuotaExceeded,
        SharedSubscriptionsNotSupported,
        SubscriptionIdentifiersNotSupported,
        WildcardSubscriptionsNotSupported,
    ]
};

/// Return codes of a 3.x SUBACK.
const SUBSCRIBED_V3: &[ReasonCode] = {
    use ReasonCode::*;
    &[Success, GrantedQoS1, GrantedQoS2, UnspecifiedError]
};

/// Reason codes of an UNSUBACK (3.11.3).
const UNSUBSCRIBED: &[ReasonCode] = {
    use ReasonCode::*;
    &[
        Success,
        NoSubscriptionExisted,
        UnspecifiedError,
        ImplementationSpecificError,
        NotAuthorized,
        TopicFilterInvalid,
        PacketIdentifierInUse,
    ]
};

/// The rest of the packet: at least one reason code.
fn reasons(mut reader: Reader<'_>, allowed: &[ReasonCode]) -> Result<Vec<ReasonCode>, DecodeError> {
    let mut reasons = Vec::new();
    while !reader.is_empty() {
        reasons.push(reader.reason(allowed)?);
    }
    match reasons.is_empty() {
        true => Err(DecodeError::Protocol("an acknowledgement without a reason code")),
        false => Ok(reasons),
    }
}

pub(super) fn decode_suback<'a>(body: &'a [u8], version: Version) -> Result<SubAck<'a>, DecodeError> {
    let (reader, packet_id, properties) = start(body, packet_type::SUBACK, version)?;
    let allowed = if version == Version::V5 { SUBSCRIBED } else { SUBSCRIBED_V3 };
    Ok(SubAck { packet_id, reasons: reasons(reader, allowed)?, properties })
}

pub(super) fn encode_suback(suback: &SubAck<'_>, version: Version, out: &mut Vec<u8>) -> Written {
    write_start(suback.packet_id, &suback.properties, version, out)?;
    out.extend(suback.reasons.iter().map(|reason| match version {
        Version::V31 | Version::V311 if reason.is_failure() => ReasonCode::UnspecifiedError as u8,
        _ => *reason as u8,
    }));
    Ok(())
}

pub(super) fn decode_unsubscribe<'a>(
    body: &'a [u8],
    version: Version,
) -> Result<Unsubscribe<'a>, DecodeError> {
    let (mut reader, packet_id, properties) = start(body, packet_type::UNSUBSCRIBE, version)?;
    let mut filters = Vec::new();
    while !reader.is_empty() {
        filters.push(reader.text()?);
    }
    if filters.is_empty() {
        return Err(DecodeError::Protocol("UNSUBSCRIBE without a filter")); // [MQTT-3.10.3-2]
    }
    Ok(Unsubscribe { packet_id, filters, properties })
}

pub(super) fn encode_unsubscribe(
    unsubscribe: &Unsubscribe<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Written {
    write_start(unsubscribe.packet_id, &unsubscribe.properties, version, out)?;
    for filter in &unsubscribe.filters {
        writer::text(filter, out)?;
    }
    Ok(())
}

pub(super) fn decode_unsuback<'a>(body: &'a [u8], version: Version) -> Result<UnsubAck<'a>, DecodeError> {
    let (reader, packet_id, properties) = start(body, packet_type::UNSUBACK, version)?;
    let reasons = match version {
        Version::V5 => reasons(reader, UNSUBSCRIBED)?,
        _ => {
            reader.end()?;
            Vec::new()
        }
    };
    Ok(UnsubAck { packet_id, reasons, properties })
}

pub(super) fn encode_unsuback(unsuback: &UnsubAck<'_>, version: Version, out: &mut Vec<u8>) -> Written {
    write_start(unsuback.packet_id, &unsuback.properties, version, out)?;
    if version == Version::V5 {
        out.extend(unsuback.reasons.iter().map(|reason| *reason as u8));
    }
    Ok(())
}
