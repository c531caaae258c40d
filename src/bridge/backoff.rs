//! The wait between two attempts to connect.

use std::time::Duration;

/// Doubles from `least` to `most`; the real wait is between half of it and all of it, by chance, so that a thousand gateways
/// do not come back at once.
#[derive(Debug)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
    /// Whether what ended the last connection is likely to come again.
    stuck: bool,
}

impl Backoff {
    pub fn new(least: Duration, most: Duration) -> Self {
        Backoff { least, most: most.max(least), next: least, stuck: false }
    }

    /// Begins anew once a connection has lasted for as long as the next wait would be. A remote broker that lets the bridge
    /// in and ends each connection at once is not asked all the time.
    pub fn lasted(&mut self, time: Duration) {
        if time >= if self.stuck { self.most } else { self.next } {
            (self.next, self.stuck) = (self.least, false);
        }
    }

    /// What ended the connection is likely to come again: only one that lasts for the longest wait makes it begin anew.
    pub fn stuck(&mut self) {
        self.stuck = true;
    }

    /// The wait before the next attempt.
    pub fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.most);
        let mut random = [0; 4];
        // Without chance it waits all of it.
        let share = match getrandom::fill(&mut random) {
            Ok(()) => f64::from(u32::from_ne_bytes(random)) / f64::from(u32::MAX),
            Err(_) => 1.0,
        };
        whole.mul_f64(0.5 + share / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_bound_and_begins_anew_after_a_connection_that_lasted() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, 5 * second);
        for whole in [1, 2, 4, 5, 5] {
            let wait = backoff.wait();
            assert!(wait >= whole * second / 2 && wait <= whole * second, "{wait:?} of {whole} s");
        }
        backoff.lasted(second);
        assert!(backoff.wait() >= 2 * second, "that was too short to count");
        backoff.lasted(5 * second);
        assert!(backoff.wait() <= second);
        backoff.stuck();
        backoff.wait();
        backoff.lasted(4 * second);
        assert!(backoff.wait() >= 2 * second, "it may end as before");
        backoff.lasted(5 * second);
        assert!(backoff.wait() <= second);
    }
}
