//! The clock of the wall. Times in the file are by it, and it may be set: at the start it may be behind, on a board that
//! keeps no time while it is off, and then it is put right while the gateway runs. The times in the file are moved with it,
//! so that neither sessions nor messages expire by that, nor stay for ever.

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rusqlite::Transaction;

/// What differs by less is no setting of the clock, in milliseconds.
const STEP: i64 = 10_000;
/// Nothing is kept for longer: a file may say anything.
const FOR_EVER: u64 = 100 * 365 * 86_400_000;

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A moment of this process, to come or gone, as milliseconds since 1970.
pub(super) fn moment(at: Instant) -> i64 {
    let here = Instant::now();
    let milliseconds = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let (to_come, gone) = (at.saturating_duration_since(here), here.saturating_duration_since(at));
    now().saturating_add(milliseconds(to_come)).saturating_sub(milliseconds(gone))
}

/// A moment to come; what is over is over now.
pub(super) fn instant(moment: i64) -> Instant {
    let left = u64::try_from(moment.saturating_sub(now())).unwrap_or(0);
    Instant::now() + Duration::from_millis(left.min(FOR_EVER))
}

/// How long ago a moment was; what is to come is now.
pub(super) fn since(moment: i64) -> Duration {
    let gone = u64::try_from(now().saturating_sub(moment)).unwrap_or(0);
    Duration::from_millis(gone.min(FOR_EVER))
}

/// Tells when the clock is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wall {
    wall: i64,
    at: Instant,
}

impl Wall {
    pub fn read() -> Self {
        Wall { wall: now(), at: Instant::now() }
    }

    /// By how much the clock was set between this reading and a later one, in milliseconds.
    pub fn step(&self, later: Wall) -> Option<i64> {
        let passed = i64::try_from(later.at.saturating_duration_since(self.at).as_millis());
        let step = later.wall.saturating_sub(self.wall).saturating_sub(passed.unwrap_or(i64::MAX));
        (step.unsigned_abs() >= STEP.unsigned_abs()).then_some(step)
    }
}

/// By how much the clock is behind the time when this database was last written, in milliseconds; less than 0.
pub(super) fn set_back(path: &Path) -> Option<i64> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let written = [path, Path::new(&log)].into_iter().filter_map(|file| {
        let since = std::fs::metadata(file).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok()
    });
    let step = now().saturating_sub(written.max()?);
    (step <= -STEP).then_some(step)
}

/// Moves the times in the file.
pub(super) fn shift(transaction: &Transaction, step: i64) -> rusqlite::Result<()> {
    for sql in [
        "UPDATE session SET gone = gone + ?1 WHERE typeof(gone) = 'integer'",
        "UPDATE message SET expires = expires + ?1 WHERE typeof(expires) = 'integer'",
        "UPDATE spool SET at = at + ?1 WHERE typeof(at) = 'integer'",
        "UPDATE spool SET expires = expires + ?1 WHERE typeof(expires) = 'integer'",
    ] {
        transaction.execute(sql, [step])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_was_set_if_it_went_otherwise_than_time_did() {
        let first = Wall { wall: 1_000_000, at: Instant::now() };
        let later = |wall, seconds| Wall { wall, at: first.at + Duration::from_secs(seconds) };
        assert_eq!(first.step(later(1_060_000, 60)), None);
        assert_eq!(first.step(later(1_069_999, 60)), None, "a clock may be a little fast");
        assert_eq!(first.step(later(4_660_000, 60)), Some(3_600_000));
        assert_eq!(first.step(later(0, 60)), Some(-1_060_000));
        assert_eq!(first.step(later(i64::MIN, 60)), Some(i64::MIN));
    }

    #[test]
    fn a_moment_stays_what_it_is_to_come_or_gone() {
        let here = Instant::now();
        let near = |a: i64, b: i64| (a - b).abs() < 1000;
        assert!(near(moment(here + Duration::from_secs(60)), now() + 60_000));
        let gone = here.checked_sub(Duration::from_millis(5)).unwrap_or(here);
        assert!(near(moment(gone), now()));
        assert!(since(now() - 60_000) >= Duration::from_secs(60));
        assert_eq!(since(now() + 60_000), Duration::ZERO);
    }
}
