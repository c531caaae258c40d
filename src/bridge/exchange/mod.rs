//! The session with the remote broker. No sockets and no timers: packets are handed in, bytes are taken out.
//!
//! It outlives connections: what was sent and not acknowledged is sent again, and a QoS 2 message from there is known
//! until its PUBREL.

mod connect;
mod incoming;
mod outgoing;
mod oversize;
mod trouble;

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ahash::{AHashMap, AHashSet};

use crate::broker::{Link, Message, Ticket};
use crate::mqtt::{DecodeError, Packet, QoS, ReasonCode, TopicFilter, Version, codec};
use crate::session::{Incoming, Outgoing};

use self::trouble::Trouble;

use super::{
    Settings,
    echo::Echoes,
    ledger::{LedgerIn, Refusal},
    spool::{Item, Spool},
};

/// Bytes that wait to be written, from which on nothing more is encoded.
pub(super) const HIGH: usize = 64 * 1024;
/// Acknowledgements that wait for commits, from which on nothing is read.
const OWED: usize = 1024;
/// Bytes of unacknowledged messages, from which on no more are sent.
const WEIGHT: usize = 1 << 20;

/// A session that breaks sooner was of no use.
const SOON: Duration = Duration::from_secs(10);
/// So many of them in a row, and what the remote broker may have kept too long is released.
const TOO_MANY_BROKEN: u32 = 2;

/// What was to be kept could not be.
const NOT_STORED: Fault = Fault::NoRoom("the state cannot be written");

/// Bytes of the largest packet that MQTT has.
const LARGEST: usize = 268_435_460;

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The remote broker does not let the bridge in, or no longer.
    #[error("the remote broker refuses the bridge: {0}")]
    Refused(String),
    /// It does not keep to the protocol.
    #[error("the remote broker broke the protocol: {0}")]
    Protocol(&'static str),
    /// It has not answered in time.
    #[error("the remote broker does not answer: {0}")]
    Silent(&'static str),
    /// It takes nothing more at present.
    #[error("the remote broker takes no more at present")]
    Busy,
    /// The lock has changed, and what it kept out must come again.
    #[error("the lock has changed: the remote broker is asked for what was kept out")]
    Unlocked,
    /// It sends packets that are larger than it was told.
    #[error("the remote broker sent a packet larger than limits.packet_size, of which it was told")]
    TooLarge,
    /// The gateway takes nothing more at present.
    #[error("{0}: the remote broker is asked to send it again later")]
    NoRoom(&'static str),
}

impl Fault {
    /// The reason to tell the remote broker; `None` if there is nobody to tell.
    pub fn farewell(&self) -> Option<ReasonCode> {
        match self {
            Fault::Refused(_) | Fault::Silent(_) => None,
            Fault::Protocol(_) => Some(ReasonCode::ProtocolError),
            Fault::TooLarge => Some(ReasonCode::PacketTooLarge),
            Fault::Busy | Fault::Unlocked => Some(ReasonCode::Success),
            Fault::NoRoom(_) => Some(ReasonCode::QuotaExceeded),
        }
    }

    /// Whether the next connection is likely to end in the same way, however long this one has lasted.
    pub fn comes_again(&self) -> bool {
        matches!(self, Fault::TooLarge | Fault::Busy | Fault::NoRoom(_))
    }
}

/// A message in the window.
#[derive(Clone, Debug)]
struct Held {
    seq: u64,
    message: Arc<Message>,
}

/// An answer that waits for its commit.
struct Owed {
    ticket: Ticket,
    packet: Vec<u8>,
}

/// What the remote broker takes, as CONNACK says.
#[derive(Clone, Copy, Debug)]
struct Takes {
    packet: usize,
    qos: QoS,
    retain: bool,
}

/// When the remote broker was heard of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    /// It answered something: CONNACK, PINGRESP or an acknowledgement.
    pub answered: Instant,
    /// The ping that has no answer yet.
    pinged: Option<Instant>,
    /// It acknowledged a message, or had none to acknowledge.
    progressed: Instant,
    /// The bridge sent something.
    sent: Instant,
    /// The far end took bytes of what waited to be sent.
    pub taken: Instant,
    /// Time from a ping to its answer.
    pub round_trip: Option<Duration>,
    /// The canary's number, when it was let fly, and whether it is back.
    canary: (u64, Option<Instant>),
    /// When the next one is let fly.
    canary_due: Instant,
    /// Whether one came back on this connection.
    canary_back: bool,
    keep_alive: Duration,
}

pub(super) struct Exchange {
    settings: Arc<Settings>,
    pub spool: Arc<Spool>,
    pub link: Link,
    window: Outgoing<Held>,
    incoming: Incoming,
    /// Numbers in the spool of what waits for PUBCOMP, by packet identifier.
    released: AHashMap<u16, u64>,
    /// What was in the window when the gateway ended, until it is read back.
    before: Vec<super::spool::SentBefore>,
    /// Messages that got packet identifiers, until these are durable.
    numbered: VecDeque<(Item, u16)>,
    numbering: Option<Ticket>,
    owed: VecDeque<Owed>,
    echoes: Echoes,
    /// To be written.
    pub out: Vec<u8>,
    takes: Takes,
    /// Topics of messages that the lock kept from coming in, on this connection. They were not acknowledged: the remote
    /// broker sends them again on the next one.
    kept_out: AHashSet<Box<str>>,
    /// Bytes of a packet that is passed over which are still to come.
    skip: usize,
    /// What was complained of.
    pub trouble: Trouble,
    /// CONNACK came.
    pub open: bool,
    pub pulse: Pulse,
    /// The identifier of our SUBSCRIBE, until SUBACK comes, and when it was sent.
    subscribing: Option<(u16, Instant)>,
    /// The session that the window and the identifiers from the remote broker are of, see [`Exchange::session`].
    session_of: Option<Arc<str>>,
    /// When CONNACK came, if the remote broker had a session.
    resumed: Option<Instant>,
    /// How many sessions in a row were taken up and broke soon.
    broken: u32,
    /// The address that is connected to.
    address: usize,
    /// Filters that the remote broker did not grant.
    pub refused: Vec<String>,
    /// Messages that came in since the start: published here, refused by the gate, echoes.
    pub arrived: Arrived,
    /// Totals of the routes that come in, by their filters on the remote broker; none comes last.
    pub ledgers_in: Vec<(Arc<str>, LedgerIn)>,
}

/// What was kept of the session with a remote broker, besides the window.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Packet identifiers of QoS 2 messages from there whose PUBREL is still to come.
    pub received: Vec<u16>,
    /// The session in which packet identifiers mean something.
    pub session: Option<Arc<str>>,
    /// Totals of the routes that come in.
    pub arrived: Vec<(Arc<str>, LedgerIn)>,
}

/// What came from the remote broker since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Published here.
    pub published: u64,
    /// Kept out by the lock, to come again.
    pub held: u64,
    /// Not permitted, or without a route.
    pub refused: u64,
    /// The bridge's own, come back.
    pub echoes: u64,
}

impl Exchange {
    pub fn new(
        settings: Arc<Settings>,
        spool: Arc<Spool>,
        link: Link,
        before: Vec<super::spool::SentBefore>,
        open: Open,
    ) -> Self {
        let now = Instant::now();
        let mut incoming = Incoming::default();
        incoming.restore(open.received);
        let remote = settings.incoming().map(|route| Arc::from(route.remote.as_str()));
        let mut ledgers_in: Vec<(Arc<str>, LedgerIn)> = Vec::new();
        for route in remote.chain([Arc::from("")]) {
            if !ledgers_in.iter().any(|(other, _)| *other == route) {
                ledgers_in.push((route, LedgerIn::default()));
            }
        }
        for (route, ledger) in open.arrived {
            match ledgers_in.iter_mut().find(|(other, _)| *other == route) {
                Some((_, own)) => *own = ledger,
                None => ledgers_in.push((route, ledger)),
            }
        }
        Exchange {
            pulse: Pulse {
                answered: now,
                pinged: None,
                progressed: now,
                sent: now,
                taken: now,
                round_trip: None,
                canary: (0, None),
                canary_due: now,
                canary_back: false,
                keep_alive: Duration::from_secs(settings.keep_alive.into()),
            },
            settings,
            spool,
            link,
            window: Outgoing::default(),
            incoming,
            released: AHashMap::default(),
            before,
            numbered: VecDeque::new(),
            numbering: None,
            owed: VecDeque::new(),
            echoes: Echoes::default(),
            out: Vec::new(),
            takes: Takes { packet: LARGEST, qos: QoS::ExactlyOnce, retain: true },
            kept_out: AHashSet::default(),
            skip: 0,
            trouble: Trouble::default(),
            open: false,
            subscribing: None,
            session_of: open.session,
            resumed: None,
            broken: 0,
            address: 0,
            refused: Vec::new(),
            arrived: Arrived::default(),
            ledgers_in,
        }
    }

    fn version(&self) -> Version {
        self.settings.version
    }

    /// Handles every complete packet at the beginning of `bytes`; how many bytes it took.
    ///
    /// # Errors
    /// Why the connection must end.
    pub fn read(&mut self, bytes: &[u8], now: Instant) -> Result<usize, Fault> {
        let mut taken = self.skip.min(bytes.len());
        self.skip -= taken;
        while self.reads() {
            let rest = &bytes[taken..];
            let decoded = codec::decode(rest, Some(self.version()), self.settings.packet_size);
            if let Err(DecodeError::TooLarge(size)) = decoded {
                match self.pass_over(rest, size, now)? {
                    0 => break,
                    passed => taken += passed,
                }
                continue;
            }
            let Some((packet, size)) = decoded.map_err(|error| Fault::Protocol(in_words(&error)))? else {
                break;
            };
            taken += size;
            self.handle(packet, now)?;
        }
        Ok(taken)
    }

    /// Whether more may be read now.
    pub fn reads(&self) -> bool {
        self.owed.len() < OWED && self.out.len() < 2 * HIGH && !self.link.is_pressed()
    }

    fn handle(&mut self, packet: Packet<'_>, now: Instant) -> Result<(), Fault> {
        if !self.open {
            return match packet {
                Packet::ConnAck(connack) => self.on_connack(&connack, now),
                _ => Err(Fault::Protocol("its first packet is not CONNACK")),
            };
        }
        match packet {
            Packet::Publish(publish) => self.on_publish(&publish, now),
            Packet::PubAck(ack) => self.on_puback(&ack, now),
            Packet::PubRec(ack) => self.on_pubrec(&ack, now),
            Packet::PubRel(ack) => {
                self.on_pubrel(&ack);
                Ok(())
            }
            Packet::PubComp(ack) => {
                self.on_pubcomp(&ack, now);
                Ok(())
            }
            Packet::SubAck(suback) => {
                self.on_suback(&suback, now);
                Ok(())
            }
            Packet::PingResp => {
                self.pulse.answer(now);
                if let Some(at) = self.pulse.pinged.take() {
                    self.pulse.round_trip = Some(now.saturating_duration_since(at));
                }
                Ok(())
            }
            Packet::Disconnect(disconnect) if self.version() == Version::V5 => {
                Err(Fault::Refused(format!("DISCONNECT, {}", disconnect.reason.text())))
            }
            Packet::UnsubAck(_) => Ok(()),
            _ => Err(Fault::Protocol("it sent a packet that only a client sends")),
        }
    }

    /// Sends answers whose tickets are done, and messages whose identifiers are durable.
    ///
    /// # Errors
    /// If something could not be stored.
    pub fn poll_tickets(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let owed = self.owed.len();
        if let Poll::Ready(outcome) = self.poll_owed(cx) {
            outcome?;
        }
        let mut progress = self.owed.len() < owed;
        if let Some(ticket) = &mut self.numbering {
            match ticket.poll(cx) {
                Poll::Ready(Ok(())) => self.numbering = None,
                Poll::Ready(Err(_)) => {
                    self.numbering = Some(self.link.journal().commit());
                    return Poll::Ready(Err(NOT_STORED));
                }
                Poll::Pending => {}
            }
            progress |= self.numbering.is_none();
        }
        if progress { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Sends answers whose tickets are done; ready when none is left.
    ///
    /// # Errors
    /// If something could not be stored: neither that answer nor a later one is sent.
    pub fn poll_owed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while let Some(owed) = self.owed.front_mut() {
            match std::task::ready!(owed.ticket.poll(cx)) {
                Ok(()) => self.out.extend(self.owed.pop_front().map(|owed| owed.packet).unwrap_or_default()),
                Err(_) => {
                    self.owed.clear();
                    return Poll::Ready(Err(NOT_STORED));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes changes of rights and of the lock in, and answers who asks why; whether there was a change.
    ///
    /// # Errors
    /// If the remote broker must be asked for what the lock kept out.
    pub fn review(&mut self) -> Result<bool, Fault> {
        let changed = self.link.review();
        if changed {
            self.spool.let_go();
            self.window.resume();
            if self.open && !self.kept_out.is_empty() {
                return Err(Fault::Unlocked);
            }
        }
        Ok(changed)
    }

    fn write(&mut self, packet: &Packet<'_>) {
        codec::encode(packet, self.version(), &mut self.out);
    }

    /// Writes an answer once `ticket` is done and everything owed before is written.
    fn answer(&mut self, packet: &Packet<'_>, ticket: Ticket) {
        if ticket.is_done() && self.owed.is_empty() {
            self.write(packet);
            return;
        }
        let mut bytes = Vec::new();
        codec::encode(packet, self.version(), &mut bytes);
        self.owed.push_back(Owed { ticket, packet: bytes });
    }

    /// The session at the address that is connected to: that of another remote broker or client identifier knows nothing of
    /// this one's packet identifiers.
    fn session(&self) -> Arc<str> {
        let at = self.settings.addresses.get(self.address).map_or("", |address| address);
        format!("{} at {at}", self.settings.client_id).into()
    }

    /// Counts a message of QoS 1 or 2 that came by the route of this filter on the remote broker.
    fn count_arrived(&mut self, qos: QoS, remote: &str, outcome: Result<(), Refusal>) {
        if qos == QoS::AtMostOnce {
            return;
        }
        if let Some((route, ledger)) = self.ledgers_in.iter_mut().find(|(route, _)| **route == *remote) {
            ledger.count(outcome);
            self.spool.arrived(route, *ledger);
        }
    }

    /// Whether a topic on the remote broker is one that the bridge subscribes to.
    fn is_subscribed(&self, topic: &str) -> bool {
        self.settings.incoming().any(|route| route.remote.matches(topic))
    }

    /// The filters to subscribe to on the remote broker.
    fn filters(&self) -> impl Iterator<Item = (&TopicFilter, QoS)> {
        self.settings.incoming().map(|route| (&route.remote, route.qos))
    }
}

impl Pulse {
    fn answer(&mut self, now: Instant) {
        self.answered = now;
    }
}

fn in_words(error: &crate::mqtt::DecodeError) -> &'static str {
    use crate::mqtt::DecodeError::*;
    match error {
        Malformed(what) | Protocol(what) | TopicName(what) => what,
        TooLarge(_) => "a packet is larger than limits.packet_size",
        UnsupportedVersion => "a CONNECT",
    }
}
