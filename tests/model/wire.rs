//! A client's end of a connection: packets out, and what was seen of the broker.

use std::{
    collections::HashMap,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use latchgate::mqtt::{self, Packet, Property, QoS, ReasonCode, Version, codec};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::oneshot;

/// Topic aliases that a version 5 client allows.
pub const ALIASES: u16 = 1;

/// What a client sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    ConnAck {
        present: bool,
        reason: ReasonCode,
    },
    Publish(Delivery),
    PubAck(u16, ReasonCode),
    PubRec(u16, ReasonCode),
    PubRel(u16, ReasonCode),
    PubComp(u16, ReasonCode),
    SubAck(u16, Vec<ReasonCode>),
    UnsubAck(u16, Vec<ReasonCode>),
    PingResp,
    Disconnect(ReasonCode),
    /// The end of the stream.
    Closed,
    /// Something that no broker may send.
    Nonsense(String),
}

/// A PUBLISH as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub dup: bool,
    pub qos: QoS,
    pub retain: bool,
    pub topic: String,
    pub id: Option<u16>,
    pub payload: String,
    /// Sorted.
    pub identifiers: Vec<u32>,
    /// Seconds it has left.
    pub expiry: Option<u32>,
}

pub struct Wire {
    stream: DuplexStream,
    version: Version,
    bytes: Vec<u8>,
    /// Topics by the alias that the broker gave them on this connection.
    aliases: HashMap<u16, String>,
    closed: bool,
    /// The listener's end of the promise to say when the connection must make room.
    _keep: oneshot::Sender<()>,
}

impl Wire {
    pub fn new(stream: DuplexStream, version: Version, keep: oneshot::Sender<()>) -> Self {
        Wire { stream, version, bytes: Vec::new(), aliases: HashMap::new(), closed: false, _keep: keep }
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Sends a packet; the pipe is large enough for everything a case can send.
    pub fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        codec::encode(packet, self.version, &mut bytes);
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.stream).poll_write(&mut cx, &bytes) {
            Poll::Ready(Ok(count)) => assert_eq!(count, bytes.len(), "the pipe is full"),
            // The broker has closed: that is seen when reading.
            Poll::Ready(Err(_)) => {}
            Poll::Pending => panic!("the pipe is full"),
        }
    }

    /// Everything that has arrived.
    pub fn receive(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while !self.closed {
            let mut chunk = [0; 4096];
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.stream).poll_read(&mut cx, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.bytes.extend_from_slice(buffer.filled());
                    self.understand(&mut seen);
                }
                Poll::Ready(_) => {
                    self.closed = true;
                    if !self.bytes.is_empty() {
                        seen.push(Seen::Nonsense("half a packet".into()));
                    }
                    seen.push(Seen::Closed);
                }
            }
        }
        seen
    }

    fn understand(&mut self, seen: &mut Vec<Seen>) {
        let mut used = 0;
        loop {
            match codec::decode(&self.bytes[used..], Some(self.version), 1 << 20) {
                Ok(None) => break,
                Ok(Some((packet, length))) => {
                    seen.push(Seen::new(&packet, &mut self.aliases));
                    used += length;
                }
                Err(error) => {
                    seen.push(Seen::Nonsense(error.to_string()));
                    used = self.bytes.len();
                }
            }
        }
        self.bytes.drain(..used);
    }
}

impl Seen {
    fn new(packet: &Packet<'_>, aliases: &mut HashMap<u16, String>) -> Self {
        match packet {
            Packet::ConnAck(packet) => {
                Seen::ConnAck { present: packet.session_present, reason: packet.reason }
            }
            Packet::Publish(publish) => Delivery::seen(publish, aliases),
            Packet::PubAck(ack) => Seen::PubAck(ack.packet_id, ack.reason),
            Packet::PubRec(ack) => Seen::PubRec(ack.packet_id, ack.reason),
            Packet::PubRel(ack) => Seen::PubRel(ack.packet_id, ack.reason),
            Packet::PubComp(ack) => Seen::PubComp(ack.packet_id, ack.reason),
            Packet::SubAck(packet) => Seen::SubAck(packet.packet_id, packet.reasons.clone()),
            Packet::UnsubAck(packet) => Seen::UnsubAck(packet.packet_id, packet.reasons.clone()),
            Packet::PingResp => Seen::PingResp,
            Packet::Disconnect(packet) => Seen::Disconnect(packet.reason),
            other => Seen::Nonsense(format!("{other:?}")),
        }
    }
}

impl Delivery {
    /// What a client makes of a PUBLISH, and of the alias in it [MQTT-3.3.2-12].
    fn seen(publish: &mqtt::Publish<'_>, aliases: &mut HashMap<u16, String>) -> Seen {
        let topic = match publish.properties.topic_alias() {
            None => publish.topic.to_owned(),
            Some(alias) if !(1..=ALIASES).contains(&alias) => {
                return Seen::Nonsense(format!("alias {alias}"));
            }
            Some(alias) if publish.topic.is_empty() => match aliases.get(&alias) {
                Some(topic) => topic.clone(),
                None => return Seen::Nonsense(format!("alias {alias} of nothing")),
            },
            Some(alias) => {
                aliases.insert(alias, publish.topic.into());
                publish.topic.to_owned()
            }
        };
        let identifier = |property: &Property<'_>| match property {
            Property::SubscriptionIdentifier(identifier) => Some(*identifier),
            _ => None,
        };
        let mut identifiers: Vec<u32> = publish.properties.iter().filter_map(identifier).collect();
        identifiers.sort_unstable();
        Seen::Publish(Delivery {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            topic,
            id: publish.packet_id,
            payload: String::from_utf8_lossy(publish.payload).into_owned(),
            identifiers,
            expiry: publish.properties.message_expiry(),
        })
    }
}
