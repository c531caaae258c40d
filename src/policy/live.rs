//! Live sessions and their epochs: how a change of policy reaches those it concerns.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::Duration;

use ahash::AHashMap;
use atomic_waker::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::{
    acl::{Access, Open},
    auth::desk::{Said, Tag},
    explain::Explanation,
};

/// Room for this many sessions is not given back.
const ROOMY: usize = 1024;

/// When a session that has not looked at the lock is told of.
const OVERDUE: Duration = Duration::from_secs(5);
/// Instead of a generation: the session has not asked anything yet, or never will again.
const RESTING: u64 = u64::MAX;

/// What one live session looks at before every question: a number that is raised when its rights may have
/// changed.
#[derive(Debug)]
pub(super) struct Watch {
    epoch: AtomicU64,
    /// The generation of the lock that was in force when the session last looked; [`RESTING`] while nothing of it can be
    /// on its way.
    looked: AtomicU64,
    bell: Arc<AtomicWaker>,
    /// Whether `inquiries` holds any.
    asked: AtomicBool,
    inquiries: Mutex<Vec<Inquiry>>,
}

/// Somebody wants to know why, from the gate itself.
#[derive(Clone, Debug)]
pub(super) struct Inquiry {
    pub access: Access,
    pub topic: Arc<str>,
    /// What backends answered meanwhile.
    pub told: Arc<[(Tag, Said)]>,
    /// Takes the answer, and what must be asked before it can be given in full.
    pub reply: mpsc::Sender<(Explanation, Vec<Open>)>,
}

impl Watch {
    /// The present epoch; one relaxed load when nothing changes.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Wakes the client's task.
    pub fn bell(&self) -> &Arc<AtomicWaker> {
        &self.bell
    }

    /// The inquiries to be answered; one relaxed load when there are none.
    pub fn inquiries(&self) -> Vec<Inquiry> {
        if !self.asked.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut inquiries = self.inquiries.lock();
        self.asked.store(false, Ordering::Relaxed);
        std::mem::take(&mut *inquiries)
    }

    /// Whether the session has looked at the lock since it had this generation, or has nothing on its way.
    fn has_looked(&self, generation: u64) -> bool {
        self.looked.load(Ordering::SeqCst) >= generation
    }

    /// Has the session look anew at its rights.
    pub fn raise(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
        self.bell.wake();
    }

    fn ask(&self, inquiry: Inquiry) {
        let mut inquiries = self.inquiries.lock();
        inquiries.push(inquiry);
        self.asked.store(true, Ordering::Relaxed);
        drop(inquiries);
        self.bell.wake();
    }
}

/// One session.
#[derive(Debug)]
struct Present {
    user: Arc<str>,
    client_id: Arc<str>,
    /// The listener whose certificates it depends on.
    vouched_by: Option<Arc<str>>,
    watch: Arc<Watch>,
}

/// Everyone who is connected.
#[derive(Debug, Default)]
pub(super) struct Live {
    sessions: Mutex<AHashMap<u64, Present>>,
    next: AtomicU64,
    /// Told that a session has looked at the lock.
    looked: Notify,
}

impl Live {
    /// Registers a session of `user` and `client_id`, whose task is woken by `bell` after each change. One that showed
    /// a certificate was `vouched_by` the listener of that name.
    pub fn enter(
        self: &Arc<Self>,
        user: Arc<str>,
        client_id: Arc<str>,
        vouched_by: Option<Arc<str>>,
        bell: Arc<AtomicWaker>,
    ) -> Presence {
        let watch = Arc::new(Watch {
            epoch: AtomicU64::new(0),
            looked: AtomicU64::new(RESTING),
            bell,
            asked: AtomicBool::new(false),
            inquiries: Mutex::default(),
        });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let present = Present { user, client_id, vouched_by, watch: watch.clone() };
        self.sessions.lock().insert(id, present);
        Presence { live: self.clone(), id, watch }
    }

    /// Raises the epoch of every session whose user `concerns` names, and wakes its task. Each user is asked
    /// about once.
    pub fn raise(&self, concerns: impl Fn(&str) -> bool) {
        let mut answers: AHashMap<Arc<str>, bool> = AHashMap::default();
        for Present { user, watch, .. } in self.sessions.lock().values() {
            let concerned = match answers.get(user) {
                Some(answer) => *answer,
                None => *answers.entry(user.clone()).or_insert_with(|| concerns(user)),
            };
            if concerned {
                watch.raise();
            }
        }
    }

    /// Raises the epoch of every session that the listener vouched for, and wakes its task.
    pub fn raise_vouched_by(&self, listener: &str) {
        let sessions = self.sessions.lock();
        let concerned = sessions.values().filter(|present| present.vouched_by.as_deref() == Some(listener));
        concerned.for_each(|present| present.watch.raise());
    }
}

impl Live {
    /// Puts `inquiry` to every gate of `client_id` (two during a takeover); whether there is one.
    pub fn ask(&self, client_id: &str, inquiry: &Inquiry) -> bool {
        let sessions = self.sessions.lock();
        let asked = sessions.values().filter(|present| *present.client_id == *client_id);
        asked.map(|present| present.watch.ask(inquiry.clone())).count() > 0
    }
}

impl Live {
    /// Has the task of every session take a turn.
    pub fn ring(&self) {
        self.sessions.lock().values().for_each(|present| present.watch.bell.wake());
    }

    /// Waits until every session has looked at the lock since it had this generation.
    pub async fn have_all_looked(&self, generation: u64) {
        let sessions: Vec<(Arc<str>, Arc<Watch>)> = {
            let sessions = self.sessions.lock();
            sessions.values().map(|present| (present.client_id.clone(), present.watch.clone())).collect()
        };
        for (client, watch) in sessions {
            loop {
                let looked = self.looked.notified();
                tokio::pin!(looked);
                looked.as_mut().enable();
                if watch.has_looked(generation) {
                    break;
                }
                // It is a matter of milliseconds; a task that never looks is a fault, and should not go unnoticed.
                if tokio::time::timeout(OVERDUE, looked).await.is_err() {
                    tracing::error!(
                        ?client,
                        "a session does not look at the lock; its change is in force, but not announced"
                    );
                }
            }
        }
    }
}

/// A registration that ends when dropped.
#[derive(Debug)]
pub(super) struct Presence {
    live: Arc<Live>,
    id: u64,
    pub watch: Arc<Watch>,
}

impl Presence {
    /// Notes which generation of the lock is in force. To be called before anything is asked, and from then on whenever
    /// what was asked before is done with.
    pub fn look(&self, generation: &AtomicU64) {
        let looked = &self.watch.looked;
        let before = looked.load(Ordering::Relaxed);
        if before == RESTING {
            // First it counts as one to be waited for, then it looks: so a change either waits for it or is seen by it.
            looked.store(0, Ordering::SeqCst);
        }
        let now = generation.load(Ordering::SeqCst);
        if before != now {
            looked.store(now, Ordering::SeqCst);
            self.live.looked.notify_one();
        }
    }

    /// Nothing of the session is on its way until it looks again.
    pub fn rest(&self) {
        self.watch.looked.store(RESTING, Ordering::SeqCst);
        self.live.looked.notify_one();
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.rest();
        let mut sessions = self.live.sessions.lock();
        sessions.remove(&self.id);
        if sessions.capacity() > ROOMY && sessions.len() < sessions.capacity() / 8 {
            sessions.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_many_sessions_is_given_back_when_they_are_gone() {
        let live = Arc::new(Live::default());
        let mut many: Vec<_> =
            (0..100_000).map(|_| live.enter("u".into(), "c".into(), None, Arc::default())).collect();
        many.truncate(1);
        assert!(live.sessions.lock().capacity() <= 8 * ROOMY);
        live.raise(|_| true);
        assert_eq!(many[0].watch.epoch(), 1);
    }

    #[test]
    fn only_the_sessions_concerned_are_raised_and_a_gone_one_is_forgotten() {
        let live = Arc::new(Live::default());
        let ann = live.enter("ann".into(), "a".into(), None, Arc::default());
        let bob = live.enter("bob".into(), "b".into(), Some("tls".into()), Arc::default());
        live.raise(|user| user == "ann");
        assert_eq!((ann.watch.epoch(), bob.watch.epoch()), (1, 0));
        live.raise_vouched_by("tls");
        live.raise_vouched_by("other");
        assert_eq!((ann.watch.epoch(), bob.watch.epoch()), (1, 1));
        drop(ann);
        assert_eq!(live.sessions.lock().len(), 1);
    }
}
