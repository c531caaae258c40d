//! Packets as they stand on the wire, borrowed from the bytes they were decoded from.

use super::{Properties, ReasonCode};

/// The protocol version of a connection, from the CONNECT packet (MQTT-3.1.2-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// MQTT 3.1: protocol name `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1: protocol name `MQTT`, level 4.
    V311,
    /// MQTT 5: protocol name `MQTT`, level 5.
    V5,
}

/// Quality of service of a message or subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum QoS {
    /// 0: sent once, never acknowledged.
    #[default]
    AtMostOnce = 0,
    /// 1: acknowledged by PUBACK, may be repeated.
    AtLeastOnce = 1,
    /// 2: acknowledged by PUBREC, PUBREL, PUBCOMP, never repeated.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS of a two-bit field; `None` for the reserved value 3 [MQTT-3.3.1-4].
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(QoS::AtMostOnce),
            1 => Some(QoS::AtLeastOnce),
            2 => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }
}

/// Any MQTT control packet, borrowing its strings and payload from the bytes it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// CONNECT (3.1)
    Connect(Box<Connect<'a>>),
    /// CONNACK (3.2)
    ConnAck(ConnAck<'a>),
    /// PUBLISH (3.3)
    Publish(Publish<'a>),
    /// PUBACK (3.4)
    PubAck(Ack<'a>),
    /// PUBREC (3.5)
    PubRec(Ack<'a>),
    /// PUBREL (3.6)
    PubRel(Ack<'a>),
    /// PUBCOMP (3.7)
    PubComp(Ack<'a>),
    /// SUBSCRIBE (3.8)
    Subscribe(Subscribe<'a>),
    /// SUBACK (3.9)
    SubAck(SubAck<'a>),
    /// UNSUBSCRIBE (3.10)
    Unsubscribe(Unsubscribe<'a>),
    /// UNSUBACK (3.11)
    UnsubAck(UnsubAck<'a>),
    /// PINGREQ (3.12)
    PingReq,
    /// PINGRESP (3.13)
    PingResp,
    /// DISCONNECT (3.14)
    Disconnect(Disconnect<'a>),
    /// AUTH (3.15, version 5 only)
    Auth(Auth<'a>),
}

/// CONNECT: the first packet of every client [MQTT-3.1.0-1].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Protocol version the client speaks.
    pub version: Version,
    /// Bit 7 of the protocol level (3.1 and 3.1.1 only): set by a bridge of Mosquitto's kind.
    pub bridge: bool,
    /// Clean Session (3.x) or Clean Start (5).
    pub clean_start: bool,
    /// Seconds; 0 switches the mechanism off.
    pub keep_alive: u16,
    /// Empty if the server is to assign one.
    pub client_id: &'a str,
    /// The message to publish when the connection is lost.
    pub will: Option<Will<'a>>,
    /// User name and password.
    pub login: Login<'a>,
    /// Version 5 properties, empty otherwise.
    pub properties: Properties<'a>,
}

/// User name and password of a CONNECT; `None` is absent, `Some("")` is present and empty.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Login<'a> {
    /// User name.
    pub username: Option<&'a str>,
    /// Password: binary data.
    pub password: Option<&'a [u8]>,
}

impl std::fmt::Debug for Login<'_> {
    // A password never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("username", &self.username)
            .field("password", &self.password.map(|_| "***"))
            .finish()
    }
}

/// The will of a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Topic name to publish to; syntax checked by the decoder.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// QoS to publish at.
    pub qos: QoS,
    /// Whether it is published retained.
    pub retain: bool,
    /// Version 5 will properties, empty otherwise.
    pub properties: Properties<'a>,
}

/// CONNACK: the server's answer to CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server holds a session of this client [MQTT-3.2.2-2].
    pub session_present: bool,
    /// Outcome; for 3.x the encoder maps it to return codes 0 to 5 and the decoder maps those back.
    pub reason: ReasonCode,
    /// Version 5 properties, empty otherwise.
    pub properties: Properties<'a>,
}

/// PUBLISH: an application message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Set when this is a re-delivery [MQTT-3.3.1-1].
    pub dup: bool,
    /// QoS of this delivery.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Topic name; empty only in version 5 with a topic alias. Syntax checked by the decoder.
    pub topic: &'a str,
    /// Packet identifier, not 0: present exactly when QoS is 1 or 2 [MQTT-2.2.1-2].
    pub packet_id: Option<u16>,
    /// Version 5 properties, empty otherwise.
    pub properties: Properties<'a>,
    /// Payload; may be empty.
    pub payload: &'a [u8],
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Packet identifier being acknowledged, not 0.
    pub packet_id: u16,
    /// Outcome; always `Success` in 3.x.
    pub reason: ReasonCode,
    /// Version 5 properties, empty otherwise.
    pub properties: Properties<'a>,
}

impl Ack<'_> {
    /// An acknowledgement without properties.
    pub fn new(packet_id: u16, reason: ReasonCode) -> Self {
        Ack { packet_id, reason, properties: Properties::default() }
    }
}

/// SUBSCRIBE: one or more filters with their options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Packet identifier, not 0.
    pub packet_id: u16,
    /// At least one filter [MQTT-3.8.3-2]; text is valid UTF-8 but filter syntax is NOT yet checked.
    pub filters: Vec<SubscribeFilter<'a>>,
    /// Version 5 properties, empty otherwise.
    pub properties: Properties<'a>,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeFilter<'a> {
    /// The filter's text, perhaps `$share/GROUP/FILTER`.
    pub filter: &'a str,
    /// Its options.
    pub options: SubscriptionOptions,
}

/// Subscription options (3.8.3.1); in 3.x only `qos` can be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// Highest QoS at which messages are delivered.
    pub qos: QoS,
    /// Do not send the client what it published itself.
    pub no_local: bool,
    /// Keep the retain flag as the publisher set it.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent at SUBSCRIBE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RetainHandling {
    /// 0: at every SUBSCRIBE [MQTT-3.3.1-9].
    #[default]
    Always = 0,
    /// 1: only if the subscription is new [MQTT-3.3.1-10].
    IfNew = 1,
    /// 2: never [MQTT-3.3.1-11].
    Never = 2,
}

/// SUBACK: one reason code for each filter, in order [MQTT-3.8.4-6].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// Packet identifier of the SUBSCRIBE.
    pub packet_id: u16,
    /// One code a filter: `GrantedQoS0..2` or a failure (0x80 in 3.x whatever it is).
    pub reasons: Vec<ReasonCode>,
    /// Version 5 properties, empty otherwise.
    pub properties: Properties<'a>,
}

/// UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Packet identifier, not 0.
    pub packet_id: u16,
    /// At least one filter [MQTT-3.10.3-2]; syntax not yet checked.
    pub filters: Vec<&'a str>,
    /// Version 5 properties, empty otherwise.
    pub properties: Properties<'a>,
}

/// UNSUBACK: in version 5 one reason code for each filter, in 3.x none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// Packet identifier of the UNSUBSCRIBE.
    pub packet_id: u16,
    /// One code a filter; not written in 3.x, empty when decoded from it.
    pub reasons: Vec<ReasonCode>,
    /// Version 5 properties, empty otherwise.
    pub properties: Properties<'a>,
}

/// DISCONNECT; in 3.x it carries nothing and comes only from clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why; `Success` (normal disconnection) in 3.x.
    pub reason: ReasonCode,
    /// Version 5 properties, empty otherwise.
    pub properties: Properties<'a>,
}

/// AUTH (version 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// `Success`, `ContinueAuthentication` or `ReAuthenticate`.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties<'a>,
}
