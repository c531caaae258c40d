//! What a packet from the client brings about.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::broker::{
    broker::RefusedPublish,
    counters::Dropped,
    journal::Change,
    link::MARK,
    message::{Candidate, Message, forwarded, size},
    router::{Published, RetainedFull},
    ticket::Ticket,
};
use crate::mqtt::{Ack, Disconnect, Packet, Properties, Property, Publish, QoS, ReasonCode, Version};
use crate::policy::Denial;
use crate::session::{AliasError, PubRec};

use super::{Connection, End, Owed, Pressure};

/// How long a publisher waits for a subscriber that is behind.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same at QoS 0: long enough for a subscriber that merely needs its turn.
const PATIENCE_QOS0: Duration = Duration::from_millis(50);

/// What a publisher is told while the journal cannot keep anything.
pub(super) const NOT_STORED: &str = "the message could not be stored";

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn handle(&mut self, packet: Packet<'_>) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish),
            Packet::PubAck(ack) => {
                // An unknown identifier is no reason to close: the client may answer for an earlier connection.
                if let Ok(candidate) = self.session.outgoing.puback(ack.packet_id) {
                    self.settle(&candidate);
                }
                Ok(())
            }
            Packet::PubRec(ack) => {
                self.on_pubrec(&ack);
                Ok(())
            }
            Packet::PubRel(ack) => {
                self.on_pubrel(&ack);
                Ok(())
            }
            Packet::PubComp(ack) => {
                if self.session.outgoing.pubcomp(ack.packet_id).is_ok() {
                    self.note_completed(ack.packet_id);
                }
                Ok(())
            }
            Packet::Subscribe(subscribe) => self.on_subscribe(&subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                self.on_unsubscribe(&unsubscribe)?;
                Ok(())
            }
            Packet::PingReq => {
                // [MQTT-3.12.4-1]
                self.writer.packet(&Packet::PingResp);
                Ok(())
            }
            Packet::Disconnect(disconnect) => Err(self.on_disconnect(&disconnect)),
            // [MQTT-3.1.0-2]
            Packet::Connect(_) => Err(End::Fault(ReasonCode::ProtocolError, "a second CONNECT")),
            Packet::Auth(_) => {
                Err(End::Fault(ReasonCode::ProtocolError, "AUTH without an authentication method"))
            }
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                Err(End::Fault(ReasonCode::ProtocolError, "a packet that only a server sends"))
            }
        }
    }

    fn on_publish(&mut self, publish: Publish<'_>) -> Result<(), End> {
        self.received.publish(publish.payload.len());
        if !self.limits.admits_topic(publish.topic) {
            return self.refuse_topic(&publish);
        }
        let alias = self.check_publish(&publish)?;
        let topic = alias.as_deref().unwrap_or(publish.topic);
        if let Some(id) = publish.packet_id.filter(|id| self.session.incoming.holds(*id))
            && publish.qos == QoS::ExactlyOnce
        {
            // Routed already; only the answer was lost [MQTT-4.3.3-10].
            let ticket = self.commit();
            self.acknowledge(QoS::ExactlyOnce, Some(id), ReasonCode::Success, None, ticket);
            return Ok(());
        }
        if topic.starts_with("LATCH/")
            && let Some(answer) = self.gate.command(topic, publish.payload)
        {
            return match answer.map(|permit| self.broker.command(permit)) {
                Ok(Ok(())) => {
                    let taken = Published { ticket: Ticket::DONE, matched: true, behind: Vec::new() };
                    self.accept_publish(&publish, taken, self.now);
                    Ok(())
                }
                Ok(Err(_)) => self.refuse_for_now(&publish, "too many commands wait already: try again"),
                Err(denial) => self.refuse_publish(&publish, denial),
            };
        }
        let size = size(topic, publish.payload);
        if !self.broker.budget.has_room(size) {
            return self.refuse_memory(&publish);
        }
        if publish.qos != QoS::AtMostOnce && !self.broker.router.journal.is_writable() {
            return self.refuse_for_now(&publish, NOT_STORED);
        }
        let now = self.now;
        let share = self.broker.budget.take(size);
        let author = self.gate.identity().clone();
        let make = |topic: &Arc<str>| Message {
            topic: topic.clone(),
            payload: publish.payload.into(),
            properties: forwarded(&publish.properties),
            qos: publish.qos,
            retain: publish.retain,
            expires: expiry(&publish.properties, now),
            author,
            row: Default::default(),
            _share: share,
        };
        // That it was received and who must get it are one thing: a restart in between would have it routed twice.
        let broker =
            (publish.qos == QoS::ExactlyOnce && self.session.expiry > 0).then(|| self.broker.clone());
        let _together = broker.as_ref().map(|broker| broker.router.journal.together());
        let was_here = self.was_here_before(&publish.properties);
        let published = match self.gate.publish(topic, publish.payload, make) {
            // It is over: it counts as received, and goes nowhere. Asked all the same: a no must not look like a yes.
            Ok(_) if was_here => Ok(Published { ticket: Ticket::DONE, matched: false, behind: Vec::new() }),
            Ok(permit) => self.broker.router.publish(&mut self.publisher, permit),
            Err(denial) => return self.refuse_publish(&publish, denial),
        };
        match published {
            Ok(published) => self.accept_publish(&publish, published, now),
            Err(RetainedFull) => return self.refuse_retained(&publish),
        }
        Ok(())
    }

    /// Whether a bridge of this gateway sent the message, and another gateway's brought it back: two that are bridged to
    /// each other would send it round for ever.
    fn was_here_before(&self, properties: &Properties<'_>) -> bool {
        let own = Property::UserProperty(MARK, &self.broker.settings.id);
        properties.iter().any(|property| *property == own)
    }

    /// What the protocol forbids in this PUBLISH; the topic if an alias stands for it.
    fn check_publish(&mut self, publish: &Publish<'_>) -> Result<Option<Arc<str>>, End> {
        if publish.qos != QoS::AtMostOnce
            && self.client.version == Version::V5
            && self.unacknowledged + self.session.incoming.open() >= usize::from(self.limits.inflight)
            && !publish.packet_id.is_some_and(|id| self.session.incoming.holds(id))
        {
            // [MQTT-3.3.4-7]
            return Err(End::Fault(ReasonCode::ReceiveMaximumExceeded, "more than the receive maximum"));
        }
        if publish.properties.is_empty() {
            return Ok(None);
        }
        if publish.properties.subscription_identifier().is_some() {
            // [MQTT-3.3.4-6]
            let why = "a subscription identifier in a PUBLISH from a client";
            return Err(End::Fault(ReasonCode::ProtocolError, why));
        }
        match publish.properties.topic_alias() {
            None => Ok(None),
            Some(alias) => match self.aliases.resolve(alias, publish.topic) {
                Ok(topic) => Ok(Some(topic)),
                Err(AliasError::OutOfRange) => {
                    Err(End::Fault(ReasonCode::TopicAliasInvalid, "topic alias is out of range"))
                }
                Err(AliasError::Unknown) => {
                    Err(End::Fault(ReasonCode::ProtocolError, "topic alias has no topic yet"))
                }
            },
        }
    }

    fn accept_publish(&mut self, publish: &Publish<'_>, published: Published, now: Instant) {
        let Published { mut ticket, matched, behind } = published;
        if !behind.is_empty() {
            let patience = if publish.qos == QoS::AtMostOnce { PATIENCE_QOS0 } else { PATIENCE };
            self.pressure = Some(Pressure { outboxes: behind, qos: publish.qos, until: now + patience });
        }
        let reason = if matched { ReasonCode::Success } else { ReasonCode::NoMatchingSubscribers };
        if let Some(id) = publish.packet_id.filter(|_| publish.qos == QoS::ExactlyOnce) {
            self.session.incoming.receive(id);
            if self.session.expiry > 0 {
                self.note_received(id, true);
                ticket = self.commit();
            }
        }
        self.acknowledge(publish.qos, publish.packet_id, reason, None, ticket);
    }

    /// The gateway's memory is used up.
    fn refuse_memory(&mut self, publish: &Publish<'_>) -> Result<(), End> {
        self.broker.counters.drop_one(Dropped::Memory);
        self.refuse_for_now(publish, "the gateway holds as much as it may: see limits.memory")
    }

    /// No more can be retained.
    fn refuse_retained(&mut self, publish: &Publish<'_>) -> Result<(), End> {
        self.refuse_for_now(
            publish,
            "no more can be retained: see limits.retained_messages and retained_bytes",
        )
    }

    /// Told where the version can (0x97), else by closing, so that the client keeps what it has; QoS 0 is dropped.
    fn refuse_for_now(&mut self, publish: &Publish<'_>, why: &'static str) -> Result<(), End> {
        let reason = ReasonCode::QuotaExceeded;
        if self.client.version != Version::V5 && publish.qos != QoS::AtMostOnce {
            return Err(End::Fault(reason, why));
        }
        self.acknowledge(publish.qos, publish.packet_id, reason, Some(why), Ticket::DONE);
        Ok(())
    }

    fn refuse_publish(&mut self, publish: &Publish<'_>, denial: Denial) -> Result<(), End> {
        self.broker.counters.refused.fetch_add(1, Ordering::Relaxed);
        if self.client.version != Version::V5 {
            let closes = match denial.lock {
                // At QoS 0 the client keeps nothing that it could come back with.
                Some(_) => {
                    publish.qos != QoS::AtMostOnce && self.broker.policy.lock().settings().disconnect_v3
                }
                None => self.broker.settings.refused_publish_v3 == RefusedPublish::Disconnect,
            };
            if closes {
                return Err(End::Refused(denial));
            }
            if let Some(id) = publish.packet_id.filter(|_| publish.qos == QoS::ExactlyOnce) {
                self.session.incoming.receive(id);
            }
        }
        let why = denial.to_string();
        self.acknowledge(publish.qos, publish.packet_id, denial.code, Some(&why), Ticket::DONE);
        Ok(())
    }

    /// A topic beyond the limits: told in the acknowledgement where there is one, else by closing.
    fn refuse_topic(&mut self, publish: &Publish<'_>) -> Result<(), End> {
        const WHY: &str = "the topic is longer or deeper than the limits allow";
        if self.client.version != Version::V5 || publish.qos == QoS::AtMostOnce {
            return Err(End::Fault(ReasonCode::TopicNameInvalid, WHY));
        }
        self.acknowledge(
            publish.qos,
            publish.packet_id,
            ReasonCode::TopicNameInvalid,
            Some(WHY),
            Ticket::DONE,
        );
        Ok(())
    }

    /// Answers a PUBLISH of QoS 1 or 2, once `ticket` is done.
    fn acknowledge(
        &mut self,
        qos: QoS,
        id: Option<u16>,
        reason: ReasonCode,
        why: Option<&str>,
        ticket: Ticket,
    ) {
        let Some(id) = id else { return };
        let mut ack = Ack::new(id, reason);
        if let Some(why) = why {
            ack.properties = self.explanation(why);
        }
        if qos == QoS::ExactlyOnce {
            self.answer(&Packet::PubRec(ack), ticket);
        } else {
            self.answer(&Packet::PubAck(ack), ticket);
        }
    }

    /// A reason string, if the client wants one.
    pub(super) fn explanation<'a>(&self, why: &'a str) -> Properties<'a> {
        self.client.problem_information.then_some(Property::ReasonString(why)).into_iter().collect()
    }

    /// Sends `packet` once `ticket` is done and everything owed before it is sent.
    pub(super) fn answer(&mut self, packet: &Packet<'_>, ticket: Ticket) {
        if ticket.is_done() && self.owed.is_empty() {
            self.writer.packet(packet);
        } else {
            let bytes = self.writer.later(packet);
            // A QoS 2 message goes on counting until its PUBREL, see `Incoming`.
            let counts = matches!(packet, Packet::PubAck(_));
            self.unacknowledged += usize::from(counts);
            self.owed.push_back(Owed { ticket, packet: bytes, counts });
        }
    }

    fn on_pubrec(&mut self, ack: &Ack<'_>) {
        match self.session.outgoing.pubrec(ack.packet_id, ack.reason.is_failure()) {
            Ok(PubRec::Refused(candidate)) => self.settle(&candidate),
            Ok(PubRec::Release(candidate)) => {
                let mut ticket = Ticket::DONE;
                if candidate.seq != 0 {
                    let (client, seq, id) = (&self.seat.outbox.client_id, candidate.seq, ack.packet_id);
                    self.broker.router.journal.record(Change::Released { client, seq, id });
                    ticket = self.commit();
                }
                // Once PUBREL is sent the client may forget that it had the message: we must not.
                self.answer(&Packet::PubRel(Ack::new(ack.packet_id, ReasonCode::Success)), ticket);
            }
            Ok(PubRec::ReleaseAgain) => {
                let ticket = self.commit();
                self.answer(&Packet::PubRel(Ack::new(ack.packet_id, ReasonCode::Success)), ticket);
            }
            Err(_) if !ack.reason.is_failure() => {
                // Answered all the same: an exchange that only the client remembers must end.
                let reason = ReasonCode::PacketIdentifierNotFound;
                self.writer.packet(&Packet::PubRel(Ack::new(ack.packet_id, reason)));
            }
            // The exchange may have been in its second half.
            Err(_) => self.note_completed(ack.packet_id),
        }
    }

    fn on_pubrel(&mut self, ack: &Ack<'_>) {
        // [MQTT-4.3.3-11]: answered whether the identifier is known or not.
        let known = self.session.incoming.release(ack.packet_id);
        let reason = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        let mut ticket = Ticket::DONE;
        if known {
            self.note_received(ack.packet_id, false);
            ticket = self.commit();
        }
        self.answer(&Packet::PubComp(Ack::new(ack.packet_id, reason)), ticket);
    }

    fn on_disconnect(&mut self, disconnect: &Disconnect<'_>) -> End {
        if let Some(expiry) = disconnect.properties.session_expiry() {
            if self.client.session_expiry == 0 && expiry != 0 {
                // [MQTT-3.14.2-2]
                let why = "a session expiry where CONNECT had none";
                return End::Fault(ReasonCode::ProtocolError, why);
            }
            self.session.expiry = expiry.min(self.limits.session_expiry);
        }
        match disconnect.reason {
            ReasonCode::Success => End::Client { will: false },
            _ => End::Client { will: true },
        }
    }

    /// Notes that a message reached the client, or never will.
    pub(super) fn settle(&self, candidate: &Candidate) {
        self.broker.router.settle(&self.seat.outbox, candidate);
    }

    fn note_completed(&self, id: u16) {
        if self.session.expiry > 0 {
            let client = &self.seat.outbox.client_id;
            self.broker.router.journal.record(Change::Completed { client, id });
        }
    }

    pub(super) fn note_received(&self, id: u16, open: bool) {
        if self.session.expiry > 0 {
            let client = &self.seat.outbox.client_id;
            self.broker.router.journal.record(Change::Received { client, id, open });
        }
    }

    pub(super) fn commit(&self) -> Ticket {
        if self.session.expiry > 0 { self.broker.router.journal.commit() } else { Ticket::DONE }
    }
}

fn expiry(properties: &Properties<'_>, now: Instant) -> Option<Instant> {
    properties.message_expiry().map(|seconds| now + Duration::from_secs(u64::from(seconds)))
}
