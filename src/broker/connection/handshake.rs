//! From the first byte to CONNACK.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use atomic_waker::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::broker::{
    broker::Broker,
    clock,
    counters::Dropped,
    message::Candidate,
    registry::{Bounds, ClaimError, Seat},
    router::Publisher,
    traffic::Traffic,
    will::Will,
};
use crate::mqtt::{
    ConnAck, Connect, DecodeError, Login, Packet, Properties, Property, ReasonCode, Version, codec,
};
use crate::policy::{Applicant, Denial, Gate, Secret};
use crate::session::{Aliases, Session};

use super::{
    Client, Connection, Door, Limits,
    closing::linger,
    input::Input,
    limits::{CONNECT_SIZE, TOPIC_ALIASES},
    output::Output,
    writer::Writer,
};

/// A client that was admitted and has its session; CONNACK is the first thing in `writer`.
pub(super) struct Admitted {
    limits: Arc<Limits>,
    client: Client,
    input: Input,
    writer: Writer,
    gate: Gate,
    bell: Arc<AtomicWaker>,
    seat: Arc<Seat>,
    turn: u64,
    seated: Seated,
    session: OwnedMutexGuard<Session<Candidate>>,
    will: Option<Will>,
}

/// A CONNECT that owns what it says, so that the bytes it came in can go.
struct Request {
    version: Version,
    clean_start: bool,
    keep_alive: u16,
    client_id: String,
    will: Option<Will>,
    username: Option<String>,
    password: Option<Secret>,
    session_expiry: u32,
    receive_maximum: u16,
    max_packet: usize,
    problem_information: bool,
    authentication_method: bool,
}

/// A refusal of CONNECT. `version` is `None` if it is not known; then nothing is answered.
struct Refusal {
    version: Option<Version>,
    reason: ReasonCode,
    why: String,
    /// Whether the gate said it, which then recorded it.
    by_gate: bool,
}

/// Reads CONNECT, asks the gate, claims the session. `None`: the connection was refused, answered and closed.
pub(super) async fn handshake<S>(broker: &Arc<Broker>, stream: &mut S, door: Door) -> Option<Admitted>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Door { address, listener, anonymous, limits, mut evicted } = door;
    let mut who = (String::new(), String::new());
    let admit = async {
        let mut input = Input::default();
        let request = timeout(limits.connect_timeout, read_connect(stream, &mut input)).await.ok()??;
        let request = match request {
            Ok(request) => request,
            Err(refusal) => return Some(Err(refusal)),
        };
        broker.counters.connects.fetch_add(1, Ordering::Relaxed);
        let version = request.version;
        who = (request.client_id.clone(), request.username.clone().unwrap_or_default());
        let entering = enter(broker, request, input, address, listener, anonymous, &limits);
        let busy = |_| Err(refuse(version, ReasonCode::ServerBusy, "the server is busy"));
        Some(timeout(limits.connect_timeout, entering).await.unwrap_or_else(busy))
    };
    let outcome = tokio::select! {
        outcome = admit => outcome,
        _ = &mut evicted => {
            broker.counters.drop_one(Dropped::Pending);
            None
        }
    };
    match outcome {
        Some(Ok(admitted)) => Some(admitted),
        Some(Err(refusal)) => {
            if !refusal.by_gate {
                broker.policy.refused_at_door(&who.0, &who.1, address, refusal.reason, &refusal.why);
            }
            answer_refusal(stream, &refusal).await;
            None
        }
        None => {
            tracing::debug!(%address, "closed before it was admitted: no CONNECT in time, or no room to wait");
            None
        }
    }
}

/// Reads until CONNECT is complete. `None`: the client went away, or sent something else first [MQTT-3.1.0-1].
async fn read_connect<S>(stream: &mut S, input: &mut Input) -> Option<Result<Request, Refusal>>
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
            problem_information: properties.request_problem_information() != Some(0),
            authentication_method: properties.authentication_method().is_some(),
        }
    }
}

fn refuse(version: Version, reason: ReasonCode, why: impl ToString) -> Refusal {
    Refusal { version: Some(version), reason, why: why.to_string(), by_gate: false }
}

fn denied(version: Version, denial: &Denial, what: &str) -> Refusal {
    Refusal { by_gate: true, ..refuse(version, denial.code, format!("{what}{denial}")) }
}

/// Everything between a complete CONNECT and CONNACK.
async fn enter(
    broker: &Arc<Broker>,
    request: Request,
    input: Input,
    address: std::net::SocketAddr,
    listener: Arc<str>,
    anonymous: Option<Arc<str>>,
    limits: &Arc<Limits>,
) -> Result<Admitted, Refusal> {
    let version = request.version;
    let no = |reason, why: &str| Err(refuse(version, reason, why));
    if broker.is_stopping() {
        return no(ReasonCode::ServerShuttingDown, "the gateway is shutting down");
    }
    if request.authentication_method {
        return no(ReasonCode::BadAuthenticationMethod, "enhanced authentication is not offered");
    }
    let (client_id, assigned) = client_id(&request)?;
    if let Some(will) = &request.will
        && !limits.admits_topic(&will.topic)
    {
        return no(
            ReasonCode::TopicNameInvalid,
            "the will's topic is longer or deeper than the limits allow",
        );
    }
    let applicant = Applicant {
        client_id: client_id.clone(),
        username: request.username,
        password: request.password,
        anonymous,
        address,
        listener,
    };
    let bell = Arc::new(AtomicWaker::new());
    let mut gate = match broker.policy.admit(applicant, bell.clone()).await {
        Ok(gate) => gate,
        Err(denial) => return Err(denied(version, &denial, "")),
    };
    if let Some(will) = &request.will
        && let Err(denial) = gate.will(&will.topic, ())
    {
        return Err(denied(version, &denial, "will refused: "));
    }
    let expiry = request.session_expiry.min(limits.session_expiry);
    let bounds = Bounds { messages: limits.queued_messages, bytes: limits.queued_bytes };
    let claimed = broker.registry.claim(broker, &client_id, gate.identity(), expiry > 0, bounds);
    let claim = match claimed {
        Ok(claim) => claim,
        Err(ClaimError::AnotherUser) => {
            return no(ReasonCode::NotAuthorized, "the session of this client identifier is another user's");
        }
        Err(ClaimError::Full) => {
            return no(ReasonCode::QuotaExceeded, "no more sessions can be kept: see limits.sessions");
        }
        Err(ClaimError::FullForUser) => {
            let why = "one user's sessions can be half of limits.sessions: start clean";
            return no(ReasonCode::QuotaExceeded, why);
        }
    };
    // A client that takes its own connection over needs no further place.
    let most = if claim.seat.outbox.is_online() { usize::MAX } else { limits.connections };
    let Some(seated) = Seated::new(broker, most) else {
        return no(ReasonCode::QuotaExceeded, "no more connections are taken: see limits.connections");
    };
    let mut session = claim.session().await;
    if let Some(denial) = gate.ended() {
        return Err(denied(version, &denial, ""));
    }
    let present = claim.seat.parked.lock().is_kept() && !request.clean_start;
    broker.note_opening(&claim.seat, &gate, present, expiry);
    let mut ticket = broker.router.journal.commit();
    // Until here nothing has happened in memory: the client may go away, or the commit fail.
    if let Err(error) = poll_fn(|cx| ticket.poll(cx)).await {
        return Err(refuse(version, ReasonCode::ServerUnavailable, error));
    }
    broker.take_up(&claim.seat, &mut session, present);
    session.expiry = expiry;
    session.outgoing.connected(request.receive_maximum.min(limits.inflight), limits.queued_bytes);
    session.incoming.connected();
    claim.seat.outbox.set_state(true, expiry > 0);
    let keep_alive = keep_alive(request.keep_alive, limits.keep_alive);
    let mut writer = Writer {
        output: Output::default(),
        version,
        max_packet: request.max_packet,
        sent: Default::default(),
    };
    let properties = connack_properties(
        limits,
        assigned.then_some(&*client_id),
        (keep_alive != request.keep_alive).then_some(keep_alive),
        (expiry != request.session_expiry).then_some(expiry),
    );
    writer.packet(&Packet::ConnAck(ConnAck {
        session_present: present,
        reason: ReasonCode::Success,
        properties,
    }));
    tracing::debug!(client = ?client_id, user = ?gate.identity().user, %address, ?version, "connected");
    Ok(Admitted {
        limits: limits.clone(),
        client: Client {
            version,
            patience: (keep_alive > 0).then(|| Duration::from_secs(u64::from(keep_alive)) * 3 / 2),
            problem_information: request.problem_information,
            session_expiry: request.session_expiry,
        },
        input,
        writer,
        gate,
        bell,
        seat: claim.seat.clone(),
        turn: claim.turn,
        seated,
        session,
        will: request.will,
    })
}

/// The client identifier, assigned if it brings none [MQTT-3.1.3-6], and whether it was.
fn client_id(request: &Request) -> Result<(Arc<str>, bool), Refusal> {
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

/// The keep alive in force; a cap also holds for clients that want none.
fn keep_alive(asked: u16, cap: u16) -> u16 {
    match (asked, cap) {
        (asked, 0) => asked,
        (0, cap) => cap,
        (asked, cap) => asked.min(cap),
    }
}

fn connack_properties<'a>(
    limits: &Limits,
    assigned: Option<&'a str>,
    keep_alive: Option<u16>,
    expiry: Option<u32>,
) -> Properties<'a> {
    let mut properties = Properties::default();
    if let Some(id) = assigned {
        properties.push(Property::AssignedClientIdentifier(id));
    }
    if limits.inflight < u16::MAX {
        properties.push(Property::ReceiveMaximum(limits.inflight));
    }
    if let Ok(size) = u32::try_from(limits.packet_size) {
        properties.push(Property::MaximumPacketSize(size));
    }
    properties.push(Property::TopicAliasMaximum(TOPIC_ALIASES));
    // [MQTT-3.1.2-21]
    properties.0.extend(keep_alive.map(Property::ServerKeepAlive));
    properties.0.extend(expiry.map(Property::SessionExpiryInterval));
    properties
}

/// A connection that is counted, until dropped.
pub(super) struct Seated(Arc<Broker>);

impl Seated {
    /// Counts a connection, if there are fewer than `most`.
    fn new(broker: &Arc<Broker>, most: usize) -> Option<Self> {
        let before = broker.counters.connected.fetch_add(1, Ordering::AcqRel);
        let seated = Seated(broker.clone());
        if before >= most as u64 {
            broker.counters.drop_one(Dropped::Connections);
            return None;
        }
        broker.counters.most_connected.fetch_max(before + 1, Ordering::Relaxed);
        Some(seated)
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.0.left();
    }
}

async fn answer_refusal<S>(stream: &mut S, refusal: &Refusal)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(version) = refusal.version else { return };
    let properties = [Property::ReasonString(&refusal.why)].into_iter().collect();
    let packet = ConnAck { session_present: false, reason: refusal.reason, properties };
    let mut bytes = Vec::new();
    codec::encode(&Packet::ConnAck(packet), version, &mut bytes);
    // The client may not be reading: it is not waited for.
    let _ = timeout(Duration::from_secs(1), async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await?;
        linger(stream).await;
        std::io::Result::Ok(())
    })
    .await;
}

impl Admitted {
    pub fn into_connection<S>(self, broker: Arc<Broker>, stream: S) -> Connection<S> {
        let now = clock::now();
        let backlog = std::mem::take(&mut *self.seat.backlog.lock());
        let wait = self.client.patience.unwrap_or(Duration::from_secs(3600));
        Connection {
            broker,
            limits: self.limits,
            stream,
            client: self.client,
            input: self.input,
            unfinished: Default::default(),
            reviewing: Vec::new(),
            writer: self.writer,
            gate: self.gate,
            bell: self.bell,
            backlog,
            publisher: Publisher::new(self.seat.outbox.key),
            seat: self.seat,
            turn: self.turn,
            seated: self.seated,
            session: self.session,
            aliases: Aliases::new(TOPIC_ALIASES),
            will: self.will,
            ready: Default::default(),
            owed: Default::default(),
            pressure: None,
            unacknowledged: 0,
            // CONNECT
            received: Traffic { packets: 1, ..Traffic::default() },
            timer_polled: false,
            timer: Box::pin(tokio::time::sleep_until((now + wait).into())),
            last_packet: now,
            last_written: now,
            now,
        }
    }
}
