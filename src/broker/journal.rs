//! The trait by which sessions and retained messages are kept.

use std::{sync::Arc, time::Duration};

use parking_lot::RwLockReadGuard;

use crate::mqtt::{QoS, TopicFilter};
use crate::policy::Identity;
use crate::session::Subscription;

use super::{message::Message, ticket::Ticket, will::Will};

/// What a subscription has still to be sent of the messages that were retained when it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owed {
    /// All was sent, or is queued.
    #[default]
    Nothing,
    /// Those that go out at QoS 1 or 0; those of QoS 2 are queued.
    AtLeastOnce,
    /// Everything.
    Everything,
}

/// A change that must survive. It is told when it has happened in memory; it is durable when the ticket of a
/// later [`Journal::commit`] is done. `client` is the client identifier. What concerns a session that was not
/// opened, or has ended, means nothing.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A session that outlives its connection began or was taken up again; its client is connected.
    Opened {
        /// Client identifier.
        client: &'a Arc<str>,
        /// Whether it begins empty, in place of any that was there.
        fresh: bool,
        /// Whose it is.
        owner: &'a Identity,
        /// Seconds it outlives its connection; `u32::MAX` for ever.
        expiry: u32,
        /// Most messages that are unacknowledged at a time on this connection.
        inflight: u16,
        /// What is to be published if the connection is lost.
        will: Option<&'a Will>,
    },
    /// The client of a session left.
    Parked {
        /// Client identifier.
        client: &'a Arc<str>,
        /// Seconds it is kept from now on; `u32::MAX` for ever.
        expiry: u32,
        /// The highest number in the queue of a message that was sent.
        sent: u64,
        /// A will that waits for its delay from now on.
        will: Option<&'a Will>,
    },
    /// The will of a session was published.
    WillSent {
        /// Client identifier.
        client: &'a Arc<str>,
    },
    /// A session ended with all it held.
    Ended {
        /// Client identifier.
        client: &'a Arc<str>,
    },
    /// A subscription was made or replaced.
    Subscribed {
        /// Client identifier.
        client: &'a Arc<str>,
        /// The filter as the client wrote it.
        text: &'a Arc<str>,
        /// The subscription.
        subscription: &'a Subscription,
        /// Retained messages that it has still to be sent.
        owed: Owed,
    },
    /// A subscription ended.
    Unsubscribed {
        /// Client identifier.
        client: &'a Arc<str>,
        /// The filter as the client wrote it.
        text: &'a str,
    },
    /// A message of QoS 1 or 2 must reach a client.
    Queued {
        /// Client identifier.
        client: &'a Arc<str>,
        /// Number in the session's queue, rising, never 0.
        seq: u64,
        /// The message.
        message: &'a Arc<Message>,
        /// QoS of the delivery.
        qos: QoS,
        /// Retain flag of the delivery.
        retain: bool,
        /// Whether it comes from the retained messages.
        stored: bool,
        /// Subscription identifiers.
        identifiers: &'a [u32],
        /// Name and filter of the share group it came by.
        share: Option<(&'a str, &'a TopicFilter)>,
    },
    /// A message is sent under this packet identifier, which is not the one that goes with its number.
    Numbered {
        /// Client identifier.
        client: &'a Arc<str>,
        /// Number in the queue.
        seq: u64,
        /// Packet identifier.
        id: u16,
    },
    /// A message reached its client, or never will.
    Settled {
        /// Client identifier.
        client: &'a Arc<str>,
        /// Number in the queue.
        seq: u64,
    },
    /// A QoS 2 message reached its client (PUBREC); its packet identifier is in use until PUBCOMP.
    Released {
        /// Client identifier.
        client: &'a Arc<str>,
        /// Number in the queue.
        seq: u64,
        /// Packet identifier.
        id: u16,
    },
    /// A packet identifier is free again.
    Completed {
        /// Client identifier.
        client: &'a Arc<str>,
        /// Packet identifier.
        id: u16,
    },
    /// A QoS 2 message was taken on; `open` until its PUBREL.
    Received {
        /// Client identifier.
        client: &'a Arc<str>,
        /// Packet identifier.
        id: u16,
        /// Whether its PUBREL is still to come.
        open: bool,
    },
    /// The retained message of a topic was set, or removed.
    Retained {
        /// Topic name.
        topic: &'a Arc<str>,
        /// The message; `None` removes it.
        message: Option<&'a Arc<Message>>,
    },
}

/// Keeps changes together, see [`Journal::together`].
#[derive(Debug)]
pub struct Together<'a>(pub Option<RwLockReadGuard<'a, ()>>);

/// What keeping has cost since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Commits; each waits for the disk once.
    pub commits: u64,
    /// Bytes written to the disk.
    pub bytes: u64,
    /// How long all commits took together.
    pub took: Duration,
}

/// Keeps what must survive.
pub trait Journal: Send + Sync + 'static {
    /// Notes a change; must not block.
    fn record(&self, change: Change<'_>);

    /// A ticket that is done when everything recorded so far is durable; must not block.
    fn commit(&self) -> Ticket;

    /// What is recorded while the answer lives is written all at once: a restart finds all of it or nothing. Held for
    /// a moment only; nothing may be waited for meanwhile.
    fn together(&self) -> Together<'_> {
        Together(None)
    }

    /// What it has cost so far.
    fn written(&self) -> Written {
        Written::default()
    }

    /// Whether it can keep anything at present. While it cannot (the disk is full), nothing may be promised.
    fn is_writable(&self) -> bool {
        true
    }
}

/// A journal that keeps nothing beyond this process: what is in memory is all there is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Volatile;

impl Journal for Volatile {
    fn record(&self, _change: Change<'_>) {}

    fn commit(&self) -> Ticket {
        Ticket::DONE
    }
}
