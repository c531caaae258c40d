//! How do the parts start and stop? The only place that knows every part.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::JoinSet,
};

use crate::{
    admin::{self, Admin, AdminSocket, Command},
    broker::{self, Broker, Door, Dropped, Volatile},
    config::{self, Config},
    mqtt::ReasonCode,
    net::{
        self, BindError, Lobby, Out, Tcp,
        websocket::{self, Origins, Refused},
    },
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
        let accounts = Arc::new(AccountsDb::open(&config.gateway.state)?);
        let socket = AdminSocket::bind(&config.gateway.state)?;
        let (policy, voice) = Policy::open_with_voice(accounts, policy_settings(config))?;
        let broker = Broker::new(policy.clone(), Arc::new(Volatile), broker_settings(config));
        let mut tasks = JoinSet::new();
        let mut listening = Vec::new();
        for listener in &config.listeners {
            let socket = Tcp::bind(listener)?;
            let address = socket.address().unwrap_or(listener.address);
            listening.push((listener.name.clone(), address));
            tasks.spawn(listen(broker.clone(), policy.clone(), socket, listener.clone()));
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

/// Takes connections for ever.
async fn listen(broker: Arc<Broker>, policy: Arc<Policy>, socket: Tcp, config: config::Listener) {
    let lobby = Lobby::new(config.limits.pending);
    let limits = Arc::new(connection_limits(&config.limits));
    let listener: Arc<str> = config.name.as_str().into();
    let anonymous: Option<Arc<str>> = config.anonymous.as_deref().map(Arc::from);
    let origins = Arc::new(Origins::new(&config.origins));
    loop {
        let (stream, address) = socket.accept().await;
        let door = Door {
            address,
            listener: listener.clone(),
            anonymous: anonymous.clone(),
            limits: limits.clone(),
            evicted: lobby.enter(),
        };
        let broker = broker.clone();
        match config.protocol {
            config::Protocol::Mqtt => tokio::spawn(broker::serve(broker, stream, door)),
            config::Protocol::Websocket => {
                tokio::spawn(serve_websocket(broker, policy.clone(), stream, door, origins.clone()))
            }
        };
    }
}

/// Serves one connection of a WebSocket listener. `stream` is what WebSocket is spoken on: any TLS is done.
async fn serve_websocket<S>(
    broker: Arc<Broker>,
    policy: Arc<Policy>,
    stream: S,
    mut door: Door,
    origins: Arc<Origins>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let address = door.address;
    let upgrading = websocket::upgrade(stream, &origins);
    let why = match net::within(door.limits.connect_timeout, &mut door.evicted, upgrading).await {
        Ok(Ok(stream)) => return broker::serve(broker, stream, door).await,
        Ok(Err(refused)) => {
            let why = refused.to_string();
            if let Refused::Origin(_) = refused {
                policy.refused_at_door("", "", address, ReasonCode::NotAuthorized, &why);
            }
            why
        }
        Err(Out::Late) => "no request in time".to_owned(),
        Err(Out::Evicted) => {
            broker.counters().drop_one(Dropped::Pending);
            "no room to wait".to_owned()
        }
    };
    // `serve` counts the others.
    broker.counters().sockets.fetch_add(1, Ordering::Relaxed);
    tracing::debug!(%address, why, "closed before it was a WebSocket");
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
