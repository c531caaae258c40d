//! One subscriber: reads in place, acknowledges in batches, and counts.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context as _, bail};
use tokio::io::Interest;

use super::client::Client;
use super::load::Run;
use super::stamp::Stamp;
use super::tally::{Arrival, Tally};
use super::wire::{self, Frame, MAX_PACKET};
use crate::mqtt::Version;

/// Size of the buffer to begin with, in bytes; a larger packet makes it grow.
const BUFFER: usize = 64 * 1024;
/// Without a schedule only one message in this many says how long it took: a saturated broker's latency is the
/// length of its queues.
const SAMPLE: u64 = 64;

/// What a subscriber received.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Different messages.
    pub messages: u64,
    pub duplicates: u64,
    pub reordered: u64,
    /// When the last one came.
    pub last: Option<Instant>,
}

pub struct Subscriber {
    client: Client,
    version: Version,
    run: Arc<Run>,
    buffer: Vec<u8>,
    filled: usize,
    out: Vec<u8>,
    tallies: Vec<Tally>,
    latencies: Vec<u64>,
    received: Received,
}

impl Subscriber {
    pub fn new(mut client: Client, version: Version, run: Arc<Run>) -> Self {
        let mut buffer = std::mem::take(&mut client.rest);
        let filled = buffer.len();
        buffer.resize(BUFFER.max(filled), 0);
        let tallies = (0..run.publishers).map(|_| Tally::default()).collect();
        let (out, latencies, received) = Default::default();
        Subscriber { client, version, run, buffer, filled, out, tallies, latencies, received }
    }

    /// Receives until the run is stopped.
    ///
    /// # Errors
    /// If the connection ends before.
    pub async fn receive(mut self) -> anyhow::Result<Received> {
        let run = self.run.clone();
        let mut stopped = std::pin::pin!(run.stop.cancelled());
        loop {
            self.read()?;
            let both = Interest::READABLE | Interest::WRITABLE;
            let interest = if self.out.is_empty() { Interest::READABLE } else { both };
            tokio::select! {
                ready = self.client.stream.ready(interest) => { ready?; }
                () = &mut stopped => return Ok(self.received),
            }
        }
    }

    fn read(&mut self) -> anyhow::Result<()> {
        loop {
            self.flush()?;
            match self.client.stream.try_read(&mut self.buffer[self.filled..]) {
                Ok(0) => bail!("the broker closed the connection of a subscriber"),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            let full = self.filled == self.buffer.len();
            self.handle()?;
            if self.filled == self.buffer.len() {
                self.buffer.resize((2 * self.filled).min(MAX_PACKET), 0);
            }
            if !full {
                // The socket is empty; it says when it is no longer.
                return self.flush();
            }
        }
    }

    fn handle(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let since_start = now.saturating_duration_since(self.run.start).as_nanos() as u64;
        let before = self.received.messages;
        let mut used = 0;
        while let Some(frame) = Frame::find(&self.buffer[used..self.filled])? {
            used += frame.size;
            match frame.kind() {
                wire::PUBLISH => {
                    let (qos, id, payload) =
                        frame.publish(self.version).context("the broker sent a malformed PUBLISH")?;
                    match qos {
                        1 => wire::acknowledge(wire::PUBACK, id, &mut self.out),
                        2 => wire::acknowledge(wire::PUBREC, id, &mut self.out),
                        _ => {}
                    }
                    let Some(stamp) = Stamp::read(payload).filter(|stamp| stamp.run == self.run.id) else {
                        continue;
                    };
                    let Some(tally) = self.tallies.get_mut(stamp.publisher as usize) else { continue };
                    match tally.note(stamp.sequence) {
                        Arrival::InOrder => self.received.messages += 1,
                        Arrival::Reordered => {
                            self.received.messages += 1;
                            self.received.reordered += 1;
                        }
                        Arrival::Duplicate => self.received.duplicates += 1,
                    }
                    if self.run.paced || stamp.sequence % SAMPLE == 0 {
                        self.latencies.push(since_start.saturating_sub(stamp.due));
                    }
                }
                wire::PUBREL => {
                    let (id, _) = frame.acknowledgement().context("the broker sent a malformed PUBREL")?;
                    wire::acknowledge(wire::PUBCOMP, id, &mut self.out);
                }
                wire::DISCONNECT => bail!("the broker disconnects a subscriber"),
                _ => {}
            }
        }
        self.buffer.copy_within(used..self.filled, 0);
        self.filled -= used;
        if self.received.messages > before {
            self.received.last = Some(now);
            self.run.received.fetch_add(self.received.messages - before, Ordering::Relaxed);
        }
        if !self.latencies.is_empty() {
            let mut histogram = self.run.latency.lock();
            for nanoseconds in self.latencies.drain(..) {
                histogram.saturating_record(nanoseconds);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        match self.client.stream.try_write(&self.out) {
            Ok(count) => {
                self.out.drain(..count);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
