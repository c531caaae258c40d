//! A backend that fails again and again is left alone for a moment: nobody waits in vain, and it is not run over when
//! it comes back.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Failures in a row, beyond which nothing is asked for a while.
const FAILURES: u32 = 5;
/// How long it is left alone; then one question tries.
const PAUSE: Duration = Duration::from_millis(700);

#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Nothing is asked before.
    until: Option<Instant>,
}

impl Breaker {
    /// Whether a question may be put. After a pause it is one; its outcome decides about the others.
    pub fn may_try(&self, now: Instant) -> bool {
        let mut state = self.0.lock();
        match state.until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                state.until = Some(now + PAUSE);
                true
            }
        }
    }

    /// Whether nothing may be asked now.
    pub fn is_open(&self, now: Instant) -> bool {
        self.0.lock().until.is_some_and(|until| now < until)
    }

    pub fn succeeded(&self) {
        *self.0.lock() = State::default();
    }

    pub fn failed(&self, now: Instant) {
        let mut state = self.0.lock();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.until = Some(now + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_open_it_and_one_question_tries_within_a_second() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..4 {
            breaker.failed(now);
            assert!(breaker.may_try(now));
        }
        breaker.succeeded();
        (0..5).for_each(|_| breaker.failed(now));
        assert!(!breaker.may_try(now));
        let later = now + Duration::from_secs(1);
        assert!(breaker.may_try(later));
        assert!(!breaker.may_try(later), "the others wait for the one that tries");
        breaker.succeeded();
        assert!(breaker.may_try(later) && breaker.may_try(later));
    }
}
