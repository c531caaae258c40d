//! One turn of a connection: everything that can be done now, and nothing that waits.

use std::{
    future::Future,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::broker::{
    backlog::Source, clock, counters::Dropped, journal::Change, message::Candidate, router::PassOn,
    ticket::JournalError,
};
use crate::mqtt::{Ack, Packet, QoS, ReasonCode, TopicFilter, Version, codec};
use crate::policy::{Denial, Standing, Withheld};
use crate::session::{Resend, identifier_of};

use super::{
    Awaiting, Connection, End, Owed, inbound::NOT_STORED, limits::SUBSCRIBE_SIZE, source, writer::TooLarge,
};

/// Nothing more is encoded while this many bytes wait to be written.
const HIGH: usize = 64 * 1024;
/// Candidates taken from the outbox at a time.
const BATCH: usize = 512;
/// Reads in one turn before others have theirs.
const ROUNDS: usize = 4;
/// Acknowledgements that wait for their commits, beyond which nothing more is accepted.
const OWED: usize = 1024;
/// How much longer than its keep alive a client may take nothing while its packets are not read: the system holds
/// a good deal of what was written.
const GRACE: Duration = Duration::from_secs(60);

/// Things that the gate is to find out about at a time, if it must ask.
const FORESEEN: usize = 16;

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

    /// Whether [`Connection::deliver`] would find something to do.
    fn has_deliverable(&self) -> bool {
        if self.keeping.is_some() || self.awaiting.delivery {
            return false;
        }
        if self.session.outgoing.must_resend() {
            return self.session.outgoing.can_resend();
        }
        let stored = self.backlog.front(self.suspended);
        match stored.or(self.ready.front()) {
            _ if stored.is_none() && self.backlog.has_searches(self.suspended) => true,
            Some(candidate) => candidate.qos == QoS::AtMostOnce || self.session.outgoing.has_room(),
            None => !self.seat.outbox.is_empty(),
        }
    }

    /// Asks the gate for everything that can be sent now, and encodes what it permits.
    fn deliver(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let now = self.now;
        while self.writer.output.len() < HIGH {
            if self.gate.lock_moved() {
                self.follow_lock();
            }
            if let Some(candidate) = self.session.outgoing.next_to_resend()
                && self.gate.awaits_delivery(candidate)
            {
                self.await_delivery();
                return Ok(());
            }
            if self.resend(now) {
                self.stalled = None;
                continue;
            }
            if self.session.outgoing.must_resend() || !self.is_kept(cx)? {
                return Ok(());
            }
            let stored = self.backlog.fill(&source!(self), self.suspended);
            if !stored && self.ready.is_empty() {
                self.seat.outbox.take(&mut self.ready, BATCH);
            }
            let next = if stored { self.backlog.front(self.suspended) } else { self.ready.front() };
            let Some(candidate) = next else { return Ok(()) };
            if candidate.qos != QoS::AtMostOnce && !self.session.outgoing.has_room() {
                return Ok(());
            }
            if candidate.seq != 0 && candidate.qos == QoS::ExactlyOnce && self.must_keep(stored) {
                continue;
            }
            let next = if stored { self.backlog.front(self.suspended) } else { self.ready.front() };
            if next.is_some_and(|candidate| self.gate.awaits_delivery(candidate)) {
                self.foresee();
                return Ok(());
            }
            let next = match stored {
                true => self.backlog.pop(&source!(self), self.suspended),
                false => self.ready.pop_front(),
            };
            let Some(candidate) = next else { return Ok(()) };
            self.stalled = None;
            if candidate.message.expired(now) {
                self.lose(&candidate, Dropped::Expired);
                continue;
            }
            let (seq, promised) = (candidate.seq, candidate.packet_id);
            match self.gate.deliver(candidate) {
                Ok(permit) => match self.writer.deliver(permit, &mut self.session.outgoing, now) {
                    Ok(id) if seq != 0 => self.note_sent(seq, id, promised),
                    Ok(_) => {}
                    Err(TooLarge(candidate)) => self.lose(&candidate, Dropped::TooLarge),
                },
                Err((Withheld::Denied(denial), candidate)) => {
                    // The promise to another member of a share group and the end of this one's are one thing.
                    let _together = self.broker.router.journal.together();
                    self.broker.router.pass_on(&candidate, self.seat.outbox.key, PassOn::Refused);
                    self.lose(&candidate, why(&denial));
                }
                Err((Withheld::Held, candidate)) => self.withhold(candidate),
                // It comes first when the lock was followed.
                Err((Withheld::Moved, candidate)) => self.put_aside(candidate),
            }
        }
        Ok(())
    }

    /// Has deliveries follow a change of the lock: what was held comes before anything newer.
    fn follow_lock(&mut self) {
        self.suspended = self.gate.follow_lock();
        self.session.outgoing.resume();
        self.seat.outbox.put_back(&mut self.ready);
        self.seat.outbox.resume(self.suspended);
    }

    /// Keeps a message for when the lock is opened; one of a share group goes to a member that is here and has not passed
    /// it on yet, if there is one.
    fn withhold(&self, candidate: Candidate) {
        let _together = self.broker.router.journal.together();
        if self.broker.router.pass_on(&candidate, self.seat.outbox.key, PassOn::Locked) {
            self.settle(&candidate);
        } else {
            self.put_aside(candidate);
        }
    }

    fn put_aside(&self, candidate: Candidate) {
        if let Err(candidate) = self.seat.outbox.put_aside(candidate) {
            self.lose(&candidate, Dropped::QueueFull);
        }
    }

    /// Holds deliveries until the gate knows about the first, and has it find out about those that come next.
    fn foresee(&mut self) {
        self.await_delivery();
        for candidate in self.ready.iter().take(FORESEEN) {
            let _ = self.gate.awaits_delivery(candidate);
        }
    }

    fn await_delivery(&mut self) {
        self.awaiting.delivery = true;
        self.stalled.get_or_insert(self.now);
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

    /// Whether the next message, of QoS 2 and for a session that is kept, must wait until something is durable. After a
    /// restart it must be sent again as the same, so that its client does not take it for another [MQTT-4.3.3-2]: so
    /// it must be known with its number and, if it is not the one that goes with that, its packet identifier.
    fn must_keep(&mut self, stored: bool) -> bool {
        let next = if stored { self.backlog.front_mut(self.suspended) } else { self.ready.front_mut() };
        let Some(candidate) = next else { return false };
        let (journal, outbox, seq) = (&self.broker.router.journal, &self.seat.outbox, candidate.seq);
        let known = if candidate.packet_id == 0 { identifier_of(seq) } else { candidate.packet_id };
        let id = match candidate.packet_id {
            // An earlier promise, perhaps of an earlier connection: the journal knows it.
            promised @ 1.. if !self.session.outgoing.uses(promised) => promised,
            _ => self.session.outgoing.identify(seq),
        };
        let renamed = id != known;
        if renamed {
            candidate.packet_id = id;
            journal.record(Change::Numbered { client: &outbox.client_id, seq, id });
        }
        if !renamed && seq <= self.kept_to {
            return false;
        }
        // One commit for everything that is queued by now.
        self.kept_to = outbox.last();
        self.keeping = Some(journal.commit());
        true
    }

    /// Whether what must be durable before the next message is.
    fn is_kept(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let Some(ticket) = &mut self.keeping else { return Ok(true) };
        match ticket.poll(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => {
                tracing::error!(%error, "messages of QoS 2 cannot be delivered");
                return Err(End::Fault(
                    ReasonCode::QuotaExceeded,
                    "the state of the session could not be stored",
                ));
            }
        }
        self.keeping = None;
        Ok(true)
    }

    /// Notes that a message of a session that is kept was sent. The identifier need be known only where it does not
    /// go with the number; nobody waits for that to be durable.
    fn note_sent(&mut self, seq: u64, id: u16, promised: u16) {
        self.session.sent = self.session.sent.max(seq);
        if id != 0 && id != promised && id != identifier_of(seq) {
            let client = &self.seat.outbox.client_id;
            self.broker.router.journal.record(Change::Numbered { client, seq, id });
        }
    }

    /// Sends one thing again that an earlier connection left open; whether there was one.
    fn resend(&mut self, now: Instant) -> bool {
        let (id, candidate) = match self.session.outgoing.resend() {
            None => return false,
            Some(Resend::Release(id)) => {
                self.writer.packet(&Packet::PubRel(Ack::new(id, ReasonCode::Success)));
                return true;
            }
            Some(Resend::Publish(id, _, candidate)) => (id, candidate),
        };
        // The rights of now decide, and a message that may not be delivered any more is forgotten.
        let (candidate, reason) = match self.gate.deliver(candidate) {
            Ok(permit) => match self.writer.redeliver(id, permit, now) {
                Ok(()) => return true,
                Err(TooLarge(candidate)) => (candidate, Dropped::TooLarge),
            },
            // Also if it came by a share group: this member may have had it already.
            Err((Withheld::Denied(denial), candidate)) => (candidate, why(&denial)),
            Err((Withheld::Held | Withheld::Moved, _)) => {
                self.session.outgoing.put_off(id);
                return true;
            }
        };
        self.session.outgoing.forget(id);
        self.lose(&candidate, reason);
        true
    }

    /// Counts a message that will not reach the client.
    fn lose(&self, candidate: &Candidate, reason: Dropped) {
        self.broker.counters.drop_one(reason);
        self.settle(candidate);
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

/// How a message counts that was denied.
fn why(denial: &Denial) -> Dropped {
    if denial.lock.is_some() { Dropped::Locked } else { Dropped::NotPermitted }
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
