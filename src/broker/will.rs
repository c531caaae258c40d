//! Wills: asked when they are made and asked again when they fire.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::mqtt::{self, QoS};
use crate::policy::{Gate, Identity};

use super::{
    broker::Broker,
    clock,
    index::Origin,
    message::{Message, forwarded, size},
};

/// A will as its client left it; it becomes a message when it fires, so that its expiry counts from then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Topic name.
    pub topic: Arc<str>,
    /// Payload.
    pub payload: Box<[u8]>,
    /// Encoded properties, as in [`Message`].
    pub properties: Box<[u8]>,
    /// QoS it is published at.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// Seconds until it expires, from its publication.
    pub expiry: Option<u32>,
    /// Seconds between the loss of the connection and the will.
    pub delay: u32,
}

/// A will that waits for its delay, and whose it is.
#[derive(Debug)]
pub(super) struct DelayedWill {
    pub will: Will,
    pub identity: Arc<Identity>,
}

impl Will {
    pub(super) fn new(will: &mqtt::Will<'_>) -> Self {
        Will {
            topic: will.topic.into(),
            payload: will.payload.into(),
            properties: forwarded(&will.properties),
            qos: will.qos,
            retain: will.retain,
            expiry: will.properties.message_expiry(),
            delay: will.properties.will_delay().unwrap_or(0),
        }
    }

    /// Publishes it, if its client still may.
    pub(super) fn fire(self, broker: &Broker, gate: &mut Gate, publisher: u64, now: Instant) {
        if gate.asks() {
            broker.fire_later(LateWill { will: self, identity: gate.identity().clone(), publisher });
            return;
        }
        self.fire_now(broker, gate, publisher, now);
    }

    fn fire_now(self, broker: &Broker, gate: &mut Gate, publisher: u64, now: Instant) {
        let author = gate.identity().clone();
        let origin = Origin { key: publisher, client_id: author.client_id.clone(), peer: None };
        let self_size = size(&self.topic, &self.payload);
        let (topic, payload) = (self.topic.clone(), self.payload.clone());
        let message = Message {
            topic: self.topic,
            payload: self.payload,
            properties: self.properties,
            qos: self.qos,
            retain: self.retain,
            expires: self.expiry.map(|seconds| now + Duration::from_secs(u64::from(seconds))),
            author,
            row: Default::default(),
            _share: broker.budget.take(self_size),
        };
        // A refusal is in the audit log; there is nobody left to tell.
        if let Ok(permit) = gate.will(&topic, &payload, message) {
            broker.router.publish_will(permit, origin);
        }
    }
}

/// A will that a backend must be asked about; whoever lets go of it does not wait.
#[derive(Debug)]
pub(super) struct LateWill {
    will: Will,
    identity: Arc<Identity>,
    publisher: u64,
}

impl LateWill {
    /// Publishes it once it is known whether its client still may.
    pub async fn fire(self, broker: Arc<Broker>) {
        let mut gate = broker.policy.gate_of(&self.identity);
        gate.will_is_known(&self.will.topic, &self.will.payload).await;
        self.will.fire_now(&broker, &mut gate, self.publisher, clock::now());
    }
}

impl DelayedWill {
    /// Publishes it, if its client still may.
    pub fn fire(self, broker: &Broker, publisher: u64, now: Instant) {
        let mut gate = broker.policy.gate_of(&self.identity);
        self.will.fire(broker, &mut gate, publisher, now);
    }
}
