//! What the broker holds and has done, at one moment: for `$SYS`, metrics and whoever else asks.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use super::{broker::Broker, clock, counters::Dropped, journal::Written, traffic::Traffic};

/// How many and how large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Messages.
    pub messages: usize,
    /// About how many bytes they take.
    pub bytes: usize,
}

/// The broker at one moment. Totals count from its start.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Since the start.
    pub uptime: Duration,
    /// Clients connected now.
    pub connected: u64,
    /// The most that were connected at a time.
    pub most_connected: u64,
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Sessions without a connection.
    pub disconnected: u64,
    /// Sessions that ended because nobody came back in time.
    pub expired: u64,
    /// Sockets that were accepted.
    pub sockets: u64,
    /// CONNECT packets that could be read.
    pub connects: u64,
    /// From clients.
    pub received: Traffic,
    /// To clients.
    pub sent: Traffic,
    /// Publishes that the gate refused.
    pub refused: u64,
    /// Waiting in the queues of all sessions.
    pub queued: Amount,
    /// Messages among them that the lock keeps back.
    pub withheld: usize,
    /// Retained messages of clients.
    pub retained: Amount,
    /// Subscriptions, shared ones aside.
    pub subscriptions: usize,
    /// Members of all share groups.
    pub shared_subscriptions: usize,
    /// What keeping state has cost.
    pub written: Written,
    /// Whether state can be kept at present.
    pub writable: bool,
    /// Drops by reason.
    pub dropped: [(Dropped, u64); Dropped::ALL.len()],
}

impl Snapshot {
    /// Messages that the bounds of a subscriber's queue kept from it.
    pub fn dropped_from_queues(&self) -> u64 {
        let queues = |reason| matches!(reason, Dropped::SlowSubscriber | Dropped::QueueFull);
        self.dropped.iter().filter(|(reason, _)| queues(*reason)).map(|(_, count)| count).sum()
    }
}

impl Broker {
    /// Whether what must survive can be kept. If not (the disk is full), messages of QoS 1 and 2 are refused.
    pub fn is_writable(&self) -> bool {
        self.router.journal.is_writable()
    }

    /// Counts everything. Takes time with the number of sessions: not for every message.
    pub fn snapshot(&self) -> Snapshot {
        let counters = &self.counters;
        let (mut queued, mut withheld) = (Amount::default(), 0);
        let (mut sessions, mut disconnected) = (0, 0);
        for seat in self.registry.all() {
            sessions += 1;
            disconnected += u64::from(!seat.outbox.is_online());
            let (messages, bytes) = seat.outbox.size();
            withheld += seat.outbox.withheld();
            queued.messages += messages;
            queued.bytes = queued.bytes.saturating_add(bytes);
        }
        let (messages, bytes) = self.router.retained.size();
        let (subscriptions, shared_subscriptions) = self.router.index.counts();
        Snapshot {
            uptime: clock::now().saturating_duration_since(self.started),
            connected: counters.connected.load(Relaxed),
            most_connected: counters.most_connected.load(Relaxed),
            sessions,
            disconnected,
            expired: counters.expired.load(Relaxed),
            sockets: counters.sockets.load(Relaxed),
            connects: counters.connects.load(Relaxed),
            received: counters.received.get(),
            sent: counters.sent.get(),
            refused: counters.refused.load(Relaxed),
            queued,
            withheld,
            retained: Amount { messages, bytes },
            subscriptions,
            shared_subscriptions,
            written: self.router.journal.written(),
            writable: self.is_writable(),
            dropped: Dropped::ALL.map(|reason| (reason, counters.dropped(reason))),
        }
    }
}
