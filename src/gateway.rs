//! How do the parts start and stop? The only place that knows every part.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpStream, sync::mpsc, task::JoinSet};

use crate::{
    admin::{self, Admin, AdminSocket, Command},
    broker::{self, Broker, Door, Volatile},
    config::{self, Config, ConfigError},
    mqtt::ReasonCode,
    net::{BindError, Lobby, Tcp, Tls, tls},
    policy::{self, Policy, acl},
    store::{AccountsDb, StoreError},
};

/// Why the gateway cannot run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The state directory or a file in it is not usable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Accounts and rules cannot be read.
    #[error("accounts and rules cannot be read: {0}")]
    Accounts(#[from] policy::accounts::AccountError),
    /// Another gateway runs here, or this one could not be talked to.
    #[error(transparent)]
    Admin(#[from] admin::SocketError),
    /// A file that the configuration names is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A listener cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// A running gateway; it stops when dropped, in order only by [`Gateway::stop`].
pub struct Gateway {
    broker: Arc<Broker>,
    policy: Arc<Policy>,
    listening: Vec<(String, SocketAddr)>,
    tasks: JoinSet<()>,
}

/// How long clients may take to be told that the gateway stops, and to take their last bytes.
const FAREWELL: Duration = Duration::from_secs(5);

impl Gateway {
    /// Opens the store, claims its directory, then opens the policy, then the broker, and only then the listeners. Must be called within a
    /// tokio runtime; blocks while it reads the store.
    ///
    /// # Errors
    /// Whatever part cannot start; nothing is left running then.
    pub fn start(config: &Config) -> Result<Self, GatewayError> {
        let certificates = open_tls(config)?;
        let accounts = Arc::new(AccountsDb::open(&config.gateway.state)?);
        let socket = AdminSocket::bind(&config.gateway.state)?;
        let (policy, voice) = Policy::open_with_voice(accounts, policy_settings(config))?;
        let broker = Broker::new(policy.clone(), Arc::new(Volatile), broker_settings(config));
        let mut tasks = JoinSet::new();
        let mut listening = Vec::new();
        for (listener, tls) in config.listeners.iter().zip(&certificates) {
            let socket = Tcp::bind(listener)?;
            let address = socket.address().unwrap_or(listener.address);
            listening.push((listener.name.clone(), address));
            let entrance = Entrance { broker: broker.clone(), policy: policy.clone(), tls: tls.clone() };
            tasks.spawn(listen(entrance, socket, listener.clone()));
            if let Some(tls) = tls {
                for warning in tls.warnings() {
                    tracing::warn!(listener = listener.name, "{warning}");
                }
                let (policy, listener) = (policy.clone(), listener.name.clone());
                tasks.spawn(tls.clone().follow(move || policy.certificates_changed(&listener)));
            }
        }
        tasks.spawn(policy.clone().follow());
        tasks.spawn(broker.clone().keep_house());
        if config.gateway.sys_interval > 0 {
            let interval = Duration::from_secs(config.gateway.sys_interval.into());
            tasks.spawn(broker.clone().publish_sys(voice, interval));
        }
        let (commands, obeyed) = mpsc::channel(8);
        let admin = Admin {
            broker: broker.clone(),
            policy: policy.clone(),
            id: config.gateway.id.as_str().into(),
            listening: listening.clone().into(),
            certificates: certificates.into_iter().flatten().collect(),
            commands,
        };
        tasks.spawn(obey(policy.clone(), obeyed));
        if let Some(address) = config.admin.http {
            let listener = admin::listen(address)?;
            let address = listener.local_addr().unwrap_or(address);
            tracing::info!(%address, "metrics over HTTP");
            tasks.spawn(admin.clone().serve_http(listener));
        }
        tasks.spawn(admin.serve_socket(socket));
        for (name, address) in &listening {
            tracing::info!(listener = name, %address, "listening");
        }
        Ok(Gateway { broker, policy, listening, tasks })
    }

    /// Name and address of every listener.
    pub fn listening(&self) -> &[(String, SocketAddr)] {
        &self.listening
    }

    /// What can be counted.
    pub fn counters(&self) -> &Arc<broker::Counters> {
        self.broker.counters()
    }

    /// Reads accounts and rules again at once. How it went is in the log.
    pub async fn reload_accounts(&self) {
        let _ = reload_accounts(&self.policy).await;
    }

    /// Takes no more connections, tells every client, and waits until they are gone, a few seconds at most.
    pub async fn stop(mut self) {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        let left = self.broker.shutdown(FAREWELL).await;
        if left > 0 {
            tracing::warn!(clients = left, "some clients did not take their farewell in time");
        }
    }
}

/// Does what operators ask for, for ever.
async fn obey(policy: Arc<Policy>, mut commands: mpsc::Receiver<Command>) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Reload(done) => {
                // Whoever asked may have gone.
                let _ = done.send(reload_accounts(&policy).await);
            }
        }
    }
}

async fn reload_accounts(policy: &Arc<Policy>) -> Result<(), String> {
    let policy = policy.clone();
    let outcome = match tokio::task::spawn_blocking(move || policy.reload()).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match &outcome {
        Ok(()) => tracing::info!("accounts and rules read again"),
        Err(error) => tracing::error!(error, "accounts cannot be read: the rules read last stay in force"),
    }
    outcome
}

/// Reads the certificates of each listener that has any, in the order of the listeners. Blocks.
///
/// # Errors
/// Every listener's first file that is not usable, with its place in the configuration.
pub fn open_tls(config: &Config) -> Result<Vec<Option<Arc<Tls>>>, ConfigError> {
    let (mut opened, mut problems) = (Vec::new(), Vec::new());
    for listener in &config.listeners {
        let tls = listener.tls.as_ref().map(|tls| Tls::open(&listener.name, tls, &[b"mqtt"]));
        opened.push(tls.and_then(|tls| tls.map_err(|problem| problems.push(problem)).ok()));
    }
    if problems.is_empty() { Ok(opened) } else { Err(config.wrong(problems)) }
}

/// What a connection of one listener meets on its way in.
#[derive(Clone)]
struct Entrance {
    broker: Arc<Broker>,
    policy: Arc<Policy>,
    tls: Option<Arc<Tls>>,
}

impl Entrance {
    /// Has a connection served by a task of its own.
    fn open(&self, stream: TcpStream, door: Door) {
        match self.tls.clone() {
            None => tokio::spawn(broker::serve(self.broker.clone(), stream, door)),
            Some(tls) => tokio::spawn(self.clone().serve_tls(tls, stream, door)),
        };
    }

    /// Serves a connection after its TLS handshake.
    async fn serve_tls(self, tls: Arc<Tls>, stream: TcpStream, mut door: Door) {
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
                // What is kept of a TLS connection is large, and would be moved about.
                broker::serve(self.broker, Box::new(stream), door).await;
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
async fn listen(entrance: Entrance, socket: Tcp, config: config::Listener) {
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

fn broker_settings(config: &Config) -> broker::Settings {
    broker::Settings {
        refused_publish_v3: match config.acl.refused_publish_v3 {
            config::RefusedPublish::Acknowledge => broker::RefusedPublish::Acknowledge,
            config::RefusedPublish::Disconnect => broker::RefusedPublish::Disconnect,
        },
        sessions: config.limits.sessions,
        retained_messages: config.limits.retained_messages,
        retained_bytes: config.limits.retained_bytes,
        memory: config.limits.memory,
    }
}

/// What the configuration says of the policy; `acl test` asks with the same.
pub fn policy_settings(config: &Config) -> policy::Settings {
    policy::Settings {
        superusers: config.acl.superusers.clone(),
        subscribe: match config.acl.subscribe {
            config::SubscribeRule::Covered => acl::SubscribeRule::Covered,
            config::SubscribeRule::Overlap => acl::SubscribeRule::Overlap,
        },
        check_retained_source: config.acl.retained_source == config::RetainedSource::Checked,
        upgrade_passwords: config.auth.upgrade_passwords,
        remember_logins: config.auth.cache.verified,
    }
}
