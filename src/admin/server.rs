//! Serving HTTP to a few connections at a time, none of which can stay for ever.

use std::{collections::VecDeque, fmt, pin::pin, time::Duration};

use axum::{Extension, Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpStream, UnixStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// For the head of a request, from when it is waited for.
const HEAD: Duration = Duration::from_secs(10);
/// For a connection with all its requests.
const LIFE: Duration = Duration::from_secs(120);

/// Who is at the other end, as the system says; `None`: it does not know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(Option<u32>);

impl Peer {
    /// Whether it is root.
    pub fn is_root(self) -> bool {
        self.0 == Some(0)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(uid) => write!(f, "uid {uid}"),
            None => f.write_str("somebody"),
        }
    }
}

/// A connection whose other end may be known.
pub(super) trait Named {
    /// Who it is.
    fn peer(&self) -> Peer;
}

impl Named for UnixStream {
    fn peer(&self) -> Peer {
        Peer(self.peer_cred().ok().map(|credentials| credentials.uid()))
    }
}

impl Named for TcpStream {
    fn peer(&self) -> Peer {
        Peer(None)
    }
}

/// Serves `router` on `listener` until the sender of `stopping` is gone; whoever has come by then gets an answer. Its connections end
/// with it. Each request is told the [`Peer`]. When all places are taken, the connection that came first goes: whoever has left
/// many half open must not keep `lock close` out.
pub(super) async fn serve<L: Listener<Io: Named>>(
    mut listener: L,
    router: Router,
    mut stopping: watch::Receiver<()>,
) {
    let (mut connections, mut open) = (JoinSet::new(), VecDeque::<AbortHandle>::new());
    loop {
        let stream = tokio::select! {
            biased;
            (stream, _) = listener.accept() => stream,
            _ = stopping.changed() => break,
        };
        while connections.try_join_next().is_some() {}
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS
            && let Some(first) = open.pop_front()
        {
            first.abort();
        }
        let service = TowerToHyperService::new(router.clone().layer(Extension(stream.peer())));
        let mut stopping = stopping.clone();
        open.push_back(connections.spawn(async move {
            let mut connection = pin!(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD)
                    .serve_connection(TokioIo::new(stream), service)
            );
            let served = async {
                tokio::select! {
                    _ = connection.as_mut() => return,
                    _ = stopping.changed() => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
            };
            // How it ended concerns its client alone.
            let _ = tokio::time::timeout(LIFE, served).await;
        }));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
