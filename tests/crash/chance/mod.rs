//! Operations as chance has them, one after the other, and a server that dies at named places in between: whatever was
//! answered must be so afterwards, and whatever was not must be so or not so.
//!
//! `CRASH_ROUNDS` makes it longer, `CRASH_SEED` repeats it.

mod model;
mod peer;

use crate::powercut::{self, Unsynced};
use crate::random::Random;
use crate::support::packet::{self, PUBREL, ack};
use crate::support::{Connect, Packet, Publish, Subject, Subscribe, Version, skip_for_mosquitto};
use model::{Model, SHARE, Session, Will};
use peer::{Died, Peer};

/// Operations when nothing else is said.
const OPERATIONS: u64 = 150;
const CLIENTS: usize = 4;
const FILTERS: [&str; 6] = ["t/a", "t/b", "t/+", "t/#", "will/+", SHARE];
/// The publisher is a client too.
const PUBLISHER: usize = CLIENTS;

#[test]
fn death_at_any_place_leaves_what_was_answered() {
    skip_for_mosquitto!("it has no such places");
    story(None);
}

#[test]
fn death_at_any_place_with_what_was_not_synced_lost_leaves_what_was_answered() {
    skip_for_mosquitto!("it has no such places");
    story(Some(Unsynced::Lost));
}

#[test]
fn death_at_any_place_with_torn_writes_leaves_what_was_answered() {
    skip_for_mosquitto!("it has no such places");
    story(Some(Unsynced::Torn(Random::new(0))));
}

struct Story {
    subject: Subject,
    random: Random,
    unsynced: Option<Unsynced>,
    peers: Vec<Peer>,
    model: Model,
    /// What members of the share group had before their sessions ended.
    shared: Vec<u64>,
    deaths: usize,
    told: Vec<String>,
}

fn story(unsynced: Option<Unsynced>) {
    let seed = Random::seed_of("CRASH_SEED");
    // Shown only if the test fails.
    println!("again with CRASH_SEED={seed}");
    let mut random = Random::new(seed);
    let rounds: u64 = std::env::var("CRASH_ROUNDS").map_or(6, |text| text.parse().expect("CRASH_ROUNDS"));
    let unsynced = unsynced.map(|unsynced| match unsynced {
        Unsynced::Torn(_) => Unsynced::Torn(random.branch()),
        Unsynced::Lost => Unsynced::Lost,
    });
    let mut settings = Subject::with().lasting();
    if unsynced.is_some() {
        settings = powercut::watched(settings, 0);
    }
    let mut model = Model::default();
    model.sessions.resize_with(CLIENTS, Session::default);
    let mut peers = Vec::new();
    peers.resize_with(CLIENTS + 1, Peer::default);
    let (shared, told) = Default::default();
    let mut story =
        Story { subject: settings.start(), random, unsynced, peers, model, shared, deaths: 0, told };
    for _ in 0..OPERATIONS * rounds / 6 {
        story.step();
    }
    story.finish();
    println!("it died {} times", story.deaths);
    assert!(rounds < 2 || story.deaths > 0, "it never died");
}

impl Story {
    fn step(&mut self) {
        let client = self.random.below(CLIENTS as u64) as usize;
        let filter = self.random.pick(&FILTERS);
        match self.random.below(20) {
            0..3 => self.subscribe(client, filter),
            3 => self.unsubscribe(client, filter),
            4..8 => self.publish(["t/a", "t/b"][client % 2], false),
            8..10 => self.publish("share/x", false),
            10..12 => self.publish(["t/a", "t/b"][client % 2], true),
            12 => self.clear(["t/a", "t/b"][client % 2]),
            13 => self.leave(client),
            14 => self.lose(client),
            15 => self.end(client),
            16 => self.until(|story| story.connected(client, true)),
            17 => {
                self.tell("killed".into());
                self.subject.kill();
                self.begin_again();
            }
            _ => self.drain(client),
        }
    }

    fn tell(&mut self, what: String) {
        self.told.push(what);
    }

    /// Tries until the server lives long enough.
    fn until<T>(&mut self, mut operation: impl FnMut(&mut Self) -> Result<T, Died>) -> T {
        loop {
            match operation(self) {
                Ok(done) => return done,
                Err(Died) => {
                    self.subject.wait();
                    self.begin_again();
                }
            }
        }
    }

    fn begin_again(&mut self) {
        self.peers.iter_mut().for_each(Peer::lose);
        self.model.died();
        loop {
            self.deaths += 1;
            if let Some(unsynced) = &mut self.unsynced {
                powercut::cut(self.subject.directory(), unsynced);
            }
            let place = self.random.pick(&["halfway", "before-commit", "after-commit", "before-answer"]);
            let point =
                format!("{place}:{}", 1 + self.random.below(if place == "halfway" { 60 } else { 25 }));
            self.tell(format!("-- begins again, until {point}"));
            if self.subject.try_start_again(&[("LATCHGATE_FAIL", &point)]).is_ok() {
                return;
            }
        }
    }

    fn who(client: usize) -> Connect {
        let version = if client < 2 || client == PUBLISHER { Version::V5 } else { Version::V311 };
        Connect::new(version, &format!("c{client}"))
    }

    /// Has a client connected, with its session.
    fn connected(&mut self, client: usize, with_will: bool) -> Result<(), Died> {
        if self.peers[client].is_connected() {
            return Ok(());
        }
        let mut connect = Self::who(client).keep_session();
        if client == PUBLISHER {
            return self.peers[client].connect(self.subject.port(), &connect).map(drop);
        }
        let will = (with_will && self.random.one_in(2)).then(|| Will {
            number: self.model.next_number(),
            qos: 1 + self.random.below(2) as u8,
            sure: false,
        });
        if let Some(will) = will {
            let topic = format!("will/{client}");
            connect = connect.will(crate::support::Will::new(&topic, &will.number.to_string()).qos(will.qos));
        }
        let session = &mut self.model.sessions[client];
        let kept = session.kept;
        session.next_will = will;
        session.kept = kept.filter(|kept| *kept);
        self.tell(format!("c{client} connects with {will:?}"));
        let present = self.peers[client].connect(self.subject.port(), &connect)?;
        assert!(kept.is_none_or(|kept| kept == present), "the session of c{client}: {}", self.so_far());
        let session = &mut self.model.sessions[client];
        session.kept = Some(true);
        session.next_will = None;
        // The connection before, if there was one, is over now.
        let before = session.will.take();
        session.will = will.map(|will| Will { sure: true, ..will });
        if let Some(before) = before {
            self.model.will_published(client, before);
        }
        self.subscribe_one(client, Self::mark(client), 1)
    }

    /// Under this topic a client is told that it had everything.
    fn mark(client: usize) -> &'static str {
        ["mark/0", "mark/1", "mark/2", "mark/3"][client]
    }

    fn subscribe_one(&mut self, client: usize, filter: &str, qos: u8) -> Result<(), Died> {
        let subscribe = Subscribe::to(filter, qos).encode(self.peers[client].version(), 1);
        self.peers[client].ask(&subscribe, |packet| match packet {
            Packet::SubAck { codes, .. } => {
                assert_eq!(codes, &[qos]);
                Some(())
            }
            _ => None,
        })
    }

    fn subscribe(&mut self, client: usize, filter: &'static str) {
        // Whichever member gets a message, it gets it at the QoS it was published at.
        let qos = if filter == SHARE { 2 } else { 1 + self.random.below(2) as u8 };
        self.until(|story| {
            story.connected(client, true)?;
            story.tell(format!("c{client} subscribes to {filter} at {qos}"));
            story.model.subscribed(client, filter, qos, false);
            story.subscribe_one(client, filter, qos)?;
            story.model.subscribed(client, filter, qos, true);
            Ok(())
        });
    }

    fn unsubscribe(&mut self, client: usize, filter: &'static str) {
        self.drain(client);
        self.until(|story| {
            story.connected(client, true)?;
            story.tell(format!("c{client} unsubscribes from {filter}"));
            if let Some((_, sure)) = story.model.sessions[client].subscriptions.get_mut(filter) {
                *sure = false;
            }
            let bytes = packet::unsubscribe(story.peers[client].version(), 2, &[filter]);
            story.peers[client]
                .ask(&bytes, |packet| matches!(packet, Packet::UnsubAck { .. }).then_some(()))?;
            story.model.sessions[client].subscriptions.remove(filter);
            Ok(())
        });
    }

    /// Publishes, and repeats it as the standard asks until it is acknowledged.
    fn send(&mut self, publish: Publish) {
        let mut publish = publish.id(7);
        let mut released = false;
        self.until(|story| {
            story.connected(PUBLISHER, false)?;
            let publisher = &mut story.peers[PUBLISHER];
            if !released {
                let bytes = publish.encode(Version::V5);
                publish.dup = true;
                publisher.ask(&bytes, |packet| match packet {
                    Packet::PubAck { code, .. } | Packet::PubRec { code, .. } => {
                        assert!(*code < 0x80, "refused: {packet:?}");
                        Some(())
                    }
                    _ => None,
                })?;
            }
            released = publish.qos == 2;
            if released {
                publisher
                    .ask(&ack(PUBREL, 7), |packet| matches!(packet, Packet::PubComp { .. }).then_some(()))?;
            }
            Ok(())
        });
    }

    fn publish(&mut self, topic: &str, retain: bool) {
        let (number, qos) = (self.model.next_number(), 1 + self.random.below(2) as u8);
        self.tell(format!("{number} is published to {topic} at {qos}, retained: {retain}"));
        let publish = Publish::to(topic).qos(qos).payload(number.to_string());
        self.send(if retain { publish.retain() } else { publish });
        self.model.published(topic, number, qos, retain);
    }

    fn clear(&mut self, topic: &str) {
        self.tell(format!("{topic} is cleared"));
        // Whoever subscribes gets the empty message too.
        self.send(Publish::to(topic).qos(1).retain());
        self.model.cleared(topic);
    }

    fn leave(&mut self, client: usize) {
        self.tell(format!("c{client} leaves"));
        if let Some(will) = &mut self.model.sessions[client].will {
            will.sure = false;
        }
        self.peers[client].leave();
        // Acknowledged after it.
        self.send(Publish::to("settled").qos(1).retain().payload("x"));
        self.model.sessions[client].will = None;
    }

    fn lose(&mut self, client: usize) {
        self.tell(format!("c{client} loses its connection"));
        self.peers[client].lose();
        // To take over waits for the end of the connection before.
        self.until(|story| story.connected(client, false));
    }

    fn end(&mut self, client: usize) {
        self.leave(client);
        self.tell(format!("the session of c{client} ends"));
        let receiver = std::mem::take(&mut self.peers[client].receiver);
        self.shared.extend(shared(&receiver.taken));
        self.model.ended(client);
        self.model.sessions[client].kept = None;
        self.until(|story| {
            let connect = Self::who(client);
            let present = story.peers[client].connect(story.subject.port(), &connect)?;
            assert!(!present);
            Ok(())
        });
        self.peers[client].leave();
        self.peers[client].receiver = Default::default();
        self.model.sessions[client].kept = Some(false);
    }

    /// Has a client take everything, and looks whether it is all.
    fn drain(&mut self, client: usize) {
        self.until(|story| story.connected(client, true));
        let mark = self.model.next_number().to_string();
        self.tell(format!("c{client} takes everything up to {mark}"));
        self.send(Publish::to(Self::mark(client)).qos(1).payload(&mark));
        self.until(|story| {
            story.connected(client, true)?;
            let peer = &mut story.peers[client];
            let is_mark = |publish: &Publish| publish.payload == mark.as_bytes();
            // It may have come while something else was awaited.
            if !peer.receiver.taken.iter().any(is_mark) {
                peer.ask(&[], |packet| {
                    matches!(packet, Packet::Publish(publish) if is_mark(publish)).then_some(())
                })?;
            }
            while !peer.receiver.is_idle() {
                peer.ask(&[], |packet| matches!(packet, Packet::PubRel { .. }).then_some(()))?;
            }
            Ok(())
        });
        if let Err(wrong) = self.model.check(client, &self.peers[client].receiver.taken) {
            panic!("c{client}: {wrong}: {}", self.so_far());
        }
    }

    fn so_far(&self) -> String {
        let last = self.told.len().saturating_sub(60);
        self.told[last..].join("\n")
    }

    fn finish(&mut self) {
        self.tell("at the end everybody takes what is theirs".into());
        (0..CLIENTS).for_each(|client| self.drain(client));
        let taken = self.peers[..CLIENTS].iter().flat_map(|peer| shared(&peer.receiver.taken));
        let taken: Vec<u64> = taken.chain(self.shared.iter().copied()).collect();
        if let Err(wrong) = self.model.check_shared(&taken) {
            panic!("{wrong}: {}", self.so_far());
        }
        self.subject.kill();
        if let Some(unsynced) = &mut self.unsynced {
            powercut::cut(self.subject.directory(), unsynced);
        }
        self.subject.start_again();
        let mut reader = self.subject.v5("reader");
        reader.subscribe("t/#", 1);
        reader.subscribe("the end", 1);
        reader.say("the end", "end");
        let mut found = std::collections::BTreeMap::new();
        loop {
            let message = reader.receive();
            if message.topic == "the end" {
                break;
            }
            found.insert(message.topic.clone(), message.text().parse().expect("payloads are numbers"));
        }
        assert_eq!(found, self.model.retained(), "{}", self.so_far());
    }
}

/// The numbers of the messages to the share group.
fn shared(taken: &[Publish]) -> Vec<u64> {
    let of_group = taken.iter().filter(|publish| publish.topic.starts_with("share/"));
    of_group.map(|publish| publish.text().parse().expect("payloads are numbers")).collect()
}
