//! What the gateway itself says, under `$SYS/` and `LATCH/`.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::mqtt::QoS;
use crate::policy::{Announcer, Voice};

use super::{broker::Broker, message::Message};

/// Publishes in the gateway's name. Its copies share the one [`Voice`].
#[derive(Clone)]
pub struct Speaker {
    broker: Weak<Broker>,
    voice: Arc<Mutex<Voice>>,
}

impl Speaker {
    /// Has `broker` carry what the voice says, as long as it is there.
    pub fn new(broker: &Arc<Broker>, voice: Voice) -> Self {
        Speaker { broker: Arc::downgrade(broker), voice: Arc::new(Mutex::new(voice)) }
    }

    /// Publishes at QoS 0; what is to be retained is so until the gateway ends. It is on its way to every subscriber when
    /// this returns, and delivered where the subscriber's gate permits.
    pub fn say(&self, topic: &Arc<str>, payload: impl Into<Box<[u8]>>, retain: bool) {
        let Some(broker) = self.broker.upgrade() else { return };
        // Held until it is on its way, so that of two the later is retained and comes later.
        let mut voice = self.voice.lock();
        let message = Message {
            topic: topic.clone(),
            payload: payload.into(),
            properties: Box::default(),
            qos: QoS::AtMostOnce,
            retain,
            expires: None,
            author: voice.identity().clone(),
            row: Default::default(),
            _share: Default::default(),
        };
        match voice.publish(topic, message) {
            Ok(permit) => broker.router.announce(permit),
            Err(error) => tracing::error!(%error, topic = &**topic, "not published"),
        }
    }
}

impl Announcer for Speaker {
    fn announce(&self, topic: &str, payload: String, retain: bool) {
        self.say(&topic.into(), payload.into_bytes(), retain);
    }
}
