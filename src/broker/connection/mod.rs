//! One connection: its task, from the first byte to the last.
//!
//! A single task owns everything of the connection and polls it in turns ([`turn`]): read what is there, do what
//! it asks, deliver what the gate permits, write. Nothing in a turn waits; whoever has something for the
//! connection rings its bell.

mod closing;
mod delivering;
mod handshake;
mod inbound;
mod input;
mod limits;
mod output;
mod request;
mod subscribing;
mod turn;
mod writer;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use atomic_waker::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::time::Sleep;

use crate::mqtt::{DecodeError, QoS, ReasonCode, Version};
use crate::policy::{Certificate, Denial, Gate};
use crate::session::{Aliases, Session};

use self::{handshake::Seated, input::Input, writer::Writer};
use super::{
    backlog::Backlog, broker::Broker, budget::Share, message::Candidate, outbox::Outbox, registry::Seat,
    router::Publisher, ticket::Ticket, traffic::Traffic, will::Will,
};

pub use limits::Limits;

/// The [`Source`](super::backlog::Source) of a connection's backlog, which can be changed meanwhile.
macro_rules! source {
    ($connection:expr) => {
        Source {
            router: &$connection.broker.router,
            outbox: &$connection.seat.outbox,
            subscriptions: &$connection.session.subscriptions,
            now: $connection.now,
        }
    };
}
use source;

/// What the listener tells the broker of a connection.
#[derive(Debug)]
pub struct Door {
    /// The client's address.
    pub address: SocketAddr,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The user name of clients that bring none.
    pub anonymous: Option<Arc<str>>,
    /// Bounds.
    pub limits: Arc<Limits>,
    /// The certificate the client showed.
    pub certificate: Option<Certificate>,
    /// Set once the listener is changed or closed: its clients must go.
    pub closed: Arc<AtomicBool>,
    /// Fires (or is dropped) when the connection must make room before it has sent CONNECT.
    pub evicted: oneshot::Receiver<()>,
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The client said DISCONNECT; `will` if it asked for its will.
    Client { will: bool },
    /// The socket was closed or failed.
    Lost(String),
    /// The client broke the protocol or a bound; it is told if its version can be.
    Fault(ReasonCode, &'static str),
    /// Another connection took the session over [MQTT-3.1.4-3].
    TakenOver,
    /// The policy no longer admits the client.
    Denied(Denial),
    /// A 3.x client did what it may not, and is configured to be disconnected.
    Refused(Denial),
    /// The gateway stops.
    Stopping,
    /// The listener it came in by is changed or closed.
    Dismissed,
}

/// What cannot be decoded on a connection that is admitted.
impl From<DecodeError> for End {
    fn from(error: DecodeError) -> Self {
        let what = match error {
            DecodeError::Malformed(what) | DecodeError::Protocol(what) | DecodeError::TopicName(what) => what,
            DecodeError::TooLarge(_) => "larger than limits.packet_size",
            // Only a CONNECT names a version, and a second one is wrong whatever it names [MQTT-3.1.0-2].
            DecodeError::UnsupportedVersion => {
                return End::Fault(ReasonCode::ProtocolError, "a second CONNECT");
            }
        };
        End::Fault(error.reason(), what)
    }
}

/// What the client said of itself in CONNECT.
#[derive(Debug)]
struct Client {
    version: Version,
    /// One and a half times the keep alive [MQTT-3.1.2-22]; `None` if it is off.
    patience: Option<Duration>,
    /// Whether it wants reason strings [MQTT-3.1.2-29].
    problem_information: bool,
    /// Whether a 3.x client says that it is a bridge, as Mosquitto's do.
    is_bridge: bool,
    /// Seconds the session outlives the connection as CONNECT said; DISCONNECT may not raise it from 0.
    session_expiry: u32,
}

/// An acknowledgement that waits for its commit, in the order of the packets it answers [MQTT-4.6.0-2].
#[derive(Debug)]
struct Owed {
    ticket: Ticket,
    packet: Vec<u8>,
    /// Whether it counts in `unacknowledged`.
    counts: bool,
}

/// A publisher waits for subscribers that are behind.
#[derive(Debug)]
struct Pressure {
    outboxes: Vec<Arc<Outbox>>,
    /// QoS of what was published.
    qos: QoS,
    until: Instant,
}

/// What must wait until the gate knows about it, in this turn.
#[derive(Debug, Default)]
struct Awaiting {
    /// The packet that was read first.
    packet: bool,
    /// The message that is to be delivered next.
    delivery: bool,
}

struct Connection<S> {
    broker: Arc<Broker>,
    limits: Arc<Limits>,
    /// Whether the listener is closed.
    closed: Arc<AtomicBool>,
    stream: S,
    client: Client,
    input: Input,
    /// What a large unfinished packet takes of the gateway's memory.
    unfinished: Share,
    writer: Writer,
    gate: Gate,
    bell: Arc<AtomicWaker>,
    seat: Arc<Seat>,
    turn: u64,
    seated: Seated,
    session: OwnedMutexGuard<Session<Candidate>>,
    aliases: Aliases,
    will: Option<Will>,
    publisher: Publisher,
    /// Subscriptions to be asked about again, since rights changed.
    reviewing: Vec<Arc<str>>,
    /// Taken from the outbox, not yet sent.
    ready: VecDeque<Candidate>,
    /// Whether the lock keeps the client from receiving anything but what is always received.
    suspended: bool,
    /// Retained messages of new subscriptions, sent before anything newer.
    backlog: Backlog,
    owed: VecDeque<Owed>,
    /// The wait until everything is durable that QoS 2 messages need before they go out.
    keeping: Option<Ticket>,
    /// The number up to which what is queued is durable, or will be once `keeping` is done.
    kept_to: u64,
    pressure: Option<Pressure>,
    awaiting: Awaiting,
    /// Since when the message to be delivered next has waited for a backend.
    stalled: Option<Instant>,
    /// QoS 1 messages whose PUBACK is owed: they count against our receive maximum.
    unacknowledged: usize,
    /// What came since it was told last; bytes are counted by `input`.
    received: Traffic,
    timer: Pin<Box<Sleep>>,
    timer_polled: bool,
    last_packet: Instant,
    /// When the client last took something.
    last_written: Instant,
    /// When this turn began.
    now: Instant,
}

/// Serves one connection until it ends. `stream` is ready for MQTT: any TLS or WebSocket handshake is done.
pub async fn serve<S>(broker: Arc<Broker>, mut stream: S, door: Door)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    broker.counters.sockets.fetch_add(1, Ordering::Relaxed);
    // Beginning and end have a place of their own: an idle connection must not keep room for them.
    let admitted = Box::pin(handshake::handshake(&broker, &mut stream, door)).await;
    let Some(admitted) = admitted else { return };
    let mut connection = Box::new(admitted.into_connection(broker, stream));
    let end = std::future::poll_fn(|cx| connection.poll_turn(cx)).await;
    Box::pin(connection.close(end)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{Disconnect, Packet, Properties, codec};

    #[test]
    fn whatever_cannot_be_decoded_ends_in_a_reason_that_disconnect_can_carry() {
        for error in [
            DecodeError::Malformed("m"),
            DecodeError::Protocol("p"),
            DecodeError::TooLarge(1),
            DecodeError::UnsupportedVersion,
            DecodeError::TopicName("t"),
        ] {
            let End::Fault(reason, _) = End::from(error) else { panic!("{error:?} is no fault") };
            let disconnect = Packet::Disconnect(Disconnect { reason, properties: Properties::default() });
            let mut bytes = Vec::new();
            codec::encode(&disconnect, Version::V5, &mut bytes);
            let read = codec::decode(&bytes, Some(Version::V5), 100);
            assert_eq!(read, Ok(Some((disconnect, bytes.len()))), "{error:?}");
        }
    }
}
