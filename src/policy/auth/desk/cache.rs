//! Answers that are remembered, bounded in number and in time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ahash::AHashMap;

use super::{Said, Tag};

/// Answers kept; the oldest makes room.
const CAPACITY: usize = 16_384;

/// What a backend answered lately.
#[derive(Debug, Default)]
pub(super) struct Cache {
    said: AHashMap<Tag, Kept>,
    /// Oldest first. May hold tags that were remembered anew since, by an earlier number.
    order: VecDeque<(Tag, u64)>,
    number: u64,
}

#[derive(Debug)]
struct Kept {
    said: Said,
    /// When it is not even good for an emergency any more.
    end: Instant,
    number: u64,
}

impl Cache {
    /// The answer to a question, while it counts.
    pub fn fresh(&self, tag: &Tag, now: Instant) -> Option<Said> {
        self.said.get(tag).filter(|kept| now < kept.said.until).map(|kept| kept.said.clone())
    }

    /// The last answer, if it ended less than `most` ago.
    pub fn stale(&self, tag: &Tag, now: Instant, most: Duration) -> Option<Said> {
        self.said.get(tag).filter(|kept| now < kept.said.until + most).map(|kept| kept.said.clone())
    }

    /// Remembers an answer, for `keep` beyond its time.
    pub fn insert(&mut self, tag: Tag, said: Said, keep: Duration) {
        self.number += 1;
        let (now, number, end) = (said.at, self.number, said.until + keep);
        self.said.insert(tag, Kept { said, end, number });
        self.order.push_back((tag, number));
        while let Some((tag, number)) = self.order.front() {
            let kept = self.said.get(tag).filter(|kept| kept.number == *number);
            let over = kept.is_none_or(|kept| kept.end <= now);
            if !over && self.order.len() <= CAPACITY {
                break;
            }
            if kept.is_some() {
                self.said.remove(tag);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::backend::Answer;
    use super::*;

    fn said(at: Instant, seconds: u64) -> Said {
        let until = at + Duration::from_secs(seconds);
        Said {
            answer: Answer::Allow,
            why: "".into(),
            at,
            until,
            remembered: true,
            failed: false,
            grant: None,
            stored: None,
            filters: None,
        }
    }

    fn tag(number: u64) -> Tag {
        let mut tag = [0; 32];
        tag[..8].copy_from_slice(&number.to_le_bytes());
        tag
    }

    #[test]
    fn an_answer_counts_for_its_time_and_in_an_emergency_somewhat_longer() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        cache.insert(tag(1), said(now, 10), Duration::from_secs(5));
        assert!(cache.fresh(&tag(1), at(9)).is_some() && cache.fresh(&tag(1), at(10)).is_none());
        let stale = |seconds| cache.stale(&tag(1), at(seconds), Duration::from_secs(5)).is_some();
        assert!(stale(14) && !stale(15));
    }

    #[test]
    fn the_cache_never_grows_past_its_capacity_and_the_newest_stay() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let many = 3 * CAPACITY as u64;
        for number in 0..many {
            cache.insert(tag(number % (2 * CAPACITY as u64)), said(now, 1000), Duration::ZERO);
        }
        assert!(cache.said.len() <= CAPACITY && cache.order.len() <= CAPACITY);
        assert!(cache.fresh(&tag((many - 1) % (2 * CAPACITY as u64)), now).is_some());
    }

    #[test]
    fn what_is_over_makes_room_first() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.insert(tag(1), said(now, 1), Duration::ZERO);
        cache.insert(tag(2), said(now + Duration::from_secs(2), 1), Duration::ZERO);
        assert_eq!((cache.said.len(), cache.order.len()), (1, 1));
    }
}
