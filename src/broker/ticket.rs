//! The wait for a commit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

/// A change could not be made durable: what waits for it must not be acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not stored: {0}")]
pub struct JournalError(pub String);

/// How many changes are durable, and who waits for more of them to be. One number serves all who wait, so that a ticket costs
/// next to nothing.
#[derive(Debug, Default)]
pub struct Commits {
    durable: AtomicU64,
    /// How many there were when a write failed last.
    failed: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// How often those who wait were told.
    round: u64,
    wakers: Vec<Waker>,
    error: String,
    closed: bool,
}

impl Commits {
    /// How many changes are durable.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// The first `count` changes are durable.
    pub fn succeeded(&self, count: u64) {
        self.tell(|_| {
            self.durable.fetch_max(count, Ordering::Release);
        });
    }

    /// Of the first `count` changes, those that are not durable could not be made so.
    pub fn failed(&self, count: u64, error: String) {
        self.tell(|waiting| {
            waiting.error = error;
            self.failed.store(count, Ordering::Release);
        });
    }

    /// Nothing becomes durable any more.
    pub fn close(&self) {
        self.tell(|waiting| waiting.closed = true);
    }

    fn tell(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.waiting.lock();
        change(&mut waiting);
        waiting.round += 1;
        let wakers = std::mem::take(&mut waiting.wakers);
        drop(waiting);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// What became of the first `count` changes, if it is known.
    fn outcome(&self, count: u64) -> Option<Result<(), JournalError>> {
        if self.durable() >= count {
            return Some(Ok(()));
        }
        let failed = self.failed.load(Ordering::Acquire) >= count;
        failed.then(|| Err(JournalError(self.waiting.lock().error.clone())))
    }
}

/// The wait for a commit. An acknowledgement is sent only after its ticket is done: it is a promise.
pub struct Ticket(Option<Wait>);

/// Until so many changes are durable.
struct Wait {
    commits: Arc<Commits>,
    count: u64,
    /// In which round who was told to be woken.
    told: Option<(u64, Waker)>,
}

impl Ticket {
    /// A ticket that is done.
    pub const DONE: Ticket = Ticket(None);

    /// A ticket that is done when the first `count` changes are durable.
    pub fn until(commits: &Arc<Commits>, count: u64) -> Self {
        Ticket(Some(Wait { commits: commits.clone(), count, told: None }))
    }

    /// Whether it was done when it was given.
    pub fn is_done(&self) -> bool {
        self.0.is_none()
    }

    /// Polls the wait; once ready, it stays ready.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), JournalError>> {
        let Some(wait) = &mut self.0 else { return Poll::Ready(Ok(())) };
        let outcome = std::task::ready!(wait.poll(cx.waker()));
        self.0 = None;
        Poll::Ready(outcome)
    }
}

impl Wait {
    fn poll(&mut self, waker: &Waker) -> Poll<Result<(), JournalError>> {
        let Wait { commits, count, told } = self;
        if let Some(outcome) = commits.outcome(*count) {
            return Poll::Ready(outcome);
        }
        let mut waiting = commits.waiting.lock();
        if waiting.closed {
            return Poll::Ready(Err(JournalError("the gateway stops".into())));
        }
        if !told.as_ref().is_some_and(|(round, told)| *round == waiting.round && told.will_wake(waker)) {
            *told = Some((waiting.round, waker.clone()));
            waiting.wakers.push(waker.clone());
        }
        drop(waiting);
        // It may have been done before the waker was there.
        match commits.outcome(*count) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_done() { "Ticket(done)" } else { "Ticket(waiting)" })
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Rung(AtomicU64);

    impl Wake for Rung {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn rung() -> (Arc<Rung>, Waker) {
        let rung = Arc::new(Rung::default());
        (rung.clone(), rung.into())
    }

    #[test]
    fn a_ticket_is_done_when_its_count_is_durable_and_wakes_whoever_polled_it_last() {
        let commits = Arc::new(Commits::default());
        let mut ticket = Ticket::until(&commits, 5);
        let ((first, early), (second, late)) = (rung(), rung());
        let calls = |rung: &Rung| rung.0.load(Ordering::Relaxed);
        for waker in [&early, &early, &late] {
            assert!(ticket.poll(&mut Context::from_waker(waker)).is_pending());
        }
        commits.succeeded(4);
        assert_eq!(calls(&second), 1);
        assert!(ticket.poll(&mut Context::from_waker(&late)).is_pending());
        commits.succeeded(5);
        assert_eq!((calls(&first), calls(&second)), (1, 2), "each once a round");
        assert!(matches!(ticket.poll(&mut Context::from_waker(&late)), Poll::Ready(Ok(()))));
        commits.failed(9, "full".into());
        assert!(matches!(ticket.poll(&mut Context::from_waker(&late)), Poll::Ready(Ok(()))), "for good");
    }

    #[test]
    fn a_ticket_fails_with_the_write_and_succeeds_if_a_later_write_was_there_first() {
        let commits = Arc::new(Commits::default());
        let (_, waker) = rung();
        let mut cx = Context::from_waker(&waker);
        let (mut before, mut caught_up) = (Ticket::until(&commits, 3), Ticket::until(&commits, 3));
        commits.failed(3, "full".into());
        let Poll::Ready(Err(error)) = before.poll(&mut cx) else { panic!("it failed") };
        assert_eq!(error.to_string(), "not stored: full");
        commits.succeeded(3);
        assert!(matches!(caught_up.poll(&mut cx), Poll::Ready(Ok(()))));
        let mut last = Ticket::until(&commits, 4);
        assert!(last.poll(&mut cx).is_pending());
        commits.close();
        assert!(matches!(last.poll(&mut cx), Poll::Ready(Err(_))));
    }
}
