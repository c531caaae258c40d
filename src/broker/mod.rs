//! Who gets this message? Connections, the subscription index, retained messages, shared subscriptions.
//!
//! This room owns everything between a decoded packet and the packets it causes, and the trait by which
//! sessions and retained messages are kept. It promises that nothing is routed or written without a permit, that
//! no client waits for a slow neighbour beyond a stated time, and that every queue has a bound. It must
//! never decide by itself what somebody may do.

mod backlog;
#[expect(clippy::module_inception, reason = "a file is named for its main type")]
mod broker;
mod budget;
mod clock;
mod command;
mod connection;
mod counters;
mod index;
mod janitor;
mod journal;
mod link;
mod load;
mod message;
mod outbox;
mod outlet;
mod registry;
mod retained;
mod router;
mod saved;
mod shared;
mod snapshot;
mod speaker;
mod sys;
mod ticket;
mod traffic;
mod will;

pub use broker::{Broker, RefusedPublish, Settings};
pub use connection::{Door, Limits, serve};
pub use counters::{Counters, Dropped};
pub use journal::{Change, Journal, Owed, Together, Volatile, Written};
pub use link::{Arriving, Departing, Departure, KeptByBridge, Link, MARK, NotNow, Taken};
pub use message::{Message, may_travel};
pub use outlet::Outlet;
pub use registry::Bounds;
pub use ticket::{Commits, JournalError, Ticket};
pub use will::Will;

pub use crate::session::Subscription;
pub use saved::{Saved, SavedDelivery, SavedMessage, SavedSession};
pub use snapshot::{Amount, Snapshot};
pub use speaker::Speaker;
pub use traffic::{Traffic, TrafficTotal};
