//! The listeners of a running gateway, opened, changed and closed one by one.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    admin,
    broker::{self, Broker, Door},
    config::{self, Config},
    mqtt::ReasonCode,
    net::{Lobby, Tcp, Tls, tls},
    policy::{self, Policy},
};

use super::{GatewayError, open_tls};

/// Every listener that is open.
pub(super) struct Doors {
    broker: Arc<Broker>,
    policy: Arc<Policy>,
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
    pub fn new(broker: Arc<Broker>, policy: Arc<Policy>) -> Self {
        Doors { broker, policy, open: Vec::new() }
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
            let socket = match there {
                Some(open) if listener.address.port() != 0 => open.socket.clone(),
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
        let entrance =
            Entrance { broker: self.broker.clone(), policy: self.policy.clone(), tls: tls.clone() };
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
}

impl Entrance {
    /// Serves a connection, after its TLS handshake if the listener has TLS. Runs on the connection's own task.
    async fn serve(self, stream: TcpStream, mut door: Door) {
        let Some(tls) = &self.tls else { return broker::serve(self.broker, stream, door).await };
        let handshake = tls.accept(stream, door.limits.connect_timeout);
        let outcome = tokio::select! {
            outcome = handshake => outcome,
            _ = &mut door.evicted => {
                self.broker.counters().drop_one(broker::Dropped::Pending);
                return;
            }
        };
        match outcome {
            Ok((stream, presented)) => {
                door.certificate = presented.map(certificate);
                broker::serve(self.broker, stream, door).await;
            }
            Err(tls::Failure::Certificate(why)) => {
                self.policy.refused_at_door("", "", door.address, ReasonCode::NotAuthorized, why);
            }
            Err(why) => tracing::debug!(address = %door.address, "{why}"),
        }
    }
}

/// What the policy needs to know of a client's certificate.
fn certificate(presented: tls::Presented) -> policy::Certificate {
    let user = presented.user().map(Arc::from);
    policy::Certificate::new(user, move || presented.check())
}

/// Takes connections for ever.
async fn listen(entrance: Entrance, socket: Arc<Tcp>, config: config::Listener, closed: Arc<AtomicBool>) {
    let lobby = Lobby::new(config.limits.pending);
    let limits = Arc::new(connection_limits(&config.limits));
    let listener: Arc<str> = config.name.as_str().into();
    let anonymous: Option<Arc<str>> = config.anonymous.as_deref().map(Arc::from);
    loop {
        let (stream, address) = socket.accept().await;
        let door = Door {
            address,
            listener: listener.clone(),
            anonymous: anonymous.clone(),
            limits: limits.clone(),
            certificate: None,
            closed: closed.clone(),
            evicted: lobby.enter(),
        };
        tokio::spawn(entrance.clone().serve(stream, door));
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
