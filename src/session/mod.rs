//! What does this client's MQTT state say? Sans I/O: no sockets, clocks, files or tasks.
//!
//! A [`Session`] outlives its connections (MQTT 5 section 4.1). It owns the subscriptions, the messages on
//! their way to the client and the identifiers of those on their way from it. It promises that an identifier
//! is never used twice at a time and that an exchange goes on where it stopped, whatever order
//! acknowledgements come in. It never decides what may be sent: that is `policy/`'s.

mod aliases;
mod incoming;
mod outgoing;

use std::sync::Arc;

use ahash::AHashMap;

use crate::mqtt::{SubscriptionOptions, TopicFilter};

pub use aliases::{AliasError, Aliases, GivenAliases, Naming};
pub use incoming::Incoming;
pub use outgoing::{Outgoing, PubRec, Resend, UnknownId, identifier_of};

/// One subscription of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The filter, without its share prefix.
    pub filter: TopicFilter,
    /// Share group, if it is a shared subscription.
    pub group: Option<Arc<str>>,
    /// Its options.
    pub options: SubscriptionOptions,
    /// Version 5 subscription identifier, 1 to 268,435,455.
    pub identifier: Option<u32>,
}

/// The state of one client identifier; `M` is a message on its way to the client.
#[derive(Debug)]
pub struct Session<M> {
    /// Seconds the session outlives its connection: 0 not at all, `u32::MAX` for ever [MQTT-3.1.2-23].
    pub expiry: u32,
    /// Subscriptions by their text as the client wrote it.
    pub subscriptions: AHashMap<Arc<str>, Subscription>,
    /// Messages on their way to the client.
    pub outgoing: Outgoing<M>,
    /// The highest number of a message that was sent, as the queue of a session that is kept numbers them.
    pub sent: u64,
    /// QoS 2 messages on their way from the client.
    pub incoming: Incoming,
}

impl<M> Default for Session<M> {
    fn default() -> Self {
        Session {
            expiry: 0,
            subscriptions: AHashMap::default(),
            outgoing: Outgoing::default(),
            sent: 0,
            incoming: Incoming::default(),
        }
    }
}
