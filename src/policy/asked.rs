//! What one gate has asked of backends elsewhere, and what they answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ahash::{AHashMap, AHashSet};
use atomic_waker::AtomicWaker;
use parking_lot::Mutex;

use super::{
    acl::Open,
    auth::desk::{Said, Tag},
};

/// Questions of one client that are on their way at a time. Others are put when one of these is answered.
const AT_A_TIME: usize = 16;
/// Answers remembered. When full it starts afresh.
const REMEMBERED: usize = 2048;

/// How long an answer waits for whoever asked, beyond its own time.
const WAITS: Duration = Duration::from_secs(10);

/// An answer. Whoever waited for it gets it once, however short it counts: others may have been on their way longer.
#[derive(Debug)]
struct Answer {
    said: Said,
    unused: AtomicBool,
    came: Instant,
}

/// The questions of one gate.
#[derive(Debug)]
pub(super) struct Asked {
    answers: AHashMap<Tag, Answer>,
    on_their_way: AHashSet<Tag>,
    arrived: Arc<Arrived>,
    /// When this turn began: whatever counts then counts throughout.
    now: Instant,
}

/// Answers that came since the last turn.
#[derive(Debug, Default)]
struct Arrived {
    any: AtomicBool,
    answers: Mutex<Vec<(Tag, Said)>>,
}

impl Default for Asked {
    fn default() -> Self {
        Asked {
            answers: AHashMap::default(),
            on_their_way: AHashSet::default(),
            arrived: Arc::default(),
            now: Instant::now(),
        }
    }
}

impl Asked {
    /// When this turn began.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Begins a turn: takes in what came.
    pub fn begin_turn(&mut self) {
        self.now = Instant::now();
        if !self.arrived.any.load(Ordering::Acquire) {
            return;
        }
        let mut arrived = self.arrived.answers.lock();
        self.arrived.any.store(false, Ordering::Relaxed);
        let answers = std::mem::take(&mut *arrived);
        drop(arrived);
        for (tag, said) in answers {
            self.on_their_way.remove(&tag);
            self.learn(tag, said);
        }
    }

    /// Takes in an answer.
    pub fn learn(&mut self, tag: Tag, said: Said) {
        if self.answers.len() >= REMEMBERED {
            self.answers.clear();
        }
        self.answers.insert(tag, Answer { said, unused: AtomicBool::new(true), came: self.now });
    }

    /// What was answered, if it still counts.
    pub fn recall(&self, tag: &Tag) -> Option<Said> {
        let Answer { said, unused, came } = self.answers.get(tag)?;
        let waits = unused.load(Ordering::Relaxed) && self.now < *came + WAITS;
        (waits || self.now < said.until).then(|| said.clone())
    }

    /// A verdict was made of this answer: from now on it counts for its time only.
    pub fn spend(&self, tag: &Tag) {
        if let Some(answer) = self.answers.get(tag) {
            answer.unused.store(false, Ordering::Relaxed);
        }
    }

    /// Puts questions, those that are not on their way already. `bell` rings for each answer.
    pub fn put(&mut self, open: Vec<Open>, bell: &Arc<AtomicWaker>) {
        for Open { desk, who, question, tag } in open {
            if self.on_their_way.len() >= AT_A_TIME || !self.on_their_way.insert(tag) {
                continue;
            }
            let (arrived, bell) = (self.arrived.clone(), bell.clone());
            tokio::spawn(async move {
                let said = desk.ask(&who, &question).await;
                arrived.answers.lock().push((tag, said));
                arrived.any.store(true, Ordering::Release);
                bell.wake();
            });
        }
    }
}
