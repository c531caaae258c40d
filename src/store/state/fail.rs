//! Places where tests have the process die: `LATCHGATE_FAIL=NAME` or `NAME:N`, for the N-th time the place is passed.
//! Only in debug builds.

/// Dies here if a test asked for it.
#[cfg(debug_assertions)]
pub(super) fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ASKED: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let asked = std::env::var("LATCHGATE_FAIL").ok()?;
        let (name, times) = asked.split_once(':').unwrap_or((&asked, "1"));
        Some((name.to_owned(), AtomicU64::new(times.parse().unwrap_or(1))))
    });
    if let Some((place, left)) = &*ASKED
        && place == name
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}

/// Does nothing.
#[cfg(not(debug_assertions))]
pub(super) fn point(_name: &str) {}
