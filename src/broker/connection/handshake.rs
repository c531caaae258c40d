//! From the first byte to CONNACK.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use atomic_waker::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::broker::{
    broker::Broker,
    clock,
    counters::Dropped,
    index::Origin,
    journal::Change,
    message::Candidate,
    registry::{Bounds, ClaimError, Seat},
    router::Publisher,
    ticket::Ticket,
    traffic::Traffic,
    will::Will,
};
use crate::mqtt::{ConnAck, Packet, Properties, Property, ReasonCode, Version, codec};
use crate::policy::{Applicant, Gate};
use crate::session::{Aliases, GivenAliases, Session};

use super::{
    Client, Connection, Door, Limits,
    closing::Promise,
    input::Input,
    limits::TOPIC_ALIASES,
    output::Output,
    request::{Refusal, Request, answer_refusal, client_id, denied, read_connect, refuse},
    writer::Writer,
};

/// A client that was admitted and has its session; CONNACK is the first thing in `writer`.
pub(super) struct Admitted {
    limits: Arc<Limits>,
    closed: Arc<AtomicBool>,
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

const BUSY: &str = "the server is busy";

/// Reads CONNECT, asks the gate, claims the session. `None`: the connection was refused, answered and closed.
pub(super) async fn handshake<S>(broker: &Arc<Broker>, stream: &mut S, door: Door) -> Option<Admitted>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Door { address, listener, anonymous, limits, certificate, closed, mut evicted } = door;
    let mut who = (String::new(), String::new());
    // As the client said in CONNECT, once it has.
    let mut asked = None;
    let admit = async {
        let mut input = Input::default();
        let request = timeout(limits.connect_timeout, read_connect(stream, &mut input)).await.ok()??;
        let request = match request {
            Ok(request) => request,
            Err(refusal) => return Some(Err(refusal)),
        };
        broker.counters.connects.fetch_add(1, Ordering::Relaxed);
        let (version, max_packet) = (request.version, request.max_packet);
        asked = Some((version, max_packet));
        who = (request.client_id.clone(), request.username.clone().unwrap_or_default());
        let applicant = Applicant {
            // Until it is known whether it brings one or is assigned one.
            client_id: "".into(),
            username: None,
            password: None,
            anonymous,
            address,
            listener,
            certificate,
        };
        let entering = enter(broker, request, input, applicant, &limits);
        let entered = timeout(limits.connect_timeout, entering).await;
        let admitted = entered.unwrap_or_else(|_| Err(refuse(version, ReasonCode::ServerBusy, BUSY)));
        Some(admitted.map_err(|refusal| Refusal { max_packet, ..refusal }))
    };
    let outcome = tokio::select! {
        outcome = admit => outcome,
        _ = &mut evicted => {
            broker.counters.drop_one(Dropped::Pending);
            asked.map(|(version, max_packet)| {
                Err(Refusal { max_packet, ..refuse(version, ReasonCode::ServerBusy, BUSY) })
            })
        }
    };
    match outcome {
        Some(Ok(admitted)) => Some(Admitted { closed, ..admitted }),
        Some(Err(mut refusal)) => {
            if !refusal.by_gate {
                let (client, user) = (&who.0, &who.1);
                let audit =
                    broker.policy.refused_at_door(client, user, address, refusal.reason, &refusal.why);
                if let Some(audit) = audit {
                    refusal.why = format!("{} (audit {audit})", refusal.why);
                }
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

/// Everything between a complete CONNECT and CONNACK.
async fn enter(
    broker: &Arc<Broker>,
    request: Request,
    input: Input,
    applicant: Applicant,
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
        ..applicant
    };
    let address = applicant.address;
    let bell = Arc::new(AtomicWaker::new());
    let mut gate = match broker.policy.admit(applicant, bell.clone()).await {
        Ok(gate) => gate,
        Err(denial) => return Err(denied(version, &denial, "")),
    };
    if let Some(will) = &request.will {
        gate.will_is_known(&will.topic, &will.payload).await;
    }
    if let Some(will) = &request.will
        && let Err(denial) = gate.leave_will(&will.topic, &will.payload)
    {
        return Err(denied(version, &denial, "will refused: "));
    }
    let expiry = request.session_expiry.min(limits.session_expiry);
    let keep_alive = keep_alive(request.keep_alive, limits.keep_alive);
    let properties = connack_properties(
        limits,
        assigned.then_some(&*client_id),
        (keep_alive != request.keep_alive).then_some(keep_alive),
        (expiry != request.session_expiry).then_some(expiry),
    );
    let mut connack = ConnAck { session_present: false, reason: ReasonCode::Success, properties };
    if !takes(version, request.max_packet, &connack) {
        return no(ReasonCode::PacketTooLarge, "the client's maximum packet size is less than CONNACK takes");
    }
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
    let kept = claim.seat.parked.lock().is_kept();
    let present = kept && !request.clean_start;
    let will = request.will.as_ref();
    let inflight = request.receive_maximum.min(limits.inflight);
    broker.note_opening(&claim.seat, &mut session, &gate, present, Promise { expiry, inflight, will });
    let opening = Opening { broker, seat: &claim.seat, session: &mut session, present, done: false };
    // A session that is not kept, in nobody's place, needs no disk.
    let mut ticket = if kept || expiry > 0 { broker.router.journal.commit() } else { Ticket::DONE };
    // A session to go on with is as it was until here: the client may be given up, or the commit fail.
    if let Err(error) = poll_fn(|cx| ticket.poll(cx)).await {
        // What is wrong with the disk is for the log, not for whoever connects.
        tracing::warn!(client = ?claim.seat.outbox.client_id, %error, "a session could not be opened");
        return Err(refuse(version, ReasonCode::ServerUnavailable, "the session could not be stored"));
    }
    opening.done();
    // Its client is back: it neither ends nor leaves its will.
    *claim.seat.parked.lock() = Default::default();
    if present && expiry == 0 {
        broker.router.journal.record(Change::Ended { client: &claim.seat.outbox.client_id });
    }
    session.expiry = expiry;
    session.outgoing.connected(inflight, limits.queued_bytes);
    session.incoming.connected();
    claim.seat.outbox.set_state(true, expiry > 0);
    let mut writer = Writer {
        output: Output::default(),
        version,
        max_packet: request.max_packet,
        aliases: GivenAliases::new(request.topic_aliases),
        sent: Default::default(),
    };
    connack.session_present = present;
    writer.packet(&Packet::ConnAck(connack));
    tracing::debug!(client = ?client_id, user = ?gate.identity().user, %address, ?version, "connected");
    Ok(Admitted {
        limits: limits.clone(),
        closed: Arc::default(),
        client: Client {
            version,
            patience: (keep_alive > 0).then(|| Duration::from_secs(u64::from(keep_alive)) * 3 / 2),
            problem_information: request.problem_information,
            is_bridge: request.is_bridge,
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

/// An opening that is recorded but not yet durable; dropped before it is, it is taken back.
struct Opening<'a> {
    broker: &'a Arc<Broker>,
    seat: &'a Arc<Seat>,
    session: &'a mut OwnedMutexGuard<Session<Candidate>>,
    present: bool,
    done: bool,
}

impl Opening<'_> {
    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.broker.take_back_opening(self.seat, self.session, self.present);
        }
    }
}

/// Whether CONNACK is not larger than the client takes: its properties are what the client must know, so none is left
/// out [MQTT-3.1.2-24].
fn takes(version: Version, max_packet: usize, connack: &ConnAck<'_>) -> bool {
    let mut bytes = Vec::new();
    if max_packet < usize::MAX {
        codec::encode(&Packet::ConnAck(connack.clone()), version, &mut bytes);
    }
    bytes.len() <= max_packet
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

impl Admitted {
    pub fn into_connection<S>(self, broker: Arc<Broker>, stream: S) -> Connection<S> {
        let now = clock::now();
        let backlog = std::mem::take(&mut *self.seat.backlog.lock());
        let (key, client_id) = (self.seat.outbox.key, self.seat.outbox.client_id.clone());
        let wait = self.client.patience.unwrap_or(Duration::from_secs(3600));
        Connection {
            broker,
            limits: self.limits,
            closed: self.closed,
            stream,
            client: self.client,
            input: self.input,
            unfinished: Default::default(),
            reviewing: Vec::new(),
            writer: self.writer,
            gate: self.gate,
            bell: self.bell,
            backlog,
            publisher: Publisher::new(Origin { key, client_id, peer: None }),
            seat: self.seat,
            turn: self.turn,
            seated: self.seated,
            session: self.session,
            aliases: Aliases::new(TOPIC_ALIASES),
            will: self.will,
            ready: Default::default(),
            suspended: false,
            owed: Default::default(),
            keeping: None,
            kept_to: 0,
            pressure: None,
            awaiting: Default::default(),
            stalled: None,
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
