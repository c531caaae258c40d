//! The thread that writes, and what it shares with those who record changes and wait.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::oneshot;

use crate::bridge::Entry;
use crate::broker::{Change, Commits, Written};
use crate::store::StoreError;
use crate::store::database::{BUSY_TIMEOUT, Database};

use super::{
    dirty::Dirty,
    fail,
    image::Image,
    wall::{Wall, shift},
    write::write,
};

/// How long what nobody waits for may stay unwritten.
const LAZY: Duration = Duration::from_secs(1);
/// How often the clock is looked at while there is nothing to write.
const IDLE: Duration = Duration::from_secs(60);
/// How long after a failure the next attempt is made.
const RETRY: Duration = Duration::from_secs(1);
/// How often a failure that goes on is logged.
const REMIND: Duration = Duration::from_secs(60);
/// So many changes in one write, and more are on their way: the next write begins no sooner than `PACE` after it began, so that
/// each waits for the disk, and wakes those who wait, for more of them. A disk that is slower than that is never held up.
const CROWD: u64 = 64;
const PACE: Duration = Duration::from_millis(2);
/// Bytes of the write-ahead log from which on it is taken over into the database.
const CHECKPOINT: u64 = 4 << 20;

pub(super) struct Shared {
    gathered: Mutex<Gathered>,
    /// Read by those who record changes that belong together, written when changes are taken; locked before
    /// `gathered`.
    pub together: RwLock<()>,
    wake: Condvar,
    pub progress: Arc<Commits>,
    pub writable: AtomicBool,
    commits: AtomicU64,
    bytes: AtomicU64,
    /// Microseconds that the commits took.
    took: AtomicU64,
}

struct Gathered {
    image: Image,
    /// Changes that were written, or are being written.
    taken: u64,
    /// Whether somebody waits.
    wanted: bool,
    /// Since when something is unwritten.
    since: Option<Instant>,
    stop: bool,
    /// Those who ask whether the thread still works.
    asking: Vec<oneshot::Sender<()>>,
}

/// What the thread does at a time.
struct Round {
    dirty: Dirty,
    /// How many changes are durable when it is done.
    target: u64,
    stop: bool,
    asking: Vec<oneshot::Sender<()>>,
}

impl Shared {
    pub fn new(image: Image) -> Self {
        let since = (!image.dirty.is_empty()).then(Instant::now);
        Shared {
            gathered: Mutex::new(Gathered {
                image,
                taken: 0,
                wanted: false,
                since,
                stop: false,
                asking: Vec::new(),
            }),
            together: RwLock::new(()),
            wake: Condvar::new(),
            progress: Arc::default(),
            writable: AtomicBool::new(true),
            commits: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            took: AtomicU64::new(0),
        }
    }

    pub fn record(&self, change: Change<'_>) {
        self.take_in(|image| image.record(change));
    }

    /// Notes a change of a bridge's spool.
    pub fn note(&self, bridge: &Arc<str>, entry: Entry<'_>) {
        self.take_in(|image| image.note(bridge, entry));
    }

    fn take_in(&self, change: impl FnOnce(&mut Image)) {
        let mut gathered = self.gathered.lock();
        change(&mut gathered.image);
        if gathered.since.is_none() && !gathered.image.dirty.is_empty() {
            gathered.since = Some(Instant::now());
            // It begins to watch the clock.
            self.wake.notify_one();
        }
        #[cfg(debug_assertions)]
        if fail::is_here("halfway") {
            self.die_halfway(gathered);
        }
    }

    /// Has what is recorded written, if it may be, and dies.
    #[cfg(debug_assertions)]
    fn die_halfway(&self, mut gathered: parking_lot::MutexGuard<'_, Gathered>) {
        gathered.wanted = true;
        self.wake.notify_one();
        let target = gathered.image.recorded;
        drop(gathered);
        // Whatever belongs together is not written meanwhile: whoever records it waits here.
        let patience = Instant::now() + Duration::from_millis(200);
        while self.progress.durable() < target && Instant::now() < patience {
            std::thread::yield_now();
        }
        std::process::abort();
    }

    /// Has everything recorded so far written; the count to wait for, `None` if it is durable already.
    pub fn want(&self) -> Option<u64> {
        let mut gathered = self.gathered.lock();
        let written = gathered.image.dirty.is_empty();
        let target = if written { gathered.taken } else { gathered.image.recorded };
        if self.progress.durable() >= target {
            return None;
        }
        // Once for all that it will take.
        if !written && !std::mem::replace(&mut gathered.wanted, true) {
            self.wake.notify_one();
        }
        Some(target)
    }

    /// Asks the thread whether it still works. It answers after its next round, whether what it wrote could be written or not.
    pub fn ask(&self) -> oneshot::Receiver<()> {
        let (answer, answered) = oneshot::channel();
        self.gathered.lock().asking.push(answer);
        self.wake.notify_one();
        answered
    }

    pub fn stop(&self) {
        self.gathered.lock().stop = true;
        self.wake.notify_one();
    }

    pub fn written(&self) -> Written {
        Written {
            commits: self.commits.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            took: Duration::from_micros(self.took.load(Ordering::Relaxed)),
        }
    }
}

pub(super) struct Writer {
    database: Database,
    shared: Arc<Shared>,
    log: PathBuf,
    /// Bytes of the write-ahead log when it was looked at last.
    logged: u64,
    /// Its length from which on it is to be taken over.
    checkpoint_at: u64,
    /// The clock, as the times in the file have it.
    wall: Wall,
    /// Until when the next write is put off if somebody waits.
    pause: Option<Instant>,
    /// When a failure was logged last.
    told: Option<Instant>,
}

impl Writer {
    pub fn new(database: Database, shared: Arc<Shared>) -> Result<Self, StoreError> {
        // Done by hand, so that what it writes is known.
        let off = database.connection().pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()));
        off.map_err(|error| database.failed(error))?;
        let mut log = database.path().as_os_str().to_owned();
        log.push("-wal");
        let (wall, log) = (Wall::read(), log.into());
        Ok(Writer {
            database,
            shared,
            log,
            logged: 0,
            checkpoint_at: CHECKPOINT,
            wall,
            pause: None,
            told: None,
        })
    }

    /// Writes whenever somebody waits, or something has waited for long, until it is stopped.
    pub fn run(mut self) {
        loop {
            let Round { dirty, target, stop, asking } = self.gather();
            let was_set = self.wall.step(Wall::read()).is_some();
            let outcome = if dirty.is_empty() && !was_set { Ok(()) } else { self.commit(&dirty) };
            let failed = outcome.is_err();
            match outcome {
                Ok(()) => self.succeed(target),
                Err(error) => self.fail(dirty, target, &error),
            }
            for answer in asking {
                let _ = answer.send(());
            }
            if stop {
                return;
            }
            if failed {
                let until = Instant::now() + RETRY;
                let mut gathered = self.shared.gathered.lock();
                while !gathered.stop && !self.shared.wake.wait_until(&mut gathered, until).timed_out() {}
            }
        }
    }

    /// Waits for work, and takes it.
    fn gather(&mut self) -> Round {
        let mut gathered = self.shared.gathered.lock();
        while !gathered.stop && !gathered.wanted && gathered.asking.is_empty() {
            let since = gathered.since;
            match since {
                None => {
                    // Perhaps the clock was set meanwhile.
                    if self.shared.wake.wait_for(&mut gathered, IDLE).timed_out() {
                        break;
                    }
                }
                Some(since) => {
                    if self.shared.wake.wait_until(&mut gathered, since + LAZY).timed_out() {
                        break;
                    }
                }
            }
        }
        if let Some(until) = self.pause {
            while !gathered.stop && !self.shared.wake.wait_until(&mut gathered, until).timed_out() {}
        }
        drop(gathered);
        let _nobody_is_halfway = self.shared.together.write();
        let mut gathered = self.shared.gathered.lock();
        gathered.wanted = false;
        gathered.since = None;
        let crowd = gathered.image.recorded - gathered.taken >= CROWD;
        self.pause = crowd.then(|| Instant::now() + PACE);
        gathered.taken = gathered.image.recorded;
        Round {
            dirty: std::mem::take(&mut gathered.image.dirty),
            target: gathered.taken,
            stop: gathered.stop,
            asking: std::mem::take(&mut gathered.asking),
        }
    }

    fn commit(&mut self, dirty: &Dirty) -> Result<(), StoreError> {
        let began = Instant::now();
        let wall = Wall::read();
        let step = self.wall.step(wall);
        self.database.write(|transaction| {
            if let Some(step) = step {
                // First: what is written now has the new time.
                shift(transaction, step).map_err(|error| self.database.failed(error))?;
            }
            write(transaction, dirty).map_err(|error| self.database.failed(error))?;
            fail::point("before-commit");
            Ok(())
        })?;
        fail::point("after-commit");
        if let Some(step) = step {
            self.wall = wall;
            tracing::info!(
                seconds = step / 1000,
                "the clock was set: the times in the state were moved with it"
            );
        }
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shared.took.fetch_add(took, Ordering::Relaxed);
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.count_log();
        if self.logged >= self.checkpoint_at
            && let Err(error) = self.checkpoint()
        {
            // What was written is safe in the log; it is tried again after the next write.
            tracing::warn!(%error, "the write-ahead log cannot be taken over yet");
        }
        Ok(())
    }

    fn count_log(&mut self) {
        let length = std::fs::metadata(&self.log).map_or(0, |file| file.len());
        self.shared.bytes.fetch_add(length.saturating_sub(self.logged), Ordering::Relaxed);
        self.logged = length;
    }

    /// Takes the log over, unless another process reads it: nobody is kept waiting for that, it is tried again when the log
    /// has grown by as much again.
    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let (busy, pages) = {
            let connection = self.database.connection();
            let failed = |error| self.database.failed(error);
            connection.busy_timeout(Duration::ZERO).map_err(failed)?;
            let outcome = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(2)?))
            });
            connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
            outcome.map_err(failed)?
        };
        fail::point("after-checkpoint");
        if busy {
            self.checkpoint_at = self.logged.saturating_add(CHECKPOINT);
            return Ok(());
        }
        self.checkpoint_at = CHECKPOINT;
        let written = u64::try_from(pages).unwrap_or(0).saturating_mul(PAGE).min(self.logged);
        self.shared.bytes.fetch_add(written, Ordering::Relaxed);
        self.logged = std::fs::metadata(&self.log).map_or(0, |file| file.len());
        Ok(())
    }

    fn succeed(&mut self, target: u64) {
        if !self.shared.writable.swap(true, Ordering::Relaxed) {
            self.told = None;
            tracing::info!("the state database can be written again");
        }
        fail::point("before-answer");
        self.shared.progress.succeeded(target);
    }

    /// Puts what could not be written back, and tells those who wait.
    fn fail(&mut self, mut dirty: Dirty, target: u64, error: &StoreError) {
        let rows = dirty.len();
        {
            let mut gathered = self.shared.gathered.lock();
            dirty.extend(std::mem::take(&mut gathered.image.dirty));
            gathered.image.dirty = dirty;
            gathered.wanted = true;
        }
        self.shared.writable.store(false, Ordering::Relaxed);
        if self.told.is_none_or(|told| told.elapsed() >= REMIND) {
            self.told = Some(Instant::now());
            tracing::error!(
                %error, rows,
                "the state cannot be written: messages of QoS 1 and 2 are refused until it can be"
            );
        }
        self.shared.progress.failed(target, error.to_string());
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.progress.close();
    }
}

/// Bytes of a page of the database.
const PAGE: u64 = 4096;
