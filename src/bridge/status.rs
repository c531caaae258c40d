//! What an operator sees of a bridge.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    exchange::Arrived,
    ledger::{Ledger, LedgerIn},
    spool::Amount,
};

/// A bridge at this moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its name.
    pub name: Arc<str>,
    /// Client identifier on the remote broker.
    pub client_id: String,
    /// The address that is connected, or was tried last.
    pub address: String,
    /// Whether the remote broker answered within the last keep alive.
    pub connected: bool,
    /// For how long that is so.
    pub since: Duration,
    /// Why it is not connected, as far as is known.
    pub error: Option<String>,
    /// What went wrong last, also if all is well again, and how long ago that was.
    pub last_error: Option<(String, Duration)>,
    /// How long the remote broker takes to answer; none while it is not connected.
    pub round_trip: Option<Duration>,
    /// Filters that the remote broker did not grant.
    pub refused: Vec<String>,
    /// Messages that wait, and their bytes.
    pub backlog: (u64, u64),
    /// How long the oldest has waited.
    pub age: Option<Duration>,
    /// How long it will take until all have gone, at the pace of the last seconds.
    pub drain: Option<Duration>,
    /// What became of the messages of each route.
    pub routes: Vec<RouteStatus>,
    /// What became of the messages that came by each route.
    pub routes_in: Vec<RouteInStatus>,
    /// QoS 0 since the start: sent, and dropped.
    pub qos0: (u64, u64),
    /// What came from the remote broker since the start.
    pub arrived: Arrived,
}

/// One route that goes out.
#[derive(Clone, Debug)]
pub struct RouteStatus {
    /// The filter here.
    pub topic: Arc<str>,
    /// Its totals.
    pub ledger: Ledger,
    /// Messages in the spool.
    pub queued: u64,
}

/// One route that comes in.
#[derive(Clone, Debug)]
pub struct RouteInStatus {
    /// The filter on the remote broker; empty for what came by no route.
    pub remote: Arc<str>,
    /// Its totals.
    pub ledger: LedgerIn,
}

/// What the bridge's task tells; the rest is looked up when somebody asks.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub address: usize,
    pub connected: bool,
    pub since: Instant,
    pub error: Option<String>,
    pub last_error: Option<(String, Instant)>,
    pub round_trip: Option<Duration>,
    pub refused: Vec<String>,
    pub arrived: Arrived,
    pub ledgers_in: Vec<(Arc<str>, LedgerIn)>,
    /// Messages a second that were delivered in the last seconds, and what that is reckoned from.
    pace: f64,
    measured: (Instant, u64),
}

impl Told {
    pub fn new(now: Instant) -> Self {
        Told {
            address: 0,
            connected: false,
            since: now,
            error: None,
            last_error: None,
            round_trip: None,
            refused: Vec::new(),
            arrived: Arrived::default(),
            ledgers_in: Vec::new(),
            pace: 0.0,
            measured: (now, 0),
        }
    }

    /// Notes how many messages were delivered up to now.
    pub fn paced(&mut self, delivered: u64, now: Instant) {
        let (since, before) = self.measured;
        let passed = now.saturating_duration_since(since).as_secs_f64();
        if passed < 0.5 {
            return;
        }
        let pace = delivered.saturating_sub(before) as f64 / passed;
        let first = before == 0 && self.pace == 0.0;
        self.pace = if first { pace } else { 0.7 * self.pace + 0.3 * pace };
        self.measured = (now, delivered);
    }

    /// Notes whether it is connected, and why not; whether that is new.
    pub fn turn(&mut self, connected: bool, now: Instant) -> bool {
        let changed = self.connected != connected;
        if changed {
            (self.connected, self.since) = (connected, now);
        }
        changed
    }
}

/// Puts both together.
pub(super) fn status(
    settings: &super::Settings,
    told: Told,
    amount: Amount,
    queued: &[u64],
    now: Instant,
) -> Status {
    let drain = (told.connected && amount.messages > 0 && told.pace > 0.1)
        .then(|| Duration::from_secs_f64((amount.messages as f64 / told.pace).min(1e9)));
    let routes = amount.ledgers.into_iter().zip(queued);
    Status {
        name: settings.name.clone(),
        client_id: settings.client_id.clone(),
        address: settings.addresses.get(told.address).cloned().unwrap_or_default(),
        connected: told.connected,
        since: now.saturating_duration_since(told.since),
        error: told.error,
        last_error: told.last_error.map(|(what, at)| (what, now.saturating_duration_since(at))),
        round_trip: told.round_trip.filter(|_| told.connected),
        refused: told.refused,
        backlog: (amount.messages, amount.bytes),
        age: amount.age,
        drain: if amount.messages == 0 { Some(Duration::ZERO) } else { drain },
        routes: routes
            .map(|((topic, ledger), queued)| RouteStatus { topic, ledger, queued: *queued })
            .collect(),
        routes_in: told
            .ledgers_in
            .into_iter()
            .map(|(remote, ledger)| RouteInStatus { remote, ledger })
            .collect(),
        qos0: amount.qos0,
        arrived: told.arrived,
    }
}
