//! The bounds of a connection. "No limit" is the type's maximum.

use std::time::Duration;

/// Bounds of the connections of one listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Clients connected at a time, over all listeners.
    pub connections: usize,
    /// Largest packet in bytes.
    pub packet_size: usize,
    /// Unacknowledged QoS 1 and 2 messages, each way; told to version 5 clients as receive maximum.
    pub inflight: u16,
    /// Messages queued for one session.
    pub queued_messages: usize,
    /// Bytes queued for one session.
    pub queued_bytes: usize,
    /// Longest keep alive in seconds; 0 leaves it to the client.
    pub keep_alive: u16,
    /// Levels of a topic name or filter.
    pub topic_levels: usize,
    /// Bytes of a topic name or filter.
    pub topic_length: usize,
    /// Subscriptions of one session.
    pub subscriptions: usize,
    /// Longest time in seconds a session outlives its connection; `u32::MAX` for no limit.
    pub session_expiry: u32,
    /// From the first byte's turn to a complete CONNECT, and again to its answer.
    pub connect_timeout: Duration,
}

/// Deepest topic whatever the configuration says: the trees are walked recursively.
const DEEPEST: usize = 1000;

/// Largest CONNECT in bytes: it comes before anybody was admitted. A will of the largest size fits.
pub(super) const CONNECT_SIZE: usize = 128 * 1024;

/// Largest SUBSCRIBE or UNSUBSCRIBE in bytes: each filter in it is work.
pub(super) const SUBSCRIBE_SIZE: usize = 1024 * 1024;

/// How many topic aliases a client may use.
pub(super) const TOPIC_ALIASES: u16 = 64;

impl Limits {
    /// Whether a topic name or filter is within bounds.
    pub(super) fn admits_topic(&self, topic: &str) -> bool {
        topic.len() <= self.topic_length
            && topic.bytes().filter(|byte| *byte == b'/').take(DEEPEST).count()
                < self.topic_levels.min(DEEPEST)
    }
}

#[cfg(test)]
impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10,
            packet_size: 1 << 20,
            inflight: 10,
            queued_messages: 100,
            queued_bytes: 1 << 20,
            keep_alive: 0,
            topic_levels: 8,
            topic_length: 100,
            subscriptions: 10,
            session_expiry: u32::MAX,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_bounded_in_levels_and_bytes() {
        let limits = Limits::default();
        assert!(limits.admits_topic("a/b/c/d/e/f/g/h"));
        assert!(!limits.admits_topic("a/b/c/d/e/f/g/h/i"));
        assert!(!limits.admits_topic(&"a".repeat(101)));
        let unlimited = Limits { topic_levels: usize::MAX, topic_length: usize::MAX, ..limits };
        assert!(!unlimited.admits_topic(&"/".repeat(DEEPEST)));
    }
}
