//! Messages, and the deliveries of them that clients are owed.

use std::rc::Rc;

use latchgate::mqtt::{QoS, Version};

use crate::wire::Delivery;

/// A message that was published.
#[derive(Debug)]
pub struct Message {
    pub number: u32,
    pub topic: &'static str,
    pub qos: QoS,
    pub retain: bool,
    pub empty: bool,
    /// Milliseconds since the beginning.
    pub expires: Option<u64>,
    /// User and client.
    pub author: (usize, usize),
}

/// A delivery that is owed to a client.
#[derive(Clone, Debug)]
pub struct Due {
    pub message: Rc<Message>,
    pub qos: QoS,
    pub retain: bool,
    pub identifiers: Vec<u32>,
    /// The subscription that brought it, if it is a retained message that was there before.
    pub stored: Option<&'static str>,
    /// The share group and filter by which it came, if it did.
    pub share: Option<(&'static str, &'static str)>,
    /// It may be delivered or not: while it waited it lost its right.
    pub doubtful: bool,
}

impl Message {
    pub fn is_over(&self, now: u64) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    pub fn payload(&self) -> String {
        if self.empty { String::new() } else { format!("m{}", self.number) }
    }

    pub fn is(&self, delivery: &Delivery) -> bool {
        self.topic == delivery.topic && self.payload() == delivery.payload
    }
}

impl Due {
    pub fn fits(&self, delivery: &Delivery, version: Version) -> bool {
        self.message.is(delivery)
            && (self.qos, self.retain) == (delivery.qos, delivery.retain)
            && (version != Version::V5 || self.identifiers == delivery.identifiers)
    }

    pub fn describe(&self) -> String {
        let Due { message, qos, retain, identifiers, stored, .. } = self;
        let (number, topic, qos) = (message.number, message.topic, *qos as u8);
        format!(
            "m{number} on {topic} (QoS {qos}, retain {retain}, identifiers {identifiers:?}, retained for {stored:?})"
        )
    }
}
