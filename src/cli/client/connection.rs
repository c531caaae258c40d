//! Packets over one connection, TCP or TLS, and its keep alive.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use super::{ClientError, FAREWELL, Message, Options, Outcome};
use crate::mqtt::codec::{decode, encode};
use crate::mqtt::{Ack, Packet, Properties, Property, Publish, QoS, ReasonCode, Version};

/// The largest packet of MQTT.
const LARGEST: usize = 268_435_460;

/// How a TLS alert begins: record type and major version (RFC 8446 section 5.1). It is no MQTT packet.
const TLS_ALERT: [u8; 2] = [21, 3];

/// A packet of the server that the client must see, owned.
#[derive(Debug)]
pub enum Received {
    Message(Message),
    PubAck(u16, Outcome),
    PubRec(u16, Outcome),
    PubRel(u16),
    PubComp(u16, Outcome),
    SubAck(u16, Vec<Outcome>),
}

/// What a CONNACK says.
pub struct Accepted {
    pub outcome: Outcome,
    pub session_present: bool,
    pub maximum_packet_size: Option<u32>,
    pub maximum_qos: QoS,
    pub retain_available: bool,
}

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection that speaks MQTT.
pub struct Connection {
    stream: Box<dyn Stream>,
    version: Version,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// Whether the stream holds nothing back of what it was given.
    flushed: bool,
    /// `None`: off.
    keep_alive: Option<Duration>,
    last_sent: Instant,
    /// When a PINGREQ was queued that has no PINGRESP yet.
    pinged: Option<Instant>,
    timeout: Duration,
}

impl Connection {
    /// Connects, sends CONNECT and returns the server's answer, which may be a refusal.
    pub async fn open(options: &Options) -> Result<(Connection, Accepted), ClientError> {
        let unreachable =
            |source| ClientError::Unreachable { host: options.host.clone(), port: options.port, source };
        let stream = TcpStream::connect((options.host.as_str(), options.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &options.tls {
            None => Box::new(stream),
            Some(tls) => {
                let refused =
                    |source| ClientError::Tls { host: options.host.clone(), port: options.port, source };
                Box::new(tls.connect(&options.host, stream).await.map_err(refused)?)
            }
        };
        let mut connection = Connection {
            stream,
            version: options.version,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            flushed: true,
            keep_alive: None,
            last_sent: Instant::now(),
            pinged: None,
            timeout: options.timeout,
        };
        connection.send(&Packet::Connect(Box::new(options.packet())), LARGEST)?;
        let (accepted, server_keep_alive) = loop {
            let taken = connection.take_packet(|packet| match packet {
                Packet::ConnAck(connack) => Ok(accepted(&connack)),
                _ => Err(ClientError::Unexpected("something else before CONNACK")),
            });
            match taken {
                Err(ClientError::NotMqtt(_))
                    if options.tls.is_none() && connection.incoming.starts_with(&TLS_ALERT) =>
                {
                    return Err(ClientError::TlsPort { host: options.host.clone(), port: options.port });
                }
                taken => {
                    if let Some(answer) = taken? {
                        break answer;
                    }
                }
            }
            connection.exchange().await?;
        };
        // [MQTT-3.2.2-21]
        let keep_alive = server_keep_alive.unwrap_or(options.keep_alive);
        connection.keep_alive = (keep_alive > 0).then(|| Duration::from_secs(keep_alive.into()));
        Ok((connection, accepted))
    }

    /// Queues a packet of at most `limit` bytes. It is sent while another method is awaited.
    pub fn send(&mut self, packet: &Packet<'_>, limit: usize) -> Result<(), ClientError> {
        let start = self.outgoing.len();
        encode(packet, self.version, &mut self.outgoing);
        let size = self.outgoing.len() - start;
        if size == 0 {
            return Err(ClientError::TooLarge);
        }
        if size > limit {
            self.outgoing.truncate(start);
            return Err(ClientError::NotTaken(format!(
                "packets of more than {limit} bytes; this one has {size}"
            )));
        }
        self.last_sent = Instant::now();
        Ok(())
    }

    /// Waits until everything queued is handed to the system.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        while !self.outgoing.is_empty() || !self.flushed {
            self.exchange().await?;
        }
        Ok(())
    }

    /// Sends what is queued and closes. What the server still sends is read and dropped for a while, since
    /// closing with unread bytes would reset the connection and could cost the server our last packets.
    pub async fn close(mut self) -> Result<(), ClientError> {
        self.flush().await?;
        self.stream.shutdown().await?;
        let mut rest = [0; 4096];
        let drained = async { while !matches!(self.stream.read(&mut rest).await, Ok(0) | Err(_)) {} };
        let _ = tokio::time::timeout(FAREWELL, drained).await; // the server was told; it may be slow to close
        Ok(())
    }

    /// The next packet that the client must see. Serves keep alive. May be cancelled without loss.
    pub async fn receive(&mut self) -> Result<Received, ClientError> {
        loop {
            while let Some(received) = self.take_packet(owned)? {
                match received {
                    Some(received) => return Ok(received),
                    None => self.pinged = None,
                }
            }
            let Some(alarm) = self.alarm() else {
                self.exchange().await?;
                continue;
            };
            match tokio::time::timeout_at(alarm, self.exchange()).await {
                Ok(exchanged) => exchanged?,
                Err(_elapsed) if self.pinged.is_some() => {
                    return Err(ClientError::Timeout { what: "PINGRESP", seconds: self.timeout.as_secs() });
                }
                Err(_elapsed) => {
                    self.send(&Packet::PingReq, LARGEST)?; // [MQTT-3.1.2-20]
                    self.pinged = Some(self.last_sent);
                }
            }
        }
    }

    /// When the next ping is due, or the answer to the last one overdue.
    fn alarm(&self) -> Option<Instant> {
        let keep_alive = self.keep_alive?;
        Some(match self.pinged {
            Some(at) => at + self.timeout,
            None => self.last_sent + keep_alive,
        })
    }

    /// Takes the first packet out of what has arrived, if it is complete.
    fn take_packet<T>(
        &mut self,
        convert: impl FnOnce(Packet<'_>) -> Result<T, ClientError>,
    ) -> Result<Option<T>, ClientError> {
        let Some((packet, size)) = decode(&self.incoming, Some(self.version), LARGEST)? else {
            return Ok(None);
        };
        let value = convert(packet)?;
        self.incoming.drain(..size);
        Ok(Some(value))
    }

    /// Waits until some bytes have come or gone. Reading goes on while writing, so that two peers with full
    /// buffers do not wait for each other.
    async fn exchange(&mut self) -> Result<(), ClientError> {
        poll_fn(|cx| self.poll_exchange(cx)).await
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        let mut stream = Pin::new(&mut self.stream);
        if !self.outgoing.is_empty()
            && let Poll::Ready(written) = stream.as_mut().poll_write(cx, &self.outgoing)
        {
            self.outgoing.drain(..written?);
            self.flushed = false;
            // Not read at once: the server may close after these bytes, and that they are sent counts.
            return Poll::Ready(Ok(()));
        }
        if !self.flushed
            && let Poll::Ready(flushed) = stream.as_mut().poll_flush(cx)
        {
            flushed?;
            self.flushed = true;
            return Poll::Ready(Ok(()));
        }
        self.incoming.reserve(8 * 1024);
        match poll_read_buf(stream, cx, &mut self.incoming) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(ClientError::Closed)),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn outcome(reason: ReasonCode, properties: &Properties<'_>) -> Outcome {
    Outcome { reason, text: properties.reason_string().map(str::to_owned) }
}

fn accepted(connack: &crate::mqtt::ConnAck<'_>) -> (Accepted, Option<u16>) {
    let properties = &connack.properties;
    let flag = |wanted: fn(&Property<'_>) -> bool| properties.iter().any(wanted);
    let accepted = Accepted {
        outcome: outcome(connack.reason, properties),
        session_present: connack.session_present,
        maximum_packet_size: properties.maximum_packet_size(),
        maximum_qos: properties
            .iter()
            .find_map(|property| match property {
                Property::MaximumQoS(bits) => QoS::from_bits(*bits),
                _ => None,
            })
            .unwrap_or(QoS::ExactlyOnce),
        retain_available: !flag(|property| matches!(property, Property::RetainAvailable(0))),
    };
    (accepted, properties.server_keep_alive())
}

/// The owned form of a packet; `None` for a PINGRESP.
fn owned(packet: Packet<'_>) -> Result<Option<Received>, ClientError> {
    let ack = |ack: &Ack<'_>| outcome(ack.reason, &ack.properties);
    Ok(Some(match packet {
        Packet::Publish(publish) => Received::Message(message(&publish)?),
        Packet::PubAck(packet) => Received::PubAck(packet.packet_id, ack(&packet)),
        Packet::PubRec(packet) => Received::PubRec(packet.packet_id, ack(&packet)),
        Packet::PubRel(packet) => Received::PubRel(packet.packet_id),
        Packet::PubComp(packet) => Received::PubComp(packet.packet_id, ack(&packet)),
        Packet::SubAck(packet) => {
            let outcomes = packet.reasons.iter().map(|reason| outcome(*reason, &packet.properties));
            Received::SubAck(packet.packet_id, outcomes.collect())
        }
        Packet::PingResp => return Ok(None),
        Packet::Disconnect(packet) => {
            return Err(ClientError::Disconnected(outcome(packet.reason, &packet.properties)));
        }
        _ => return Err(ClientError::Unexpected("a packet that only clients send")),
    }))
}

fn message(publish: &Publish<'_>) -> Result<Message, ClientError> {
    let properties = &publish.properties;
    if properties.topic_alias().is_some() {
        // This client announces no Topic Alias Maximum [MQTT-3.1.2-26].
        return Err(ClientError::Unexpected("a topic alias nobody allowed"));
    }
    Ok(Message {
        topic: publish.topic.to_owned(),
        payload: publish.payload.to_vec(),
        qos: publish.qos,
        retain: publish.retain,
        content_type: properties.content_type().map(str::to_owned),
        response_topic: properties.response_topic().map(str::to_owned),
        expiry: properties.message_expiry(),
        user_properties: properties
            .iter()
            .filter_map(|property| match property {
                Property::UserProperty(name, value) => Some((name.to_string(), value.to_string())),
                _ => None,
            })
            .collect(),
        packet_id: publish.packet_id,
    })
}
