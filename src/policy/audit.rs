//! One record for each no, and none for its repetitions.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use ahash::{AHashMap, RandomState};
use parking_lot::Mutex;

use super::decision::{Denial, Operation, Stage};

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
    records: AtomicU64,
}

/// Tells a record of the audit log from the others around it: eight hexadecimal digits, which the client that was
/// refused sees as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditId(u32);

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[derive(Debug)]
struct Seen {
    id: AuditId,
    since: Instant,
    repeated: u64,
    client: String,
    user: String,
    operation: Operation,
    topic: String,
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
    /// How it logged in, if that is worth a word.
    pub login: Option<&'static str>,
}

impl Audit {
    /// Records that `who` was refused `operation` on `topic`. What foreign clients wrote is quoted and escaped.
    /// Returns the record's identifier, a repetition that of the first; `None` if it is only counted.
    pub fn refused(
        &self,
        who: Refused<'_>,
        operation: Operation,
        topic: &str,
        denial: &Denial,
        now: Instant,
    ) -> Option<AuditId> {
        let who = Refused { client: cut(who.client), user: cut(who.user), ..who };
        let topic = cut(topic);
        // At the door nobody has a name yet: refusals are told apart by their reasons.
        let why = denial.rule.as_deref().filter(|_| denial.stage == Stage::Listener);
        let key = self.key(who.client, who.user, operation, topic, denial.stage, why);
        let id = {
            let mut seen = self.seen.lock();
            if let Some(entry) = seen.get_mut(&key) {
                entry.repeated += 1;
                return Some(entry.id);
            }
            if seen.len() >= DISTINCT {
                *self.uncounted.lock() += 1;
                return None;
            }
            let id = self.next_id();
            let (client, user, topic) = (who.client.into(), who.user.into(), topic.into());
            seen.insert(key, Seen { id, since: now, repeated: 0, client, user, operation, topic });
            id
        };
        let rule = denial.rule.as_deref().unwrap_or("none");
        tracing::info!(
            target: "latchgate::policy::audit",
            audit = %id, client = ?who.client, user = ?who.user, address = %who.address, %operation, topic = ?topic,
            stage = %denial.stage, ?rule, reason = denial.reason, login = who.login, "refused"
        );
        Some(id)
    }

    /// The record of such a refusal, if there is one within the window; not of one at the door.
    pub fn find(
        &self,
        client: &str,
        user: &str,
        operation: Operation,
        topic: &str,
        stage: Stage,
    ) -> Option<AuditId> {
        let key = self.key(cut(client), cut(user), operation, cut(topic), stage, None);
        self.seen.lock().get(&key).map(|entry| entry.id)
    }

    fn key(
        &self,
        client: &str,
        user: &str,
        operation: Operation,
        topic: &str,
        stage: Stage,
        why: Option<&str>,
    ) -> u64 {
        self.hasher.hash_one((client, user, operation, topic, stage, why))
    }

    /// Random, so that the records of two runs are told apart.
    fn next_id(&self) -> AuditId {
        let count = self.records.fetch_add(1, Ordering::Relaxed);
        AuditId(self.hasher.hash_one(count) as u32)
    }

    /// Reports repetitions whose window is over. Call it every few seconds.
    pub fn report(&self, now: Instant) {
        let over = |entry: &Seen| now.duration_since(entry.since) >= WINDOW;
        let due: Vec<_> =
            self.seen.lock().extract_if(|_, entry| over(entry)).map(|(_, entry)| entry).collect();
        for Seen { id, client, user, operation, topic, repeated, .. } in due {
            if repeated > 0 {
                tracing::info!(
                    target: "latchgate::policy::audit",
                    audit = %id, ?client, ?user, %operation, ?topic, repeated, "refused again"
                );
            }
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
        let who = Refused { client: "c", user: "u", address: ([127, 0, 0, 1], 1).into(), login: None };
        let denial = Denial::not_authorized(Stage::Allow, None, "no rule allows it");
        let start = Instant::now();
        let ids: Vec<_> =
            (0..3).map(|_| audit.refused(who, Operation::Publish, "a", &denial, start)).collect();
        assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(audit.find("c", "u", Operation::Publish, "a", Stage::Allow), ids[0]);
        assert_eq!(audit.find("c", "u", Operation::Receive, "a", Stage::Allow), None);
        assert_eq!(audit.seen.lock().values().map(|entry| entry.repeated).sum::<u64>(), 2);
        for n in 0..2 * DISTINCT {
            audit.refused(who, Operation::Publish, &n.to_string(), &denial, start);
        }
        assert_eq!(audit.seen.lock().len(), DISTINCT);
        assert!(*audit.uncounted.lock() > 0);
        assert_eq!(audit.refused(who, Operation::Publish, "one more", &denial, start), None);
        assert_eq!(cut(&"é".repeat(1000)).len(), LONGEST);
        audit.report(start + WINDOW);
        assert!(audit.seen.lock().is_empty() && *audit.uncounted.lock() == 0);
    }
}
