//! A client that receives as the standard asks it to: it keeps the packet identifiers of QoS 2 messages from
//! PUBLISH to PUBREL, over connections and over the server's restarts, and so knows a repetition from a message.

use std::collections::BTreeMap;

use crate::support::packet::{PUBACK, PUBCOMP, PUBREC, ack};
use crate::support::{Client, Packet, Publish};

#[derive(Debug, Default)]
pub struct Receiver {
    /// Taken, and not yet released: identifier and payload.
    unreleased: BTreeMap<u16, Vec<u8>>,
    /// What was taken, in its order. At QoS 1 repetitions are messages.
    pub taken: Vec<Publish>,
}

impl Receiver {
    /// Takes a packet in and says what to answer, if anything.
    pub fn take(&mut self, packet: &Packet) -> Option<Vec<u8>> {
        match packet {
            Packet::Publish(publish) => match (publish.qos, publish.id) {
                (0, _) | (_, None) => {
                    self.taken.push(publish.clone());
                    None
                }
                (1, Some(id)) => {
                    self.taken.push(publish.clone());
                    Some(ack(PUBACK, id))
                }
                (_, Some(id)) => {
                    match self.unreleased.get(&id) {
                        // [MQTT-3.3.1-1], and a repetition is of the same message.
                        Some(payload) => assert!(
                            publish.dup && *payload == publish.payload,
                            "identifier {id} is in use, and came with another message: {publish:?}"
                        ),
                        None => {
                            self.unreleased.insert(id, publish.payload.clone());
                            self.taken.push(publish.clone());
                        }
                    }
                    Some(ack(PUBREC, id))
                }
            },
            Packet::PubRel { id, .. } => {
                self.unreleased.remove(id);
                Some(ack(PUBCOMP, *id))
            }
            _ => None,
        }
    }

    /// Reads and answers until `count` messages were taken in all, and nothing is left half done.
    pub fn receive(&mut self, client: &mut Client, count: usize) {
        while self.taken.len() < count || !self.unreleased.is_empty() {
            let packet = client.read();
            if let Some(answer) = self.take(&packet) {
                client.send(&answer);
            }
        }
        client.ping();
    }

    /// Whether no exchange is half done.
    pub fn is_idle(&self) -> bool {
        self.unreleased.is_empty()
    }

    pub fn texts(&self) -> Vec<&str> {
        self.taken.iter().map(Publish::text).collect()
    }
}
