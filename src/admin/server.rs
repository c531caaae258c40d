//! Serving HTTP to a few connections at a time, none of which can stay for ever.

use std::{sync::Arc, time::Duration};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{sync::Semaphore, task::JoinSet};

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// For the head of a request, from when it is waited for.
const HEAD: Duration = Duration::from_secs(10);
/// For a connection with all its requests.
const LIFE: Duration = Duration::from_secs(120);

/// Serves `router` on `listener` for ever; its connections end with it.
pub(super) async fn serve<L: Listener>(mut listener: L, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, _) = listener.accept().await;
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), service);
            // How it ended concerns its client alone.
            let _ = tokio::time::timeout(LIFE, connection).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}
