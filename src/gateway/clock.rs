//! Whether the time of day is known: what it is compared with, and what the log says of it.

use std::path::Path;

use crate::{clock, store};

/// Notes when the gateway last wrote. To be called before it writes again. Blocks.
pub fn compare(state: &Path) {
    if let Some((_, at)) = store::last_written(state) {
        clock::has_been(at);
    }
}

/// Says each time that the clock is not set, and that it is.
pub(super) async fn tell() {
    loop {
        let why = clock::lost().await;
        tracing::warn!(
            "{why}. Until it is, certificates are not judged: bridges and backends over TLS are not connected, and clients that show a \
             certificate are refused. {}",
            why.help()
        );
        clock::set().await;
        tracing::info!("the clock is set");
    }
}
