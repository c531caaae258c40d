//! The broker's clock: tokio's, so that a test can hold it and let hours pass in no time.

use std::time::Instant;

/// The time.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
