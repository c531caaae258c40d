//! What the policy counts: verdicts, how its caches do, and what passwords cost.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{
    auth::desk::DeskTotals,
    decision::{Operation, Stage},
    lock::Changes,
    throttle::Throttled,
};

const OPERATIONS: usize = Operation::ALL.len();
const STAGES: usize = Stage::ALL.len();

/// Totals since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    permits: [AtomicU64; OPERATIONS],
    denials: [[AtomicU64; STAGES]; OPERATIONS],
    hits: AtomicU64,
    misses: AtomicU64,
    /// How long it took to verify passwords.
    pub passwords: Times,
    /// Logins that were verified a short while ago, so that no password had to be hashed.
    pub remembered: AtomicU64,
}

/// What one gate counts for itself, until it tells the totals.
#[derive(Debug, Default)]
pub(super) struct Tally {
    permits: [u64; OPERATIONS],
    /// Questions answered from memory.
    pub hits: u64,
    /// Questions for which rules had to be looked through.
    pub misses: u64,
}

impl Tally {
    pub fn permit(&mut self, operation: Operation) {
        self.permits[operation as usize] += 1;
    }
}

impl Metrics {
    pub fn deny(&self, operation: Operation, stage: Stage) {
        self.denials[operation as usize][stage as usize].fetch_add(1, Relaxed);
    }

    pub fn permit(&self, operation: Operation) {
        self.permits[operation as usize].fetch_add(1, Relaxed);
    }

    /// Adds what a gate counted, which then begins at zero again.
    pub fn add(&self, tally: &mut Tally) {
        let Tally { permits, hits, misses } = std::mem::take(tally);
        let totals = self.permits.iter().chain([&self.hits, &self.misses]);
        for (total, count) in totals.zip(permits.into_iter().chain([hits, misses])) {
            if count > 0 {
                total.fetch_add(count, Relaxed);
            }
        }
    }

    pub fn get(&self) -> Verdicts {
        let denials = Operation::ALL.into_iter().flat_map(|operation| {
            let counts = &self.denials[operation as usize];
            Stage::ALL.into_iter().map(move |stage| (operation, stage, counts[stage as usize].load(Relaxed)))
        });
        Verdicts {
            permits: Operation::ALL
                .map(|operation| (operation, self.permits[operation as usize].load(Relaxed))),
            denials: denials.filter(|(_, _, count)| *count > 0).collect(),
            cache_hits: self.hits.load(Relaxed),
            cache_misses: self.misses.load(Relaxed),
            passwords: self.passwords.get(),
            remembered_logins: self.remembered.load(Relaxed),
            throttled: Throttled::default(),
            lock: Changes::default(),
            closed: Default::default(),
            bans: 0,
            backends: Vec::new(),
        }
    }
}

/// The policy's totals since its start, at one moment.
#[derive(Clone, Debug)]
pub struct Verdicts {
    /// Yes, by operation.
    pub permits: [(Operation, u64); OPERATIONS],
    /// No, by operation and stage, where there was any.
    pub denials: Vec<(Operation, Stage, u64)>,
    /// Publishes and deliveries answered from a gate's memory.
    pub cache_hits: u64,
    /// Publishes and deliveries for which rules were looked through.
    pub cache_misses: u64,
    /// Passwords that were verified in full, right or wrong.
    pub passwords: Spread,
    /// Logins that did not need that, because the same login was verified a short while ago.
    pub remembered_logins: u64,
    /// Failed logins that were delayed, and those that were banned for them.
    pub throttled: Throttled,
    /// What changes of the lock have cost.
    pub lock: Changes,
    /// How many scopes of the lock are closed, by area.
    pub closed: [(&'static str, usize); 4],
    /// Bans in force.
    pub bans: usize,
    /// How the backends elsewhere do.
    pub backends: Vec<DeskTotals>,
}

/// Upper ends of the classes of [`Times`], in seconds; the last class has none.
const CLASSES: [f64; 8] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, f64::INFINITY];

/// Durations, counted in classes.
#[derive(Debug, Default)]
pub(super) struct Times {
    microseconds: AtomicU64,
    classes: [AtomicU64; CLASSES.len()],
}

impl Times {
    pub fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let class = CLASSES.iter().position(|end| seconds <= *end).unwrap_or(CLASSES.len() - 1);
        self.classes[class].fetch_add(1, Relaxed);
        self.microseconds.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub fn get(&self) -> Spread {
        let classes: Vec<(f64, u64)> =
            CLASSES.into_iter().zip(&self.classes).map(|(end, count)| (end, count.load(Relaxed))).collect();
        Spread {
            count: classes.iter().map(|(_, count)| count).sum(),
            seconds: self.microseconds.load(Relaxed) as f64 / 1e6,
            classes,
        }
    }
}

/// How durations are spread.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// Their sum, in seconds.
    pub seconds: f64,
    /// How many in each class, with its upper end in seconds; the last one's is `f64::INFINITY`.
    pub classes: Vec<(f64, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_classes() {
        let times = Times::default();
        for milliseconds in [5, 6, 300, 10_000] {
            times.add(Duration::from_millis(milliseconds));
        }
        let spread = times.get();
        let filled: Vec<f64> = spread.classes.iter().filter(|(_, n)| *n > 0).map(|(end, _)| *end).collect();
        assert_eq!(filled, [0.005, 0.025, 0.5, f64::INFINITY]);
        assert_eq!((spread.count, spread.seconds), (4, 10.311));
    }

    #[test]
    fn what_a_gate_counted_is_added_once() {
        let (metrics, mut tally) = (Metrics::default(), Tally::default());
        tally.permit(Operation::Publish);
        tally.hits += 2;
        metrics.add(&mut tally);
        metrics.add(&mut tally);
        metrics.deny(Operation::Receive, Stage::Source);
        let verdicts = metrics.get();
        assert_eq!(verdicts.permits[Operation::Publish as usize], (Operation::Publish, 1));
        assert_eq!((verdicts.cache_hits, verdicts.cache_misses), (2, 0));
        assert_eq!(verdicts.denials, [(Operation::Receive, Stage::Source, 1)]);
    }
}
