//! The listeners of a running gateway, opened, changed and closed one by one.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    admin,
    broker::{self, Broker, Door, Dropped},
    config::{self, Config},
    mqtt::ReasonCode,
    net::{
        self, Lobby, Out, Pace, Tcp, Tls, tls,
        websocket::{self, Origins, Refused},
    },
    policy::{self, Policy},
};

use super::{GatewayError, open_tls};

/// Every listener that is open.
pub(super) struct Doors {
    broker: Arc<Broker>,
    policy: Arc<Policy>,
    /// Sockets that were opened for us, by the names of their listeners. They are kept: whoever opened them does too.
    handed: Vec<(String, TcpListener)>,
    open: Vec<Open>,
}

/// A listener with everything it needs; it takes connections as long as its tasks run.
struct Open {
    config: config::Listener,
    socket: Arc<Tcp>,
    tls: Option<Arc<Tls>>,
    closed: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

/// A listener that could be opened: nothing stands in its way any more.
pub(super) struct Prepared {
    config: config::Listener,
    socket: Arc<Tcp>,
    tls: Option<Arc<Tls>>,
}

impl Doors {
    pub fn new(broker: Arc<Broker>, policy: Arc<Policy>, handed: Vec<(String, TcpListener)>) -> Self {
        Doors { broker, policy, handed, open: Vec::new() }
    }

    /// Gets everything ready that `config` needs beyond what is open: files are read and sockets bound. Nothing changes
    /// yet. Must be called within a tokio runtime; blocks.
    ///
    /// # Errors
    /// The first thing that is not to be had.
    pub fn prepare(&self, config: &Config) -> Result<Vec<Prepared>, GatewayError> {
        let certificates = open_tls(config)?;
        let mut prepared = Vec::new();
        for (listener, tls) in config.listeners.iter().zip(certificates) {
            if self.open.iter().any(|open| open.config == *listener) {
                continue;
            }
            // A socket goes on if its address does: it cannot be bound twice.
            let there = self.open.iter().find(|open| open.config.address == listener.address);
            let handed = self.handed.iter().find(|(name, _)| *name == listener.name);
            let socket = match (there, handed) {
                (_, Some((_, socket))) => Arc::new(Tcp::take_over(listener, socket)?),
                (Some(open), _) if listener.address.port() != 0 => open.socket.clone(),
                _ => Arc::new(Tcp::bind(listener)?),
            };
            prepared.push(Prepared { config: listener.clone(), socket, tls });
        }
        Ok(prepared)
    }

    /// Closes what `config` does not have as it is, and opens what was prepared for it. Clients of listeners that are
    /// closed, or closed and opened again, are disconnected; the others notice nothing.
    pub fn change(&mut self, config: &Config, prepared: Vec<Prepared>) {
        let (stays, goes): (Vec<_>, Vec<_>) =
            self.open.drain(..).partition(|open| config.listeners.contains(&open.config));
        self.open = stays;
        if !goes.is_empty() {
            for mut open in goes {
                open.tasks.abort_all();
                open.closed.store(true, Ordering::Relaxed);
            }
            self.broker.ring();
        }
        for Prepared { config, socket, tls } in prepared {
            let opened = self.open(config, socket, tls);
            self.open.push(opened);
        }
        let place =
            |open: &Open| config.listeners.iter().position(|listener| listener.name == open.config.name);
        self.open.sort_by_key(place);
    }

    fn open(&self, config: config::Listener, socket: Arc<Tcp>, tls: Option<Arc<Tls>>) -> Open {
        let mut tasks = JoinSet::new();
        let closed = Arc::new(AtomicBool::new(false));
        let websocket = config.protocol == config::Protocol::Websocket;
        let origins = websocket.then(|| Arc::new(Origins::new(&config.origins)));
        let (broker, policy) = (self.broker.clone(), self.policy.clone());
        let entrance = Entrance { broker, policy, tls: tls.clone(), origins };
        tasks.spawn(listen(entrance, socket.clone(), config.clone(), closed.clone()));
        if let Some(tls) = &tls {
            for warning in tls.warnings() {
                tracing::warn!(listener = config.name, "{warning}");
            }
            let (policy, listener) = (self.policy.clone(), config.name.clone());
            tasks.spawn(tls.clone().follow(move || policy.certificates_changed(&listener)));
        }
        let address = socket.address().unwrap_or(config.address);
        tracing::info!(listener = config.name, %address, "listening");
        if address.port() != config.address.port() && config.address.port() != 0 {
            let configured = config.address;
            tracing::warn!(listener = config.name, %address, %configured, "the service manager opened another address");
        }
        Open { config, socket, tls, closed, tasks }
    }

    /// Name and address of each.
    pub fn listening(&self) -> Vec<(String, SocketAddr)> {
        let address = |open: &Open| open.socket.address().unwrap_or(open.config.address);
        self.open.iter().map(|open| (open.config.name.clone(), address(open))).collect()
    }

    /// What an operator sees of them.
    pub fn seen(&self) -> admin::Doors {
        admin::Doors {
            listening: self.listening(),
            certificates: self.open.iter().filter_map(|open| open.tls.clone()).collect(),
        }
    }

    /// Takes no more connections.
    pub async fn close(&mut self) {
        for open in &mut self.open {
            open.tasks.shutdown().await;
        }
    }
}

/// What a connection of one listener meets on its way in.
#[derive(Clone)]
struct Entrance {
    broker: Arc<Broker>,
    policy: Arc<Policy>,
    tls: Option<Arc<Tls>>,
    /// The web pages that may connect, if WebSocket is spoken.
    origins: Option<Arc<Origins>>,
}

impl Entrance {
    /// Has a connection served by a task of its own.
    fn open(&self, stream: TcpStream, door: Door) {
        match (self.tls.clone(), self.origins.clone()) {
            (None, None) => tokio::spawn(broker::serve(self.broker.clone(), stream, door)),
            (None, Some(origins)) => tokio::spawn(self.clone().serve_websocket(origins, stream, door)),
            (Some(tls), _) => tokio::spawn(self.clone().serve_tls(tls, stream, door)),
        };
    }

    /// Closes a connection of an address that makes too many of them. Nothing is read or sent: it is to cost next to nothing.
    fn turn_away(&self, stream: TcpStream, address: SocketAddr) {
        drop(stream);
        self.broker.counters().sockets.fetch_add(1, Ordering::Relaxed);
        self.broker.counters().drop_one(Dropped::Rate);
        let why = format!("more than connect_rate from {}", address.ip().to_canonical());
        self.policy.refused_at_door("", "", address, ReasonCode::ConnectionRateExceeded, &why);
    }

    /// Serves a connection after its TLS handshake.
    async fn serve_tls(self, tls: Arc<Tls>, stream: TcpStream, mut door: Door) {
        let handshake = tls.accept(stream, door.limits.connect_timeout);
        let outcome = tokio::select! {
            outcome = handshake => outcome,
            _ = &mut door.evicted => {
                self.broker.counters().drop_one(Dropped::Pending);
                return;
            }
        };
        match outcome {
            Ok((stream, presented)) => {
                door.certificate = presented.map(certificate);
                // What is kept of a TLS connection is large, and would be moved about.
                let stream = Box::new(stream);
                match self.origins.clone() {
                    None => broker::serve(self.broker, stream, door).await,
                    Some(origins) => self.serve_websocket(origins, stream, door).await,
                }
            }
            Err(tls::Failure::Certificate(why)) => {
                self.policy.refused_at_door("", "", door.address, ReasonCode::NotAuthorized, why);
            }
            Err(why) => tracing::debug!(address = %door.address, "{why}"),
        }
    }

    /// Serves a connection that WebSocket is spoken on. `stream` is ready for it: any TLS handshake is done.
    async fn serve_websocket<S>(self, origins: Arc<Origins>, stream: S, mut door: Door)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let address = door.address;
        let upgrading = websocket::upgrade(stream, &origins);
        let why = match net::within(door.limits.connect_timeout, &mut door.evicted, upgrading).await {
            Ok(Ok(stream)) => return broker::serve(self.broker, stream, door).await,
            Ok(Err(refused)) => {
                let why = refused.to_string();
                if let Refused::Origin(_) = refused {
                    self.policy.refused_at_door("", "", address, ReasonCode::NotAuthorized, &why);
                }
                why
            }
            Err(Out::Late) => "no request in time".to_owned(),
            Err(Out::Evicted) => {
                self.broker.counters().drop_one(Dropped::Pending);
                "no room to wait".to_owned()
            }
        };
        // `serve` counts the others.
        self.broker.counters().sockets.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%address, why, "closed before it was a WebSocket");
    }
}

/// What the policy needs to know of a client's certificate.
fn certificate(presented: tls::Presented) -> policy::Certificate {
    let user = presented.user().map(Arc::from);
    let tls::Described { subject, common_name, serial, fingerprint } = presented.describe();
    let shown = policy::Shown { subject, common_name, serial, fingerprint };
    policy::Certificate::new(user, move || presented.check()).showing(shown)
}

/// Takes connections for ever.
async fn listen(entrance: Entrance, socket: Arc<Tcp>, config: config::Listener, closed: Arc<AtomicBool>) {
    let lobby = Lobby::new(config.limits.pending);
    let pace = Pace::new(config.limits.connect_rate, config.limits.exempt_loopback);
    let limits = Arc::new(connection_limits(&config.limits));
    let listener: Arc<str> = config.name.as_str().into();
    let anonymous: Option<Arc<str>> = config.anonymous.as_deref().map(Arc::from);
    loop {
        let (stream, address) = socket.accept().await;
        if !pace.admits(address.ip(), Instant::now()) {
            entrance.turn_away(stream, address);
            continue;
        }
        let door = Door {
            address,
            listener: listener.clone(),
            anonymous: anonymous.clone(),
            limits: limits.clone(),
            certificate: None,
            closed: closed.clone(),
            evicted: lobby.enter(),
        };
        entrance.open(stream, door);
    }
}

fn connection_limits(limits: &config::Limits) -> broker::Limits {
    broker::Limits {
        connections: limits.connections,
        packet_size: limits.packet_size,
        inflight: limits.inflight,
        queued_messages: limits.queued_messages,
        queued_bytes: limits.queued_bytes,
        keep_alive: limits.keep_alive,
        topic_levels: limits.topic_levels,
        topic_length: limits.topic_length,
        subscriptions: limits.subscriptions,
        session_expiry: if limits.session_expiry == 0 { u32::MAX } else { limits.session_expiry },
        connect_timeout: limits.connect_timeout,
    }
}
