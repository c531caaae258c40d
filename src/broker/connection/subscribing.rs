//! SUBSCRIBE and UNSUBSCRIBE, and what a change of rights does to subscriptions.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::broker::{
    backlog::{Search, Source},
    journal::{Change, Owed},
    ticket::Ticket,
};
use crate::mqtt::{
    Packet, ReasonCode, SubAck, Subscribe, SubscribeFilter, TopicFilter, UnsubAck, Unsubscribe,
};
use crate::session::Subscription;

use super::{Connection, End, source};

/// Subscriptions that are asked about in one turn.
const REVIEWED: usize = 64;

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn on_subscribe(&mut self, subscribe: &Subscribe<'_>) -> Result<(), End> {
        self.can_answer(subscribe.filters.len())?;
        let identifier = subscribe.properties.subscription_identifier();
        let mut reasons = Vec::with_capacity(subscribe.filters.len());
        let mut why = None;
        for (n, wanted) in subscribe.filters.iter().enumerate() {
            // Each filter stands for itself: a refused one does not harm its neighbours.
            // Each is work, so their number is bounded even where they name known subscriptions.
            reasons.push(if n < self.limits.subscriptions.saturating_mul(2) {
                self.subscribe_one(wanted, identifier, &mut why)?
            } else {
                ReasonCode::QuotaExceeded
            });
        }
        let mut packet = SubAck { packet_id: subscribe.packet_id, reasons, properties: Default::default() };
        if let Some(why) = &why {
            packet.properties = self.explanation(why);
        }
        let ticket = self.commit();
        self.answer(&Packet::SubAck(packet), ticket);
        Ok(())
    }

    fn subscribe_one(
        &mut self,
        wanted: &SubscribeFilter<'_>,
        identifier: Option<u32>,
        why: &mut Option<String>,
    ) -> Result<ReasonCode, End> {
        let (group, filter) = match TopicFilter::parse_subscription(wanted.filter) {
            Ok(parsed) => parsed,
            // 3.1.1 knows no answer but closing [MQTT-4.7.1-1]; version 5 has a code.
            Err(_) if self.client.version != crate::mqtt::Version::V5 => {
                return Err(End::Fault(ReasonCode::TopicFilterInvalid, "not a valid topic filter"));
            }
            Err(error) => {
                *why = Some(format!("{:?}: {error}", wanted.filter));
                return Ok(ReasonCode::TopicFilterInvalid);
            }
        };
        if !self.limits.admits_topic(wanted.filter) {
            *why = Some("a filter is longer or deeper than the limits allow".into());
            return Ok(ReasonCode::TopicFilterInvalid);
        }
        if self.session.expiry > 0 && !self.broker.router.journal.is_writable() {
            *why = Some("the subscription could not be stored".into());
            return Ok(ReasonCode::QuotaExceeded);
        }
        let known = self.session.subscriptions.get_key_value(wanted.filter).map(|(text, _)| text.clone());
        let is_new = known.is_none();
        if is_new && self.session.subscriptions.len() >= self.limits.subscriptions {
            *why = Some("more subscriptions than limits.subscriptions".into());
            return Ok(ReasonCode::QuotaExceeded);
        }
        let mut options = wanted.options;
        // A bridge wants what version 5 has options for: nothing of its own, and what is retained told as such.
        options.no_local |= self.client.is_bridge;
        options.retain_as_published |= self.client.is_bridge;
        let subscription =
            Subscription { filter: filter.clone(), group: group.map(Arc::from), options, identifier };
        let permit = match self.gate.subscribe(&filter, subscription.clone()) {
            Ok(permit) => permit,
            Err(denial) => {
                *why = Some(denial.to_string());
                return Ok(denial.code);
            }
        };
        let text: Arc<str> = known.unwrap_or_else(|| wanted.filter.into());
        let broker = self.broker.clone();
        // The subscription, and what it finds, are one thing.
        let _together = broker.router.journal.together();
        let meeting = broker.router.meeting.write();
        let brings = broker.router.subscribe(&self.seat.outbox, permit, is_new);
        let owed = match brings {
            true => {
                let search =
                    Search { text: text.clone(), subscription: subscription.clone(), owed: Owed::Everything };
                self.backlog.push(search, &source!(self))
            }
            false => self.backlog.owed(&text),
        };
        drop(meeting);
        if self.session.expiry > 0 {
            let client = &self.seat.outbox.client_id;
            let change = Change::Subscribed { client, text: &text, subscription: &subscription, owed };
            broker.router.journal.record(change);
        }
        self.session.subscriptions.insert(text, subscription);
        Ok(ReasonCode::granted(wanted.options.qos))
    }

    /// Ends the connection of a client that could not take the answer for so many filters [MQTT-3.1.2-24].
    fn can_answer(&self, filters: usize) -> Result<(), End> {
        let reasons = vec![ReasonCode::Success; filters];
        let packet = SubAck { packet_id: 1, reasons, properties: Default::default() };
        if self.writer.fits(&Packet::SubAck(packet)) {
            return Ok(());
        }
        Err(End::Fault(
            ReasonCode::PacketTooLarge,
            "the answer is larger than the client's maximum packet size",
        ))
    }

    pub(super) fn on_unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) -> Result<(), End> {
        self.can_answer(unsubscribe.filters.len())?;
        let reasons = unsubscribe
            .filters
            .iter()
            .map(|text| match TopicFilter::parse_subscription(text) {
                Err(_) => ReasonCode::TopicFilterInvalid,
                Ok(_) if self.end_subscription(text) => ReasonCode::Success,
                Ok(_) => ReasonCode::NoSubscriptionExisted,
            })
            .collect();
        let packet = UnsubAck { packet_id: unsubscribe.packet_id, reasons, properties: Default::default() };
        let ticket: Ticket = self.commit();
        self.answer(&Packet::UnsubAck(packet), ticket);
        Ok(())
    }

    /// Ends one subscription; whether there was one.
    fn end_subscription(&mut self, text: &str) -> bool {
        let Some(subscription) = self.session.subscriptions.remove(text) else { return false };
        self.broker.router.unsubscribe(self.seat.outbox.key, &subscription);
        self.backlog.forget(text, &source!(self));
        if self.session.expiry > 0 {
            let client = &self.seat.outbox.client_id;
            self.broker.router.journal.record(Change::Unsubscribed { client, text });
        }
        true
    }

    /// Begins to ask for every subscription again, after rights changed. Until one is asked about, its deliveries are:
    /// each is asked for itself.
    pub(super) fn begin_review(&mut self) {
        self.reviewing = self.session.subscriptions.keys().cloned().collect();
    }

    /// Asks about some subscriptions, and ends those that lost their right; whether that was all that could be asked now.
    pub(super) fn review_some(&mut self) -> bool {
        let from = self.reviewing.len().saturating_sub(REVIEWED);
        let mut waiting = Vec::new();
        for text in self.reviewing.split_off(from) {
            let Some(subscription) = self.session.subscriptions.get(&text) else { continue };
            if self.gate.awaits_subscribe(&subscription.filter) {
                waiting.push(text);
                continue;
            }
            if self.gate.keep_subscription(&subscription.filter).is_err() {
                tracing::info!(
                    client = ?self.seat.outbox.client_id, user = ?self.gate.identity().user, filter = ?text,
                    "a subscription ended with its right"
                );
                self.end_subscription(&text);
            }
        }
        let done = self.reviewing.is_empty();
        // Those the gate must find out about first: the bell rings when it has.
        self.reviewing.append(&mut waiting);
        done
    }
}
