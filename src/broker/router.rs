//! The router: what a permitted publish or subscription brings about.
//!
//! It runs on the task of whoever publishes or subscribes. It takes permits only.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::mqtt::{QoS, RetainHandling};
use crate::policy::{Permit, Publish, Subscribe};
use crate::session::Subscription;

use super::{
    counters::{Counters, Dropped},
    index::{Index, Origin, Outgoing, Route},
    journal::{Change, Journal},
    message::{Candidate, Message},
    outbox::{Offer, Outbox},
    outlet::Outlet,
    retained::Retained,
    shared::{Group, Member},
    ticket::Ticket,
};

/// Targets a publisher's cached routes may have together, unless a single one has more.
const MOST_TARGETS: usize = 2048;

/// The routes of one publisher by the slots of its gate, and whom it has to wake.
#[derive(Debug)]
pub(super) struct Publisher {
    pub origin: Origin,
    routes: Vec<Option<Cached>>,
    /// Targets in `routes`.
    targets: usize,
    /// Subscribers that were given something since the last [`Publisher::wake`].
    touched: Vec<Arc<Outbox>>,
    /// Bridges that were.
    outlets: Vec<Arc<dyn Outlet>>,
}

#[derive(Debug)]
struct Cached {
    topic: Arc<str>,
    generation: u64,
    route: Arc<Route>,
}

/// What became of a publish.
#[derive(Debug)]
pub(super) struct Published {
    /// When it may be acknowledged.
    pub ticket: Ticket,
    /// Whether anybody subscribes to it.
    pub matched: bool,
    /// Subscribers that are behind: the publisher should wait for them, for a limited time.
    pub behind: Vec<Arc<Outbox>>,
}

/// The message should be retained, but the bounds of the retained messages are reached: it is not routed either, so
/// that a publisher that is told so can try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetainedFull;

impl Publisher {
    pub fn new(origin: Origin) -> Self {
        Publisher { origin, routes: Vec::new(), targets: 0, touched: Vec::new(), outlets: Vec::new() }
    }

    /// Wakes every subscriber and every bridge that was given something: once each, at the end of a batch.
    pub fn wake(&mut self) {
        self.touched.drain(..).for_each(|outbox| outbox.bell.wake());
        self.outlets.drain(..).for_each(|outlet| outlet.wake());
    }

    fn touch(&mut self, outlet: &Arc<dyn Outlet>) {
        if !self.outlets.iter().any(|other| other.key() == outlet.key()) {
            self.outlets.push(outlet.clone());
        }
    }

    fn route(&mut self, index: &Index, topic: &Arc<str>, slot: usize) -> Arc<Route> {
        let generation = index.generation();
        if let Some(Some(cached)) = self.routes.get(slot)
            && cached.generation == generation
            && Arc::ptr_eq(&cached.topic, topic)
        {
            return cached.route.clone();
        }
        let route = Arc::new(index.route(topic, &self.origin));
        if slot != usize::MAX {
            // One wide route is worth its memory, a thousand of them are not.
            self.targets += route.targets.len();
            if self.targets > MOST_TARGETS {
                self.routes.clear();
                self.targets = route.targets.len();
            }
            if self.routes.len() <= slot {
                self.routes.resize_with(slot + 1, || None);
            }
            self.routes[slot] = Some(Cached { topic: topic.clone(), generation, route: route.clone() });
        }
        route
    }
}

/// Knows who subscribes to what.
pub(super) struct Router {
    pub index: Index,
    pub retained: Retained,
    /// Read while a message is retained and its subscribers are looked up, written while a subscription is entered and what is
    /// retained for it is looked up: whoever comes second finds the other, so that a message comes once. Locked after
    /// [`Journal::together`].
    pub meeting: RwLock<()>,
    pub journal: Arc<dyn Journal>,
    pub counters: Arc<Counters>,
}

impl Router {
    /// Routes a permitted message to every subscriber's queue. Delivery is asked later, on the subscriber's task.
    ///
    /// # Errors
    /// If it is to be retained and cannot be; nothing has happened then.
    pub fn publish(
        &self,
        publisher: &mut Publisher,
        permit: Permit<'_, Publish<Message>>,
    ) -> Result<Published, RetainedFull> {
        let Publish { topic, slot, message } = permit.redeem();
        let message = Arc::new(message);
        let meeting = message.retain.then(|| self.meeting.read());
        let mut kept = message.retain && self.retain(&message)?;
        let route = publisher.route(&self.index, &topic, slot);
        drop(meeting);
        let mut published = Published {
            ticket: Ticket::DONE,
            matched: !(route.targets.is_empty() && route.groups.is_empty() && route.outlets.is_empty()),
            behind: Vec::new(),
        };
        let size = message.size_u32();
        for target in &route.targets {
            let candidate = Candidate {
                message: message.clone(),
                qos: message.qos.min(target.qos),
                retain: target.retain_as_published && message.retain,
                stored: false,
                seq: 0,
                packet_id: 0,
                size,
                extra: target.extra.clone(),
            };
            let promised = candidate.qos != QoS::AtMostOnce;
            let offer = target.outbox.offer(candidate, &*self.journal);
            kept |= self.note(publisher, &target.outbox, offer, promised, &message, &mut published);
        }
        for group in &route.groups {
            if let Some((outbox, offer)) = group.offer(&message, &[], None, false, &*self.journal) {
                let promised = message.qos != QoS::AtMostOnce;
                kept |= self.note(publisher, &outbox, offer, promised, &message, &mut published);
            }
        }
        for Outgoing { outlet, route } in &route.outlets {
            kept |= outlet.offer(*route, &message);
            publisher.touch(outlet);
        }
        // What nobody was promised is written with the next promise, or a little later.
        if kept && message.qos != QoS::AtMostOnce {
            published.ticket = self.journal.commit();
        }
        Ok(published)
    }

    /// Routes a permitted will; nobody waits for its outcome.
    pub fn publish_will(&self, permit: Permit<'_, Publish<Message>>, origin: Origin) {
        let mut publisher = Publisher::new(origin);
        let _ = self.publish(&mut publisher, permit);
        publisher.wake();
    }

    /// Notes what an offer brought about; whether it must be committed before it is acknowledged.
    fn note(
        &self,
        publisher: &mut Publisher,
        outbox: &Arc<Outbox>,
        offer: Offer,
        promised: bool,
        message: &Arc<Message>,
        published: &mut Published,
    ) -> bool {
        let (wake, kept) = match offer {
            Offer::Dropped(reason) => {
                reason.into_iter().for_each(|reason| self.counters.drop_one(reason));
                return false;
            }
            Offer::Queued { wake, kept } => (wake, kept),
            Offer::Behind { wake, kept } => {
                // For a QoS 0 subscriber only a publisher of QoS 0 waits, who gives up soon. A publisher that is its own
                // slow subscriber cannot wait for itself.
                if (promised || message.qos == QoS::AtMostOnce) && outbox.key != publisher.origin.key {
                    published.behind.push(outbox.clone());
                }
                (wake, kept)
            }
        };
        if wake {
            publisher.touched.push(outbox.clone());
        }
        kept
    }

    /// Keeps or clears the retained message; whether that must be committed.
    fn retain(&self, message: &Arc<Message>) -> Result<bool, RetainedFull> {
        if message.payload.is_empty() {
            // [MQTT-3.3.1-6], [MQTT-3.3.1-7]
            return Ok(self.retained.clear(&message.topic, &*self.journal));
        }
        match self.retained.set(message, &*self.journal) {
            Ok(()) => Ok(true),
            Err(_full) => {
                self.counters.drop_one(Dropped::RetainedFull);
                Err(RetainedFull)
            }
        }
    }

    /// Makes or replaces a permitted subscription; whether it brings retained messages. They are to be looked up in the same
    /// [`Router::meeting`].
    pub fn subscribe(
        &self,
        outbox: &Arc<Outbox>,
        permit: Permit<'_, Subscribe<Subscription>>,
        is_new: bool,
    ) -> bool {
        let Subscribe { subscription, .. } = permit.redeem();
        self.enter(outbox, &subscription);
        // [MQTT-3.3.1-9] to [MQTT-3.3.1-11]; never for a shared subscription (4.8.2).
        let wanted = match subscription.options.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::IfNew => is_new,
            RetainHandling::Never => false,
        };
        wanted && subscription.group.is_none()
    }

    /// Enters a subscription into the index; the group it joins, if it is shared.
    pub fn enter(&self, outbox: &Arc<Outbox>, subscription: &Subscription) -> Option<Arc<Group>> {
        let Subscription { filter, group, options, identifier } = subscription;
        match group {
            None => {
                self.index.subscribe(outbox, filter, *options, *identifier);
                None
            }
            Some(name) => {
                let member = Member {
                    outbox: outbox.clone(),
                    qos: options.qos,
                    retain_as_published: options.retain_as_published,
                    identifier: *identifier,
                };
                Some(self.index.share(name, filter, member))
            }
        }
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, key: u64, subscription: &Subscription) {
        self.index.unsubscribe(key, &subscription.filter, subscription.group.as_deref());
    }

    /// Notes that a message reached the client of a session, or never will.
    pub fn settle(&self, outbox: &Outbox, candidate: &Candidate) {
        if candidate.seq != 0 {
            self.journal.record(Change::Settled { client: &outbox.client_id, seq: candidate.seq });
        }
    }

    /// Gives a message that came by a share group to another member than `key`; whether there was one.
    pub fn pass_on(&self, candidate: &Candidate, key: u64, why: PassOn) -> bool {
        let Some((group, refused)) = candidate.extra.as_ref().and_then(|extra| extra.group.as_ref()) else {
            return false;
        };
        let mut refused = refused.clone();
        if matches!(why, PassOn::Refused | PassOn::Locked) {
            refused.push(key);
        }
        let online_only = matches!(why, PassOn::Away | PassOn::Locked);
        let offered = group.offer(&candidate.message, &refused, Some(key), online_only, &*self.journal);
        let Some((outbox, Offer::Queued { .. } | Offer::Behind { .. })) = offered else { return false };
        outbox.bell.wake();
        true
    }
}

/// Why a message of a share group leaves the member that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PassOn {
    /// It may not have it: it is never offered the message again.
    Refused,
    /// It may not have it now: only a member that is connected is a better choice, and it is not offered the message again.
    Locked,
    /// It is away: only a member that is connected is a better choice.
    Away,
    /// Its session ended.
    Ended,
}
