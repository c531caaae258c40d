//! What a CONNECT asks for, and how it is refused.

use std::{future::poll_fn, sync::Arc, time::Duration};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::broker::will::Will;
use crate::mqtt::{ConnAck, Connect, DecodeError, Login, Packet, Property, ReasonCode, Version, codec};
use crate::policy::{Denial, Secret};

use super::{closing::linger, input::Input, limits::CONNECT_SIZE, writer::encode_within};

/// A CONNECT that owns what it says, so that the bytes it came in can go.
pub(super) struct Request {
    pub version: Version,
    pub clean_start: bool,
    pub keep_alive: u16,
    pub client_id: String,
    pub will: Option<Will>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub session_expiry: u32,
    pub receive_maximum: u16,
    pub max_packet: usize,
    pub topic_aliases: u16,
    pub problem_information: bool,
    pub is_bridge: bool,
    pub authentication_method: bool,
}

/// A refusal of CONNECT. `version` is `None` if it is not known; then nothing is answered.
pub(super) struct Refusal {
    pub version: Option<Version>,
    pub reason: ReasonCode,
    pub why: String,
    /// The largest packet in bytes that the client takes.
    pub max_packet: usize,
    /// Whether the gate said it, which then recorded it.
    pub by_gate: bool,
}

/// Reads until CONNECT is complete. `None`: the client went away, or sent something else first [MQTT-3.1.0-1].
pub(super) async fn read_connect<S>(stream: &mut S, input: &mut Input) -> Option<Result<Request, Refusal>>
where
    S: AsyncRead + Unpin,
{
    loop {
        let count = poll_fn(|cx| input.poll_fill(stream, cx)).await.ok()?;
        if count == 0 {
            return None;
        }
        let bytes = input.take();
        let (outcome, used) = match codec::decode(&bytes, None, CONNECT_SIZE) {
            Ok(None) => (None, 0),
            Ok(Some((Packet::Connect(connect), used))) => (Some(Some(Ok(Request::new(&connect)))), used),
            Ok(Some(_)) => (Some(None), 0),
            // [MQTT-3.1.4-1]: what version it would be is told by its level byte, if that is readable.
            Err(error) => (Some(refuse_bytes(&bytes, error).map(Err)), 0),
        };
        input.keep(bytes, used);
        if let Some(outcome) = outcome {
            return outcome;
        }
    }
}

/// The refusal of a CONNECT that could not be decoded; `None` if an answer would not be understood.
fn refuse_bytes(bytes: &[u8], error: DecodeError) -> Option<Refusal> {
    if error == DecodeError::UnsupportedVersion {
        // [MQTT-3.1.2-2]: 3.x answers return code 1, version 5 reason 0x84. A level above 5 gets the latter.
        return Some(refuse(sniff_version(bytes).unwrap_or(Version::V5), error.reason(), error));
    }
    // [MQTT-3.1.4-1] allows a CONNACK only where the packet is a CONNECT of version 5; 3.1.1 just closes.
    (sniff_version(bytes)? == Version::V5).then(|| refuse(Version::V5, error.reason(), error))
}

/// The protocol level byte of something that looks like a CONNECT.
fn sniff_version(bytes: &[u8]) -> Option<Version> {
    if bytes.first()? >> 4 != 1 {
        return None;
    }
    let length_bytes = bytes[1..].iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    let body = &bytes[1 + length_bytes..];
    let name_length = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
    match body.get(2 + name_length)? & 0x7F {
        0..=3 => Some(Version::V31),
        4 => Some(Version::V311),
        _ => Some(Version::V5),
    }
}

impl Request {
    fn new(connect: &Connect<'_>) -> Self {
        let Connect { version, clean_start, keep_alive, client_id, will, login, properties, .. } = connect;
        let Login { username, password } = login;
        let v5 = *version == Version::V5;
        Request {
            version: *version,
            clean_start: *clean_start,
            keep_alive: *keep_alive,
            client_id: (*client_id).to_owned(),
            will: will.as_ref().map(Will::new),
            username: username.map(str::to_owned),
            password: password.map(|password| Secret(password.to_vec())),
            // 3.x: a session that is not clean is kept for ever, as far as the limits allow.
            session_expiry: match (v5, clean_start) {
                (true, _) => properties.session_expiry().unwrap_or(0),
                (false, true) => 0,
                (false, false) => u32::MAX,
            },
            receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX),
            max_packet: properties.maximum_packet_size().map_or(usize::MAX, |size| size as usize),
            topic_aliases: properties.topic_alias_maximum().unwrap_or(0),
            problem_information: properties.request_problem_information() != Some(0),
            is_bridge: connect.bridge,
            authentication_method: properties.authentication_method().is_some(),
        }
    }
}

pub(super) fn refuse(version: Version, reason: ReasonCode, why: impl ToString) -> Refusal {
    let max_packet = usize::MAX;
    Refusal { version: Some(version), reason, why: why.to_string(), max_packet, by_gate: false }
}

pub(super) fn denied(version: Version, denial: &Denial, what: &str) -> Refusal {
    let code = match denial.lock {
        // 3.x has no word for "locked": "unavailable" has the client come again, "not authorized" may have it give up.
        Some(_) if version != Version::V5 => ReasonCode::ServerUnavailable,
        _ => denial.code,
    };
    Refusal { by_gate: true, ..refuse(version, code, format!("{what}{denial}")) }
}

/// The client identifier, assigned if it brings none [MQTT-3.1.3-6], and whether it was.
pub(super) fn client_id(request: &Request) -> Result<(Arc<str>, bool), Refusal> {
    if !request.client_id.is_empty() {
        return Ok((request.client_id.as_str().into(), false));
    }
    // [MQTT-3.1.3-8] of 3.1.1; 3.1 knows no empty identifier at all.
    if request.version == Version::V31 || (request.version == Version::V311 && !request.clean_start) {
        let why = "a client without identifier must start clean";
        return Err(refuse(request.version, ReasonCode::ClientIdentifierNotValid, why));
    }
    let mut random = [0; 12];
    if let Err(error) = getrandom::fill(&mut random) {
        return Err(refuse(request.version, ReasonCode::ServerUnavailable, error));
    }
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((format!("auto-{hex}").into(), true))
}

pub(super) async fn answer_refusal<S>(stream: &mut S, refusal: &Refusal)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(version) = refusal.version else { return };
    let properties = [Property::ReasonString(&refusal.why)].into_iter().collect();
    let packet = ConnAck { session_present: false, reason: refusal.reason, properties };
    let mut bytes = Vec::new();
    encode_within(&Packet::ConnAck(packet), version, refusal.max_packet, &mut bytes);
    // The client may not be reading: it is not waited for.
    let _ = timeout(Duration::from_secs(1), async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await?;
        linger(stream).await;
        std::io::Result::Ok(())
    })
    .await;
}
