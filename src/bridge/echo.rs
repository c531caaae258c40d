//! What a 3.1.1 broker sends back of our own: version 5 has "no local" for it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ahash::{AHashMap, RandomState};

/// How long an echo is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many are waited for at a time.
const MOST: usize = 16_384;

/// Messages that were sent and match a subscription of ours: the broker sends each of them back once.
#[derive(Debug, Default)]
pub struct Echoes {
    hasher: RandomState,
    expected: AHashMap<u64, u32>,
    order: VecDeque<(Instant, u64)>,
}

impl Echoes {
    /// Notes that a message was sent.
    pub fn expect(&mut self, topic: &str, payload: &[u8], now: Instant) {
        self.forget(now);
        let print = self.hasher.hash_one((topic, payload));
        *self.expected.entry(print).or_insert(0) += 1;
        self.order.push_back((now, print));
    }

    /// Whether an arriving message is one of those; it is not expected a second time.
    pub fn is_echo(&mut self, topic: &str, payload: &[u8], now: Instant) -> bool {
        self.forget(now);
        let print = self.hasher.hash_one((topic, payload));
        if !self.expected.contains_key(&print) {
            return false;
        }
        if let Some(at) = self.order.iter().position(|(_, other)| *other == print) {
            self.order.remove(at);
        }
        self.take(print);
        true
    }

    fn take(&mut self, print: u64) {
        if let Some(count) = self.expected.get_mut(&print) {
            *count -= 1;
            if *count == 0 {
                self.expected.remove(&print);
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, print)) = self.order.front().copied()
            && (self.order.len() > MOST || now.saturating_duration_since(at) > PATIENCE)
        {
            self.order.pop_front();
            self.take(print);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_that_was_sent_is_an_echo_once_and_for_a_while() {
        let mut echoes = Echoes::default();
        let now = Instant::now();
        echoes.expect("a", b"1", now);
        echoes.expect("a", b"1", now);
        assert!(!echoes.is_echo("a", b"2", now) && !echoes.is_echo("b", b"1", now));
        assert!(echoes.is_echo("a", b"1", now) && echoes.is_echo("a", b"1", now));
        assert!(!echoes.is_echo("a", b"1", now));
        echoes.expect("a", b"1", now);
        assert!(!echoes.is_echo("a", b"1", now + PATIENCE + Duration::from_secs(1)));
        for n in 0..2 * MOST {
            echoes.expect("a", &n.to_ne_bytes(), now);
        }
        assert!(echoes.order.len() <= MOST + 1 && echoes.expected.len() <= MOST + 1);
    }
}
