//! The turns of a connection to the remote broker.

use std::{
    pin::Pin,
    task::{self, Poll},
    time::Instant,
};

use tokio::time::Sleep;

use crate::bridge::{KeptMessage, backoff::Backoff, exchange::Exchange, wire::Wire};

use super::{Bridge, End};

/// Reads in one turn before others have theirs.
const ROUNDS: usize = 4;

/// Why turns pause.
pub(super) enum Pause {
    /// Subscribers here are behind.
    Room,
    /// Messages must be read back before anything else happens: from this number on.
    Load(u64),
}

type Reading<'a> = Pin<Box<dyn Future<Output = Result<Vec<KeptMessage>, End>> + Send + 'a>>;

/// The turns of one connection. Each does what can be done now: takes what came, sends what may leave.
pub(super) struct Turns<'a> {
    pub(super) bridge: &'a Bridge,
    /// When the connection, or else the session, was opened.
    pub(super) opened: Instant,
    pub(super) was_open: bool,
    pub(super) due: Instant,
    pub(super) timer: Pin<Box<Sleep>>,
    /// Messages that are being read back, from this number on.
    pub(super) reading: Option<(u64, Reading<'a>)>,
}

impl<'a> Turns<'a> {
    pub(super) fn poll(
        &mut self,
        exchange: &mut Exchange,
        wire: &mut Wire,
        backoff: &mut Backoff,
        cx: &mut task::Context<'_>,
    ) -> Poll<Result<Pause, End>> {
        // Rung for what is to leave as well. Before looking, so that nothing is missed.
        self.bridge.bell.register(cx.waker());
        exchange.review()?;
        for _ in 0..ROUNDS {
            let now = Instant::now();
            let mut again = false;
            if exchange.reads()
                && let Poll::Ready(count) = wire.poll_fill(cx)?
            {
                if count == 0 {
                    return Poll::Ready(Err(End::Lost("the remote broker closed the connection".into())));
                }
                again = true;
            }
            let taken = exchange.read(&wire.incoming, now)?;
            wire.incoming.drain(..taken);
            if exchange.link.is_pressed() {
                return Poll::Ready(Ok(Pause::Room));
            }
            self.watch_clock(exchange, backoff, now)?;
            again |= self.load(exchange, cx)?;
            loop {
                if let Some(from) = exchange.pump(now) {
                    if exchange.must_restore() {
                        // Acknowledgements of these mean nothing before they are in the window.
                        return Poll::Ready(Ok(Pause::Load(from)));
                    }
                    again |= self.begin_to_load(exchange, from);
                }
                // Afterwards: what is owed since then is told of its commit only from here on.
                if exchange.poll_tickets(cx)?.is_pending() {
                    break;
                }
                again = true;
            }
            let sent = wire.poll_send(&mut exchange.out, cx)?;
            if sent.relieved {
                exchange.pulse.taken = now;
            }
            // What was written may have made room for more, of both directions.
            again |= sent.some;
            if !again {
                return self.rest(cx);
            }
        }
        cx.waker().wake_by_ref();
        self.rest(cx)
    }

    /// Has messages read back while others come and go; whether it was not so already.
    fn begin_to_load(&mut self, exchange: &Exchange, from: u64) -> bool {
        if self.reading.is_some() {
            return false;
        }
        let journal = exchange.link.journal().clone();
        self.reading = Some((from, Box::pin(self.bridge.read_back(from, None, journal))));
        true
    }

    /// Takes what was read back; whether there was something.
    fn load(&mut self, exchange: &mut Exchange, cx: &mut task::Context<'_>) -> Result<bool, End> {
        let Some((from, reading)) = &mut self.reading else { return Ok(false) };
        let Poll::Ready(read) = reading.as_mut().poll(cx) else { return Ok(false) };
        let from = *from;
        self.reading = None;
        exchange.loaded(from, read?);
        Ok(true)
    }

    fn watch_clock(
        &mut self,
        exchange: &mut Exchange,
        backoff: &mut Backoff,
        now: Instant,
    ) -> Result<(), End> {
        if exchange.open && !self.was_open {
            self.was_open = true;
            self.opened = now;
            self.bridge.look(exchange)?;
            self.due = exchange.tick(now)?;
        }
        if !exchange.open && now >= self.opened + self.bridge.settings.timeout {
            return Err(End::Lost("the answer to CONNECT took too long".into()));
        }
        if self.was_open {
            backoff.lasted(now.saturating_duration_since(self.opened));
        }
        if now >= self.due {
            self.due = exchange.tick(now)?;
        }
        Ok(())
    }

    /// Sees to it that there is a turn when the clock asks for one.
    fn rest(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<Pause, End>> {
        let deadline = self.timer.deadline().into_std();
        // Not moved for each packet: it may fire too early, never too late.
        if self.due < deadline || deadline <= Instant::now() {
            self.timer.as_mut().reset(self.due.into());
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
