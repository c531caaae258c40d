//! The beginning and the end of a connection, and its pulse.

use std::time::{Duration, Instant};

use ahash::AHashSet;

use crate::broker::Arriving;
use crate::mqtt::{
    Ack, ConnAck, Connect, Disconnect, Login, Packet, Properties, Property, Publish, QoS, ReasonCode,
    RetainHandling, SubAck, Subscribe, SubscribeFilter, SubscriptionOptions, Version, Will, codec,
};
use crate::session::Outgoing;

use super::{Exchange, Fault, LARGEST, SOON, TOO_MANY_BROKEN, Takes, WEIGHT};

/// The shortest time in which the remote broker must acknowledge something.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(30);

impl Exchange {
    /// Begins a connection to address number `address`: CONNECT is written.
    pub fn begin(&mut self, address: usize, password: Option<&[u8]>, now: Instant) {
        self.address = address;
        self.out.clear();
        self.owed.clear();
        self.skip = 0;
        self.open = false;
        self.refused.clear();
        self.subscribing = None;
        self.kept_out.clear();
        let settings = self.settings.clone();
        let topic = self.state_topic();
        let will = Will {
            topic: &topic,
            payload: b"0",
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Properties::default(),
        };
        let mut properties = Properties::default();
        if settings.version == Version::V5 {
            if settings.durable {
                properties.push(Property::SessionExpiryInterval(u32::MAX));
            }
            properties.push(Property::ReceiveMaximum(settings.inflight));
            properties
                .push(Property::MaximumPacketSize(u32::try_from(settings.packet_size).unwrap_or(u32::MAX)));
        }
        let connect = Connect {
            version: settings.version,
            bridge: false,
            clean_start: !settings.durable,
            keep_alive: settings.keep_alive,
            client_id: &settings.client_id,
            will: settings.notify.1.then_some(will),
            login: Login { username: settings.username.as_deref(), password },
            properties,
        };
        self.write(&Packet::Connect(Box::new(connect)));
        let keep_alive = Duration::from_secs(settings.keep_alive.into());
        self.pulse = super::Pulse {
            pinged: None,
            sent: now,
            taken: now,
            canary: (self.pulse.canary.0, None),
            canary_due: now,
            canary_back: false,
            keep_alive,
            ..self.pulse
        };
    }

    /// The topic under which brokers learn whether a bridge is connected.
    pub fn state_topic(&self) -> String {
        format!("$SYS/broker/connection/{}/state", self.settings.client_id)
    }

    pub(super) fn on_connack(&mut self, connack: &ConnAck<'_>, now: Instant) -> Result<(), Fault> {
        if connack.reason.is_failure() {
            let why = connack.properties.reason_string().map(|why| format!(" ({why})")).unwrap_or_default();
            return Err(Fault::Refused(format!("{}{}", connack.reason.text(), printable(&why))));
        }
        if connack.session_present && !self.settings.durable {
            return Err(Fault::Protocol("it has a session where none was wanted"));
        }
        let mut inflight = self.settings.inflight;
        self.takes = Takes { packet: LARGEST, qos: QoS::ExactlyOnce, retain: true };
        for property in connack.properties.iter() {
            match *property {
                Property::ReceiveMaximum(most) => inflight = inflight.min(most),
                Property::MaximumPacketSize(most) => self.takes.packet = most as usize,
                Property::MaximumQoS(most) => {
                    self.takes.qos = QoS::from_bits(most).unwrap_or(QoS::AtMostOnce)
                }
                Property::RetainAvailable(available) => self.takes.retain = available != 0,
                Property::ServerKeepAlive(seconds) if seconds > 0 => {
                    self.pulse.keep_alive = Duration::from_secs(seconds.min(self.settings.keep_alive).into());
                }
                _ => {}
            }
        }
        self.open = true;
        self.pulse.answer(now);
        self.pulse.progressed = now;
        // What was under way to another remote broker is not known at this one, also if the gateway has died in between.
        let session = self.session();
        let ours = self.session_of.as_ref().is_none_or(|before| *before == session);
        let journal = self.link.journal().clone();
        let together = journal.together();
        if self.session_of.as_ref() != Some(&session) {
            self.spool.session(&session);
            self.session_of = Some(session);
        }
        if connack.session_present && ours {
            self.resumed = Some(now);
            self.release_leftovers();
            self.window.connected(inflight, WEIGHT);
            self.incoming.connected();
        } else {
            self.forget_session();
            self.echoes.clear();
            // Soon: after a crash the remote broker will say that it has a session.
            drop(journal.commit());
            self.window.connected(inflight, WEIGHT);
            self.offer_retained(now);
        }
        drop(together);
        self.echoes.connected(now);
        self.spool.connected(true, self.settings.live_first);
        if self.takes.qos == QoS::AtMostOnce
            && self.settings.outgoing().any(|route| route.qos != self.takes.qos)
        {
            self.worry("the remote broker takes QoS 0 only: it acknowledges nothing, and what is lost on the way is lost", now);
        }
        self.subscribe(now)?;
        self.announce_there(true, now);
        Ok(())
    }

    /// Releases every identifier that is not in use, if session after session breaks. A remote broker that was killed may
    /// have come back with what it had saved long ago: it waits for releases that came meanwhile, takes nothing more until
    /// they come again, and would take a new message under such an identifier for an old one. Of others it knows nothing.
    fn release_leftovers(&mut self) {
        if self.broken < TOO_MANY_BROKEN {
            return;
        }
        let bridge = &self.settings.name;
        tracing::warn!(%bridge, "the remote broker ends session after session: whatever it waits for is released");
        let promised = self.numbered.iter().map(|(_, id)| *id);
        let before = self.before.iter().map(|sent| sent.packet_id);
        let in_use: AHashSet<u16> = self.window.ids().chain(promised).chain(before).collect();
        for id in (1..=u16::MAX).filter(|id| !in_use.contains(id)) {
            self.write(&Packet::PubRel(Ack::new(id, ReasonCode::Success)));
        }
        self.broken = 0;
    }

    /// The remote broker knows nothing of what was under way: it begins anew.
    fn forget_session(&mut self) {
        self.window = Outgoing::default();
        self.released.clear();
        self.before.clear();
        self.numbered.clear();
        self.spool.rewind();
        let known: Vec<u16> = self.incoming.ids().collect();
        known.into_iter().for_each(|id| {
            self.incoming.release(id);
            self.spool.received(id, false);
        });
    }

    /// Has what is retained here sent, by the routes that keep it so.
    fn offer_retained(&mut self, now: Instant) {
        for number in 0..self.settings.outgoing().count() {
            self.offer_retained_of(number, now);
        }
    }

    fn subscribe(&mut self, now: Instant) -> Result<(), Fault> {
        let version = self.version();
        let canary = self.settings.canary.as_deref().map(|topic| SubscribeFilter {
            filter: topic,
            options: SubscriptionOptions { qos: QoS::AtMostOnce, ..SubscriptionOptions::default() },
        });
        let settings = self.settings.clone();
        let filters: Vec<SubscribeFilter<'_>> = settings
            .routes
            .iter()
            .filter(|route| route.comes_in())
            .map(|route| SubscribeFilter {
                filter: route.remote.as_str(),
                options: SubscriptionOptions {
                    qos: route.qos,
                    no_local: version == Version::V5,
                    retain_as_published: version == Version::V5,
                    retain_handling: RetainHandling::Always,
                },
            })
            .chain(canary)
            .collect();
        if filters.is_empty() {
            return Ok(());
        }
        let mut packet_id = self.window.identify(0);
        while self.is_in_use(packet_id) {
            packet_id = packet_id.checked_add(1).unwrap_or(1);
        }
        self.subscribing = Some((packet_id, now));
        let subscribe = Subscribe { packet_id, filters, properties: Properties::default() };
        let before = self.out.len();
        codec::encode(&Packet::Subscribe(subscribe), version, &mut self.out);
        if self.out.len() - before > self.takes.packet {
            let most = self.takes.packet;
            self.out.truncate(before);
            return Err(Fault::Refused(format!("it takes {most} bytes at most, too few for SUBSCRIBE")));
        }
        Ok(())
    }

    /// Whether a packet identifier is in use, or promised.
    fn is_in_use(&self, id: u16) -> bool {
        self.window.uses(id)
            || self.before.iter().any(|sent| sent.packet_id == id)
            || self.numbered.iter().any(|(_, promised)| *promised == id)
    }

    pub(super) fn on_suback(&mut self, suback: &SubAck<'_>, now: Instant) {
        if self.subscribing.take_if(|(id, _)| *id == suback.packet_id).is_none() {
            return;
        }
        self.pulse.answer(now);
        let refused = self.filters().zip(&suback.reasons).filter(|(_, reason)| reason.is_failure());
        self.refused = refused.map(|((filter, _), _)| filter.as_str().to_owned()).collect();
        for filter in &self.refused {
            let bridge = &self.settings.name;
            tracing::error!(%bridge, filter, "the remote broker does not let the bridge subscribe: nothing comes by that route");
        }
    }

    /// Tells the remote broker whether the bridge is there.
    fn announce_there(&mut self, connected: bool, now: Instant) {
        if !self.settings.notify.1 {
            return;
        }
        let topic = self.state_topic();
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: self.takes.retain,
            topic: &topic,
            packet_id: None,
            properties: Properties::default(),
            payload: if connected { b"1" } else { b"0" },
        };
        let before = self.out.len();
        self.write(&Packet::Publish(publish));
        if self.out.len() - before > self.takes.packet {
            self.out.truncate(before);
            self.worry(
                "the remote broker takes packets too small for the bridge's state: it is not told",
                now,
            );
        }
    }

    /// Tells everybody here whether the bridge is connected.
    pub fn announce_here(&mut self, connected: bool, now: Instant) {
        if !self.settings.notify.0 {
            return;
        }
        let topic = self.state_topic();
        let payload: &[u8] = if connected { b"1" } else { b"0" };
        let none = Properties::default();
        // It is about this moment: nothing waits for it to be kept.
        let arriving =
            Arriving { topic: &topic, payload, properties: &none, qos: QoS::AtMostOnce, retain: true };
        let _ = self.link.publish(arriving, now);
    }

    /// Ends the connection in order, for this reason.
    pub fn end(&mut self, reason: ReasonCode, now: Instant) {
        if self.open {
            self.announce_there(false, now);
            self.write(&Packet::Disconnect(Disconnect { reason, properties: Properties::default() }));
        }
    }

    /// The connection is lost.
    pub fn lost(&mut self, ours: bool, now: Instant) {
        self.open = false;
        match self.resumed.take() {
            // It says nothing of the remote broker.
            Some(_) if ours => {}
            Some(since) if now < since + SOON => self.broken += 1,
            _ => self.broken = 0,
        }
        self.owed.clear();
        self.spool.connected(false, false);
    }

    /// Does what the clock asks for: pings, and the canary. When it is to be called again.
    ///
    /// # Errors
    /// If the remote broker has been silent for too long.
    pub fn tick(&mut self, now: Instant) -> Result<Instant, Fault> {
        let half = self.pulse.keep_alive / 2;
        if !self.open {
            return Ok(now + half);
        }
        if self.window.is_at_rest() {
            self.pulse.progressed = now;
        }
        let patience = (self.pulse.keep_alive * 2).max(SHORTEST_PATIENCE);
        // On a slow link an answer comes only after all that is sent before it, which may take long. So it is waited for as
        // long as the connection takes bytes.
        let (taken, progressed) = (self.pulse.taken, self.pulse.progressed.max(self.pulse.taken));
        if now >= progressed + patience {
            return Err(Fault::Silent("it acknowledges no message"));
        }
        if self.subscribing.is_some_and(|(_, since)| now >= since + patience) {
            return Err(Fault::Silent("SUBSCRIBE had no answer"));
        }
        if let Some(at) = self.pulse.pinged {
            if now >= at.max(self.pulse.answered).max(taken) + half {
                return Err(Fault::Silent("a ping had no answer"));
            }
        } else if now >= self.pulse.answered + half || now >= self.pulse.sent + half {
            self.pulse.pinged = Some(now);
            self.write(&Packet::PingReq);
        }
        if self.pulse.canary.1.is_some_and(|at| now >= at.max(taken) + self.pulse.keep_alive) {
            return Err(Fault::Silent("the canary did not come back"));
        }
        if let Some(topic) = self.settings.canary.clone()
            && self.subscribing.is_none()
            && self.pulse.canary.1.is_none()
            && now >= self.pulse.canary_due
        {
            self.pulse.canary = (self.pulse.canary.0 + 1, Some(now));
            let payload = format!("{} {}", self.settings.client_id, self.pulse.canary.0);
            let publish = Publish {
                dup: false,
                qos: QoS::AtMostOnce,
                retain: false,
                topic: &topic,
                packet_id: None,
                properties: Properties::default(),
                payload: payload.as_bytes(),
            };
            self.write(&Packet::Publish(publish));
        }
        let due = [
            self.pulse.pinged.map_or(self.pulse.answered.min(self.pulse.sent) + half, |at| {
                at.max(self.pulse.answered).max(taken) + half
            }),
            progressed + patience,
            self.subscribing.map_or(now + patience, |(_, since)| since + patience),
            self.pulse.canary.1.map_or(self.pulse.canary_due.max(now + half / 4), |at| {
                at.max(taken) + self.pulse.keep_alive
            }),
        ];
        Ok(due.into_iter().min().unwrap_or(now + half).max(now + Duration::from_millis(10)))
    }

    /// Whether the remote broker answered within the last keep alive.
    pub fn is_connected(&self, now: Instant) -> bool {
        let flies = self.settings.canary.is_none() || self.pulse.canary_back;
        self.open && flies && now < self.pulse.answered + self.pulse.keep_alive
    }

    /// Whether an arriving message is the canary.
    pub(super) fn is_canary(&mut self, topic: &str, payload: &[u8], now: Instant) -> bool {
        if self.settings.canary.as_deref() != Some(topic) {
            return false;
        }
        if let (number, Some(at)) = self.pulse.canary
            && payload == format!("{} {number}", self.settings.client_id).as_bytes()
        {
            self.pulse.round_trip = Some(now.saturating_duration_since(at));
            self.pulse.canary = (number, None);
            self.pulse.canary_due = now + self.pulse.keep_alive / 2;
            self.pulse.canary_back = true;
            self.pulse.answer(now);
        }
        true
    }
}

/// What a remote broker says, without what could disturb a log.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
