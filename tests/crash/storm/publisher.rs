//! A publisher of numbered messages that keeps its own session: what was not acknowledged is sent again, under its
//! identifier, before anything new.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use super::subscriber::Received;
use crate::random::Random;
use crate::support::packet::{PUBREL, ack};
use crate::support::{Client, Connect, Gone, Packet, Publish, Version};

/// Topics of a publisher at each QoS.
const TOPICS: u64 = 2;
const WINDOW: usize = 12;

#[derive(Debug)]
struct Exchange {
    publish: Publish,
    number: u64,
    released: bool,
}

pub struct Publisher {
    connect: Connect,
    name: String,
    /// Whether it forgets after the loss of a connection what was not acknowledged.
    forgetful: bool,
    random: Random,
    shared: Arc<Shared>,
    under_way: VecDeque<Exchange>,
    next_id: u16,
    sent: Sent,
}

/// What was published: for each topic how many messages, and which of them were acknowledged.
#[derive(Debug, Default)]
pub struct Sent {
    topics: BTreeMap<String, (u64, Vec<u64>)>,
}

impl Publisher {
    pub fn new(number: usize, random: Random, shared: Arc<Shared>) -> Self {
        let name = format!("p{number}");
        let forgetful = number == 3;
        let connect = Connect::new([Version::V5, Version::V311][number % 2], &name);
        let connect = if forgetful { connect } else { connect.keep_session() };
        let (under_way, sent) = Default::default();
        Self { connect, name, forgetful, random, shared, under_way, next_id: 0, sent }
    }

    /// Publishes until the storm closes and everything is acknowledged.
    pub fn run(mut self) -> Sent {
        let mut first = true;
        while let Some((client, present)) = self.shared.connect(&self.connect) {
            assert!(first || present || self.forgetful, "the session of {} is gone", self.name);
            if self.forgetful {
                self.under_way.clear();
            }
            first = false;
            if self.talk(client).is_none() {
                break;
            }
        }
        self.sent
    }

    /// `None` when it is done, else the connection is lost.
    fn talk(&mut self, mut client: Client) -> Option<()> {
        for exchange in &mut self.under_way {
            let id = exchange.publish.id.expect("it is of QoS 1 or 2");
            exchange.publish.dup = true;
            let bytes =
                if exchange.released { ack(PUBREL, id) } else { exchange.publish.encode(client.version) };
            if !client.send_anyway(&bytes) {
                return Some(());
            }
        }
        loop {
            let closing = self.shared.closing.load(Ordering::Relaxed);
            while !closing && self.under_way.len() < WINDOW {
                let exchange = self.next();
                let bytes = exchange.publish.encode(client.version);
                self.under_way.push_back(exchange);
                if !client.send_anyway(&bytes) {
                    return Some(());
                }
            }
            if self.under_way.is_empty() {
                return None;
            }
            match client.try_read() {
                Ok(packet) => self.hear(&mut client, &packet),
                Err(Gone::Closed) => return Some(()),
                Err(Gone::TimedOut) => panic!("{} gets no acknowledgement", self.name),
            }
        }
    }

    fn next(&mut self) -> Exchange {
        let qos = 1 + self.random.below(2) as u8;
        let topic = format!("storm/{}/{qos}/{}", self.name, self.random.below(TOPICS));
        // One that is not in use, as MQTT asks.
        loop {
            self.next_id = self.next_id % 1000 + 1;
            if self.under_way.iter().all(|exchange| exchange.publish.id != Some(self.next_id)) {
                break;
            }
        }
        let count = &mut self.sent.topics.entry(topic.clone()).or_default().0;
        let number = *count;
        *count += 1;
        let publish = Publish::to(&topic).qos(qos).id(self.next_id).payload(number.to_string());
        Exchange { publish, number, released: false }
    }

    fn hear(&mut self, client: &mut Client, packet: &Packet) {
        let (id, code) = match packet {
            Packet::PubAck { id, code, .. }
            | Packet::PubRec { id, code, .. }
            | Packet::PubComp { id, code, .. } => (*id, *code),
            other => panic!("{} was sent {other:?}", self.name),
        };
        // The server may have known an identifier's PUBREL before it died.
        assert!(
            code < 0x80 || matches!(packet, Packet::PubComp { .. }),
            "{} was refused: {packet:?}",
            self.name
        );
        let Some(at) = self.under_way.iter().position(|exchange| exchange.publish.id == Some(id)) else {
            return;
        };
        let exchange = &mut self.under_way[at];
        if !matches!(packet, Packet::PubComp { .. }) && !exchange.released {
            let topic = self.sent.topics.get_mut(&exchange.publish.topic).expect("it was counted");
            topic.1.push(exchange.number);
            self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        if matches!(packet, Packet::PubRec { .. }) {
            exchange.released = true;
            client.send_anyway(&ack(PUBREL, id));
        } else {
            self.under_way.remove(at);
        }
    }
}

impl Sent {
    /// Whether a subscriber got what it must: everything acknowledged, at QoS 2 once, in order.
    pub fn check(&self, received: &Received) -> Result<(), String> {
        for (topic, (count, acknowledged)) in &self.topics {
            let empty = Vec::new();
            let numbers = received.get(topic).unwrap_or(&empty);
            let mut seen = BTreeSet::new();
            for number in numbers {
                let largest = seen.last().copied();
                let repeated = !seen.insert(*number);
                // At QoS 1 what was seen may come again; what is new may not come late.
                if repeated && topic.contains("/2/") {
                    return Err(format!("{topic}: {number} came twice at QoS 2: {numbers:?}"));
                }
                if !repeated && largest.is_some_and(|largest| *number < largest) {
                    return Err(format!(
                        "{topic}: {number} came for the first time after {largest:?}: {numbers:?}"
                    ));
                }
            }
            if let Some(lost) = acknowledged.iter().find(|number| !seen.contains(number)) {
                return Err(format!("{topic}: {lost} of {count} was acknowledged and is lost: {numbers:?}"));
            }
        }
        Ok(())
    }
}
