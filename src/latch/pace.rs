//! How often somebody may try: commands over MQTT cost requests to the service, and tokens could be guessed.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Users whose tries are counted apart.
const MOST: usize = 4096;

/// So many tries within a time for each user, and ten times as many for all together.
#[derive(Debug)]
pub struct Pace {
    tries: u32,
    within: Duration,
    users: HashMap<String, (Instant, u32)>,
    all: (Instant, u32),
}

impl Pace {
    /// At most `tries` within a time.
    pub fn new(tries: u32, within: Duration, now: Instant) -> Self {
        Pace { tries, within, users: HashMap::new(), all: (now, 0) }
    }

    /// Whether `user` may try once more.
    pub fn admits(&mut self, user: &str, now: Instant) -> bool {
        let within = self.within;
        let is_over = |began: &Instant| now.saturating_duration_since(*began) >= within;
        if is_over(&self.all.0) {
            self.all = (now, 0);
        }
        if self.users.len() >= MOST && !self.users.contains_key(user) {
            self.users.retain(|_, (began, _)| !is_over(began));
            if self.users.len() >= MOST {
                return false;
            }
        }
        let count = self.users.entry(user.to_owned()).or_insert((now, 0));
        if is_over(&count.0) {
            *count = (now, 0);
        }
        count.1 = count.1.saturating_add(1);
        if count.1 > self.tries {
            return false;
        }
        self.all.1 = self.all.1.saturating_add(1);
        self.all.1 <= self.tries.saturating_mul(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_is_slowed_down_before_all_are() {
        let start = Instant::now();
        let mut pace = Pace::new(2, Duration::from_secs(60), start);
        assert_eq!([0; 4].map(|_| pace.admits("a", start)), [true, true, false, false]);
        let others = (0..30).filter(|n| pace.admits(&format!("u{n}"), start)).count();
        assert_eq!(others, 18);
        let later = start + Duration::from_secs(60);
        assert!(pace.admits("a", later) && pace.admits("z", later));
    }

    #[test]
    fn many_names_take_no_more_room_than_that() {
        let start = Instant::now();
        let mut pace = Pace::new(1, Duration::from_secs(60), start);
        let admitted = (0..MOST * 2).filter(|n| pace.admits(&n.to_string(), start)).count();
        assert_eq!(admitted, 10);
        assert_eq!(pace.users.len(), MOST);
        assert!(pace.admits("late", start + Duration::from_secs(61)));
    }
}
