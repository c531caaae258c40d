//! Something that is wrong in a store of others, told now and then: it may be met with every question.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often it is told.
const EVERY: Duration = Duration::from_secs(60);

/// When it was told last.
#[derive(Debug, Default)]
pub(super) struct Complaint(Mutex<Option<Instant>>);

impl Complaint {
    /// Whether it is to be told.
    pub fn is_due(&self) -> bool {
        let (now, mut last) = (Instant::now(), self.0.lock());
        let due = last.is_none_or(|last| now >= last + EVERY);
        if due {
            *last = Some(now);
        }
        due
    }
}
