//! CONNECT and CONNACK (3.1, 3.2).

use super::super::{ConnAck, Connect, DecodeError, Login, Properties, ReasonCode, Version, Will};
use super::packet_type;
use super::properties::{self, Place, WILL};
use super::reader::{self, Reader};
use super::writer::{self, Written};

/// Bits of the connect flags (3.1.2.3).
mod flag {
    pub const RESERVED: u8 = 0x01;
    pub const CLEAN_START: u8 = 0x02;
    pub const WILL: u8 = 0x04;
    pub const WILL_QOS_SHIFT: u8 = 3;
    pub const WILL_QOS_AND_RETAIN: u8 = 0x38;
    pub const WILL_RETAIN: u8 = 0x20;
    pub const PASSWORD: u8 = 0x40;
    pub const USERNAME: u8 = 0x80;
}

/// Set in the protocol level of 3.1 and 3.1.1 by a bridge of Mosquitto's kind.
const BRIDGE: u8 = 0x80;

pub(super) fn decode_connect<'a>(body: &'a [u8]) -> Result<Connect<'a>, DecodeError> {
    let mut reader = Reader::new(body);
    let (version, bridge) = protocol(reader.binary()?, reader.u8()?)?;
    let flags = reader.u8()?;
    check_flags(flags, version)?;
    let keep_alive = reader.u16()?;
    let properties = match version {
        Version::V5 => properties::read(&mut reader, Place::packet(packet_type::CONNECT))?,
        _ => Properties::default(),
    };
    let client_id = reader.text()?;
    let will = match flags & flag::WILL {
        0 => None,
        _ => Some(decode_will(&mut reader, flags, version)?),
    };
    // In 3.1 the remaining length goes before the flags: a user name or password that is not there any more is
    // absent (3.1 section 3.1).
    let present =
        |bit: u8, reader: &Reader<'_>| flags & bit != 0 && !(version == Version::V31 && reader.is_empty());
    let username = if present(flag::USERNAME, &reader) { Some(reader.text()?) } else { None };
    let password = if present(flag::PASSWORD, &reader) { Some(reader.binary()?) } else { None };
    reader.end()?;
    Ok(Connect {
        version,
        bridge,
        clean_start: flags & flag::CLEAN_START != 0,
        keep_alive,
        client_id,
        will,
        login: Login { username, password },
        properties,
    })
}

/// The version of a protocol name and level, and whether the level says that the client is a bridge.
fn protocol(name: &[u8], level: u8) -> Result<(Version, bool), DecodeError> {
    match (name, level, level & !BRIDGE) {
        (b"MQTT", 5, _) => Ok((Version::V5, false)),
        (b"MQTT", _, 4) => Ok((Version::V311, level & BRIDGE != 0)),
        (b"MQIsdp", _, 3) => Ok((Version::V31, level & BRIDGE != 0)),
        _ => Err(DecodeError::UnsupportedVersion), // [MQTT-3.1.2-1] [MQTT-3.1.2-2]
    }
}

fn check_flags(flags: u8, version: Version) -> Result<(), DecodeError> {
    if flags & flag::RESERVED != 0 {
        return Err(DecodeError::Malformed("the reserved connect flag is set")); // [MQTT-3.1.2-3]
    }
    if flags & flag::WILL == 0 && flags & flag::WILL_QOS_AND_RETAIN != 0 {
        // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
        return Err(DecodeError::Malformed("will QoS or will retain without a will"));
    }
    if version < Version::V5 && flags & (flag::USERNAME | flag::PASSWORD) == flag::PASSWORD {
        return Err(DecodeError::Malformed("a password without a user name")); // 3.1.1: [MQTT-3.1.2-22]
    }
    Ok(())
}

fn decode_will<'a>(reader: &mut Reader<'a>, flags: u8, version: Version) -> Result<Will<'a>, DecodeError> {
    let qos = reader::qos(flags >> flag::WILL_QOS_SHIFT, DecodeError::Malformed("will QoS 3"))?; // [MQTT-3.1.2-12]
    let properties = match version {
        Version::V5 => properties::read(reader, WILL)?,
        _ => Properties::default(),
    };
    Ok(Will {
        topic: reader.topic()?,
        payload: reader.binary()?,
        qos,
        retain: flags & flag::WILL_RETAIN != 0,
        properties,
    })
}

pub(super) fn encode_connect(connect: &Connect<'_>, out: &mut Vec<u8>) -> Written {
    let Login { username, password } = connect.login;
    let password = password.filter(|_| username.is_some() || connect.version == Version::V5);
    let (name, level) = match connect.version {
        Version::V31 => ("MQIsdp", 3),
        Version::V311 => ("MQTT", 4),
        Version::V5 => ("MQTT", 5),
    };
    let bridge = if connect.bridge && connect.version < Version::V5 { BRIDGE } else { 0 };
    writer::text(name, out)?;
    writer::u8(level | bridge, out)?;

    let set = |condition: bool, bit: u8| if condition { bit } else { 0 };
    let will_flags = connect.will.as_ref().map_or(0, |will| {
        flag::WILL | (will.qos as u8) << flag::WILL_QOS_SHIFT | set(will.retain, flag::WILL_RETAIN)
    });
    let flags = will_flags
        | set(connect.clean_start, flag::CLEAN_START)
        | set(username.is_some(), flag::USERNAME)
        | set(password.is_some(), flag::PASSWORD);
    writer::u8(flags, out)?;
    writer::u16(connect.keep_alive, out)?;
    if connect.version == Version::V5 {
        properties::write_block(&connect.properties, out)?;
    }
    writer::text(connect.client_id, out)?;
    if let Some(will) = &connect.will {
        if connect.version == Version::V5 {
            properties::write_block(&will.properties, out)?;
        }
        writer::text(will.topic, out)?;
        writer::binary(will.payload, out)?;
    }
    if let Some(username) = username {
        writer::text(username, out)?;
    }
    if let Some(password) = password {
        writer::binary(password, out)?;
    }
    Ok(())
}

/// Reason codes of a CONNACK (3.2.2.2).
const CONNACK_REASONS: &[ReasonCode] = {
    use ReasonCode::*;
    &[
        Success,
        UnspecifiedError,
        MalformedPacket,
        ProtocolError,
        ImplementationSpecificError,
        UnsupportedProtocolVersion,
        ClientIdentifierNotValid,
        BadUserNameOrPassword,
        NotAuthorized,
        ServerUnavailable,
        ServerBusy,
        Banned,
        BadAuthenticationMethod,
        TopicNameInvalid,
        PacketTooLarge,
        QuotaExceeded,
        PayloadFormatInvalid,
        RetainNotSupported,
        QoSNotSupported,
        UseAnotherServer,
        ServerMoved,
        ConnectionRateExceeded,
    ]
};

pub(super) fn decode_connack<'a>(body: &'a [u8], version: Version) -> Result<ConnAck<'a>, DecodeError> {
    let mut reader = Reader::new(body);
    let session_present = match (reader.u8()?, version) {
        (_, Version::V31) => false, // the byte is reserved and says nothing
        (flags @ 0..=1, _) => flags == 1,
        _ => return Err(DecodeError::Malformed("reserved connect acknowledge flags are set")), // [MQTT-3.2.2-1]
    };
    let (reason, properties) = match version {
        Version::V5 => {
            let reason = reader.reason(CONNACK_REASONS)?;
            (reason, properties::read(&mut reader, Place::packet(packet_type::CONNACK))?)
        }
        _ => {
            let reason = ReasonCode::from_connack_v3(reader.u8()?)
                .ok_or(DecodeError::Protocol("a reserved CONNACK return code"))?;
            (reason, Properties::default())
        }
    };
    reader.end()?;
    if session_present && reason != ReasonCode::Success {
        return Err(DecodeError::Protocol("a refused connection has a session")); // [MQTT-3.2.2-6]
    }
    Ok(ConnAck { session_present, reason, properties })
}

pub(super) fn encode_connack(connack: &ConnAck<'_>, version: Version, out: &mut Vec<u8>) -> Written {
    let session_present = connack.session_present && version != Version::V31;
    writer::u8(session_present.into(), out)?;
    match version {
        Version::V5 => {
            writer::u8(connack.reason as u8, out)?;
            properties::write_block(&connack.properties, out)
        }
        _ => writer::u8(connack.reason.to_connack_v3(), out),
    }
}
