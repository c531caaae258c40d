//! Messages to the remote broker.

use std::time::Instant;

use crate::broker::{Departing, Departure, KeptByBridge, MARK, Message, NotNow};
use crate::mqtt::{Ack, Packet, Properties, Property, QoS, ReasonCode, Version, codec};
use crate::session::{Outgoing, PubRec, Resend, identifier_of};

use super::super::keeper::KeptMessage;
use super::super::ledger::{Fate, Reason};
use super::super::route::{Route, outward};
use super::super::spool::{Item, Next};
use super::{Exchange, Fault, HIGH, Held};

/// A message as it goes out.
struct Head {
    topic: String,
    qos: QoS,
    retain: bool,
    /// Encoded properties of this delivery.
    properties: Vec<u8>,
}

/// Why a message was not sent.
enum Kept {
    /// The lock holds it.
    Held,
    /// It never will be.
    Left(Fate),
}

impl Kept {
    fn of(no: NotNow) -> Self {
        match no {
            NotNow::Locked => Kept::Held,
            NotNow::Never => Kept::Left(Fate::Dropped(Reason::NotPermitted)),
        }
    }
}

impl Exchange {
    /// Encodes what may be sent now; where to read on, if something must be read back first.
    pub fn pump(&mut self, now: Instant) -> Option<u64> {
        if !self.open {
            return None;
        }
        if let Some(sent) = self.before.first() {
            return Some(sent.seq);
        }
        while self.out.len() < HIGH && self.numbering.is_none() {
            // What the lock held comes before what is newer.
            if self.link.lock_moved() {
                return None;
            }
            if self.window.must_resend() {
                match self.window.resend() {
                    Some(Resend::Release(id)) => self.release(id),
                    Some(Resend::Publish(id, qos, held)) => self.resend(id, qos, held, now),
                    None => return None,
                }
                continue;
            }
            if let Some((item, id)) = self.numbered.pop_front() {
                self.send(item, Some(id), now);
                continue;
            }
            if !self.window.has_room() {
                return None;
            }
            match self.spool.next(now) {
                Next::Nothing => return None,
                Next::Load(from) => return Some(from),
                Next::Item(item) if item.qos.min(self.takes.qos) == QoS::ExactlyOnce => {
                    self.number(item, now)
                }
                Next::Item(item) => self.send(item, None, now),
            }
        }
        None
    }

    /// Promises packet identifiers to a QoS 2 message and those after it, as far as the window has room: one commit.
    fn number(&mut self, first: Item, now: Instant) {
        let (mut room, subscribing) = (self.window.room(), self.subscribing.map(|(id, _)| id));
        let mut next = Some(first);
        while let Some(item) = next.take() {
            let mut id = self.window.identify(item.seq);
            // The window does not know yet what was promised just now.
            while self.window.uses(id)
                || subscribing == Some(id)
                || self.numbered.iter().any(|(_, promised)| *promised == id)
            {
                id = id.checked_add(1).unwrap_or(1);
            }
            if item.seq != 0 && item.qos == QoS::ExactlyOnce {
                self.spool.number(item.seq, id, false);
            }
            self.numbered.push_back((item, id));
            room = room.saturating_sub(1);
            if room == 0 {
                break;
            }
            if let Next::Item(item) = self.spool.next(now) {
                next = Some(item);
            }
        }
        self.numbering = Some(self.link.journal().commit());
    }

    /// Sends a message, if the gate permits it and the remote broker takes it.
    fn send(&mut self, item: Item, id: Option<u16>, now: Instant) {
        match self.try_send(&item, id, now) {
            Ok(()) => {}
            Err(Kept::Left(fate)) => self.spool.settle(item.seq, fate),
            Err(Kept::Held) => self.spool.hold(item.seq),
        }
    }

    fn try_send(&mut self, item: &Item, id: Option<u16>, now: Instant) -> Result<(), Kept> {
        let head = self.head(item, now).map_err(Kept::Left)?;
        let departure = Departure { message: item.message.clone(), stored: false };
        let version = self.settings.version;
        let subscribing = self.subscribing.map(|(id, _)| id);
        let permit = self.link.depart(departure).map_err(Kept::of)?;
        // The identifier is given only once it is sure to be used; any takes as many bytes.
        let stand_in = (head.qos != QoS::AtMostOnce).then_some(1);
        if publish_head(&head, &item.message, stand_in, false, version).size() > self.takes.packet {
            return Err(Kept::Left(Fate::Dropped(Reason::TooLarge)));
        }
        let weight = item.message.size();
        let held = Held { seq: item.seq, message: item.message.clone() };
        let id = match head.qos {
            QoS::AtMostOnce => None,
            qos => {
                let id = id.unwrap_or_else(|| identify(&mut self.window, item.seq, subscribing));
                if id != identifier_of(item.seq) {
                    self.window.crowd();
                }
                self.window.send(qos, held, weight, id);
                Some(id)
            }
        };
        encode(&head, permit, id, false, version, &mut self.out);
        if version != Version::V5 && self.is_subscribed(&head.topic) {
            // What goes out at QoS 0 is never acknowledged.
            let seq = if id.is_some() { item.seq } else { 0 };
            self.echoes.expect(seq, &head.topic, &item.message.payload, now);
        }
        // To a broker that takes QoS 0 alone nothing better can be promised.
        if id.is_none() && item.seq != 0 {
            self.spool.settle(item.seq, Fate::Unacknowledged);
        }
        self.pulse.sent = now;
        Ok(())
    }

    fn resend(&mut self, id: u16, qos: QoS, held: Held, now: Instant) {
        let item = Item { seq: held.seq, qos, message: held.message };
        let departure = Departure { message: item.message.clone(), stored: false };
        let version = self.settings.version;
        let refused = match self.head(&item, now) {
            Err(fate) => Some(fate),
            Ok(head) => match self.link.depart(departure).map_err(Kept::of) {
                // It went out before the lock was closed: that cannot be undone, but it is not repeated before it is opened.
                Err(Kept::Held) => return self.window.put_off(id),
                Err(Kept::Left(fate)) => Some(fate),
                Ok(_)
                    if publish_head(&head, &item.message, Some(id), true, version).size()
                        > self.takes.packet =>
                {
                    Some(Fate::Dropped(Reason::TooLarge))
                }
                Ok(permit) => {
                    encode(&head, permit, Some(id), true, version, &mut self.out);
                    None
                }
            },
        };
        if let Some(fate) = refused {
            self.window.forget(id);
            self.spool.settle(item.seq, fate);
        }
    }

    /// How a message goes out.
    fn head(&self, item: &Item, now: Instant) -> Result<Head, Fate> {
        if item.message.expired(now) {
            return Err(Fate::Expired);
        }
        let (route, topic): (&Route, String) =
            outward(&self.settings.routes, &item.message.topic).ok_or(Fate::Dropped(Reason::NoRoute))?;
        let mut properties = Vec::new();
        if self.version() == Version::V5 {
            let mut list = Properties::default();
            if let Some(left) = item.message.seconds_left(now) {
                list.push(Property::MessageExpiryInterval(left));
            }
            list.push(Property::UserProperty(MARK, &self.settings.gateway));
            codec::encode_properties(&list, &mut properties);
        }
        Ok(Head {
            topic,
            qos: item.qos.min(self.takes.qos),
            retain: item.message.retain && route.retain && self.takes.retain,
            properties,
        })
    }

    pub(super) fn on_puback(&mut self, ack: &Ack<'_>, now: Instant) -> Result<(), Fault> {
        let held = match self.window.puback(ack.packet_id) {
            Ok(held) => held,
            // A broker without QoS 2 (RabbitMQ before 3.13) answers so: it has the message, and will never say PUBREC.
            Err(_) => match self
                .window
                .awaits_pubrec(ack.packet_id)
                .then(|| self.window.pubrec(ack.packet_id, true))
            {
                Some(Ok(PubRec::Refused(held))) => held,
                // One that nobody waits for means nothing.
                _ => return Ok(()),
            },
        };
        self.progress(now);
        self.echoes.acknowledged(held.seq, now);
        self.conclude(held.seq, ack.reason, now)
    }

    pub(super) fn on_pubrec(&mut self, ack: &Ack<'_>, now: Instant) -> Result<(), Fault> {
        let id = ack.packet_id;
        match self.window.pubrec(id, ack.reason.is_failure()) {
            Ok(PubRec::Refused(held)) => {
                self.progress(now);
                self.echoes.acknowledged(held.seq, now);
                return self.conclude(held.seq, ack.reason, now);
            }
            Ok(PubRec::Release(held)) => {
                self.progress(now);
                self.released.insert(id, held.seq);
                self.spool.number(held.seq, id, true);
                self.release(id);
            }
            Ok(PubRec::ReleaseAgain) => self.release(id),
            Err(_) if !ack.reason.is_failure() => {
                self.write(&Packet::PubRel(Ack::new(id, ReasonCode::PacketIdentifierNotFound)));
            }
            Err(_) => {
                if let Some(seq) = self.released.remove(&id) {
                    self.spool.settle(seq, Fate::Delivered);
                }
            }
        }
        Ok(())
    }

    /// Sends PUBREL. The remote broker may then forget the identifier, so that PUBREC came must be durable first, also when
    /// the connection on which it came is gone.
    fn release(&mut self, id: u16) {
        let ticket = self.link.journal().commit();
        self.answer(&Packet::PubRel(Ack::new(id, ReasonCode::Success)), ticket);
    }

    pub(super) fn on_pubcomp(&mut self, ack: &Ack<'_>, now: Instant) {
        if self.window.pubcomp(ack.packet_id).is_ok() {
            self.progress(now);
            if let Some(seq) = self.released.remove(&ack.packet_id) {
                self.echoes.acknowledged(seq, now);
                self.spool.settle(seq, Fate::Delivered);
            }
        }
    }

    fn progress(&mut self, now: Instant) {
        self.pulse.answer(now);
        self.pulse.progressed = now;
    }

    /// The remote broker has said what becomes of a message.
    fn conclude(&mut self, seq: u64, reason: ReasonCode, now: Instant) -> Result<(), Fault> {
        match reason {
            ReasonCode::QuotaExceeded => {
                // It may have room later.
                self.spool.put_back(seq);
                return Err(Fault::Busy);
            }
            reason if reason.is_failure() => {
                self.refuses(reason.text(), now);
                self.spool.settle(seq, Fate::Dropped(Reason::Refused));
            }
            _ => self.spool.settle(seq, Fate::Delivered),
        }
        Ok(())
    }

    /// Whether there are messages that were under way before a restart, which must be in the window before anything else.
    pub fn must_restore(&self) -> bool {
        !self.before.is_empty()
    }

    /// Those of them that must be read back.
    pub fn under_way(&self) -> Vec<u64> {
        self.before.iter().filter(|sent| !sent.released).map(|sent| sent.seq).collect()
    }

    /// Takes messages that were read back from number `from` on.
    pub fn loaded(&mut self, from: u64, read: Vec<KeptMessage>) {
        let spool = self.spool.clone();
        let revive = |exchange: &Self, kept: KeptMessage, expires| {
            let KeptMessage { topic, payload, properties, retain, .. } = kept;
            exchange.link.revive(KeptByBridge { topic, payload, properties, retain, expires })
        };
        if self.before.is_empty() {
            let read = read.into_iter().map(|kept| (kept.seq, kept)).collect();
            spool.loaded(from, read, |kept, expires| revive(self, kept, expires));
            return;
        }
        self.fill_window(read, |exchange, kept| {
            let expires = exchange.spool.expires(kept.seq);
            revive(exchange, kept, expires)
        });
    }

    /// Puts what was under way before a restart in its place.
    fn fill_window(
        &mut self,
        read: Vec<KeptMessage>,
        revive: impl Fn(&Self, KeptMessage) -> std::sync::Arc<Message>,
    ) {
        let mut read: std::collections::VecDeque<KeptMessage> = read.into();
        let before = std::mem::take(&mut self.before);
        let subscribing = self.subscribing.map(|(id, _)| id);
        let in_use: ahash::AHashSet<u16> =
            before.iter().map(|sent| sent.packet_id).chain([0]).chain(subscribing).collect();
        let highest = in_use.iter().copied().max().unwrap_or(0);
        let mut free = (1..=u16::MAX).map(|n| highest.wrapping_add(n)).filter(|id| !in_use.contains(id));
        let mut window = Vec::new();
        let last = before.last().map_or(0, |sent| sent.seq);
        for sent in before {
            while read.front().is_some_and(|kept| kept.seq < sent.seq) {
                read.pop_front();
            }
            let id = match sent.packet_id {
                0 => free.next().unwrap_or(0),
                id => id,
            };
            if sent.released {
                self.released.insert(id, sent.seq);
                window.push((id, QoS::ExactlyOnce, None));
                continue;
            }
            match read.front().is_some_and(|kept| kept.seq == sent.seq).then(|| read.pop_front()).flatten() {
                Some(kept) => {
                    let held = Held { seq: sent.seq, message: revive(self, kept) };
                    let weight = held.message.size();
                    window.push((id, sent.qos, Some((held, weight))));
                }
                None => self.spool.settle(sent.seq, Fate::Dropped(Reason::Unreadable)),
            }
        }
        self.window.restore(window, last);
    }

    /// Has what is retained here sent by one route.
    pub fn offer_retained_of(&mut self, number: usize, now: Instant) {
        let settings = self.settings.clone();
        let Some(route) = settings.outgoing().nth(number).filter(|route| route.retain) else { return };
        let mut retained = self.link.retained(&route.local, now);
        retained.retain(|message| {
            let first = settings.outgoing().position(|other| other.local.matches(&message.topic));
            // What came from there does not go back.
            let peer = settings.peer.as_ref().is_some_and(|peer| *peer == message.author.client_id);
            if first != Some(number) || peer || message.author == *self.link.identity() {
                return false;
            }
            let departure = Departure { message: message.clone(), stored: true };
            !matches!(self.link.depart(departure), Err(NotNow::Never))
        });
        self.spool.offer_retained(number, &retained);
    }
}

/// A packet identifier for the message of this number that is sent next; SUBSCRIBE may have one as well
/// [MQTT-2.2.1-3].
fn identify(window: &mut Outgoing<Held>, seq: u64, subscribing: Option<u16>) -> u16 {
    let mut id = window.identify(seq);
    if subscribing == Some(id) {
        id = id.checked_add(1).unwrap_or(1);
        while window.uses(id) {
            id = id.checked_add(1).unwrap_or(1);
        }
    }
    id
}

fn publish_head<'a>(
    head: &'a Head,
    message: &'a Message,
    packet_id: Option<u16>,
    dup: bool,
    version: Version,
) -> codec::PublishHead<'a> {
    codec::PublishHead {
        dup,
        qos: head.qos,
        retain: head.retain,
        packet_id,
        topic: &head.topic,
        alias: None,
        properties: (version == Version::V5).then_some([&head.properties[..], &message.properties[..]]),
        payload_len: message.payload.len(),
    }
}

/// Writes a permitted message.
fn encode(
    head: &Head,
    permit: Departing<'_>,
    id: Option<u16>,
    dup: bool,
    version: Version,
    out: &mut Vec<u8>,
) {
    let Departure { message, .. } = permit.redeem().message;
    if publish_head(head, &message, id, dup, version).encode(out) {
        out.extend_from_slice(&message.payload);
    }
}
