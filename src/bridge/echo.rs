//! What a 3.1.1 broker sends back of our own: version 5 has "no local" for it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ahash::{AHashMap, RandomState};

/// How long an echo is waited for after the message was acknowledged, or another echo came.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many are waited for at a time.
const MOST: usize = 16_384;

/// Messages that were sent and match a subscription of ours: the broker sends each of them back once, soon after it has it. What
/// looks the same and comes later, or once more, is somebody else's.
#[derive(Debug, Default)]
pub struct Echoes {
    hasher: RandomState,
    /// How many echoes of each message are expected.
    expected: AHashMap<u64, u32>,
    /// Echoes that came, of which `sent` or `waiting` does not know yet.
    came: AHashMap<u64, u32>,
    /// What the broker has not acknowledged yet, by number in the spool.
    sent: AHashMap<u64, u64>,
    /// What it has, and since when.
    waiting: VecDeque<(Instant, u64)>,
    /// When an echo came last: while some come, more are on their way.
    last: Option<Instant>,
}

impl Echoes {
    /// Notes that a message was sent, by its number in the spool; 0: it will not be acknowledged.
    pub fn expect(&mut self, seq: u64, topic: &str, payload: &[u8], now: Instant) {
        let print = self.hasher.hash_one((topic, payload));
        *self.expected.entry(print).or_insert(0) += 1;
        if seq == 0 {
            self.waiting.push_back((now, print));
        } else if let Some(before) = self.sent.insert(seq, print) {
            // It was sent to another broker.
            self.give_up(before);
        }
        while self.waiting.len() > MOST {
            self.drop_first();
        }
    }

    /// Notes that the broker acknowledged a message.
    pub fn acknowledged(&mut self, seq: u64, now: Instant) {
        if let Some(print) = self.sent.remove(&seq) {
            self.waiting.push_back((now, print));
            if self.waiting.len() > MOST {
                self.drop_first();
            }
        }
    }

    /// Whether an arriving message is one of those; it is not expected a second time. `round_trip` is how long the broker
    /// takes to answer.
    pub fn is_echo(&mut self, topic: &str, payload: &[u8], round_trip: Duration, now: Instant) -> bool {
        let patience = PATIENCE + 4 * round_trip;
        let last = self.last;
        while let Some((since, _)) = self.waiting.front()
            && now.saturating_duration_since(last.map_or(*since, |last| last.max(*since))) > patience
        {
            self.drop_first();
        }
        let print = self.hasher.hash_one((topic, payload));
        if !self.take(print) {
            return false;
        }
        *self.came.entry(print).or_insert(0) += 1;
        self.last = Some(now);
        true
    }

    /// A connection begins: what the broker kept meanwhile comes now.
    pub fn connected(&mut self, now: Instant) {
        self.waiting.iter_mut().for_each(|(since, _)| *since = now);
    }

    /// Nothing of what was sent comes back any more: the broker knows nothing of us.
    pub fn clear(&mut self) {
        self.expected.clear();
        self.came.clear();
        self.sent.clear();
        self.waiting.clear();
    }

    fn drop_first(&mut self) {
        if let Some((_, print)) = self.waiting.pop_front() {
            self.give_up(print);
        }
    }

    /// One message of this kind is no longer waited for: it came, or never will.
    fn give_up(&mut self, print: u64) {
        match self.came.get_mut(&print) {
            Some(1) => drop(self.came.remove(&print)),
            Some(count) => *count -= 1,
            None => drop(self.take(print)),
        }
    }

    /// Expects one less; whether any was expected.
    fn take(&mut self, print: u64) -> bool {
        match self.expected.get_mut(&print) {
            None => return false,
            Some(1) => drop(self.expected.remove(&print)),
            Some(count) => *count -= 1,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    #[test]
    fn each_message_that_was_sent_is_an_echo_once() {
        let (mut echoes, now) = (Echoes::default(), Instant::now());
        echoes.expect(1, "a", b"1", now);
        echoes.expect(0, "a", b"1", now);
        assert!(!echoes.is_echo("a", b"2", SOON, now) && !echoes.is_echo("b", b"1", SOON, now));
        assert!(echoes.is_echo("a", b"1", SOON, now) && echoes.is_echo("a", b"1", SOON, now));
        assert!(!echoes.is_echo("a", b"1", SOON, now), "another's");
        // What is forgotten of the first two takes nothing from a third.
        echoes.acknowledged(1, now);
        echoes.expect(2, "a", b"1", now);
        echoes.acknowledged(2, now + 2 * PATIENCE);
        assert!(echoes.is_echo("a", b"1", SOON, now + 3 * PATIENCE));
        assert!(!echoes.is_echo("a", b"1", SOON, now + 3 * PATIENCE));
    }

    #[test]
    fn a_genuine_message_that_looks_the_same_is_no_echo_once_the_broker_had_time_to_send_that() {
        let (mut echoes, now) = (Echoes::default(), Instant::now());
        let late = now + PATIENCE + Duration::from_millis(100);
        echoes.expect(1, "a", b"1", now);
        assert!(echoes.is_echo("a", b"1", SOON, late), "it has not acknowledged it yet");
        echoes.acknowledged(1, late);
        echoes.expect(2, "a", b"1", late);
        echoes.acknowledged(2, late);
        assert!(!echoes.is_echo("a", b"1", SOON, late + PATIENCE + Duration::from_secs(1)));
        // Over a slow link, and while the connection was down, it is waited for longer.
        echoes.expect(3, "a", b"1", now);
        echoes.acknowledged(3, now);
        echoes.connected(now + Duration::from_secs(60));
        assert!(echoes.is_echo("a", b"1", Duration::from_secs(2), now + Duration::from_secs(69)));
    }

    #[test]
    fn no_more_are_waited_for_than_there_is_room_for() {
        let (mut echoes, now) = (Echoes::default(), Instant::now());
        for n in 1..=2 * MOST as u64 {
            echoes.expect(n, "a", &n.to_ne_bytes(), now);
            echoes.acknowledged(n, now);
        }
        assert!(echoes.waiting.len() <= MOST && echoes.expected.len() <= MOST && echoes.sent.is_empty());
    }
}
