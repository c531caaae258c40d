//! What travels to and from the cloud? Bridges: clients of this broker whose peer is another broker.
//!
//! This room owns the connection to a remote broker, the routes, the spool of what waits for it and the ledger of what
//! became of it, and the trait by which both are kept. It promises that a message of QoS 1 or 2 that was acknowledged to its
//! publisher leaves the spool only with the remote broker's acknowledgement or a counted reason, that what comes from there is
//! acknowledged only when it is safe here, and that "connected" means that the remote broker answered lately. It must
//! never send or publish anything without its gate's permit, nor hold a publisher up.

mod backoff;
mod driver;
mod echo;
mod exchange;
mod keeper;
mod ledger;
mod route;
mod spool;
mod status;
mod wire;

use std::{future::Future, io, pin::Pin, sync::Arc, time::Duration};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::mqtt::Version;

pub use driver::Bridge;
pub use keeper::{Entry, Keeper, KeptEntry, KeptMessage, KeptSpool};
pub use ledger::{Fate, Ledger, LedgerIn, Reason, Refusal};
pub use route::{Route, Way};
pub use spool::{Bounds, WhenFull};
pub use status::{RouteInStatus, RouteStatus, Status};

/// What the configuration says of a bridge.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name.
    pub name: Arc<str>,
    /// The gateway's id, which marks what leaves, so that it is known when it comes back.
    pub gateway: Arc<str>,
    /// Remote addresses as people read them, in order; [`Dial`] knows them by their numbers.
    pub addresses: Vec<String>,
    /// Client identifier on the remote broker.
    pub client_id: String,
    /// Version spoken.
    pub version: Version,
    /// User name on the remote broker.
    pub username: Option<String>,
    /// The longest time without an answer.
    pub keep_alive: u16,
    /// Whether the remote broker keeps a session.
    pub durable: bool,
    /// Messages on their way out at a time.
    pub inflight: u16,
    /// Largest packet that is taken, in bytes.
    pub packet_size: usize,
    /// How long connecting, and the answer to CONNECT, may take.
    pub timeout: Duration,
    /// First and longest wait between attempts to connect.
    pub retry: (Duration, Duration),
    /// How often the first address is tried while another one is connected.
    pub return_after: Duration,
    /// Whether its state is published here, and on the remote broker.
    pub notify: (bool, bool),
    /// A topic that must bring back what is published to it.
    pub canary: Option<String>,
    /// The client identifier of the remote broker's own bridge here.
    pub peer: Option<Arc<str>>,
    /// What travels.
    pub routes: Vec<Route>,
    /// Bounds of the spool.
    pub bounds: Bounds,
    /// Whether fresh messages go before a backlog.
    pub live_first: bool,
}

impl Settings {
    /// The routes that go out, in their order: their places are their numbers in the spool.
    fn outgoing(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| route.goes_out())
    }

    /// The routes that come in, in their order.
    fn incoming(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| route.comes_in())
    }
}

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The wait for a connection.
pub type Dialing<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// What is needed to connect; it is asked anew for each connection, since files may have changed.
pub trait Dial: Send + Sync + 'static {
    /// Connects to address number `address`, TLS and WebSocket included.
    fn dial(&self, address: usize) -> Dialing<'_>;

    /// The password for the remote broker, if there is one. Blocks for a moment.
    ///
    /// # Errors
    /// If it cannot be read, in words.
    fn password(&self) -> Result<Option<Vec<u8>>, String>;

    /// Something that changes when the files do that a connection depends on. Blocks for a moment.
    fn stamp(&self) -> Vec<u8>;
}
