//! What is wrong with a connection that goes on: said in the log, though not for each message, and shown to who asks.

use std::time::{Duration, Instant};

use super::Exchange;

/// How often the same is said again.
const REMIND: Duration = Duration::from_secs(60);

/// What was complained of.
#[derive(Debug, Default)]
pub struct Trouble {
    /// The last of it, and when that was.
    pub last: Option<(String, Instant)>,
    /// By what it was: when it was said, and how often it has happened since.
    told: Vec<(&'static str, Instant, u64)>,
}

impl Trouble {
    /// Notes that `what` has happened; how often it has since it was said, if it is to be said now.
    fn again(&mut self, what: &'static str, now: Instant) -> Option<u64> {
        let Some((_, told, since)) = self.told.iter_mut().find(|(other, ..)| *other == what) else {
            self.told.push((what, now, 0));
            return Some(1);
        };
        *since += 1;
        if now < *told + REMIND {
            return None;
        }
        *told = now;
        Some(std::mem::take(since))
    }
}

impl Exchange {
    /// A message from the remote broker was not taken and will not be.
    pub(super) fn complain(&mut self, why: &'static str, topic: &str, now: Instant) {
        self.trouble.last =
            Some((format!("a message from the remote broker is dropped: {why}: {topic}"), now));
        if let Some(times) = self.trouble.again(why, now) {
            let bridge = &self.settings.name;
            tracing::warn!(%bridge, why, topic, times, "a message from the remote broker is dropped");
        }
    }

    /// The remote broker refused a message, and it is dropped.
    pub(super) fn refuses(&mut self, reason: &'static str, now: Instant) {
        self.trouble.last = Some((format!("the remote broker refuses a message: {reason}"), now));
        if let Some(times) = self.trouble.again(reason, now) {
            let bridge = &self.settings.name;
            tracing::warn!(%bridge, reason, times, "the remote broker refuses a message: it is dropped");
        }
    }

    /// Something goes otherwise than it was wanted.
    pub(super) fn worry(&mut self, what: &'static str, now: Instant) {
        self.trouble.last = Some((what.into(), now));
        if self.trouble.again(what, now).is_some() {
            tracing::warn!(bridge = %self.settings.name, "{what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_a_minute_with_how_often_it_happened() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.again("a", now), Some(1));
        assert_eq!((trouble.again("a", now), trouble.again("b", now)), (None, Some(1)));
        assert_eq!(trouble.again("a", now + REMIND), Some(2));
        assert_eq!(trouble.again("a", now + REMIND), None);
    }
}
