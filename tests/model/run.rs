//! Tells the same operation to the broker and to the model, and compares what every client saw.

use latchgate::mqtt::{Login, Packet, Properties, Property, ReasonCode, Version};

use crate::{
    model::Model,
    operation::{CLIENTS, Hello, Operation, TAKING_PART, Will, version_of},
    rules::WATCHER,
    session::Exchange,
    wire::{ALIASES, Seen},
    world::World,
};

/// Between two operations, so that no two things fall due at the same moment.
const TICK: u64 = 20;
/// How many milliseconds late the broker may do what falls due.
const LATE: u64 = 12;

/// One case on its way.
pub struct Run {
    pub world: World,
    pub model: Model,
    /// What happened, sentence by sentence.
    pub story: Vec<String>,
    /// The last packet identifier a client used, by client.
    pub ids: [u16; CLIENTS.len()],
    step: usize,
}

impl Run {
    pub fn new() -> Self {
        let model = Model::new();
        let world = World::new(model.rules.accounts());
        Run { world, model, story: Vec::new(), ids: [0; CLIENTS.len()], step: 0 }
    }

    /// Does one operation, if it is possible, and waits until everything it caused has been seen.
    pub async fn step(&mut self, operation: &Operation) -> Result<(), String> {
        self.step += 1;
        self.wait(TICK).await?;
        if !self.is_possible(operation) {
            return Ok(());
        }
        self.story.push(format!("{:>3}. {operation}.", self.step));
        match operation {
            Operation::Wait { seconds } => self.wait(u64::from(*seconds) * 1000).await,
            Operation::AcknowledgeAll { client } => self.acknowledge_all(*client).await,
            other => {
                self.perform(other);
                self.compare().await
            }
        }
    }

    fn is_possible(&self, operation: &Operation) -> bool {
        use Operation::*;
        match operation {
            Connect { .. } | SwitchRule { .. } | SwitchUser { .. } | Wait { .. } => true,
            Drop { client }
            | Disconnect { client, .. }
            | Publish { client, .. }
            | Release { client, .. }
            | Repeat { client, .. }
            | Subscribe { client, .. }
            | Unsubscribe { client, .. }
            | Acknowledge { client, .. }
            | AcknowledgeAll { client }
            | Ping { client } => self.model.sessions.get(client).is_some_and(|s| s.online.is_some()),
        }
    }

    /// Lets time pass, stopping wherever something falls due.
    async fn wait(&mut self, milliseconds: u64) -> Result<(), String> {
        let end = self.world.now() + milliseconds;
        while let Some(due) = self.model.next_deadline().filter(|due| *due <= end) {
            self.world.advance_to(due.max(self.world.now()) + LATE).await;
            self.model.now = self.world.now();
            self.model.fall_due();
            self.compare().await?;
        }
        self.world.advance_to(end.max(self.world.now())).await;
        self.model.now = self.world.now();
        self.compare().await
    }

    pub fn connect(&mut self, client: usize, user: usize, hello: &Hello) {
        let number = self.model.next_message();
        let payload = format!("m{number}");
        let v5 = hello.version == Version::V5;
        let properties = |list: Vec<Property<'static>>| Properties(if v5 { list } else { Vec::new() });
        let will = hello.will.as_ref().map(|Will { topic, qos, retain, delay }| latchgate::mqtt::Will {
            topic,
            payload: payload.as_bytes(),
            qos: *qos,
            retain: *retain,
            properties: properties(vec![Property::WillDelayInterval(*delay)]),
        });
        let mut said = vec![Property::SessionExpiryInterval(hello.expiry)];
        said.push(Property::TopicAliasMaximum(ALIASES));
        said.extend(hello.receive_maximum.map(Property::ReceiveMaximum));
        let connect = latchgate::mqtt::Connect {
            version: hello.version,
            bridge: false,
            clean_start: hello.clean,
            keep_alive: hello.keep_alive,
            client_id: CLIENTS[client],
            will,
            login: Login::default(),
            properties: properties(said),
        };
        let wire = self.world.connect(user, hello.version, &Packet::Connect(Box::new(connect)));
        self.model.connect(wire, client, user, hello, number);
    }

    /// Acknowledges one delivery after the other until none is open.
    async fn acknowledge_all(&mut self, client: usize) -> Result<(), String> {
        for _ in 0..10_000 {
            let session = self.model.sessions.get(&client);
            if session.is_none_or(|session| session.window.is_empty()) {
                return Ok(());
            }
            self.perform(&Operation::Acknowledge { client, nth: 0, refuse: false });
            self.compare().await?;
        }
        Err(format!("{} is sent something without end", CLIENTS[client]))
    }

    /// Everybody comes back and takes what is theirs, and the watcher looks at what is retained.
    pub async fn finish(&mut self) -> Result<(), String> {
        self.story.push("     At the end everybody comes back.".into());
        let hello = |client, expiry| Hello {
            version: version_of(client),
            clean: false,
            expiry,
            receive_maximum: None,
            keep_alive: 0,
            will: None,
        };
        for client in 0..TAKING_PART {
            if !self.model.rules.is_enabled(client) {
                self.step(&Operation::SwitchUser { user: client }).await?;
            }
            self.step(&Operation::Connect { client, stranger: None, hello: hello(client, u32::MAX) }).await?;
            self.step(&Operation::AcknowledgeAll { client }).await?;
        }
        let client = WATCHER;
        self.step(&Operation::Connect { client, stranger: None, hello: hello(client, 0) }).await?;
        let filters = vec![("#", Default::default())];
        self.step(&Operation::Subscribe { client, filters, identifier: None }).await
    }

    /// Gives the broker time to do everything it has to, and compares.
    async fn compare(&mut self) -> Result<(), String> {
        for (wire, seen) in self.world.settle().await {
            self.saw(wire, seen)?;
        }
        if let Some((_, expected)) = self.model.expected.iter().find(|(_, list)| !list.is_empty()) {
            return Err(format!("nobody saw {expected:?}"));
        }
        let Model { sessions, rules, pool, now, .. } = &mut self.model;
        for session in sessions.values_mut() {
            session.check_quiet(rules, *now)?;
        }
        pool.check_quiet(sessions, rules, *now)
    }

    fn saw(&mut self, wire: usize, seen: Seen) -> Result<(), String> {
        let model = &mut self.model;
        let owner = model.sessions.values_mut().find(|s| s.online.as_ref().is_some_and(|o| o.wire == wire));
        let name = owner.as_ref().map_or("a connection that is over", |session| session.name());
        if !matches!(seen, Seen::Publish(_)) {
            self.story.push(format!("       {name} sees {seen:?}"));
            let expected = model.expected.entry(wire).or_default();
            if expected.first() == Some(&seen) {
                expected.remove(0);
                return Ok(());
            }
            if let (Seen::PubRel(id, ReasonCode::Success), Some(session)) = (&seen, owner) {
                return session.released_again(*id);
            }
            return Err(format!("{name} should have seen {:?} and not {seen:?}", expected.first()));
        }
        let Seen::Publish(delivery) = seen else { return Ok(()) };
        let wrong = |why: String| format!("{name} was sent {delivery:?}: {why}");
        let told = &delivery;
        self.story.push(format!(
            "       {name} is sent {} on {} at QoS {}{}{}{}{}",
            if told.payload.is_empty() { "nothing" } else { &told.payload },
            told.topic,
            told.qos as u8,
            told.id.map_or(String::new(), |id| format!(", packet identifier {id}")),
            if told.retain { ", retained" } else { "" },
            if told.dup { ", DUP" } else { "" },
            if told.identifiers.is_empty() { "".into() } else { format!(", {:?}", told.identifiers) },
        ));
        let Some(session) = owner else { return Err(wrong("nobody should see anything".into())) };
        let waits = |seen: &Seen| matches!(seen, Seen::ConnAck { .. });
        if model.expected.get(&wire).is_some_and(|list| list.iter().any(waits)) {
            return Err(wrong("CONNACK comes first".into()));
        }
        let outcome = session.delivered(&delivery, &model.rules, model.now);
        if outcome == Ok(true) {
            return Ok(());
        }
        match model.pool.take(session, &delivery).filter(|_| !delivery.dup) {
            Some(due) => session.sent(due, &delivery, &model.rules, model.now).map_err(wrong),
            None => Err(wrong(outcome.err().unwrap_or_else(|| session.owed_instead(&delivery)))),
        }
    }

    /// The open delivery an operation means, if there is any: the oldest is the 0th.
    pub fn open(&self, client: usize, nth: usize) -> Option<&Exchange> {
        let window = &self.model.sessions.get(&client)?.window;
        window.get(nth % window.len().max(1))
    }

    /// The open QoS 2 publish an operation means, if there is any.
    pub fn unreleased(&self, client: usize, nth: usize) -> Option<u16> {
        let incoming = &self.model.sessions.get(&client)?.incoming;
        incoming.keys().nth(nth % incoming.len().max(1)).copied()
    }

    /// A packet identifier that `client` does not use.
    pub fn fresh_id(&mut self, client: usize) -> u16 {
        self.ids[client] += 1;
        self.ids[client]
    }

    /// Sends a packet of a connected client.
    pub fn send(&mut self, client: usize, packet: &Packet<'_>) -> usize {
        let now = self.model.now;
        let Some(online) = self.model.sessions.get_mut(&client).and_then(|s| s.online.as_mut()) else {
            return usize::MAX;
        };
        online.last_packet = now;
        let wire = online.wire;
        self.world.send(wire, packet);
        wire
    }

    pub fn expect(&mut self, wire: usize, seen: Seen) {
        self.model.expected.entry(wire).or_default().push(seen);
    }

    /// Adds to the story.
    pub fn note(&mut self, what: impl std::fmt::Display) {
        self.story.push(format!("       ({what})"));
    }
}
