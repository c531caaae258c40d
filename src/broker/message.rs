//! An application message on its way through the broker.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use crate::mqtt::{
    Packet, Properties, Property, QoS, Version,
    codec::{self, PublishHead},
};
use crate::policy::{Delivery, Identity};

use super::{budget::Share, journal::Change, shared::Group};

/// A message, held once however many subscribers it has.
#[derive(Debug)]
pub struct Message {
    /// Topic name.
    pub topic: Arc<str>,
    /// Payload.
    pub payload: Box<[u8]>,
    /// The properties that travel with it to version 5 subscribers, encoded: payload format, content type,
    /// response topic, correlation data and user properties in their order [MQTT-3.3.2-17] [MQTT-3.3.2-18].
    pub properties: Box<[u8]>,
    /// QoS it was published at.
    pub qos: QoS,
    /// Whether it was published retained.
    pub retain: bool,
    /// When it expires [MQTT-3.3.2-5].
    pub expires: Option<Instant>,
    /// Who published it.
    pub author: Arc<Identity>,
    /// The number under which the journal keeps it; 0 as long as it does not.
    pub row: AtomicU64,
    /// Its part of the gateway's memory.
    pub(super) _share: Share,
}

impl Message {
    /// About how much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        self.size_u32() as usize
    }

    pub(super) fn size_u32(&self) -> u32 {
        let size = size(&self.topic, &self.payload) + self.properties.len();
        u32::try_from(size).unwrap_or(u32::MAX)
    }

    /// Whether its time is over.
    pub fn expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// Seconds it has left, for the copy a subscriber is sent [MQTT-3.3.2-6].
    pub fn seconds_left(&self, now: Instant) -> Option<u32> {
        let left = self.expires?.saturating_duration_since(now);
        // Rounded up: a message that has not expired is never sent with 0.
        Some(u32::try_from(left.as_secs() + u64::from(left.subsec_nanos() > 0)).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
impl Message {
    /// A message of QoS 2 without anything special.
    pub(crate) fn for_tests(topic: &str, payload: &str, author: Identity) -> Arc<Self> {
        Arc::new(Message {
            topic: topic.into(),
            payload: payload.as_bytes().into(),
            properties: Box::default(),
            qos: QoS::ExactlyOnce,
            retain: false,
            expires: None,
            author: Arc::new(author),
            row: AtomicU64::new(0),
            _share: Share::default(),
        })
    }
}

/// About how much memory a message takes, in bytes, properties aside.
pub(super) fn size(topic: &str, payload: &[u8]) -> usize {
    const OVERHEAD: usize = 128;
    topic.len() + payload.len() + OVERHEAD
}

/// Whether a property travels with its message.
fn travels(property: &Property<'_>) -> bool {
    matches!(
        property,
        Property::PayloadFormatIndicator(_)
            | Property::ContentType(_)
            | Property::ResponseTopic(_)
            | Property::CorrelationData(_)
            | Property::UserProperty(..)
    )
}

/// Whether encoded properties are such as [`Message::properties`] has: others, sent on, would be a packet that nobody wrote.
pub fn may_travel(encoded: &[u8]) -> bool {
    if encoded.is_empty() {
        return true;
    }
    let head = PublishHead {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        packet_id: None,
        topic: "t",
        alias: None,
        properties: Some([&[], encoded]),
        payload_len: 0,
    };
    let mut packet = Vec::new();
    if !head.encode(&mut packet) {
        return false;
    }
    match codec::decode(&packet, Some(Version::V5), usize::MAX) {
        Ok(Some((Packet::Publish(publish), _))) => publish.properties.iter().all(travels),
        _ => false,
    }
}

/// Encodes those properties of a PUBLISH or will that travel with the message.
pub(super) fn forwarded(properties: &Properties<'_>) -> Box<[u8]> {
    if properties.is_empty() {
        return Box::default();
    }
    let kept: Properties<'_> = properties.iter().filter(|property| travels(property)).copied().collect();
    let mut out = Vec::new();
    codec::encode_properties(&kept, &mut out);
    out.into_boxed_slice()
}

/// What a subscription adds to its deliveries, when it adds anything.
#[derive(Debug)]
pub(super) struct Extra {
    /// Subscription identifiers [MQTT-3.3.4-3].
    pub identifiers: Vec<u32>,
    /// The group it came by, and the members that may not have it.
    pub group: Option<(Arc<Group>, Vec<u64>)>,
}

/// A message that may be delivered to one client, once the gate has been asked.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub message: Arc<Message>,
    /// The lower of the message's and the subscription's QoS [MQTT-3.8.4-8].
    pub qos: QoS,
    /// The retain flag as it will be sent.
    pub retain: bool,
    /// Whether it comes from the retained messages, so that its author's right is asked as well.
    pub stored: bool,
    /// Its number in the queue of a session that is kept; 0 if it is not.
    pub seq: u64,
    /// The packet identifier that was promised to it before it was sent, where it could not have the one that goes with
    /// `seq`; else 0.
    pub packet_id: u16,
    /// [`Message::size`], at hand without looking at the message.
    pub size: u32,
    pub extra: Option<Arc<Extra>>,
}

impl Candidate {
    /// What the journal is told when it is queued for a session that is kept.
    pub fn queued<'a>(&'a self, client: &'a Arc<str>) -> Change<'a> {
        let extra = self.extra.as_deref();
        let group = extra.and_then(|extra| extra.group.as_ref());
        Change::Queued {
            client,
            seq: self.seq,
            message: &self.message,
            qos: self.qos,
            retain: self.retain,
            stored: self.stored,
            identifiers: extra.map_or(&[], |extra| &extra.identifiers),
            share: group.map(|(group, _)| (&*group.name, &group.filter)),
        }
    }

    pub fn size(&self) -> usize {
        self.size as usize
    }
}

impl Delivery for Candidate {
    fn topic(&self) -> &Arc<str> {
        &self.message.topic
    }

    fn payload(&self) -> &[u8] {
        &self.message.payload
    }

    fn author(&self) -> Option<&Arc<Identity>> {
        self.stored.then_some(&self.message.author)
    }
}
