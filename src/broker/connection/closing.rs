//! The end of a connection: what the client is told, its will, and what becomes of its session.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedMutexGuard;

use crate::broker::{
    backlog::Backlog,
    broker::Broker,
    clock,
    journal::Change,
    message::Candidate,
    registry::Seat,
    router::PassOn,
    will::{DelayedWill, Will},
};
use crate::mqtt::{Disconnect, Packet, Property, QoS, ReasonCode, Version};
use crate::policy::Gate;
use crate::session::Session;

use super::{Connection, End};

/// How long the last bytes may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long what the client still sends is read and thrown away.
const LINGER: Duration = Duration::from_secs(1);

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Ends the connection for the reason given.
    pub(super) async fn close(mut self, end: End) {
        let address = self.gate.identity().address;
        tracing::debug!(client = ?self.seat.outbox.client_id, %address, ?end, "disconnected");
        self.publisher.wake();
        self.say_goodbye(&end);
        self.put_away(&end);
        let Connection { broker, mut writer, mut stream, session, gate, seated, .. } = self;
        // The next connection of this client need not wait for our last words.
        drop((session, gate));
        let _ = tokio::time::timeout(LAST_WORDS, async {
            std::future::poll_fn(|cx| writer.output.poll_write(&mut stream, cx)).await?;
            stream.shutdown().await
        })
        .await;
        broker.counters.sent.add(&mut writer.take_sent());
        drop(seated);
        if !matches!(end, End::Client { .. } | End::Lost(_)) {
            linger(&mut stream).await;
        }
    }

    /// DISCONNECT with its reason, where the version knows it and the socket may still take it.
    fn say_goodbye(&mut self, end: &End) {
        if self.client.version != Version::V5 {
            return;
        }
        let (reason, why) = match end {
            End::Client { .. } | End::Lost(_) => return,
            End::Fault(reason, why) => (*reason, (*why).to_owned()),
            End::TakenOver => {
                (ReasonCode::SessionTakenOver, "another connection uses this client identifier".into())
            }
            End::Denied(denial) | End::Refused(denial) => (denial.code, denial.to_string()),
            End::Dismissed => (ReasonCode::AdministrativeAction, "the listener was changed or closed".into()),
            End::Stopping => (ReasonCode::ServerShuttingDown, "the gateway is shutting down".into()),
        };
        let properties =
            self.client.problem_information.then_some(Property::ReasonString(&why)).into_iter().collect();
        self.writer.packet(&Packet::Disconnect(Disconnect { reason, properties }));
    }

    /// Publishes or delays the will, and parks or ends the session.
    fn put_away(&mut self, end: &End) {
        let now = clock::now();
        // The will, and that the client is gone, are one thing; so are the end of a session and what others get of it.
        let broker = self.broker.clone();
        let _together = broker.router.journal.together();
        self.seat.outbox.put_back(&mut self.ready);
        *self.seat.backlog.lock() = std::mem::take(&mut self.backlog);
        let ends = self.session.expiry == 0;
        let will = match end {
            // [MQTT-3.14.4-3]
            End::Client { will: false } => None,
            _ => self.will.take(),
        };
        let delayed = will.and_then(|will| self.fire_or_delay(will, ends, now));
        self.broker.put_down(&self.seat, &mut self.session, &self.gate, delayed, now);
    }

    /// Publishes the will now, unless it is to wait for its delay or the session's end, whichever is first
    /// [MQTT-3.1.2-8].
    fn fire_or_delay(&mut self, will: Will, ends: bool, now: Instant) -> Option<(Instant, Will)> {
        let delay = will.delay.min(self.session.expiry);
        if ends || delay == 0 {
            will.fire(&self.broker, &mut self.gate, self.seat.outbox.key, now);
            return None;
        }
        Some((now + Duration::from_secs(u64::from(delay)), will))
    }
}

/// Reads what the client still sends, for a short while: closing a socket with unread bytes resets it, and the
/// client would lose the reason it was told.
pub(super) async fn linger<S>(stream: &mut S)
where
    S: AsyncRead + Unpin,
{
    let mut bytes = [0; 1024];
    let until_closed = async { while let Ok(1..) = stream.read(&mut bytes).await {} };
    let _ = tokio::time::timeout(LINGER, until_closed).await;
}

/// What a connection promises to the session it claims.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promise<'a> {
    /// Seconds the session outlives it.
    pub expiry: u32,
    /// Most messages that are unacknowledged at a time.
    pub inflight: u16,
    pub will: Option<&'a Will>,
}

impl Broker {
    /// Records what a connection is about to do to a session it claimed: go on with it if it is `present`, else begin
    /// a new one. What there was ends then whatever becomes of the connection: its will and what its share groups get
    /// back are written together with its end.
    pub(super) fn note_opening(
        &self,
        seat: &Arc<Seat>,
        session: &mut OwnedMutexGuard<Session<Candidate>>,
        gate: &Gate,
        present: bool,
        promise: Promise<'_>,
    ) {
        let Promise { expiry, inflight, will } = promise;
        let _together = self.router.journal.together();
        if !present {
            if let Some((_, will)) = std::mem::take(&mut *seat.parked.lock()).will {
                // The session ends before the delay is over [MQTT-3.1.3-9].
                will.fire(self, seat.outbox.key, clock::now());
            }
            self.wipe(seat, session);
        }
        let (client, owner) = (&seat.outbox.client_id, &**gate.identity());
        self.router.journal.record(match expiry {
            // It goes on until its connection ends; the client may not even get that far.
            0 if present => return,
            0 => Change::Ended { client },
            _ => Change::Opened { client, fresh: !present, owner, expiry, inflight, will },
        });
    }

    /// Has file and memory agree again after [`Broker::note_opening`], if the client was not let in after all.
    pub(super) fn take_back_opening(
        &self,
        seat: &Arc<Seat>,
        session: &mut OwnedMutexGuard<Session<Candidate>>,
        present: bool,
    ) {
        if present {
            let parked = seat.parked.lock();
            let will = parked.will.as_ref().map(|(_, delayed)| &delayed.will);
            let (client, expiry, sent) = (&seat.outbox.client_id, session.expiry, session.sent);
            self.router.journal.record(Change::Parked { client, expiry, sent, will });
            return;
        }
        self.forget(seat, session);
    }

    /// Leaves a session without a connection: it is parked if it outlives the connection, else it ends.
    fn put_down(
        &self,
        seat: &Arc<Seat>,
        session: &mut OwnedMutexGuard<Session<Candidate>>,
        gate: &Gate,
        will: Option<(Instant, Will)>,
        now: Instant,
    ) {
        if session.expiry == 0 {
            self.forget(seat, session);
        } else {
            self.park(seat, session, gate, will, now);
        }
    }

    fn park(
        &self,
        seat: &Arc<Seat>,
        session: &OwnedMutexGuard<Session<Candidate>>,
        gate: &Gate,
        will: Option<(Instant, Will)>,
        now: Instant,
    ) {
        seat.outbox.set_state(false, true);
        // What came by a share group goes to somebody who is there, if there is one; QoS 0 is not kept.
        let mut queued: VecDeque<Candidate> = seat.outbox.remove(|_| true).into();
        queued.retain(|candidate| {
            let passed_on = self.router.pass_on(candidate, seat.outbox.key, PassOn::Away);
            if passed_on {
                self.router.settle(&seat.outbox, candidate);
            }
            !passed_on && candidate.qos != QoS::AtMostOnce
        });
        seat.outbox.put_back(&mut queued);
        let mut parked = seat.parked.lock();
        parked.ends = match session.expiry {
            u32::MAX => None,
            seconds => Some(now + Duration::from_secs(u64::from(seconds))),
        };
        parked.kept = true;
        let (client, waits) = (&seat.outbox.client_id, will.as_ref().map(|(_, will)| will));
        let (expiry, sent) = (session.expiry, session.sent);
        self.router.journal.record(Change::Parked { client, expiry, sent, will: waits });
        parked.will = will.map(|(at, will)| (at, DelayedWill { will, identity: gate.identity().clone() }));
        self.deadlines.park(seat, &parked);
    }

    /// Ends a session whose connection is gone, or whose time is over.
    pub(in crate::broker) fn forget(
        &self,
        seat: &Arc<Seat>,
        session: &mut OwnedMutexGuard<Session<Candidate>>,
    ) {
        let _together = self.router.journal.together();
        seat.outbox.set_state(false, false);
        *seat.parked.lock() = Default::default();
        // First what others get of it: so its messages need not be written anew.
        self.wipe(seat, session);
        self.router.journal.record(Change::Ended { client: &seat.outbox.client_id });
        self.registry.release(seat, session);
    }

    /// Empties a session: subscriptions, queue, window. Messages of share groups go to other members.
    fn wipe(&self, seat: &Arc<Seat>, session: &mut OwnedMutexGuard<Session<Candidate>>) {
        let key = seat.outbox.key;
        for subscription in session.subscriptions.values() {
            self.router.unsubscribe(key, subscription);
        }
        for candidate in seat.outbox.remove(|_| true) {
            self.router.pass_on(&candidate, key, PassOn::Ended);
        }
        // Of the unacknowledged, only QoS 1 may go to somebody else [MQTT-4.8.2-5].
        for candidate in session.outgoing.unacknowledged_qos1() {
            self.router.pass_on(&candidate, key, PassOn::Ended);
        }
        *seat.backlog.lock() = Backlog::default();
        **session = Session::default();
    }
}
