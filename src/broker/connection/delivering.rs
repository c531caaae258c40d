//! Deliveries: what waits for this client, asked about one by one and sent.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::broker::{
    backlog::Source, counters::Dropped, journal::Change, message::Candidate, router::PassOn,
};
use crate::mqtt::{Ack, Packet, QoS, ReasonCode};
use crate::policy::{Denial, Withheld};
use crate::session::{Resend, identifier_of};

use super::{
    Connection, End, source,
    turn::{FORESEEN, HIGH},
    writer::TooLarge,
};

/// Candidates taken from the outbox at a time.
const BATCH: usize = 512;

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Whether [`Connection::deliver`] would find something to do.
    pub(super) fn has_deliverable(&self) -> bool {
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
    pub(super) fn deliver(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
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
}

/// How a message counts that was denied.
fn why(denial: &Denial) -> Dropped {
    if denial.lock.is_some() { Dropped::Locked } else { Dropped::NotPermitted }
}
