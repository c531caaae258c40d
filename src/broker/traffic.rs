//! What went over the wire. A connection counts for itself and adds it to the totals once a turn, so that connections
//! do not fight over shared counters for each message.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Packets and bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// MQTT packets of every type.
    pub packets: u64,
    /// Bytes on the wire, without what TLS and the like add.
    pub bytes: u64,
    /// PUBLISH packets, repetitions included.
    pub publishes: u64,
    /// Bytes of their payloads.
    pub payload: u64,
}

impl Traffic {
    /// Counts a PUBLISH packet, beyond its being a packet.
    pub fn publish(&mut self, payload: usize) {
        self.publishes += 1;
        self.payload += payload as u64;
    }
}

/// The totals of all connections in one direction.
#[derive(Debug, Default)]
pub struct TrafficTotal {
    packets: AtomicU64,
    bytes: AtomicU64,
    publishes: AtomicU64,
    payload: AtomicU64,
}

impl TrafficTotal {
    /// Adds what a connection counted, which then begins at zero again.
    pub fn add(&self, counted: &mut Traffic) {
        let Traffic { packets, bytes, publishes, payload } = std::mem::take(counted);
        let totals = [&self.packets, &self.bytes, &self.publishes, &self.payload];
        for (total, count) in totals.into_iter().zip([packets, bytes, publishes, payload]) {
            if count > 0 {
                total.fetch_add(count, Relaxed);
            }
        }
    }

    /// The totals now.
    pub fn get(&self) -> Traffic {
        Traffic {
            packets: self.packets.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            publishes: self.publishes.load(Relaxed),
            payload: self.payload.load(Relaxed),
        }
    }
}
