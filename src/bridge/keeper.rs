//! The trait by which spool and ledger are kept.

use std::{fmt::Debug, sync::Arc, time::Duration};

use crate::broker::Message;
use crate::mqtt::QoS;

use super::ledger::{Ledger, LedgerIn};

/// A change of one bridge's spool. Like [`crate::broker::Change`] it is durable when the ticket of a later commit is
/// done, in one transaction with everything that was noted before.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A message was taken on.
    Kept {
        /// Its number, rising.
        seq: u64,
        /// The route that took it.
        route: &'a Arc<str>,
        /// QoS it is to be sent at.
        qos: QoS,
        /// The message.
        message: &'a Arc<Message>,
        /// The route's totals from now on.
        ledger: Ledger,
    },
    /// A QoS 2 message is about to be sent under this packet identifier, or was received by the remote broker (PUBREC);
    /// 0: it is as if it had never been sent.
    Numbered {
        /// Its number.
        seq: u64,
        /// Packet identifier.
        id: u16,
        /// Whether PUBREC came.
        released: bool,
    },
    /// A message left.
    Left {
        /// Its number.
        seq: u64,
        /// The route that took it.
        route: &'a Arc<str>,
        /// Whether [`Entry::Numbered`] said something of it that still holds.
        numbered: bool,
        /// The route's totals from now on.
        ledger: Ledger,
    },
    /// A message was dropped as it came.
    Counted {
        /// The route that would have taken it.
        route: &'a Arc<str>,
        /// The route's totals from now on.
        ledger: Ledger,
    },
    /// A QoS 2 message from the remote broker was taken on; `open` until its PUBREL.
    Received {
        /// Packet identifier.
        id: u16,
        /// Whether its PUBREL is still to come.
        open: bool,
    },
    /// A message of QoS 1 or 2 came from the remote broker.
    Arrived {
        /// The route by which it came: its filter on the remote broker, empty if there is none.
        route: &'a Arc<str>,
        /// The route's totals from now on.
        ledger: LedgerIn,
    },
    /// Packet identifiers that are noted from now on, both ways, are those of this session. What was noted before is taken back
    /// together with it.
    Session {
        /// At which remote broker, and as whom.
        of: &'a Arc<str>,
    },
}

/// A message read back, but for what the spool itself knows.
#[derive(Debug)]
pub struct KeptMessage {
    /// Its number.
    pub seq: u64,
    /// Topic name here.
    pub topic: Arc<str>,
    /// Payload.
    pub payload: Box<[u8]>,
    /// Encoded properties.
    pub properties: Box<[u8]>,
    /// Whether it was published retained.
    pub retain: bool,
}

/// What is known of a message without reading it.
#[derive(Clone, Debug)]
pub struct KeptEntry {
    /// Its number.
    pub seq: u64,
    /// The route that took it.
    pub route: Arc<str>,
    /// QoS it is to be sent at.
    pub qos: QoS,
    /// About how many bytes it has.
    pub size: u32,
    /// How long ago it was taken on.
    pub age: Duration,
    /// How long until it expires.
    pub left: Option<Duration>,
    /// Packet identifier under which it may have been sent (QoS 2); else 0.
    pub packet_id: u16,
    /// Whether PUBREC came.
    pub released: bool,
}

/// Everything that was kept of one bridge.
#[derive(Debug, Default)]
pub struct KeptSpool {
    /// Messages by rising numbers.
    pub entries: Vec<KeptEntry>,
    /// Totals by route.
    pub ledgers: Vec<(Arc<str>, Ledger)>,
    /// Totals of routes that come in, by filter on the remote broker.
    pub ledgers_in: Vec<(Arc<str>, LedgerIn)>,
    /// Packet identifiers of QoS 2 messages from the remote broker whose PUBREL is still to come.
    pub received: Vec<u16>,
    /// The session in which all packet identifiers mean something, if it is known.
    pub session: Option<Arc<str>>,
}

/// Keeps spools and ledgers.
pub trait Keeper: Debug + Send + Sync + 'static {
    /// Notes a change of the spool of `bridge`; must not block.
    fn note(&self, bridge: &Arc<str>, entry: Entry<'_>);

    /// What was kept of `bridge`, at the start.
    fn kept(&self, bridge: &str) -> KeptSpool;

    /// Reads messages back, from number `from` on, at most `most` and about `most_bytes`, at least one if there is any.
    /// Only what is durable is found. Blocks.
    ///
    /// # Errors
    /// If the disk fails, in words.
    fn read(
        &self,
        bridge: &str,
        from: u64,
        most: usize,
        most_bytes: usize,
    ) -> Result<Vec<KeptMessage>, String>;
}
