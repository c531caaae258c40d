//! A small MQTT client on the gateway's own codec, for `pub`, `sub` and `demo`.
//!
//! One task, no background work: the connection lives only while one of the methods is awaited, and that is
//! also when keep alive is served. Every method except [`Client::publish`], [`Client::subscribe`] and
//! [`Client::disconnect`] may be cancelled and called again.

mod connection;
mod error;
mod options;
mod renew;
#[cfg(test)]
mod tests;
mod tls;
mod token;

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::time::Duration;

pub use self::error::ClientError;
pub use self::options::{ConnectionArgs, Options, parse_qos, parse_topic};
pub use self::renew::Renewing;
pub use self::tls::{ClientTls, TlsArgs};

use self::connection::{Connection, Received};
use crate::mqtt::{
    Ack, Disconnect, Packet, Properties, Property, Publish, QoS, ReasonCode, Subscribe, SubscribeFilter,
    SubscriptionOptions,
};

/// How many messages are kept that arrive while an acknowledgement is awaited.
const INBOX: usize = 10_000;

/// How long [`Client::disconnect`] waits for QoS 2 exchanges to end, and then for the server to close.
const FAREWELL: Duration = Duration::from_secs(2);

/// A message from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS of the delivery.
    pub qos: QoS,
    /// Retain flag of the delivery.
    pub retain: bool,
    /// Content type (version 5).
    pub content_type: Option<String>,
    /// Response topic (version 5).
    pub response_topic: Option<String>,
    /// Seconds of message expiry that are left (version 5).
    pub expiry: Option<u32>,
    /// User properties in order (version 5).
    pub user_properties: Vec<(String, String)>,
    /// Packet identifier, for the acknowledgement.
    packet_id: Option<u16>,
}

/// The server's last word on a PUBLISH, SUBSCRIBE or connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Reason code; in 3.x acknowledgements it is always a success.
    pub reason: ReasonCode,
    /// Reason string, if the server sent one.
    pub text: Option<String>,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.reason)?;
        match &self.text {
            // Foreign text: it may not steer the terminal it is printed on.
            Some(text) => write!(f, ": {}", text.replace(char::is_control, "\u{FFFD}")),
            None => Ok(()),
        }
    }
}

/// A connection that the server has accepted.
pub struct Client {
    connection: Connection,
    timeout: Duration,
    next_id: u16,
    limits: Limits,
    /// Messages that came while something else was awaited; not yet acknowledged.
    inbox: VecDeque<Message>,
    /// QoS 2 messages handed out whose PUBREL has not come.
    unreleased: HashSet<u16>,
    /// What [`Client::publish`] sent and the server has not finished with.
    open: Option<Open>,
}

/// A PUBLISH of QoS 1 or 2 under way.
#[derive(Clone, Copy, Debug)]
struct Open {
    id: u16,
    /// Whether PUBREC has come.
    received: bool,
}

/// What the server does not take (3.2.2.3).
struct Limits {
    packet_size: usize,
    qos: QoS,
    retain: bool,
}

impl Client {
    /// Opens a connection and waits for the server's CONNACK.
    pub async fn connect(options: &Options) -> Result<Client, ClientError> {
        let (connection, limits, _) = Self::open(options).await?;
        Ok(Client {
            connection,
            timeout: options.timeout,
            next_id: 0,
            limits,
            inbox: VecDeque::new(),
            unreleased: HashSet::new(),
            open: None,
        })
    }

    /// An accepted connection, what its server takes, and whether that has a session.
    async fn open(options: &Options) -> Result<(Connection, Limits, bool), ClientError> {
        let (connection, connack) = within(options.timeout, "CONNACK", Connection::open(options)).await?;
        let reason = connack.outcome.reason;
        if reason != ReasonCode::Success {
            let forgotten =
                options.username.is_some() && options.password.is_none() && options.token.is_none();
            let about_login = matches!(reason, ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized);
            return Err(match forgotten && about_login {
                true => ClientError::NoPassword(connack.outcome),
                false => ClientError::Refused(connack.outcome),
            });
        }
        let limits = Limits {
            packet_size: connack.maximum_packet_size.map_or(usize::MAX, |size| size as usize),
            qos: connack.maximum_qos,
            retain: connack.retain_available,
        };
        Ok((connection, limits, connack.session_present))
    }

    /// Goes on in a new connection; whether the server has the session. If so, what was not acknowledged comes again, and
    /// [`Client::publish`] goes on with what it had begun. May be cancelled: then the old connection stays.
    pub async fn reconnect(&mut self, options: &Options) -> Result<bool, ClientError> {
        let (connection, limits, present) = Self::open(options).await?;
        (self.connection, self.limits) = (connection, limits);
        if present {
            self.inbox.retain(|message| message.packet_id.is_none());
        } else {
            // Nobody waits for their acknowledgements any more.
            self.inbox.iter_mut().for_each(|message| message.packet_id = None);
            self.unreleased.clear();
            self.open = None;
        }
        Ok(present)
    }

    /// Says DISCONNECT, for a session that goes on.
    pub async fn leave(&mut self) -> Result<(), ClientError> {
        let packet = Disconnect { reason: ReasonCode::Success, properties: Properties::default() };
        self.send(&Packet::Disconnect(packet))?;
        match within(self.timeout, "DISCONNECT to be sent", self.connection.flush()).await {
            // It is over one way or the other.
            Err(ClientError::Closed | ClientError::Broken(_) | ClientError::Disconnected(_)) => Ok(()),
            left => left,
        }
    }

    /// Publishes and waits for the whole exchange: nothing at QoS 0, PUBACK at 1, PUBCOMP at 2. A refusal by the
    /// server is an `Ok` with a failure reason; in 3.x it can only close the connection or say nothing. Called again with
    /// the same message after [`Client::reconnect`], it goes on where the connection was lost.
    pub async fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: QoS,
        retain: bool,
        properties: Properties<'_>,
    ) -> Result<Outcome, ClientError> {
        if qos > self.limits.qos {
            return Err(ClientError::NotTaken(format!("messages above QoS {}", self.limits.qos as u8)));
        }
        if retain && !self.limits.retain {
            return Err(ClientError::NotTaken("retained messages".into()));
        }
        let begun = self.open;
        let packet_id = match begun {
            _ if qos == QoS::AtMostOnce => None,
            Some(open) => Some(open.id),
            None => Some(self.new_id()),
        };
        let dup = begun.is_some() && packet_id.is_some();
        let publish = Publish { dup, qos, retain, topic, packet_id, properties, payload };
        if !begun.is_some_and(|open| open.received) {
            self.send(&Packet::Publish(publish))?;
        }
        let Some(id) = packet_id else {
            within(self.timeout, "the message to be sent", self.connection.flush()).await?;
            return Ok(Outcome { reason: ReasonCode::Success, text: None });
        };
        let timeout = self.timeout;
        self.open.get_or_insert(Open { id, received: false });
        if qos == QoS::AtLeastOnce {
            let answer = within(
                timeout,
                "PUBACK",
                self.answer(|received| match received {
                    Received::PubAck(ack, outcome) if *ack == id => Some(outcome.clone()),
                    _ => None,
                }),
            )
            .await?;
            self.open = None;
            return Ok(answer);
        }
        if !begun.is_some_and(|open| open.received) {
            let outcome = self.await_pubrec(id).await?;
            if outcome.reason.is_failure() {
                self.open = None;
                return Ok(outcome); // the exchange ends here [MQTT-4.3.3-4]
            }
            self.open = Some(Open { id, received: true });
        }
        self.send(&Packet::PubRel(Ack::new(id, ReasonCode::Success)))?;
        let answer = within(
            timeout,
            "PUBCOMP",
            self.answer(|received| match received {
                Received::PubComp(ack, outcome) if *ack == id => Some(outcome.clone()),
                _ => None,
            }),
        )
        .await?;
        self.open = None;
        // It was released on the connection that was lost, and only the answer to that did not come.
        let released =
            begun.is_some_and(|open| open.received) && answer.reason == ReasonCode::PacketIdentifierNotFound;
        Ok(if released { Outcome { reason: ReasonCode::Success, text: None } } else { answer })
    }

    async fn await_pubrec(&mut self, id: u16) -> Result<Outcome, ClientError> {
        within(
            self.timeout,
            "PUBREC",
            self.answer(|received| match received {
                Received::PubRec(ack, outcome) if *ack == id => Some(outcome.clone()),
                _ => None,
            }),
        )
        .await
    }

    /// Subscribes to all filters at one QoS. Returns one outcome a filter, in order.
    pub async fn subscribe(&mut self, filters: &[&str], qos: QoS) -> Result<Vec<Outcome>, ClientError> {
        let packet_id = self.new_id();
        let options = SubscriptionOptions { qos, ..Default::default() };
        let list = filters.iter().map(|filter| SubscribeFilter { filter, options }).collect();
        let packet = Subscribe { packet_id, filters: list, properties: Properties::default() };
        self.send(&Packet::Subscribe(packet))?;
        let outcomes = within(
            self.timeout,
            "SUBACK",
            self.answer(|received| match received {
                Received::SubAck(id, outcomes) if *id == packet_id => Some(outcomes.clone()),
                _ => None,
            }),
        )
        .await?;
        match outcomes.len() == filters.len() {
            true => Ok(outcomes),
            false => Err(ClientError::Unexpected("a SUBACK with another number of codes than filters")),
        }
    }

    /// The next message, in the order of arrival. It is acknowledged when this or another method is called next,
    /// so that what was handed out but not yet dealt with comes again if this process ends.
    pub async fn next_message(&mut self) -> Result<Message, ClientError> {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                self.acknowledge(&message)?;
                return Ok(message);
            }
            let received = self.connection.receive().await?;
            self.take(received)?;
        }
    }

    /// Ends QoS 2 exchanges that are open, then says DISCONNECT and closes.
    pub async fn disconnect(self) -> Result<(), ClientError> {
        self.depart(Properties::default()).await
    }

    /// The same, and the server forgets the session (version 5).
    pub async fn end_session(self) -> Result<(), ClientError> {
        let mut properties = Properties::default();
        properties.push(Property::SessionExpiryInterval(0));
        self.depart(properties).await
    }

    async fn depart(mut self, properties: Properties<'static>) -> Result<(), ClientError> {
        let farewell = async {
            while !self.unreleased.is_empty() {
                let received = self.connection.receive().await?;
                self.take(received)?;
            }
            Ok::<(), ClientError>(())
        };
        match tokio::time::timeout(FAREWELL, farewell).await {
            Ok(ended) => ended?,
            Err(_elapsed) => {} // the server will repeat them in the next connection
        }
        self.send(&Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties }))?;
        within(self.timeout, "DISCONNECT to be sent", self.connection.close()).await
    }

    fn new_id(&mut self) -> u16 {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.next_id
    }

    fn send(&mut self, packet: &Packet<'_>) -> Result<(), ClientError> {
        self.connection.send(packet, self.limits.packet_size)
    }

    /// Receives until `pick` finds the answer; everything else is dealt with on the way.
    async fn answer<T>(&mut self, pick: impl Fn(&Received) -> Option<T>) -> Result<T, ClientError> {
        loop {
            let received = self.connection.receive().await?;
            match pick(&received) {
                Some(answer) => return Ok(answer),
                None => self.take(received)?,
            }
        }
    }

    /// Deals with what the server sent unasked.
    fn take(&mut self, received: Received) -> Result<(), ClientError> {
        match received {
            // Known already: its PUBREC was lost with an earlier connection.
            Received::Message(Message { qos: QoS::ExactlyOnce, packet_id: Some(id), .. })
                if self.unreleased.contains(&id) =>
            {
                self.send(&Packet::PubRec(Ack::new(id, ReasonCode::Success)))
            }
            Received::Message(_) if self.inbox.len() == INBOX => {
                Err(ClientError::Unexpected("more messages than can be kept before an answer"))
            }
            Received::Message(message) => {
                self.inbox.push_back(message);
                Ok(())
            }
            Received::PubRel(id) => {
                self.unreleased.remove(&id);
                self.send(&Packet::PubComp(Ack::new(id, ReasonCode::Success)))
            }
            // Left from an earlier connection of this client identifier.
            Received::PubRec(id, outcome) if !outcome.reason.is_failure() => {
                self.send(&Packet::PubRel(Ack::new(id, ReasonCode::Success)))
            }
            Received::PubAck(..) | Received::PubRec(..) | Received::PubComp(..) => Ok(()),
            Received::SubAck(..) => Err(ClientError::Unexpected("a SUBACK without a SUBSCRIBE")),
        }
    }

    fn acknowledge(&mut self, message: &Message) -> Result<(), ClientError> {
        match (message.qos, message.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => self.send(&Packet::PubAck(Ack::new(id, ReasonCode::Success))),
            (QoS::ExactlyOnce, Some(id)) => {
                self.unreleased.insert(id);
                self.send(&Packet::PubRec(Ack::new(id, ReasonCode::Success)))
            }
            _ => Ok(()),
        }
    }
}

/// Awaits `future` for at most `timeout`; `what` is what did not come then.
async fn within<T>(
    timeout: Duration,
    what: &'static str,
    future: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    match tokio::time::timeout(timeout, future).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(ClientError::Timeout { what, seconds: timeout.as_secs() }),
    }
}
