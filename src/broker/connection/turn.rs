//! One turn of a connection: everything that can be done now, and nothing that waits.

use std::{
    future::Future,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::broker::{clock, counters::Dropped, ticket::JournalError};
use crate::mqtt::{Ack, Packet, QoS, ReasonCode, TopicFilter, Version, codec};
use crate::policy::Standing;

use super::{Awaiting, Connection, End, Owed, inbound::NOT_STORED, limits::SUBSCRIBE_SIZE};

/// Nothing more is encoded while this many bytes wait to be written.
pub(super) const HIGH: usize = 64 * 1024;
/// Reads in one turn before others have theirs.
const ROUNDS: usize = 4;
/// Acknowledgements that wait for their commits, beyond which nothing more is accepted.
const OWED: usize = 1024;
/// How much longer than its keep alive a client may take nothing while its packets are not read: the system holds
/// a good deal of what was written.
const GRACE: Duration = Duration::from_secs(60);

/// Things that the gate is to find out about at a time, if it must ask.
pub(super) const FORESEEN: usize = 16;

/// How long publishers wait for a subscriber whose messages wait for a backend: as long as one that answers may take.
const STALL: Duration = Duration::from_millis(50);

/// An unfinished packet of more bytes than this counts against the gateway's memory.
const LARGE: usize = 256 * 1024;

/// Packet types that bring more work than an answer of a few bytes.
const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 10;

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There is nothing to read; the socket tells when there is.
    Idle,
    /// There may be more.
    More,
    /// There is more, but it must wait.
    Held,
}

/// What handling came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handled {
    /// Every complete packet.
    All,
    /// Something is left for later.
    Stopped,
}

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Polls everything of the connection once; ready when it ends.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.now = clock::now();
        self.bell.register(cx.waker());
        self.seat.outbox.bell.register(cx.waker());
        let outcome = self.turn_once(cx);
        self.tell_traffic();
        match outcome {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    /// Adds what this connection counted to the totals.
    fn tell_traffic(&mut self) {
        self.gate.tell_tally();
        self.received.bytes = std::mem::take(&mut self.input.received);
        self.broker.counters.received.add(&mut self.received);
        self.broker.counters.sent.add(&mut self.writer.take_sent());
    }

    fn turn_once(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        // The bell rings for each answer, so each turn tries anew.
        self.awaiting = Awaiting::default();
        self.look_around()?;
        if !self.review_some() {
            cx.waker().wake_by_ref();
        }
        for _ in 0..ROUNDS {
            let progress = self.read(cx)?;
            self.publisher.wake();
            // After reading: what is owed since then is told of its commit only from here on.
            self.pay(cx)?;
            self.write(cx)?;
            // A wait that began in this round is told of its end only from here on.
            self.relieve(cx);
            let again = match progress {
                Progress::More => true,
                // What was written since may have made room; nobody else would tell.
                Progress::Held => !self.is_busy(),
                Progress::Idle => false,
            };
            if !again {
                return self.watch_clock(cx, progress);
            }
        }
        // There is more to read, but others have their turn first.
        cx.waker().wake_by_ref();
        self.watch_clock(cx, Progress::More)
    }

    /// Delivers and writes until nothing is left or the client does not take more.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            self.deliver(cx)?;
            let before = self.writer.output.len();
            let written = self.writer.output.poll_write(&mut self.stream, cx);
            if self.writer.output.len() < before {
                self.last_written = self.now;
            }
            match written {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(error)) => return Err(End::Lost(error.to_string())),
                // Everything is written: there may be more where it came from.
                Poll::Ready(Ok(())) if self.has_deliverable() => {}
                Poll::Ready(Ok(())) => return Ok(()),
            }
        }
    }

    /// What others want of this connection.
    fn look_around(&mut self) -> Result<(), End> {
        if self.seat.outbox.turn.load(Ordering::Acquire) != self.turn {
            return Err(End::TakenOver);
        }
        if self.broker.is_stopping() {
            return Err(End::Stopping);
        }
        if self.closed.load(Ordering::Relaxed) {
            return Err(End::Dismissed);
        }
        match self.gate.review() {
            Standing::Same => Ok(()),
            Standing::Changed => {
                self.begin_review();
                Ok(())
            }
            Standing::Ended(denial) => Err(End::Denied(denial)),
        }
    }

    /// Sends acknowledgements whose commits are done, in order.
    fn pay(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while let Some(first) = self.owed.front_mut() {
            let Poll::Ready(outcome) = first.ticket.poll(cx) else { break };
            let Some(owed) = self.owed.pop_front() else { break };
            self.unacknowledged -= usize::from(owed.counts);
            match outcome {
                Ok(()) => self.writer.encoded(&owed.packet),
                Err(error) => self.take_back(&owed, &error)?,
            }
        }
        Ok(())
    }

    /// Answers what could not be stored: refused where an acknowledgement can say so, else by closing.
    fn take_back(&mut self, owed: &Owed, error: &JournalError) -> Result<(), End> {
        tracing::warn!(client = ?self.seat.outbox.client_id, %error, "an acknowledgement could not be given");
        let reason = ReasonCode::QuotaExceeded;
        let Some(refused) = refused(&owed.packet, self.client.version, reason) else {
            return Err(End::Fault(reason, NOT_STORED));
        };
        if let Packet::PubRec(ack) = &refused {
            // The exchange is over with the refusal [MQTT-4.3.3-9].
            self.session.incoming.release(ack.packet_id);
            self.note_received(ack.packet_id, false);
        }
        self.writer.packet(&refused);
        Ok(())
    }

    /// Reads once and handles what came.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<Progress, End> {
        self.relieve(cx);
        // What was read before and could not be handled then comes first.
        if !self.input.is_empty() && self.handle_input()? == Handled::Stopped {
            return Ok(Progress::Held);
        }
        match self.input.poll_fill(&mut self.stream, cx) {
            Poll::Pending => Ok(Progress::Idle),
            Poll::Ready(Ok(0)) => Err(End::Lost("closed by the client".into())),
            Poll::Ready(Err(error)) => Err(End::Lost(error.to_string())),
            Poll::Ready(Ok(_)) => self.handle_input().map(|_| Progress::More),
        }
    }

    /// Ends the wait for subscribers that have caught up, or that were waited for long enough.
    fn relieve(&mut self, cx: &mut Context<'_>) {
        let Some(pressure) = &mut self.pressure else { return };
        let (qos, late) = (pressure.qos, self.now >= pressure.until);
        pressure.outboxes.retain(|outbox| {
            let behind = outbox.poll_room(qos, cx).is_pending();
            if behind && late {
                outbox.give_up(qos);
            }
            behind && !late
        });
        if pressure.outboxes.is_empty() {
            self.pressure = None;
        }
    }

    /// Whether packets that bring more work must wait: for a subscriber to catch up, for commits, or for the client to
    /// take what it was sent.
    fn is_busy(&self) -> bool {
        self.pressure.is_some()
            || self.owed.len() >= OWED
            || self.writer.output.len() >= HIGH
            || self.awaiting.packet
    }

    /// Whether even packets that are answered in a few bytes must wait.
    fn is_full(&self) -> bool {
        self.owed.len() >= 2 * OWED || self.writer.output.len() >= 2 * HIGH
    }

    /// Handles what was read. While busy, only acknowledgements, PINGREQ and DISCONNECT: two clients that wait for each
    /// other could not go on otherwise, and keep alive and wills would be misjudged.
    fn handle_input(&mut self) -> Result<Handled, End> {
        let bytes = self.input.take();
        let (mut used, mut outcome) = (0, Ok(Handled::All));
        while let (Ok(Handled::All), Some(first)) = (&outcome, bytes.get(used)) {
            let heavy = matches!(first >> 4, PUBLISH | SUBSCRIBE | UNSUBSCRIBE);
            if self.is_full() || (heavy && self.is_busy()) {
                outcome = Ok(Handled::Stopped);
                break;
            }
            let limit = match first >> 4 {
                SUBSCRIBE | UNSUBSCRIBE => self.limits.packet_size.min(SUBSCRIBE_SIZE),
                _ => self.limits.packet_size,
            };
            match codec::decode(&bytes[used..], Some(self.client.version), limit) {
                Ok(None) => break,
                Ok(Some((packet, _))) if heavy && self.must_wait(&packet) => outcome = Ok(Handled::Stopped),
                Ok(Some((packet, length))) => {
                    used += length;
                    self.received.packets += 1;
                    outcome = self.handle(packet).map(|()| Handled::All);
                }
                Err(error) => outcome = Err(error.into()),
            }
        }
        if used > 0 {
            self.last_packet = self.now;
        }
        self.input.keep(bytes, used);
        self.unfinished = Default::default();
        if self.input.len() > LARGE {
            let bytes = self.input.len();
            if !self.broker.unfinished.has_room(bytes) {
                self.broker.counters.drop_one(Dropped::Memory);
                let why = "the gateway holds as much as it may: see limits.memory";
                return Err(End::Fault(ReasonCode::QuotaExceeded, why));
            }
            self.unfinished = self.broker.unfinished.take(bytes);
        }
        outcome
    }

    /// Whether a packet must wait until the gate knows about it: nothing behind it is handled before. The gate finds out
    /// about all of it at once.
    fn must_wait(&mut self, packet: &Packet<'_>) -> bool {
        if !self.gate.asks() {
            return false;
        }
        let waits = match packet {
            Packet::Publish(publish) if self.limits.admits_topic(publish.topic) => {
                let alias = publish.properties.topic_alias();
                // What is wrong with an alias is found when the packet is handled.
                match alias.map(|alias| self.aliases.resolve(alias, publish.topic)) {
                    Some(Ok(topic)) => self.gate.awaits_publish(&topic, publish.payload),
                    Some(Err(_)) => false,
                    None => self.gate.awaits_publish(publish.topic, publish.payload),
                }
            }
            Packet::Subscribe(subscribe) => {
                let filters = subscribe.filters.iter().take(FORESEEN);
                let filters =
                    filters.filter_map(|wanted| TopicFilter::parse_subscription(wanted.filter).ok());
                filters.fold(false, |waits, (_, filter)| self.gate.awaits_subscribe(&filter) | waits)
            }
            _ => false,
        };
        self.awaiting.packet |= waits;
        waits
    }

    /// Keep alive, and the patience with backends and with subscribers that are behind.
    fn watch_clock(&mut self, cx: &mut Context<'_>, progress: Progress) -> Result<(), End> {
        let now = self.now;
        let mut next = None;
        if let Some(patience) = self.client.patience {
            let until = self.last_packet + patience;
            // What has not been read may hold a PINGREQ. A client that takes nothing either is given up all the same.
            let taking = self.pressure.is_some() || now < self.last_written + patience + GRACE;
            if now >= until && (progress == Progress::Idle || !taking) {
                return Err(End::Fault(ReasonCode::KeepAliveTimeout, "keep alive timeout"));
            }
            next = Some(if now >= until { now + Duration::from_secs(1) } else { until });
        }
        if let Some(pressure) = &self.pressure {
            next = Some(next.map_or(pressure.until, |next| next.min(pressure.until)));
        }
        self.stalled = self.stalled.filter(|_| self.awaiting.delivery);
        if let Some(until) = self.stalled.map(|since| since + STALL) {
            if now < until {
                next = Some(next.map_or(until, |next| next.min(until)));
            } else {
                // What its backend does not answer is no business of publishers, until it has caught up.
                self.seat.outbox.give_up(QoS::AtMostOnce);
                self.seat.outbox.give_up(QoS::AtLeastOnce);
            }
        }
        let Some(next) = next else { return Ok(()) };
        // Moved only when it would fire too late, or has fired: not at every packet.
        let deadline = self.timer.deadline().into_std();
        if deadline > next || deadline <= now {
            self.timer.as_mut().reset(next.into());
            self.timer_polled = false;
        }
        if !self.timer_polled {
            self.timer_polled = true;
            if self.timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Ok(())
    }
}

/// The refusal in place of an acknowledgement that may not be given; `None` if it cannot be told.
fn refused(acknowledgement: &[u8], version: Version, reason: ReasonCode) -> Option<Packet<'static>> {
    if version != Version::V5 {
        return None;
    }
    match codec::decode(acknowledgement, Some(version), usize::MAX) {
        Ok(Some((Packet::PubAck(ack), _))) => Some(Packet::PubAck(Ack::new(ack.packet_id, reason))),
        Ok(Some((Packet::PubRec(ack), _))) => Some(Packet::PubRec(Ack::new(ack.packet_id, reason))),
        _ => None,
    }
}
