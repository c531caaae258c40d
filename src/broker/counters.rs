//! What an operator can count: connections, messages, and everything that was dropped, by reason.

use std::sync::atomic::{AtomicU64, Ordering};

use super::traffic::TrafficTotal;

/// Why a message did not reach a subscriber, or a connection was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Dropped {
    /// QoS 0 to a subscriber whose queue is full.
    SlowSubscriber,
    /// QoS 1 or 2 to a subscriber whose queue is full: the one exception to the promise of an acknowledgement.
    QueueFull,
    /// The gate refused the delivery.
    NotPermitted,
    /// The lock was closed, and what waits is to be dropped.
    Locked,
    /// The message expired before it could be delivered.
    Expired,
    /// Larger than the subscriber's maximum packet size [MQTT-3.1.2-25].
    TooLarge,
    /// The bounds of the retained messages are reached.
    RetainedFull,
    /// Publishes beyond `limits.memory`.
    Memory,
    /// More connections than `limits.connections`.
    Connections,
    /// More sockets without a CONNECT than `limits.pending`; the oldest one goes.
    Pending,
    /// Faster from one address than `limits.connect_rate`.
    Rate,
}

impl Dropped {
    /// Every reason.
    pub const ALL: [Dropped; 11] = [
        Dropped::SlowSubscriber,
        Dropped::QueueFull,
        Dropped::NotPermitted,
        Dropped::Locked,
        Dropped::Expired,
        Dropped::TooLarge,
        Dropped::RetainedFull,
        Dropped::Memory,
        Dropped::Connections,
        Dropped::Pending,
        Dropped::Rate,
    ];

    /// The reason as one word, for labels.
    pub fn name(self) -> &'static str {
        match self {
            Dropped::SlowSubscriber => "slow_subscriber",
            Dropped::QueueFull => "queue_full",
            Dropped::NotPermitted => "not_permitted",
            Dropped::Locked => "locked",
            Dropped::Expired => "expired",
            Dropped::TooLarge => "too_large",
            Dropped::RetainedFull => "retained_full",
            Dropped::Memory => "memory",
            Dropped::Connections => "connections",
            Dropped::Pending => "pending",
            Dropped::Rate => "rate",
        }
    }

    /// The reason in words.
    pub fn text(self) -> &'static str {
        match self {
            Dropped::SlowSubscriber => "QoS 0 to a slow subscriber",
            Dropped::QueueFull => "QoS 1 or 2 to a full queue",
            Dropped::NotPermitted => "deliveries not permitted",
            Dropped::Locked => "deliveries while locked",
            Dropped::Expired => "expired messages",
            Dropped::TooLarge => "messages larger than the subscriber takes",
            Dropped::RetainedFull => "messages beyond the limits of retained ones",
            Dropped::Memory => "publishes beyond limits.memory",
            Dropped::Connections => "connections beyond limits.connections",
            Dropped::Pending => "connections beyond limits.pending",
            Dropped::Rate => "connections beyond limits.connect_rate",
        }
    }
}

const REASONS: usize = Dropped::ALL.len();

/// Totals since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Clients connected now.
    pub connected: AtomicU64,
    /// The most that were connected at a time.
    pub most_connected: AtomicU64,
    /// Sockets that were accepted.
    pub sockets: AtomicU64,
    /// CONNECT packets that could be read.
    pub connects: AtomicU64,
    /// Sessions that ended because nobody came back in time.
    pub expired: AtomicU64,
    /// From clients.
    pub received: TrafficTotal,
    /// To clients.
    pub sent: TrafficTotal,
    /// Publishes refused by the gate.
    pub refused: AtomicU64,
    dropped: [AtomicU64; REASONS],
}

impl Counters {
    /// Counts one more of `reason`.
    pub fn drop_one(&self, reason: Dropped) {
        self.dropped[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were dropped for `reason`.
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason as usize].load(Ordering::Relaxed)
    }
}
