//! A bridge as the broker sees it: a client without a socket, whose every message is put to its gate.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use atomic_waker::AtomicWaker;

use crate::mqtt::{Properties, Property, QoS, TopicFilter};
use crate::policy::{Deliver, Delivery, Denial, Gate, Identity, Permit, Standing, Withheld};

use super::{
    broker::Broker,
    index::{Origin, Outgoing},
    journal::Journal,
    message::{Message, forwarded, size},
    outbox::Outbox,
    outlet::Outlet,
    router::{Publisher, RetainedFull},
    saved::SavedMessage,
    ticket::Ticket,
};

/// The name of the user property by which a gateway marks what its bridges send: the value is its id. What comes back so
/// marked was here before.
pub const MARK: &str = "latchgate-via";

/// How long it is waited for subscribers that are behind.
const PATIENCE: Duration = Duration::from_secs(3);

/// Levels of a topic: the trees of topics are walked recursively.
const DEEPEST: usize = 1000;

/// A message from the remote broker.
#[derive(Clone, Copy, Debug)]
pub struct Arriving<'a> {
    /// Topic name here.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// Properties as they came.
    pub properties: &'a Properties<'a>,
    /// QoS it came with.
    pub qos: QoS,
    /// Whether it is to be retained.
    pub retain: bool,
}

/// What became of an arriving message.
#[derive(Debug)]
pub enum Taken {
    /// It was routed; it is safe when the ticket is done.
    Routed(Ticket),
    /// The gate refused it.
    Denied(Denial),
    /// It can be routed neither now nor later.
    Unusable(&'static str),
    /// It was to be retained, and no more can be: that is not likely to change soon.
    Full,
    /// There is no room for it, or nothing can be stored: it must come again later.
    NotNow(&'static str),
}

/// A message that is about to leave for the remote broker.
#[derive(Clone, Debug)]
pub struct Departure {
    /// The message.
    pub message: Arc<Message>,
    /// Whether it comes from the retained messages, so that its author's right is asked as well.
    pub stored: bool,
}

impl Delivery for Departure {
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

/// Why a message may not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// The lock is closed: it may leave later.
    Locked,
    /// The rules do not let it.
    Never,
}

/// The permit to send one message to the remote broker.
pub type Departing<'g> = Permit<'g, Deliver<Departure>>;

/// A message that a bridge kept; see [`Message`].
#[derive(Debug)]
pub struct KeptByBridge {
    /// Topic name.
    pub topic: Arc<str>,
    /// Payload.
    pub payload: Box<[u8]>,
    /// Encoded properties.
    pub properties: Box<[u8]>,
    /// Whether it was published retained.
    pub retain: bool,
    /// When it expires.
    pub expires: Option<Instant>,
}

/// A bridge's place in the broker.
pub struct Link {
    broker: Arc<Broker>,
    gate: Gate,
    publisher: Publisher,
    /// Subscribers that are behind, and the QoS of what they were given.
    behind: Vec<(Arc<Outbox>, QoS)>,
}

impl Link {
    /// The place of the bridge called `name`; `peer` is the client identifier of the remote broker's own bridge here, and
    /// `bell` wakes the task when its rights may have changed.
    pub fn new(broker: &Arc<Broker>, name: &str, peer: Option<Arc<str>>, bell: Arc<AtomicWaker>) -> Self {
        let gate = broker.policy.gate_of_bridge(name, bell);
        let publisher = Publisher::new(Origin { peer, ..Origin::of(broker.registry.next_key()) });
        Link { broker: broker.clone(), gate, publisher, behind: Vec::new() }
    }

    /// What tells it from other publishers.
    pub fn key(&self) -> u64 {
        self.publisher.origin.key
    }

    /// Has `outlet` take what matches `filter`, by its route number `route`. Whether a message may leave is asked when
    /// it does, see [`Link::depart`].
    pub fn attach(&self, filter: &TopicFilter, outlet: Arc<dyn Outlet>, route: usize) {
        self.broker.router.index.attach(filter, Outgoing { outlet, route });
    }

    /// What is retained under `filter`.
    pub fn retained(&self, filter: &TopicFilter, now: Instant) -> Vec<Arc<Message>> {
        self.broker.router.retained.matching(filter, now)
    }

    /// The journal of the broker.
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.broker.router.journal
    }

    /// A message that was kept.
    pub fn revive(&self, kept: KeptByBridge) -> Arc<Message> {
        let KeptByBridge { topic, payload, properties, retain, expires } = kept;
        let author = self.gate.identity().clone();
        let qos = QoS::ExactlyOnce;
        self.broker.message(SavedMessage { row: 0, topic, payload, properties, qos, retain, expires, author })
    }

    /// Who the bridge is.
    pub fn identity(&self) -> &Arc<Identity> {
        self.gate.identity()
    }

    /// Takes changes of rights and of the lock in, and answers who asks why. To be called when the bell rang; whether there
    /// was a change.
    pub fn review(&mut self) -> bool {
        let moved = self.gate.lock_moved();
        if moved {
            self.gate.follow_lock();
        }
        self.gate.review() != Standing::Same || moved
    }

    /// Whether the lock has changed since the last [`Link::review`]. Nothing may leave then before what the lock held.
    pub fn lock_moved(&mut self) -> bool {
        self.gate.lock_moved()
    }

    /// Adds up what was counted; to be called once in a while.
    pub fn tell_tally(&mut self) {
        self.gate.tell_tally();
    }

    /// Nothing is under way until the next [`Link::review`]: the lock need not wait for the bridge.
    pub fn rest(&self) {
        self.gate.rest();
    }

    /// May the message leave?
    ///
    /// # Errors
    /// The gate's no.
    pub fn depart(&mut self, departure: Departure) -> Result<Departing<'_>, NotNow> {
        self.gate.deliver(departure).map_err(|(withheld, _)| match withheld {
            Withheld::Denied(denial) if denial.lock.is_none() => NotNow::Never,
            Withheld::Denied(_) | Withheld::Held | Withheld::Moved => NotNow::Locked,
        })
    }

    /// Publishes what came from the remote broker, if the gate permits it.
    pub fn publish(&mut self, arriving: Arriving<'_>, now: Instant) -> Taken {
        let Arriving { topic, payload, properties, qos, retain } = arriving;
        if topic.bytes().filter(|byte| *byte == b'/').count() >= DEEPEST {
            return Taken::Unusable("its topic has more than 1000 levels");
        }
        let size = size(topic, payload);
        if !self.broker.budget.has_room(size) {
            return Taken::NotNow("the gateway holds as much as it may: see limits.memory");
        }
        if qos != QoS::AtMostOnce && !self.broker.router.journal.is_writable() {
            return Taken::NotNow("nothing can be stored at present");
        }
        let share = self.broker.budget.take(size);
        let author = self.gate.identity().clone();
        // What comes in must not come in again after another gateway has brought it out.
        let mut list = properties.clone();
        list.push(Property::UserProperty(MARK, &self.broker.settings.id));
        let marked = forwarded(&list);
        let make = |topic: &Arc<str>| Message {
            topic: topic.clone(),
            payload: payload.into(),
            properties: marked,
            qos,
            retain,
            expires: properties.message_expiry().map(|left| now + Duration::from_secs(left.into())),
            author,
            row: Default::default(),
            _share: share,
        };
        let published = match self.gate.publish(topic, payload, make) {
            Ok(permit) => self.broker.router.publish(&mut self.publisher, permit),
            Err(denial) => return Taken::Denied(denial),
        };
        self.publisher.wake();
        match published {
            Ok(published) => {
                self.behind.extend(published.behind.into_iter().map(|outbox| (outbox, qos)));
                Taken::Routed(published.ticket)
            }
            Err(RetainedFull) => Taken::Full,
        }
    }

    /// Whether a subscriber is behind, so that nothing more should be published before [`Link::room`].
    pub fn is_pressed(&self) -> bool {
        !self.behind.is_empty()
    }

    /// Waits for the subscribers that are behind, for a limited time.
    pub async fn room(&mut self) {
        let behind = std::mem::take(&mut self.behind);
        let all = async {
            for (outbox, qos) in &behind {
                std::future::poll_fn(|cx| outbox.poll_room(*qos, cx)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            behind.iter().for_each(|(outbox, qos)| outbox.give_up(*qos));
        }
    }
}
