//! How much memory messages and unfinished packets take, all clients together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The memory of the gateway that clients can fill.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    most: usize,
}

impl Budget {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Budget { used: AtomicUsize::new(0), most })
    }

    /// Takes `bytes`, whether they are within the budget or not; they come back when the share is dropped.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Share {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Share { budget: Some(self.clone()), bytes }
    }

    /// Whether `bytes` more are within the budget.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.used.load(Ordering::Relaxed).saturating_add(bytes) <= self.most
    }
}

/// A part of the budget, given back when dropped.
#[derive(Debug, Default)]
pub struct Share {
    budget: Option<Arc<Budget>>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_comes_back_when_its_share_is_dropped() {
        let budget = Budget::new(10);
        let share = budget.take(8);
        assert!(budget.has_room(2) && !budget.has_room(3));
        drop(share);
        assert!(budget.has_room(10) && !budget.has_room(11));
    }
}
