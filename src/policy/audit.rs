//! One record for each no, and none for its repetitions.

use std::time::{Duration, Instant};

use ahash::{AHashMap, RandomState};
use parking_lot::Mutex;

use super::decision::{Denial, Operation};

/// How long the repetitions of a refusal are only counted.
const WINDOW: Duration = Duration::from_secs(60);
/// How many different refusals are told apart within the window; the rest is counted together.
const DISTINCT: usize = 1024;
/// Bytes of a name or topic that are recorded.
const LONGEST: usize = 256;

/// The audit log: records of target `latchgate::policy::audit` at level INFO.
#[derive(Debug, Default)]
pub struct Audit {
    seen: Mutex<AHashMap<u64, Seen>>,
    hasher: RandomState,
    uncounted: Mutex<u64>,
}

#[derive(Debug)]
struct Seen {
    since: Instant,
    repeated: u64,
    who: String,
    what: String,
}

/// Who was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Client identifier, as far as it is known.
    pub client: &'a str,
    /// User name, as far as it is known.
    pub user: &'a str,
    /// Address and port.
    pub address: std::net::SocketAddr,
}

impl Audit {
    /// Records that `who` was refused `operation` on `topic`. What foreign clients wrote is quoted and escaped.
    pub fn refused(
        &self,
        who: Refused<'_>,
        operation: Operation,
        topic: &str,
        denial: &Denial,
        now: Instant,
    ) {
        let who = Refused { client: cut(who.client), user: cut(who.user), ..who };
        let topic = cut(topic);
        let key = self.hasher.hash_one((who.client, who.user, operation, topic, denial.stage));
        {
            let mut seen = self.seen.lock();
            if let Some(entry) = seen.get_mut(&key) {
                entry.repeated += 1;
                return;
            }
            if seen.len() >= DISTINCT {
                *self.uncounted.lock() += 1;
                return;
            }
            let what = format!("{operation} {topic:?}");
            let who = format!("client={:?} user={:?}", who.client, who.user);
            seen.insert(key, Seen { since: now, repeated: 0, who, what });
        }
        let rule = denial.rule.as_deref().unwrap_or("none");
        tracing::info!(
            target: "latchgate::policy::audit",
            client = ?who.client, user = ?who.user, address = %who.address, %operation, topic = ?topic,
            stage = %denial.stage, ?rule, reason = denial.reason, "refused"
        );
    }

    /// Reports repetitions whose window is over. Call it every few seconds.
    pub fn report(&self, now: Instant) {
        let mut due = Vec::new();
        self.seen.lock().retain(|_, entry| {
            let over = now.duration_since(entry.since) >= WINDOW;
            if over && entry.repeated > 0 {
                due.push((std::mem::take(&mut entry.who), std::mem::take(&mut entry.what), entry.repeated));
            }
            !over
        });
        for (who, what, repeated) in due {
            tracing::info!(target: "latchgate::policy::audit", %who, %what, repeated, "refused again");
        }
        let others = std::mem::take(&mut *self.uncounted.lock());
        if others > 0 {
            tracing::info!(target: "latchgate::policy::audit", repeated = others, "refused, many different ones");
        }
    }
}

/// The beginning of a foreign name: enough to know it by, too little to fill memory or disk with.
fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Stage;

    #[test]
    fn repetitions_are_counted_and_a_flood_of_different_ones_stays_bounded() {
        let audit = Audit::default();
        let who = Refused { client: "c", user: "u", address: ([127, 0, 0, 1], 1).into() };
        let denial = Denial::not_authorized(Stage::Allow, None, "no rule allows it");
        let start = Instant::now();
        for _ in 0..3 {
            audit.refused(who, Operation::Publish, "a", &denial, start);
        }
        assert_eq!(audit.seen.lock().values().map(|entry| entry.repeated).sum::<u64>(), 2);
        for n in 0..2 * DISTINCT {
            audit.refused(who, Operation::Publish, &n.to_string(), &denial, start);
        }
        assert_eq!(audit.seen.lock().len(), DISTINCT);
        assert!(*audit.uncounted.lock() > 0);
        assert_eq!(cut(&"é".repeat(1000)).len(), LONGEST);
        audit.report(start + WINDOW);
        assert!(audit.seen.lock().is_empty() && *audit.uncounted.lock() == 0);
    }
}
