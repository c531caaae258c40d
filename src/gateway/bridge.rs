//! The bridges: made from the configuration, run, looked at and stopped.

use std::{io, sync::Arc};

use tokio::{sync::watch, task::JoinSet};

use crate::{
    admin,
    bridge::{self, Bounds, Bridge, Dial, Dialing, Reason, Refusal, Route, Settings, Way, WhenFull},
    broker::Broker,
    config::{self, Config, ConfigError, Direction, Notifications},
    mqtt::{TopicFilter, Version},
    net::Dialer,
    policy::acl::BridgeRoutes,
    store::StateDb,
};

/// Every bridge, and their tasks.
pub(super) struct Bridges {
    all: Arc<[Arc<Bridge>]>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Bridges {
    /// Takes up what each has kept, and has it connect. Must be called within a tokio runtime.
    pub fn open(config: &Config, dialers: Vec<Dialer>, broker: &Arc<Broker>, state: &Arc<StateDb>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut all = Vec::new();
        for (bridge, dialer) in config.bridges.iter().zip(dialers) {
            let opened = Bridge::open(settings(config, bridge), broker, state.clone());
            tasks.spawn(opened.clone().run(Arc::new(Road(dialer)), stopped.clone()));
            all.push(opened);
        }
        for (bridge, messages) in state.left_over() {
            tracing::warn!(
                bridge,
                messages,
                "messages wait for a bridge that is not in the configuration: name one so again, or drop them with \
                 `latchgate bridge forget`"
            );
        }
        Bridges { all: all.into(), stop, tasks }
    }

    /// What looks at all of them.
    pub fn watch(&self) -> admin::Bridges {
        let all = self.all.clone();
        Arc::new(move || all.iter().map(|bridge| state(bridge.status())).collect())
    }

    /// Says farewell to every remote broker.
    pub async fn stop(&mut self) {
        // Without bridges nobody listens.
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// A dialer as the bridge wants it.
struct Road(Dialer);

impl Dial for Road {
    fn dial(&self, address: usize) -> Dialing<'_> {
        Box::pin(async move {
            let stream = self.0.dial(address).await?;
            Ok::<Box<dyn bridge::Stream>, io::Error>(Box::new(stream))
        })
    }

    fn password(&self) -> Result<Option<Vec<u8>>, String> {
        self.0.password()
    }

    fn stamp(&self) -> Vec<u8> {
        self.0.stamp()
    }
}

/// Reads what every bridge needs to connect, in their order. Blocks.
///
/// # Errors
/// Every bridge's first file that is not usable, with its place in the configuration.
pub fn open_dialers(config: &Config) -> Result<Vec<Dialer>, ConfigError> {
    let (mut opened, mut problems) = (Vec::new(), Vec::new());
    for bridge in &config.bridges {
        match Dialer::open(bridge) {
            Ok(dialer) => opened.push(dialer),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(opened) } else { Err(config.wrong(problems)) }
}

/// What the routes of a bridge let it do.
pub(super) fn rights(bridge: &config::Bridge) -> BridgeRoutes {
    let goes = |way: Direction| {
        let routes =
            bridge.route.iter().filter(move |route| [way, Direction::Both].contains(&route.direction));
        routes.map(|route| filter(&route.local()))
    };
    let state = filter(&format!("$SYS/broker/connection/{}/state", bridge.client_id));
    let says = (bridge.notifications != Notifications::None).then_some(state);
    BridgeRoutes {
        name: bridge.name.clone(),
        publish: goes(Direction::In).chain(says).collect(),
        receive: goes(Direction::Out).collect(),
    }
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).expect("the configuration lets right filters through only")
}

fn settings(config: &Config, bridge: &config::Bridge) -> Settings {
    let routes = bridge.route.iter().map(|route| Route {
        label: route.local().into(),
        local: filter(&route.local()),
        remote: filter(&route.remote()),
        local_prefix: route.local_prefix.clone(),
        remote_prefix: route.remote_prefix.clone(),
        way: match route.direction {
            Direction::In => Way::In,
            Direction::Out => Way::Out,
            Direction::Both => Way::Both,
        },
        qos: route.qos,
        retain: route.retain == config::RouteRetain::Keep,
    });
    Settings {
        name: bridge.name.as_str().into(),
        gateway: config.gateway.id.as_str().into(),
        addresses: bridge.address.iter().map(ToString::to_string).collect(),
        client_id: bridge.client_id.clone(),
        version: match bridge.protocol {
            config::BridgeProtocol::V311 => Version::V311,
            config::BridgeProtocol::V5 => Version::V5,
        },
        username: bridge.username.clone(),
        keep_alive: bridge.keep_alive,
        durable: bridge.session == config::RemoteSession::Durable,
        inflight: bridge.inflight,
        packet_size: config.limits.packet_size,
        timeout: bridge.timeout,
        retry: (bridge.retry_min, bridge.retry_max),
        return_after: bridge.return_after,
        notify: (bridge.notifications != Notifications::None, bridge.notifications == Notifications::Both),
        canary: bridge.canary.clone(),
        peer: bridge.peer.as_deref().filter(|peer| !peer.is_empty()).map(Into::into),
        routes: routes.collect(),
        bounds: Bounds {
            messages: bridge.spool.max_messages,
            bytes: bridge.spool.max_bytes,
            when_full: match bridge.spool.when_full {
                config::WhenFull::DropOldest => WhenFull::DropOldest,
                config::WhenFull::DropNewest => WhenFull::DropNewest,
            },
        },
        live_first: bridge.spool.live_first,
    }
}

/// A bridge for operators.
fn state(status: bridge::Status) -> admin::BridgeState {
    // Of every route that there is, also of one that has carried nothing; what came by no route is told if there is any.
    let by_none = |route: &bridge::RouteInStatus| route.remote.is_empty() && route.ledger.accepted == 0;
    let routes_in = status.routes_in.into_iter().filter(|route| !by_none(route));
    admin::BridgeState {
        name: status.name.to_string(),
        client_id: status.client_id,
        address: status.address,
        connected: status.connected,
        seconds: status.since.as_secs(),
        error: status.error,
        last_error_seconds: status.last_error.as_ref().map(|(_, ago)| ago.as_secs()),
        last_error: status.last_error.map(|(what, _)| what),
        round_trip_ms: status.round_trip.map(|time| (time.as_secs_f64() * 1e5).round() / 100.0),
        refused_filters: status.refused,
        queued_messages: status.backlog.0,
        queued_bytes: status.backlog.1,
        oldest_seconds: status.age.map(|age| age.as_secs()),
        drained_in_seconds: status.drain.map(|time| time.as_secs()),
        routes: status
            .routes
            .into_iter()
            .map(|route| admin::RouteState {
                topic: route.topic.to_string(),
                accepted: route.ledger.accepted,
                delivered: route.ledger.delivered,
                unacknowledged: route.ledger.unacknowledged,
                queued: route.queued,
                expired: route.ledger.expired,
                dropped: Reason::ALL
                    .iter()
                    .map(|reason| (reason.name(), route.ledger.dropped[*reason as usize]))
                    .collect(),
            })
            .collect(),
        routes_in: routes_in
            .map(|route| admin::RouteInState {
                topic: route.remote.to_string(),
                accepted: route.ledger.accepted,
                published: route.ledger.published,
                refused: Refusal::ALL
                    .iter()
                    .map(|reason| (reason.name(), route.ledger.refused[*reason as usize]))
                    .collect(),
            })
            .collect(),
        qos0_sent: status.qos0.0,
        qos0_dropped: status.qos0.1,
        in_published: status.arrived.published,
        in_held: status.arrived.held,
        in_refused: status.arrived.refused,
        in_echoes: status.arrived.echoes,
    }
}
