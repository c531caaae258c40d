//! The state as it is asked: what is closed for one user.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use super::{
    lock::Settings,
    scope::{Area, Cause, Who},
    state::State,
    topics::Topics,
};
use crate::mqtt::TopicFilter;
use crate::policy::{
    acl::Access,
    decision::{Denial, Stage},
};

/// That something is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closure {
    /// The area, as it is written.
    pub area: Arc<str>,
    /// Why.
    pub cause: Cause,
}

impl Closure {
    pub fn new(area: &str, cause: Cause) -> Self {
        Closure { area: area.into(), cause }
    }

    fn denial(&self) -> Denial {
        let Closure { area, cause } = self;
        Denial { lock: Some(*cause), ..Denial::not_authorized(Stage::Lock, Some(area.clone()), "locked") }
    }
}

/// An area that is not a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Gateway,
    Publish,
    Subscribe,
}

/// A state made ready to be asked by every gate.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub state: Arc<State>,
    everyone: Vec<(Part, Closure)>,
    users: AHashMap<Arc<str>, Vec<(Part, Closure)>>,
    others: Vec<(Who, Part, Closure)>,
    topics: Arc<Topics>,
    /// Whether a topic is closed for more than one user, and the users for whom one is.
    topics_for_many: bool,
    topics_for: AHashSet<Arc<str>>,
}

impl Compiled {
    pub fn new(state: Arc<State>) -> Self {
        let mut compiled = Compiled::default();
        let mut topics = Topics::default();
        for (scope, holders) in state.closed() {
            // A service that does not answer matters only as long as nobody has locked the same.
            let locked = holders.values().any(|hold| hold.cause == Cause::Locked);
            let cause = if locked { Cause::Locked } else { Cause::Unavailable };
            let closure = Closure::new(&scope.area.to_string(), cause);
            let part = match &scope.area {
                Area::Gateway => Part::Gateway,
                Area::Publish => Part::Publish,
                Area::Subscribe => Part::Subscribe,
                Area::Topic(filter) => {
                    topics.add(filter, &scope.who, closure);
                    match &scope.who {
                        Who::User(user) => drop(compiled.topics_for.insert(user.clone())),
                        Who::Everyone | Who::EveryoneBut(_) => compiled.topics_for_many = true,
                    }
                    continue;
                }
            };
            match &scope.who {
                Who::Everyone => compiled.everyone.push((part, closure)),
                Who::User(user) => compiled.users.entry(user.clone()).or_default().push((part, closure)),
                who @ Who::EveryoneBut(_) => compiled.others.push((who.clone(), part, closure)),
            }
        }
        Compiled { topics: Arc::new(topics), state, ..compiled }
    }

    /// What is closed for `user`.
    pub fn view(&self, user: &Arc<str>, settings: &Settings) -> View {
        if self.state.is_empty() || settings.exempt.iter().any(|name| **name == **user) {
            return View::default();
        }
        // What is closed for everyone may leave a bridge its way in or out.
        let is_bridge = user.starts_with("bridge:");
        let sides = [Side::In, Side::Out].map(|side| SideView {
            user: user.clone(),
            for_many: !is_bridge
                || match side {
                    Side::In => settings.bridge_in_closed,
                    Side::Out => settings.bridge_out_closed,
                },
            is_bridge,
        });
        let closed = |side: &SideView, parts: &[Part]| {
            let mine = self.users.get(user).into_iter().flatten();
            let everyone = self.everyone.iter().filter(|_| side.for_many);
            let others = self.others.iter().filter(|(who, ..)| side.concerns(who));
            let all = mine.chain(everyone).map(|(part, closure)| (*part, closure));
            all.chain(others.map(|(_, part, closure)| (*part, closure)))
                .filter(|(part, _)| parts.contains(part))
                .min_by_key(|(part, _)| *part != Part::Gateway)
                .map(|(_, closure)| closure.clone())
        };
        let [side_in, side_out] = sides;
        let topics = |side: &SideView| {
            let any = self.topics_for.contains(user) || (self.topics_for_many && side.for_many);
            any.then(|| self.topics.clone())
        };
        View {
            is_bridge,
            gateway: closed(&side_in, &[Part::Gateway]),
            publish: closed(&side_in, &[Part::Gateway, Part::Publish]),
            receive: closed(&side_out, &[Part::Gateway, Part::Subscribe]),
            topics_in: topics(&side_in).map(|topics| (topics, side_in)),
            topics_out: topics(&side_out).map(|topics| (topics, side_out)),
        }
    }
}

/// From clients, or to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    In,
    Out,
}

/// Whom scopes must be for to count on one side of one client.
#[derive(Debug)]
struct SideView {
    user: Arc<str>,
    /// Whether what is closed for everyone counts.
    for_many: bool,
    is_bridge: bool,
}

impl SideView {
    fn concerns(&self, who: &Who) -> bool {
        match who {
            Who::Everyone => self.for_many,
            Who::User(user) => **user == *self.user,
            Who::EveryoneBut(users) => !self.is_bridge && !users.contains(&self.user),
        }
    }
}

/// What is closed for one client.
#[derive(Debug, Default)]
pub(in crate::policy) struct View {
    /// Whether it is one of this gateway's own bridges.
    is_bridge: bool,
    gateway: Option<Closure>,
    publish: Option<Closure>,
    receive: Option<Closure>,
    topics_in: Option<(Arc<Topics>, SideView)>,
    topics_out: Option<(Arc<Topics>, SideView)>,
}

impl View {
    /// Why the client may not log in, if it may not while the gateway is closed for it.
    pub fn login(&self) -> Option<Denial> {
        self.gateway.as_ref().map(Closure::denial)
    }

    /// Why the client may not publish to `topic`. The commands under `LATCH/` are not closed: they pair a phone.
    /// Nor is what the gateway's bridges say of themselves under `$SYS/`, which else would be out of date.
    pub fn publish(&self, topic: &str) -> Option<Denial> {
        let open = self.publish.is_none() && self.topics_in.is_none();
        if open || is_latch(topic) || (self.is_bridge && topic.starts_with("$SYS/")) {
            return None;
        }
        self.publish_strictly(topic)
    }

    /// The same with no exception: for the commands that what is closed must not free itself by.
    pub fn publish_strictly(&self, topic: &str) -> Option<Denial> {
        let by_topic = || {
            let (topics, side) = self.topics_in.as_ref()?;
            topics.matching(topic, &|who| side.concerns(who))
        };
        self.publish.as_ref().or_else(by_topic).map(Closure::denial)
    }

    /// Why the client may not subscribe to `filter`.
    pub fn subscribe(&self, filter: &TopicFilter) -> Option<Denial> {
        if self.receive.is_none() && self.topics_out.is_none() || is_always_received(filter.as_str()) {
            return None;
        }
        let by_topic = || {
            let (topics, side) = self.topics_out.as_ref()?;
            topics.covering(filter, &|who| side.concerns(who))
        };
        self.receive.as_ref().or_else(by_topic).map(Closure::denial)
    }

    /// Why the client may not do the one operation of `access` on `topic`, a name or, for subscribing, a filter.
    pub fn on(&self, access: Access, topic: &str) -> Option<Denial> {
        match access {
            Access::PUBLISH => self.publish(topic),
            Access::SUBSCRIBE => self.subscribe(&TopicFilter::new(topic).ok()?),
            _ => self.receive(topic),
        }
    }

    /// Whether the client is to receive nothing but what is always received.
    pub fn receives_nothing(&self) -> bool {
        self.receive.is_some()
    }

    /// Why the client may not be delivered messages of `topic` now.
    pub fn receive(&self, topic: &str) -> Option<Denial> {
        if self.receive.is_none() && self.topics_out.is_none() || is_always_received(topic) {
            return None;
        }
        let by_topic = || {
            let (topics, side) = self.topics_out.as_ref()?;
            topics.matching(topic, &|who| side.concerns(who))
        };
        self.receive.as_ref().or_else(by_topic).map(Closure::denial)
    }
}

/// Whether no lock keeps a client from receiving this topic, or subscribing to this filter: `LATCH/…` tells it that it is
/// locked, and `$SYS/…` how the gateway is.
pub(in crate::policy) fn is_always_received(topic: &str) -> bool {
    is_latch(topic) || topic == "$SYS" || topic.starts_with("$SYS/")
}

fn is_latch(topic: &str) -> bool {
    topic == "LATCH" || topic.starts_with("LATCH/")
}
