//! Bridges as an operator sees them.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

/// Looks at every bridge.
pub type Bridges = Arc<dyn Fn() -> Vec<BridgeState> + Send + Sync>;

/// A bridge at this moment.
#[derive(Clone, Debug, Serialize)]
pub struct BridgeState {
    /// Its name.
    pub name: String,
    /// Client identifier on the remote broker.
    pub client_id: String,
    /// The address that is connected, or was tried last.
    pub address: String,
    /// Whether the remote broker answered within the last keep alive.
    pub connected: bool,
    /// For how many seconds that is so.
    pub seconds: u64,
    /// Why it is not connected, as far as is known.
    pub error: Option<String>,
    /// What went wrong last, also if all is well again.
    pub last_error: Option<String>,
    /// How many seconds ago that was.
    pub last_error_seconds: Option<u64>,
    /// How long the remote broker takes to answer, in milliseconds; none while it is not connected.
    pub round_trip_ms: Option<f64>,
    /// Filters that the remote broker did not grant.
    pub refused_filters: Vec<String>,
    /// Messages in the spool.
    pub queued_messages: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// How long the oldest has waited, in seconds.
    pub oldest_seconds: Option<u64>,
    /// In how many seconds all will have gone, at the present pace.
    pub drained_in_seconds: Option<u64>,
    /// The ledger of each route.
    pub routes: Vec<RouteState>,
    /// The ledger of each route that comes in.
    pub routes_in: Vec<RouteInState>,
    /// QoS 0 since the start: sent.
    pub qos0_sent: u64,
    /// QoS 0 since the start: dropped.
    pub qos0_dropped: u64,
    /// From the remote broker since the start: published here.
    pub in_published: u64,
    /// From the remote broker since the start: kept out by the lock and not acknowledged, each time it came.
    pub in_held: u64,
    /// From the remote broker since the start: refused.
    pub in_refused: u64,
    /// From the remote broker since the start: what the gateway had sent itself.
    pub in_echoes: u64,
}

/// One route that goes out. `accepted` is the sum of all the others but `unacknowledged`, which is a part of
/// `delivered`.
#[derive(Clone, Debug, Serialize)]
pub struct RouteState {
    /// The filter here.
    pub topic: String,
    /// Messages of QoS 1 and 2 taken on.
    pub accepted: u64,
    /// Acknowledged by the remote broker, or sent to one that takes no more than QoS 0.
    pub delivered: u64,
    /// How many of these were sent at QoS 0.
    pub unacknowledged: u64,
    /// In the spool.
    pub queued: u64,
    /// Expired.
    pub expired: u64,
    /// Dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// One route that comes in. `accepted` is the sum of the others.
#[derive(Clone, Debug, Serialize)]
pub struct RouteInState {
    /// The filter on the remote broker; empty for what came by no route.
    pub topic: String,
    /// Messages of QoS 1 and 2 acknowledged to the remote broker.
    pub accepted: u64,
    /// Published here.
    pub published: u64,
    /// Not published, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}
