//! How do the parts start and stop? The only place that knows every part.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    admin::{self, Admin, AdminSocket},
    broker::{self, Broker, Speaker},
    config::{self, Config, ConfigError},
    net::{BindError, Tls},
    panel::PortError,
    policy::{self, Policy, acl, auth::backends::Backends, lock},
    store::{self, AccountsDb, LockDb, StateDb, StoreError},
    system::memory,
};

mod backends;
mod bridge;
mod clock;
mod databases;
mod doors;
mod latch;
mod liveness;
mod panel;
pub mod recovery;
mod reload;

use bridge::Bridges;
pub use bridge::open_dialers;
pub use clock::compare as compare_clock;
use doors::Doors;
use latch::Latch;
pub use latch::{open_latch, service as latch_service};
use liveness::Liveness;
use reload::{Running, obey};

/// Why the gateway cannot run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The state directory or a file in it is not usable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Accounts and rules cannot be read.
    #[error("accounts and rules cannot be read: {0}")]
    Accounts(#[from] policy::accounts::AccountError),
    /// Pairings with the Latch service cannot be read.
    #[error("pairings cannot be read: {0}")]
    Pairings(#[from] crate::latch::PairingError),
    /// Another gateway runs here, or this one could not be talked to.
    #[error(transparent)]
    Admin(#[from] admin::SocketError),
    /// A file that the configuration names is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A listener cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A socket was handed over that is no listener's.
    #[error(
        "the service manager opened a socket with the name {0:?}, and no listener has that name: FileDescriptorName= in its .socket \
         unit must be a listener's name"
    )]
    Handed(String),
    /// A backend can never answer.
    #[error("the backend {name:?} cannot be used: {what}")]
    Backend {
        /// Its name.
        name: String,
        /// Why.
        what: String,
    },
    /// Button and LED are required, and not to be had.
    #[error(transparent)]
    Panel(#[from] PortError),
}

/// A running gateway; it stops when dropped, in order only by [`Gateway::stop`].
pub struct Gateway {
    broker: Arc<Broker>,
    running: Arc<Running>,
    accounts: Arc<AccountsDb>,
    state: Arc<StateDb>,
    bridges: Bridges,
    tasks: JoinSet<()>,
    /// Those who answer operators, and what has them come to an end.
    desk: (watch::Sender<()>, JoinSet<()>),
}

/// How long operators may take to have their answer when the gateway stops.
const ANSWERS: Duration = Duration::from_secs(3);
/// How long clients may take to be told that the gateway stops, and to take their last bytes.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often memory that is no longer needed is given back.
const GIVE_BACK: Duration = Duration::from_secs(5);

impl Gateway {
    /// Opens the store, claims its directory, then opens the policy, then the broker, and only then the listeners. Must be called within a
    /// tokio runtime; blocks while it reads the store.
    ///
    /// # Errors
    /// Whatever part cannot start; nothing is left running then. Nor is it if whoever waits gives up.
    pub async fn start(config: &Config) -> Result<Self, GatewayError> {
        Self::start_with(config, Vec::new()).await
    }

    /// The same with sockets that were opened already, each for the listener whose name it has; its address is then the
    /// socket's.
    ///
    /// # Errors
    /// As [`Gateway::start`]; and if a socket is no listener's.
    pub async fn start_with(
        config: &Config,
        handed: Vec<(String, TcpListener)>,
    ) -> Result<Self, GatewayError> {
        let is_ours = |name: &str| config.listeners.iter().any(|listener| listener.name == name);
        if let Some((name, _)) = handed.iter().find(|(name, _)| !is_ours(name)) {
            return Err(GatewayError::Handed(name.clone()));
        }
        compare_clock(&config.gateway.state);
        // Before any of them is made anew.
        let lost = store::lost(&config.gateway.state);
        let accounts = Arc::new(AccountsDb::open(&config.gateway.state)?);
        let socket = AdminSocket::bind(&config.gateway.state)?;
        for lost in lost {
            tracing::error!(
                "{lost}; if that was not meant, stop the gateway and restore a backup of the state directory"
            );
        }
        let mut latch = Latch::open(config)?;
        let mut tasks = JoinSet::new();
        // The LED says that the gateway starts, which may take a while if there is much to read.
        let (panel, attendant) = panel::open(&config.panel)?.start(&mut tasks);
        let lock = Arc::new(LockDb::open(&config.gateway.state)?);
        let backends = backends::open(config)?;
        let starting = backends.clone();
        // It may take its time, in which somebody may want the gateway to stop.
        tokio::task::spawn_blocking(move || backends::start(&starting))
            .await
            .unwrap_or_else(|error| Err((String::new(), error.to_string())))
            .map_err(|(name, what)| GatewayError::Backend { name, what })?;
        let settings = policy_settings(config, backends);
        let (policy, voice) = Policy::open_with_voice(accounts.clone(), lock, settings)?;
        let (state, saved) = StateDb::open(&config.gateway.state)?;
        let state = Arc::new(state);
        let broker = Broker::new(policy.clone(), state.clone(), broker_settings(config));
        broker.restore(saved);
        let speaker = Speaker::new(&broker, voice);
        policy.lock().announce_with(Box::new(speaker.clone()));
        match &latch {
            Some(latch) => latch.hold_first(policy.lock()).await,
            None => latch::release(policy.lock()).await,
        }
        let mut doors = Doors::new(broker.clone(), policy.clone(), handed);
        let dialers = open_dialers(config)?;
        let prepared = doors.prepare(config)?;
        let http = config.admin.http.map(admin::listen).transpose()?;
        // Before the first client: what it publishes must find the spools.
        let bridges = Bridges::open(config, dialers, &broker, &state);
        doors.change(config, prepared);
        tasks.spawn(policy.clone().follow());
        tasks.spawn(policy.lock().clone().keep_schedule());
        tasks.spawn(policy.lock().clone().keep_trying());
        tasks.spawn(broker.clone().keep_house());
        tasks.spawn(clock::tell());
        tasks.spawn(give_back_memory());
        if config.gateway.sys_interval > 0 {
            let interval = Duration::from_secs(config.gateway.sys_interval.into());
            tasks.spawn(broker.clone().publish_sys(speaker.clone(), interval));
        }
        if let Some(latch) = &mut latch {
            latch.start(&broker, policy.lock(), speaker, &mut tasks);
        }
        let (commands, obeyed) = mpsc::channel(8);
        let seen = Arc::new(ArcSwap::from_pointee(doors.seen()));
        let surroundings = panel::Surroundings {
            policy: policy.clone(),
            broker: broker.clone(),
            accounts: accounts.clone(),
            doors: seen.clone(),
            latch: latch.as_ref().map(Latch::view),
            bridges: bridges.watch(),
        };
        let admin = Admin {
            broker: broker.clone(),
            policy: policy.clone(),
            id: config.gateway.id.as_str().into(),
            doors: seen.clone(),
            latch: latch.as_ref().map(Latch::reporter),
            bridges: bridges.watch(),
            commands,
        };
        let doors = tokio::sync::Mutex::new(doors);
        let running = Arc::new(Running {
            policy: policy.clone(),
            doors,
            seen,
            latch,
            panel,
            config: Mutex::new(config.clone()),
        });
        tasks.spawn(obey(running.clone(), obeyed));
        let (open, stopping) = watch::channel(());
        let mut desk = JoinSet::new();
        if let Some(listener) = http {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, "metrics over HTTP");
            }
            desk.spawn(admin.clone().serve_http(listener, stopping.clone()));
        }
        desk.spawn(admin.serve_socket(socket, stopping));
        attendant.start(surroundings, &mut tasks);
        Ok(Gateway { broker, running, accounts, state, bridges, tasks, desk: (open, desk) })
    }

    /// Where it listens, in a line for people.
    pub fn status(&self) -> String {
        self.running.status()
    }

    /// Name and address of every listener.
    pub fn listening(&self) -> Vec<(String, SocketAddr)> {
        self.running.seen.load().listening.clone()
    }

    /// Calls `sign` every `interval`, as long as broker and store answer; until the gateway stops.
    pub fn show_life(&mut self, interval: Duration, sign: impl Fn() + Send + 'static) {
        let parts = Liveness::new(self.broker.clone(), self.accounts.clone(), self.state.clone());
        self.tasks.spawn(parts.watch(interval, sign));
    }

    /// What can be counted.
    pub fn counters(&self) -> &Arc<broker::Counters> {
        self.broker.counters()
    }

    /// Reads the configuration, accounts and rules again. How it went is in the log.
    pub async fn reload(&self) {
        let _ = self.running.clone().reload().await;
    }

    /// Presses the simulated button for so long, as `latchgate panel press` does; how the panel is then.
    ///
    /// # Errors
    /// In words, if the panel is not simulated or does not react.
    pub async fn press(&self, hold: Duration) -> Result<admin::PanelStatus, String> {
        panel::press(&self.running.panel, hold).await
    }

    /// Takes no more connections, tells every client, and waits until they are gone, a few seconds at most.
    pub async fn stop(mut self) {
        self.running.doors.lock().await.close().await;
        // What was asked is answered: who closed the lock must not be told that it failed.
        let (open, mut desk) = self.desk;
        drop(open);
        let _ = tokio::time::timeout(ANSWERS, async { while desk.join_next().await.is_some() {} }).await;
        drop(desk);
        self.tasks.shutdown().await;
        // While its clients can still be told.
        self.bridges.stop().await;
        let left = self.broker.shutdown(FAREWELL).await;
        if left > 0 {
            tracing::warn!(clients = left, "some clients did not take their farewell in time");
        }
        let (state, policy) = (self.state, self.running.policy.clone());
        let close = move || {
            policy.with_desks(|desk| desk.remote().stop());
            state.close()
        };
        let _ = tokio::task::spawn_blocking(close).await;
    }
}

/// Gives memory back that is no longer needed, for ever.
async fn give_back_memory() {
    loop {
        tokio::time::sleep(GIVE_BACK).await;
        if let Err(error) = tokio::task::spawn_blocking(memory::give_back).await {
            tracing::error!(%error, "memory was not given back");
        }
    }
}

/// Reads the certificates of each listener that has any, in the order of the listeners. Blocks.
///
/// # Errors
/// Every listener's first file that is not usable, with its place in the configuration.
pub fn open_tls(config: &Config) -> Result<Vec<Option<Arc<Tls>>>, ConfigError> {
    let (mut opened, mut problems) = (Vec::new(), Vec::new());
    for listener in &config.listeners {
        // A browser asks for HTTP when it wants a WebSocket, and takes no other answer.
        let spoken: &[&[u8]] = match listener.protocol {
            config::Protocol::Mqtt => &[b"mqtt"],
            config::Protocol::Websocket => &[b"http/1.1"],
        };
        let tls = listener.tls.as_ref().map(|tls| Tls::open(&listener.name, tls, spoken));
        opened.push(tls.and_then(|tls| tls.map_err(|problem| problems.push(problem)).ok()));
    }
    if problems.is_empty() { Ok(opened) } else { Err(config.wrong(problems)) }
}

fn broker_settings(config: &Config) -> broker::Settings {
    broker::Settings {
        id: config.gateway.id.as_str().into(),
        refused_publish_v3: match config.acl.refused_publish_v3 {
            config::RefusedPublish::Acknowledge => broker::RefusedPublish::Acknowledge,
            config::RefusedPublish::Disconnect => broker::RefusedPublish::Disconnect,
        },
        sessions: config.limits.sessions,
        queue: broker::Bounds { messages: config.limits.queued_messages, bytes: config.limits.queued_bytes },
        retained_messages: config.limits.retained_messages,
        retained_bytes: config.limits.retained_bytes,
        memory: config.limits.memory,
    }
}

/// What the configuration says of the policy, with every backend ready; `acl test` asks with the same. Blocks.
///
/// # Errors
/// A file of a backend that is not usable.
pub fn open_policy_settings(config: &Config) -> Result<policy::Settings, ConfigError> {
    Ok(policy_settings(config, backends::open(config)?))
}

fn policy_settings(config: &Config, backends: Backends) -> policy::Settings {
    policy::Settings {
        superusers: config.acl.superusers.clone(),
        topic_prefix: config.acl.topic_prefix.clone(),
        bridges: config.bridges.iter().map(bridge::rights).collect(),
        subscribe: match config.acl.subscribe {
            config::SubscribeRule::Covered => acl::SubscribeRule::Covered,
            config::SubscribeRule::Overlap => acl::SubscribeRule::Overlap,
        },
        check_retained_source: config.acl.retained_source == config::RetainedSource::Checked,
        upgrade_passwords: config.auth.upgrade_passwords,
        remember_logins: config.auth.cache.verified,
        throttle: policy::ThrottleRules {
            failures: config.auth.throttle.failures,
            window: config.auth.throttle.window,
            ban: config.auth.throttle.ban,
            exempt_loopback: config.auth.throttle.exempt_loopback,
        },
        commands: config
            .latch
            .application_id
            .is_some()
            .then_some(policy::CommandTopics { legacy: config.latch.legacy_topics }),
        backends,
        anonymous: config
            .listeners
            .iter()
            .filter_map(|listener| Some((listener.name.clone(), listener.anonymous.clone()?)))
            .collect(),
        lock: lock_settings(&config.lock),
    }
}

fn lock_settings(config: &config::Lock) -> lock::Settings {
    lock::Settings {
        exempt: config.exempt.clone(),
        bridge_in_closed: config.bridge_in == config::LockSide::Closed,
        bridge_out_closed: config.bridge_out == config::LockSide::Closed,
        disconnect_v3: config.refused_publish_v3 == config::RefusedPublish::Disconnect,
        drop_queued: config.queued == config::LockQueued::Drop,
        refuse_logins: config.logins == config::LockLogins::Refuse,
        schedule: config.schedule.iter().filter_map(window).collect(),
    }
}

/// An entry of the schedule as the lock takes it; the configuration has checked its scope.
fn window(entry: &config::Schedule) -> Option<lock::Window> {
    let scope = lock::Scope::parse(&entry.close, entry.user.as_deref());
    let scope =
        scope.inspect_err(|error| tracing::error!(error, "an entry of lock.schedule is left out")).ok()?;
    let zone = entry.time_zone.clone().unwrap_or_else(jiff::tz::TimeZone::system);
    let (from, to, days) = (entry.from, entry.to, entry.days.clone());
    Some(lock::Window { scope, from, to, days, zone })
}
