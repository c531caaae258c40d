//! Messages from the remote broker.

use std::time::Instant;

use crate::broker::{Arriving, MARK, Taken, Ticket};
use crate::mqtt::{Ack, Packet, Property, Publish, QoS, ReasonCode, Version};

use super::super::{ledger::Refusal, route::inward};
use super::{Exchange, Fault};

/// Topics of messages that the lock keeps out, which are known one by one.
const MOST_KEPT_OUT: usize = 1000;

/// What is answered to a message.
enum Answer {
    /// This reason, once what was noted is on disk.
    Now(ReasonCode),
    /// Nothing: the remote broker keeps it and sends it again on the next connection.
    Never,
}

impl Answer {
    const DONE: Self = Answer::Now(ReasonCode::Success);
}

impl Exchange {
    pub(super) fn on_publish(&mut self, publish: &Publish<'_>, now: Instant) -> Result<(), Fault> {
        if publish.topic.is_empty() || publish.properties.topic_alias().is_some() {
            return Err(Fault::Protocol("a topic alias where none was allowed"));
        }
        if let Some(id) = publish.packet_id.filter(|_| publish.qos == QoS::ExactlyOnce)
            && self.incoming.holds(id)
        {
            // Published already; only the answer was lost [MQTT-4.3.3-10].
            let ticket = self.link.journal().commit();
            self.acknowledge(publish.qos, id, ReasonCode::Success, ticket);
            return Ok(());
        }
        // That it came, who gets it and its count are one thing: a restart in between would have it published twice.
        let journal = self.link.journal().clone();
        let _together = (publish.qos != QoS::AtMostOnce).then(|| journal.together());
        let Answer::Now(reason) = self.take(publish, now)? else { return Ok(()) };
        let Some(id) = publish.packet_id else { return Ok(()) };
        if publish.qos == QoS::ExactlyOnce && !reason.is_failure() {
            self.incoming.receive(id);
            self.spool.received(id, true);
        }
        self.acknowledge(publish.qos, id, reason, journal.commit());
        Ok(())
    }

    /// Publishes a message here, unless it should not be; what to answer, and when.
    fn take(&mut self, publish: &Publish<'_>, now: Instant) -> Result<Answer, Fault> {
        if self.is_canary(publish.topic, publish.payload, now) {
            return Ok(Answer::DONE);
        }
        let own = Property::UserProperty(MARK, &self.settings.gateway);
        let marked = publish.properties.iter().any(|property| *property == own);
        if marked
            || (self.version() != Version::V5
                && self.echoes.is_echo(
                    publish.topic,
                    publish.payload,
                    self.pulse.round_trip.unwrap_or_default(),
                    now,
                ))
        {
            self.arrived.echoes += 1;
            let settings = self.settings.clone();
            let route =
                inward(&settings.routes, publish.topic).map_or("", |(route, _)| route.remote.as_str());
            self.count_arrived(publish.qos, route, Err(Refusal::Echo));
            return Ok(Answer::DONE);
        }
        // What the lock keeps out can come again, if the remote broker keeps it.
        let keeps = self.settings.durable && publish.qos != QoS::AtMostOnce;
        if keeps && (self.kept_out.contains(publish.topic) || self.kept_out.len() >= MOST_KEPT_OUT) {
            // Not before what was kept out first.
            self.arrived.held += 1;
            return Ok(Answer::Never);
        }
        let settings = self.settings.clone();
        let Some((route, topic)) = inward(&settings.routes, publish.topic) else {
            self.arrived.refused += 1;
            self.count_arrived(publish.qos, "", Err(Refusal::NoRoute));
            return Ok(Answer::DONE);
        };
        let arriving = Arriving {
            topic: &topic,
            payload: publish.payload,
            properties: &publish.properties,
            qos: publish.qos,
            retain: publish.retain && route.retain,
        };
        let (outcome, reason) = match self.link.publish(arriving, now) {
            Taken::Routed(_) => (Ok(()), ReasonCode::Success),
            Taken::Denied(denial) if denial.lock.is_some() && keeps => {
                self.arrived.held += 1;
                self.kept_out.insert(publish.topic.into());
                return Ok(Answer::Never);
            }
            Taken::Denied(denial) if denial.lock.is_some() => (Err(Refusal::Locked), denial.code),
            Taken::Denied(denial) => (Err(Refusal::NotPermitted), denial.code),
            Taken::Unusable(why) => {
                self.complain(why, publish.topic, now);
                (Err(Refusal::Unusable), ReasonCode::TopicNameInvalid)
            }
            Taken::Full => {
                let why = "no more can be retained (limits.retained_messages)";
                self.complain(why, publish.topic, now);
                (Err(Refusal::RetainedFull), ReasonCode::QuotaExceeded)
            }
            Taken::NotNow(_) if publish.qos == QoS::AtMostOnce => {
                self.arrived.refused += 1;
                return Ok(Answer::DONE);
            }
            Taken::NotNow(why) => return Err(Fault::NoRoom(why)),
        };
        match outcome {
            Ok(()) => self.arrived.published += 1,
            Err(_) => self.arrived.refused += 1,
        }
        self.count_arrived(publish.qos, route.remote.as_str(), outcome);
        Ok(Answer::Now(reason))
    }

    pub(super) fn acknowledge(&mut self, qos: QoS, id: u16, reason: ReasonCode, ticket: Ticket) {
        let ack = Ack::new(id, reason);
        match qos {
            QoS::ExactlyOnce => {
                if reason.is_failure() && self.version() != Version::V5 {
                    // A 3.1.1 broker takes every PUBREC for a yes and goes on with PUBREL.
                    self.incoming.receive(id);
                }
                self.answer(&Packet::PubRec(ack), ticket);
            }
            _ => self.answer(&Packet::PubAck(ack), ticket),
        }
    }

    pub(super) fn on_pubrel(&mut self, ack: &Ack<'_>) {
        let known = self.incoming.release(ack.packet_id);
        let reason = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        if known {
            self.spool.received(ack.packet_id, false);
        }
        // The remote broker may use the identifier anew once this is answered: here it must be forgotten, on disk too, also
        // when the connection on which it was released is gone.
        let ticket = self.link.journal().commit();
        self.answer(&Packet::PubComp(Ack::new(ack.packet_id, reason)), ticket);
    }
}
