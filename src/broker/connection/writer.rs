//! The writer: packets to the client. It delivers permits only.

use std::time::Instant;

use crate::mqtt::{
    Packet, Properties, Property, QoS, Version,
    codec::{self, PublishHead},
};
use crate::policy::{Deliver, Permit};
use crate::session::{GivenAliases, Naming, Outgoing};

use crate::broker::{
    message::{Candidate, Message},
    traffic::Traffic,
};

use super::output::Output;

/// The packet would be larger than the client takes: it is dropped as if it had been sent [MQTT-3.1.2-25].
#[derive(Debug)]
pub(super) struct TooLarge(pub Candidate);

/// Encodes for one client.
#[derive(Debug)]
pub(super) struct Writer {
    pub output: Output,
    pub version: Version,
    /// The client's maximum packet size in bytes [MQTT-3.1.2-24].
    pub max_packet: usize,
    /// Topics that the client knows by a number.
    pub aliases: GivenAliases,
    /// What was encoded since it was told last; bytes are counted by `output`.
    pub sent: Traffic,
}

impl Writer {
    /// Delivers a permitted message; QoS 1 and 2 are taken into the window. The packet identifier, or 0.
    pub fn deliver(
        &mut self,
        permit: Permit<'_, Deliver<Candidate>>,
        outgoing: &mut Outgoing<Candidate>,
        now: Instant,
    ) -> Result<u16, TooLarge> {
        let candidate = permit.redeem().message;
        let promised = candidate.qos != QoS::AtMostOnce;
        // The identifier is given only once it is sure to be used; any takes as many bytes.
        let Some(mut head) = self.head(&candidate, false, promised.then_some(1), now) else {
            return Err(TooLarge(candidate));
        };
        if promised {
            let size = candidate.size();
            let id = match candidate.packet_id {
                0 => outgoing.identify(candidate.seq),
                id => id,
            };
            let candidate = outgoing.send(candidate.qos, candidate, size, id);
            head.packet_id = Some(id);
            self.publish(&head, &candidate.message);
            Ok(id)
        } else {
            self.publish(&head, &candidate.message);
            Ok(0)
        }
    }

    /// Delivers again what was not acknowledged on an earlier connection, with DUP set [MQTT-3.3.1-1].
    pub fn redeliver(
        &mut self,
        id: u16,
        permit: Permit<'_, Deliver<Candidate>>,
        now: Instant,
    ) -> Result<(), TooLarge> {
        let candidate = permit.redeem().message;
        let Some(head) = self.head(&candidate, true, Some(id), now) else { return Err(TooLarge(candidate)) };
        self.publish(&head, &candidate.message);
        Ok(())
    }

    /// What stands before the payload; `None` if the packet would be too large.
    fn head(&self, candidate: &Candidate, dup: bool, packet_id: Option<u16>, now: Instant) -> Option<Head> {
        let mut head = Head::new(self.version, candidate, now);
        (head.dup, head.packet_id) = (dup, packet_id);
        head.naming = self.aliases.naming(&candidate.message.topic);
        if self.max_packet == usize::MAX {
            return Some(head);
        }
        let fits = |head: &Head| head.parts(&candidate.message).size() <= self.max_packet;
        if !fits(&head) && matches!(head.naming, Naming::New(_)) {
            head.naming = Naming::Full;
        }
        fits(&head).then_some(head)
    }

    /// What was sent since the last call.
    pub fn take_sent(&mut self) -> Traffic {
        let sent = std::mem::take(&mut self.sent);
        Traffic { bytes: std::mem::take(&mut self.output.sent), ..sent }
    }

    fn publish(&mut self, head: &Head, message: &std::sync::Arc<Message>) {
        if !head.parts(message).encode(self.output.tail()) {
            // Larger than any packet can be: half of one would be read as others.
            return;
        }
        self.output.payload(message);
        if let Naming::New(_) = head.naming {
            self.aliases.give(&message.topic);
        }
        self.sent.packets += 1;
        self.sent.publish(message.payload.len());
    }

    /// Writes any other packet. One that is too large for the client loses its properties, which hold only
    /// explanations [MQTT-3.4.2-2]; if it still is, it is not written [MQTT-3.1.2-24].
    pub fn packet(&mut self, packet: &Packet<'_>) {
        if encode_within(packet, self.version, self.max_packet, self.output.tail()) {
            self.sent.packets += 1;
        }
    }

    /// What [`Writer::packet`] would write.
    pub fn later(&self, packet: &Packet<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_within(packet, self.version, self.max_packet, &mut bytes);
        bytes
    }

    /// Whether the client takes such a packet, at least without its properties.
    pub fn fits(&self, packet: &Packet<'_>) -> bool {
        self.max_packet == usize::MAX || encode_within(packet, self.version, self.max_packet, &mut Vec::new())
    }

    /// Writes bytes that are one packet already.
    pub fn encoded(&mut self, bytes: &[u8]) {
        self.output.tail().extend_from_slice(bytes);
        self.sent.packets += 1;
    }
}

/// Appends a packet of at most `max_packet` bytes, without its properties if need be; whether it could.
pub(super) fn encode_within(
    packet: &Packet<'_>,
    version: Version,
    max_packet: usize,
    out: &mut Vec<u8>,
) -> bool {
    let start = out.len();
    codec::encode(packet, version, out);
    if out.len() - start > max_packet {
        out.truncate(start);
        codec::encode(&without_properties(packet), version, out);
    }
    let fits = out.len() - start <= max_packet;
    if !fits {
        out.truncate(start);
    }
    fits
}

fn without_properties<'a>(packet: &Packet<'a>) -> Packet<'a> {
    let mut packet = packet.clone();
    let properties = match &mut packet {
        Packet::ConnAck(packet) => &mut packet.properties,
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            &mut ack.properties
        }
        Packet::SubAck(packet) => &mut packet.properties,
        Packet::UnsubAck(packet) => &mut packet.properties,
        Packet::Disconnect(packet) => &mut packet.properties,
        _ => return packet,
    };
    *properties = Properties::default();
    packet
}

/// What one delivery adds to its message.
#[derive(Debug)]
struct Head {
    dup: bool,
    qos: QoS,
    retain: bool,
    packet_id: Option<u16>,
    naming: Naming,
    /// Encoded properties of this delivery; `None` before version 5.
    properties: Option<Vec<u8>>,
}

impl Head {
    fn new(version: Version, candidate: &Candidate, now: Instant) -> Self {
        let Candidate { qos, retain, message, extra, .. } = candidate;
        let properties = (version == Version::V5).then(|| {
            let mut encoded = Vec::new();
            if message.expires.is_none() && extra.is_none() {
                return encoded;
            }
            let mut properties = Properties::default();
            if let Some(seconds) = message.seconds_left(now) {
                properties.push(Property::MessageExpiryInterval(seconds));
            }
            for identifier in extra.iter().flat_map(|extra| &extra.identifiers) {
                properties.push(Property::SubscriptionIdentifier(*identifier));
            }
            codec::encode_properties(&properties, &mut encoded);
            encoded
        });
        Head { dup: false, qos: *qos, retain: *retain, packet_id: None, naming: Naming::Full, properties }
    }

    fn parts<'a>(&'a self, message: &'a Message) -> PublishHead<'a> {
        let (topic, alias) = match self.naming {
            Naming::Full => (&*message.topic, None),
            Naming::New(alias) => (&*message.topic, Some(alias)),
            Naming::Alias(alias) => ("", Some(alias)),
        };
        PublishHead {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            packet_id: self.packet_id,
            topic,
            alias,
            properties: self.properties.as_ref().map(|own| [&**own, &*message.properties]),
            payload_len: message.payload.len(),
        }
    }
}
