//! What is retained here and offered to a remote broker that knows nothing of it.

use std::sync::{Arc, Weak};

use ahash::AHashMap;

use crate::broker::Message;

use super::Spool;

/// Retained messages that were offered, by topic, and the number each waits under.
pub(super) type Offered = AHashMap<Arc<str>, (Weak<Message>, u64)>;

impl Spool {
    /// Offers what is retained, but nothing twice that waits since the last time: a remote broker that forgets the bridge at
    /// each connection would fill the spool with copies, until what was acknowledged is dropped for them.
    pub fn offer_retained(&self, route: usize, messages: &[Arc<Message>]) {
        let mut offered = self.offered.lock();
        {
            let queue = self.queue.lock();
            offered.retain(|_, (_, seq)| queue.place_of(*seq).is_some());
        }
        for message in messages {
            let waits = |(before, _): &(Weak<Message>, u64)| before.as_ptr() == Arc::as_ptr(message);
            if offered.get(&message.topic).is_some_and(waits) {
                continue;
            }
            if let Some(seq) = self.take_on(route, message) {
                offered.insert(message.topic.clone(), (Arc::downgrade(message), seq));
            }
        }
    }
}
