//! `$SYS/broker/…`: what the broker says of itself, as Mosquitto's users know it.
//!
//! Retained, at QoS 0: whoever wants the last value has it, and no kept session fills up with old ones.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use ahash::AHashMap;

use crate::mqtt::QoS;
use crate::policy::{Permit, Publish};

use super::{
    broker::Broker,
    clock,
    index::Origin,
    load::{Load, WINDOWS},
    message::{Candidate, Message},
    outbox::Offer,
    router::Router,
    snapshot::Snapshot,
    speaker::Speaker,
};

/// The key of the gateway as a publisher: no session has it.
const GATEWAY: u64 = 0;

impl Broker {
    /// Publishes what the broker says of itself, at once and then every `interval`, for ever. A value that did not
    /// change is not published again.
    pub async fn publish_sys(self: Arc<Self>, speaker: Speaker, interval: Duration) {
        let mut sys = Sys::new();
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            sys.update(&self.snapshot(), clock::now());
            for (topic, value) in sys.changed.drain(..) {
                speaker.say(&topic, value.into_bytes(), true);
            }
        }
    }
}

impl Router {
    /// Publishes one of the gateway's own messages, QoS 0. If retained, it is so apart from those of clients and kept nowhere
    /// else; like any other it is delivered only if the subscriber's gate permits.
    pub fn announce(&self, permit: Permit<'_, Publish<Message>>) {
        let Publish { topic, message, .. } = permit.redeem();
        let message = Arc::new(message);
        let size = message.size_u32();
        let meeting = message.retain.then(|| self.meeting.read());
        if message.retain {
            self.retained.set_own(&message);
        }
        let route = self.index.route(&topic, &Origin::of(GATEWAY));
        drop(meeting);
        for outgoing in &route.outlets {
            // It need not be kept: it is about this moment.
            let _ = outgoing.outlet.offer(outgoing.route, &message);
            outgoing.outlet.wake();
        }
        let plain = route.targets.iter().map(|target| {
            let candidate = Candidate {
                message: message.clone(),
                qos: QoS::AtMostOnce,
                retain: target.retain_as_published && message.retain,
                stored: false,
                seq: 0,
                packet_id: 0,
                size,
                extra: target.extra.clone(),
            };
            (target.outbox.clone(), target.outbox.offer(candidate, &*self.journal))
        });
        let shared =
            route.groups.iter().filter_map(|group| group.offer(&message, &[], None, true, &*self.journal));
        for (outbox, offer) in plain.chain(shared) {
            match offer {
                Offer::Queued { wake, .. } | Offer::Behind { wake, .. } if wake => outbox.bell.wake(),
                Offer::Queued { .. } | Offer::Behind { .. } => {}
                Offer::Dropped(reason) => reason.into_iter().for_each(|r| self.counters.drop_one(r)),
            }
        }
    }
}

/// What was published last, and the averages.
#[derive(Debug)]
struct Sys {
    last: AHashMap<&'static str, (Arc<str>, String)>,
    last_load: AHashMap<(&'static str, u32), (Arc<str>, String)>,
    loads: AHashMap<&'static str, Load>,
    looked: Option<Instant>,
    /// Still to be published.
    changed: Vec<(Arc<str>, String)>,
}

impl Sys {
    fn new() -> Self {
        Sys {
            last: AHashMap::default(),
            last_load: AHashMap::default(),
            loads: AHashMap::default(),
            looked: None,
            changed: Vec::new(),
        }
    }

    /// Finds what changed since the last call.
    fn update(&mut self, now_is: &Snapshot, now: Instant) {
        let Snapshot { connected, disconnected, received, sent, queued, retained, .. } = now_is;
        let stored = queued.messages + retained.messages;
        self.set("version", concat!("latchgate version ", env!("CARGO_PKG_VERSION")));
        self.set("uptime", format_args!("{} seconds", now_is.uptime.as_secs()));
        self.set("clients/total", now_is.sessions);
        self.set("clients/maximum", now_is.most_connected);
        self.set("clients/expired", now_is.expired);
        // Mosquitto has both names for each.
        self.set("clients/connected", connected);
        self.set("clients/active", connected);
        self.set("clients/disconnected", disconnected);
        self.set("clients/inactive", disconnected);
        self.set("messages/received", received.packets);
        self.set("messages/sent", sent.packets);
        self.set("messages/stored", stored);
        self.set("store/messages/count", stored);
        self.set("store/messages/bytes", queued.bytes.saturating_add(retained.bytes));
        self.set("bytes/received", received.bytes);
        self.set("bytes/sent", sent.bytes);
        self.set("publish/messages/received", received.publishes);
        self.set("publish/messages/sent", sent.publishes);
        self.set("publish/messages/dropped", now_is.dropped_from_queues());
        self.set("publish/bytes/received", received.payload);
        self.set("publish/bytes/sent", sent.payload);
        self.set("retained messages/count", retained.messages);
        self.set("subscriptions/count", now_is.subscriptions);
        self.set("shared_subscriptions/count", now_is.shared_subscriptions);

        let passed = self.looked.map_or(Duration::ZERO, |looked| now.saturating_duration_since(looked));
        self.looked = Some(now);
        for (name, total) in [
            ("messages/received", received.packets),
            ("messages/sent", sent.packets),
            ("publish/received", received.publishes),
            ("publish/sent", sent.publishes),
            ("publish/dropped", now_is.dropped_from_queues()),
            ("bytes/received", received.bytes),
            ("bytes/sent", sent.bytes),
            ("connections", now_is.connects),
            ("sockets", now_is.sockets),
        ] {
            let averages = self.loads.entry(name).or_default().update(total, passed);
            for (minutes, average) in WINDOWS.into_iter().zip(averages) {
                let topic = || format!("$SYS/broker/load/{name}/{minutes}min");
                let place = self.last_load.entry((name, minutes));
                let place = place.or_insert_with(|| (topic().into(), String::new()));
                replace(place, format!("{average:.2}"), &mut self.changed);
            }
        }
    }

    fn set(&mut self, name: &'static str, value: impl Display) {
        let place = self.last.entry(name);
        let place = place.or_insert_with(|| (format!("$SYS/broker/{name}").into(), String::new()));
        replace(place, value.to_string(), &mut self.changed);
    }
}

fn replace(place: &mut (Arc<str>, String), value: String, changed: &mut Vec<(Arc<str>, String)>) {
    let (topic, last) = place;
    if *last != value {
        last.clone_from(&value);
        changed.push((topic.clone(), value));
    }
}
