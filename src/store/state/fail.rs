//! Places where tests have the process die: `LATCHGATE_FAIL=NAME` or `NAME:N`, for the N-th time the place is passed.
//! Only in debug builds.
//!
//! | name | where |
//! |---|---|
//! | `halfway` | between two changes: what is recorded so far is written first, unless it belongs together with what follows |
//! | `before-commit` | everything is written but not committed |
//! | `after-commit` | committed, and the log not yet looked at |
//! | `after-checkpoint` | the log was taken over |
//! | `before-answer` | all done, but nobody who waits was told |

/// Dies here if a test asked for it.
#[cfg(debug_assertions)]
pub(super) fn point(name: &str) {
    if is_here(name) {
        std::process::abort();
    }
}

/// Whether a test asked for death at this place, now.
#[cfg(debug_assertions)]
pub(super) fn is_here(name: &str) -> bool {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ASKED: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let asked = std::env::var("LATCHGATE_FAIL").ok()?;
        let (name, times) = asked.split_once(':').unwrap_or((&asked, "1"));
        Some((name.to_owned(), AtomicU64::new(times.parse().unwrap_or(1))))
    });
    let here = ASKED.as_ref().filter(|(place, _)| place == name);
    here.is_some_and(|(_, left)| left.fetch_sub(1, Ordering::Relaxed) == 1)
}

/// Does nothing.
#[cfg(not(debug_assertions))]
pub(super) fn point(_name: &str) {}
