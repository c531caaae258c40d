//! `LATCH/status`: which refusals by the lock are told, so that a client that tries again and again fills no queue.

use std::time::{Duration, Instant};

use ahash::{AHashMap, RandomState};
use parking_lot::Mutex;

/// One refusal of a topic and user is told, and no other for this long.
const PAUSE: Duration = Duration::from_secs(1);
/// Pairs of topic and user that are told apart within a pause; what is refused beyond them is not told.
const DISTINCT: usize = 4096;

/// Remembers what was told a moment ago.
#[derive(Debug, Default)]
pub(super) struct Told {
    last: Mutex<AHashMap<u64, Instant>>,
    hasher: RandomState,
}

impl Told {
    /// Whether a refusal of `user` at `topic` is to be told now; then it counts as told.
    pub fn is_new(&self, topic: &str, user: &str, now: Instant) -> bool {
        let key = self.hasher.hash_one((topic, user));
        let mut last = self.last.lock();
        if let Some(at) = last.get_mut(&key) {
            if now.saturating_duration_since(*at) < PAUSE {
                return false;
            }
            *at = now;
            return true;
        }
        if last.len() >= DISTINCT {
            last.retain(|_, at| now.saturating_duration_since(*at) < PAUSE);
        }
        let has_room = last.len() < DISTINCT;
        if has_room {
            last.insert(key, now);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_told_once_a_second_for_each_user() {
        let (told, now) = (Told::default(), Instant::now());
        assert!(told.is_new("a", "ann", now) && told.is_new("a", "bob", now) && told.is_new("b", "ann", now));
        assert!(!told.is_new("a", "ann", now + PAUSE / 2));
        assert!(told.is_new("a", "ann", now + PAUSE) && !told.is_new("a", "ann", now + PAUSE));
    }

    #[test]
    fn a_flood_of_topics_takes_bounded_memory_and_is_told_again_later() {
        let (told, now) = (Told::default(), Instant::now());
        let new = |at: Instant, from: usize| {
            (from..from + 2 * DISTINCT).filter(|n| told.is_new(&n.to_string(), "ann", at)).count()
        };
        assert_eq!(new(now, 0), DISTINCT);
        assert_eq!(new(now + PAUSE, 1_000_000), DISTINCT);
        assert!(told.last.lock().len() <= DISTINCT);
    }
}
