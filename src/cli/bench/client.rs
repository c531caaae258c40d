//! A connected client: the part of the protocol that is done once, with the crate's own codec.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::stream::Stream;
use super::wire::MAX_PACKET;
use crate::cli::client::ClientTls;
use crate::mqtt::{
    Connect, Disconnect, Login, Packet, Property, QoS, ReasonCode, Subscribe, SubscribeFilter,
    SubscriptionOptions, Version, codec,
};

/// How long the broker may take to answer a CONNECT or SUBSCRIBE.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest keep alive: a subscriber of QoS 0 sends nothing for as long as the run takes. Not 0 (none), which
/// some brokers refuse.
const KEEP_ALIVE: u16 = u16::MAX;

/// The broker, and who its clients are.
#[derive(Debug)]
pub struct Target {
    /// Host as it was given: the name in the broker's certificate.
    pub host: String,
    pub address: SocketAddr,
    pub tls: Option<ClientTls>,
    /// Whether MQTT goes in WebSocket frames.
    pub websocket: bool,
    pub version: Version,
    pub user: Option<String>,
    pub password: Option<Vec<u8>>,
}

/// A client that has been accepted.
#[derive(Debug)]
pub struct Client {
    pub stream: Stream,
    /// Bytes that came after the answer that was waited for.
    pub rest: Vec<u8>,
    /// The broker's Receive Maximum.
    pub receive_maximum: u16,
    version: Version,
}

impl Client {
    /// Connects with a clean session.
    ///
    /// # Errors
    /// If the broker cannot be reached, refuses, or does not answer in time.
    pub async fn connect(target: &Target, client_id: &str) -> anyhow::Result<Self> {
        Self::connect_with(target, client_id, false).await
    }

    /// Connects to a session that outlives the connection, by an hour in version 5.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn resume(target: &Target, client_id: &str) -> anyhow::Result<Self> {
        Self::connect_with(target, client_id, true).await
    }

    async fn connect_with(target: &Target, client_id: &str, keep: bool) -> anyhow::Result<Self> {
        let stream = Stream::connect(target, PATIENCE)
            .await
            .with_context(|| format!("cannot connect to {}", target.address))?;
        let mut client =
            Client { stream, rest: Vec::new(), receive_maximum: u16::MAX, version: target.version };
        let login = Login { username: target.user.as_deref(), password: target.password.as_deref() };
        let connect = Packet::Connect(Box::new(Connect {
            version: target.version,
            bridge: false,
            clean_start: !keep,
            keep_alive: KEEP_ALIVE,
            client_id,
            will: None,
            login,
            properties: match keep && target.version == Version::V5 {
                true => [Property::SessionExpiryInterval(3600)].into_iter().collect(),
                false => Default::default(),
            },
        }));
        let (reason, receive_maximum) = client
            .ask(&connect, |answer| match answer {
                Packet::ConnAck(connack) => Some((connack.reason, connack.properties.receive_maximum())),
                _ => None,
            })
            .await
            .context("no CONNACK")?;
        if reason != ReasonCode::Success {
            bail!("the broker refuses the connection: {}", reason.text());
        }
        client.receive_maximum = receive_maximum.unwrap_or(u16::MAX);
        Ok(client)
    }

    /// Subscribes to all of `filters` with one packet.
    ///
    /// # Errors
    /// If one is refused or there is no answer in time.
    pub async fn subscribe(&mut self, filters: &[String], qos: QoS) -> anyhow::Result<()> {
        let options = SubscriptionOptions { qos, ..Default::default() };
        let subscribe = Packet::Subscribe(Subscribe {
            packet_id: 1,
            filters: filters.iter().map(|filter| SubscribeFilter { filter, options }).collect(),
            properties: Default::default(),
        });
        let reasons = self
            .ask(&subscribe, |answer| match answer {
                Packet::SubAck(suback) => Some(suback.reasons),
                _ => None,
            })
            .await
            .context("no SUBACK")?;
        if reasons.len() != filters.len() {
            bail!("the broker answers {} subscriptions with {} codes", filters.len(), reasons.len());
        }
        let refused = filters.iter().zip(reasons).find(|(_, reason)| reason.is_failure());
        let Some((filter, reason)) = refused else { return Ok(()) };
        // Version 3 has one code for every refusal, which is most often one of rights.
        if matches!(reason, ReasonCode::NotAuthorized | ReasonCode::UnspecifiedError) {
            let topic = filter.rsplit_once('/').map_or(filter.as_str(), |(topic, _)| topic);
            bail!(
                "the broker refuses the subscription to `{filter}`: {}; does the user have rights on {topic}/#?",
                reason.text()
            );
        }
        bail!("the broker refuses the subscription to `{filter}`: {}", reason.text());
    }

    /// Leaves in order; a session that is to be kept stays.
    ///
    /// # Errors
    /// If the broker is gone.
    pub async fn leave(mut self) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        let disconnect = Disconnect { reason: ReasonCode::Success, properties: Default::default() };
        codec::encode(&Packet::Disconnect(disconnect), self.version, &mut bytes);
        self.stream.write_all(&bytes).await?;
        // It has noticed when it closes the connection.
        let closed = async { while let Ok(1..) = self.stream.read_buf(&mut self.rest).await {} };
        tokio::time::timeout(PATIENCE, closed).await.context("the broker does not let a client go")
    }

    /// Sends a packet and reads up to its answer; what comes before that is passed over.
    async fn ask<T>(
        &mut self,
        packet: &Packet<'_>,
        mut answer: impl FnMut(Packet<'_>) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut bytes = Vec::new();
        codec::encode(packet, self.version, &mut bytes);
        let asked = async {
            self.stream.write_all(&bytes).await?;
            loop {
                while let Some((packet, size)) = codec::decode(&self.rest, Some(self.version), MAX_PACKET)? {
                    let found = answer(packet);
                    self.rest.drain(..size);
                    if let Some(found) = found {
                        return Ok(found);
                    }
                }
                if self.stream.read_buf(&mut self.rest).await? == 0 {
                    bail!("the broker closed the connection");
                }
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.context("no answer in time")?
    }
}
