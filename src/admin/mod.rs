//! What may an operator see and do while the gateway runs?
//!
//! This room owns the admin socket, the HTTP address for monitoring, and what is answered there: status, explanations,
//! metrics. It reads snapshots; what changes something is a [`Command`] that the gateway obeys. It promises that whoever
//! is not let at the socket by the file system can do nothing but read numbers, and only if the configuration says so.
//! It must never decide what a client may do, and never name clients where everybody can read.

mod bridge;
mod lock;
mod metrics;
mod panel;
mod routes;
mod server;
mod socket;

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{broker::Broker, config::Difference, net::Tls, policy::Policy};

pub use bridge::{BridgeState, Bridges, RouteInState, RouteState};
pub use panel::PanelStatus;
pub use routes::Question;
pub use socket::{AdminSocket, SocketError, connect, path};

/// What an operator can have done; obeyed by the gateway.
#[derive(Debug)]
pub enum Command {
    /// Read the configuration, accounts and rules again, and say how it went.
    Reload(oneshot::Sender<Result<Reloaded, Trouble>>),
    /// Say what reading the configuration again would change.
    Plan(oneshot::Sender<Result<Difference, Trouble>>),
    /// Lift the bans of a user name, of an address or of both together, and say how many it were.
    LiftBans {
        /// User name.
        user: Option<String>,
        /// Any address of the network.
        address: Option<IpAddr>,
        /// How many bans it were.
        done: oneshot::Sender<usize>,
    },
    /// Say how the panel is.
    Panel(oneshot::Sender<PanelStatus>),
    /// Hold the simulated button down for this long, and say how the panel is then, or why it cannot be pressed.
    Press(Duration, oneshot::Sender<Result<PanelStatus, String>>),
}

/// Why the configuration was not read again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It is wrong, or a file that it names is.
    #[error("{0}")]
    Configuration(String),
    /// Something else stands in the way.
    #[error("{0}")]
    Else(String),
}

/// What reading again came to.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Reloaded {
    /// What was read.
    pub reloaded: Vec<&'static str>,
    /// Changes of the configuration that are in force now.
    pub applied: Vec<String>,
    /// Changes of the configuration that take a restart of the gateway.
    pub restart: Vec<String>,
}

/// The listeners that are open now.
#[derive(Debug)]
pub struct Doors {
    /// Name and address of every one.
    pub listening: Vec<(String, SocketAddr)>,
    /// The TLS of every one that has it.
    pub certificates: Vec<Arc<Tls>>,
}

/// What tells, as JSON, how a part of the gateway stands now. It must not block.
pub type Reporter = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What the answers are taken from.
#[derive(Clone)]
pub struct Admin {
    /// Counts and queues.
    pub broker: Arc<Broker>,
    /// Verdicts and explanations.
    pub policy: Arc<Policy>,
    /// The gateway's id.
    pub id: Arc<str>,
    /// The listeners.
    pub doors: Arc<ArcSwap<Doors>>,
    /// What tells how the second factor stands, if it is used.
    pub latch: Option<Reporter>,
    /// The bridges.
    pub bridges: Bridges,
    /// To the gateway.
    pub commands: mpsc::Sender<Command>,
}

impl Admin {
    /// Serves the admin socket until the sender of `stopping` is gone, and everybody who came before has an answer.
    pub async fn serve_socket(self, socket: AdminSocket, stopping: watch::Receiver<()>) {
        server::serve(socket, routes::local(self), stopping).await;
    }

    /// Serves `/metrics` and `/healthz` over TCP, as long.
    pub async fn serve_http(self, listener: tokio::net::TcpListener, stopping: watch::Receiver<()>) {
        server::serve(listener, routes::monitoring(self), stopping).await;
    }
}

/// Opens the TCP address for monitoring. Must be called within a tokio runtime.
///
/// # Errors
/// If the address cannot be listened on.
pub fn listen(address: SocketAddr) -> Result<tokio::net::TcpListener, SocketError> {
    let bind = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    };
    bind().map_err(|source| SocketError::Address { address, source })
}

/// The socket's path in a state directory.
fn in_directory(state: &Path) -> std::path::PathBuf {
    state.join("admin.sock")
}
