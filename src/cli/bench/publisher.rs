//! One publisher: fills its window, or keeps to its schedule, until its time or number of messages is up.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::bail;
use tokio::io::Interest;
use tokio::sync::Notify;

use super::client::Client;
use super::load::{Amount, Run};
use super::stamp::Stamp;
use super::wire::{self, Frame, Template};
use crate::mqtt::QoS;

/// Bytes written at a time when nothing else sets the pace.
const BATCH: usize = 16 * 1024;

/// What a publisher did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Published {
    pub sent: u64,
    /// Of these, the broker said no to.
    pub refused: u64,
}

/// Fixed times at which messages are due, whatever the broker does.
#[derive(Debug)]
pub struct Schedule {
    pub first: Duration,
    /// Nanoseconds between two messages.
    pub interval: f64,
    pub pulse: Arc<Notify>,
}

impl Schedule {
    /// How many messages are due by `time` since the start.
    fn due_by(&self, time: Duration) -> u64 {
        match time.checked_sub(self.first) {
            Some(time) => (time.as_nanos() as f64 / self.interval) as u64 + 1,
            None => 0,
        }
    }

    /// When message `sequence` is due, in nanoseconds since the start.
    fn due(&self, sequence: u64) -> u64 {
        self.first.as_nanos() as u64 + (sequence as f64 * self.interval) as u64
    }
}

pub struct Publisher {
    pub client: Client,
    pub number: u32,
    pub template: Template,
    pub qos: QoS,
    pub window: u64,
    pub amount: Amount,
    pub schedule: Option<Schedule>,
    pub run: Arc<Run>,
    pub out: Vec<u8>,
    pub written: usize,
    pub inbound: Vec<u8>,
    pub filled: usize,
    pub in_flight: u64,
    pub done: Published,
}

impl Publisher {
    /// Publishes all of it, and waits until all is acknowledged or the run is stopped.
    ///
    /// # Errors
    /// If the connection ends before.
    pub async fn publish(mut self) -> anyhow::Result<Published> {
        let run = self.run.clone();
        let mut stopped = std::pin::pin!(run.stop.cancelled());
        loop {
            self.fill();
            self.flush()?;
            self.read()?;
            let waiting = self.out.len() > self.written;
            let finished = self.allowed(run.start.elapsed()) == 0 && self.is_over();
            if finished && !waiting && self.in_flight == 0 {
                return Ok(self.done);
            }
            if !finished && !waiting && self.schedule.is_none() && self.has_room() {
                // There is more to send and the socket takes it, but the others have their turn.
                tokio::task::yield_now().await;
                continue;
            }
            let interest = if waiting { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            let pulse = async {
                match &self.schedule {
                    Some(schedule) => schedule.pulse.notified().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ready = self.client.stream.ready(interest) => { ready?; }
                () = pulse => {}
                () = &mut stopped => return Ok(self.done),
            }
        }
    }

    fn has_room(&self) -> bool {
        self.qos == QoS::AtMostOnce || self.in_flight < self.window
    }

    /// Whether nothing will ever be due after what is due now.
    fn is_over(&self) -> bool {
        match self.amount {
            Amount::Messages(messages) => self.done.sent >= messages,
            Amount::Time(time) => self.run.start.elapsed() >= time,
        }
    }

    /// How many messages may be sent now, the window and the socket aside.
    fn allowed(&self, now: Duration) -> u64 {
        let (limit, now) = match self.amount {
            Amount::Messages(messages) => (messages, now),
            // What was due before the end is still sent; without a schedule nothing is.
            Amount::Time(time) if self.schedule.is_none() && now >= time => return 0,
            Amount::Time(time) => (u64::MAX, now.min(time)),
        };
        let due = self.schedule.as_ref().map_or(u64::MAX, |schedule| schedule.due_by(now));
        limit.min(due).saturating_sub(self.done.sent)
    }

    /// Encodes what may be sent now, a batch at most.
    fn fill(&mut self) {
        if self.out.len() > self.written {
            return;
        }
        self.out.clear();
        self.written = 0;
        let now = self.run.start.elapsed();
        let mut count = self.allowed(now).min((BATCH / self.template.size()).max(1) as u64);
        if self.qos != QoS::AtMostOnce {
            count = count.min(self.window.saturating_sub(self.in_flight));
            self.in_flight += count;
        }
        for _ in 0..count {
            let sequence = self.done.sent;
            let due = self.schedule.as_ref().map_or(now.as_nanos() as u64, |schedule| schedule.due(sequence));
            let stamp = Stamp { run: self.run.id, publisher: self.number, sequence, due };
            // Not 0, and used again only after all others.
            let id = (sequence % u64::from(u16::MAX)) as u16 + 1;
            self.template.append(id, &stamp, &mut self.out);
            self.done.sent += 1;
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        while self.written < self.out.len() {
            match self.client.stream.try_write(&self.out[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    self.run.progress.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads acknowledgements and answers PUBREC.
    fn read(&mut self) -> anyhow::Result<()> {
        loop {
            match self.client.stream.try_read(&mut self.inbound[self.filled..]) {
                Ok(0) => bail!("the broker closed the connection of a publisher"),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            let mut used = 0;
            while let Some(frame) = Frame::find(&self.inbound[used..self.filled])? {
                used += frame.size;
                let (kind, acknowledgement) = (frame.kind(), frame.acknowledgement());
                match (kind, acknowledgement) {
                    (wire::PUBACK | wire::PUBCOMP, Some((_, refused)))
                    | (wire::PUBREC, Some((_, refused @ true))) => {
                        self.in_flight = self.in_flight.saturating_sub(1);
                        self.done.refused += u64::from(refused);
                    }
                    (wire::PUBREC, Some((id, false))) => {
                        wire::acknowledge(wire::PUBREL, id, &mut self.out);
                    }
                    (wire::DISCONNECT, _) => bail!("the broker disconnects a publisher"),
                    _ => {}
                }
            }
            self.inbound.copy_within(used..self.filled, 0);
            self.filled -= used;
            if self.filled == self.inbound.len() {
                bail!("the broker sent a publisher a packet larger than any acknowledgement");
            }
            self.flush()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_says_when_each_message_is_due() {
        let schedule =
            Schedule { first: Duration::from_millis(5), interval: 1e6, pulse: Arc::new(Notify::new()) };
        assert_eq!(schedule.due_by(Duration::from_millis(4)), 0);
        assert_eq!(schedule.due_by(Duration::from_millis(5)), 1);
        assert_eq!(schedule.due_by(Duration::from_micros(7500)), 3);
        assert_eq!(schedule.due(2), 7_000_000);
    }
}
