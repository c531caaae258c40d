//! Is the time of day known? What every check of a certificate's term rests on.
//!
//! A board without a battery begins each life at a time that is long over. What it then thinks of certificates is worth nothing:
//! it would refuse good ones, and take what has expired meanwhile. The rule: the clock **is set** once
//!
//! - it is not behind a moment that is known to have been, by more than a day: when this program was built, and when
//!   the gateway last wrote; nor ahead of what this program can live to see; and
//! - where systemd-timesyncd runs, that has set it since the start, or a hardware clock says the same.
//!
//! Where nothing runs that will set it, the first alone decides. What a time server says is nearer to the truth than when the
//! gateway last wrote: the clock may have been ahead then. Once set it need not be confirmed again as long as the process lives,
//! but if it leaves the bounds of the first it is not set until it is back.
//!
//! This room owns that verdict, which is one for the whole process as the clock is one for the machine. It promises that as
//! long as the clock is not set no certificate is judged by it, neither well nor ill. It must never set the clock.

mod signs;

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{pki_types::UnixTime, time_provider::TimeProvider};
use time::OffsetDateTime;

use signs::Signs;

/// When this program was built, in seconds since 1970: it runs later than that. 2025 where the build was not told.
pub const BUILT: i64 = match option_env!("SOURCE_DATE_EPOCH") {
    Some(digits) => later(seconds(digits.as_bytes()), EARLIEST),
    None => EARLIEST,
};
/// 2025-01-01: nothing of this was there before.
const EARLIEST: i64 = 1_735_689_600;
/// What no clock can say that is right: nobody runs this 25 years after it was built, and a hardware clock whose battery is new says
/// anything.
const NEVER: i64 = BUILT + 25 * 365 * 86_400;
/// By how much the clock may be behind, and a hardware clock beside it, in seconds: one may run in local time, another be put
/// right by a little, and no certificate is about hours.
const SLACK: i64 = 86_400;
/// How often an unset clock is looked at by those who wait for it.
const LOOK: Duration = Duration::from_secs(1);

static SET: AtomicBool = AtomicBool::new(false);
static LATEST: AtomicI64 = AtomicI64::new(BUILT);

/// Why the time of day is not known. Its words name what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// The clock is behind a moment that has been.
    Behind {
        /// What it says, in seconds since 1970.
        now: i64,
        /// The moment.
        latest: i64,
    },
    /// The clock says a time to which this program will not be used.
    Ahead {
        /// What it says, in seconds since 1970.
        now: i64,
    },
    /// systemd-timesyncd runs, and has not reached a time server yet.
    Waiting,
}

impl fmt::Display for Unset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Unset::Behind { now, latest } => {
                write!(f, "the clock is not set: it says {}, and {} has been", Day(now), Day(latest))
            }
            Unset::Ahead { now } => {
                write!(
                    f,
                    "the clock is not set: it says {}, and this program was made in {}",
                    Day(now),
                    Day(BUILT)
                )
            }
            Unset::Waiting => {
                f.write_str("the clock is not set: no time server has answered since the start")
            }
        }
    }
}

impl std::error::Error for Unset {}

/// What sets the clock, for people.
pub const HELP: &str = "let the machine reach a time server (timedatectl timesync-status), or set it by hand: `timedatectl set-ntp false`, \
                        then `timedatectl set-time`; the gateway need not be restarted";

/// What else to do if the clock is behind what the gateway wrote: a clock that once was years ahead leaves files that no time
/// server can be in step with.
pub const AHEAD_ONCE: &str = "if it is right now, and was ahead when the gateway wrote: `touch` the files *.db and *.db-wal in the state \
                              directory, and restart the gateway";

impl Unset {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Unset::Behind { latest, .. } if *latest > BUILT => format!("{HELP}; {AHEAD_ONCE}"),
            _ => HELP.to_owned(),
        }
    }
}

/// Says that `moment`, in seconds since 1970, has been: a clock that is behind it is not set. One that cannot have been is forgotten.
pub fn has_been(moment: i64) {
    if moment < NEVER {
        LATEST.fetch_max(moment, Ordering::Relaxed);
    }
}

/// Whether the clock is set: cheap once it is, else a few small files are read.
///
/// # Errors
/// Why it is not.
pub fn check() -> Result<(), Unset> {
    let (now, latest, was_set) = (now(), LATEST.load(Ordering::Relaxed), SET.load(Ordering::Relaxed));
    if was_set && is_between(now, latest).is_ok() {
        return Ok(());
    }
    match judge(now, latest, &Signs::read()) {
        // Who sets it was started anew, and that is all.
        Err(Unset::Waiting) if was_set => Ok(()),
        Err(why) => Err(why),
        Ok(()) => {
            SET.store(true, Ordering::Relaxed);
            Ok(())
        }
    }
}

/// Comes back once the clock is set.
pub async fn set() {
    while check().is_err() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Comes back, with the reason, once the clock is not set.
pub async fn lost() -> Unset {
    loop {
        match check() {
            Ok(()) => tokio::time::sleep(LOOK).await,
            Err(why) => return why,
        }
    }
}

/// Comes back when the clock becomes set; never if it is already.
pub async fn becomes_set() {
    if check().is_ok() {
        std::future::pending::<()>().await;
    }
    set().await;
}

/// The time; or, if it is not known, the latest that is known to have been: what is made now is valid whatever the clock will say.
pub fn known() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    match check() {
        Ok(()) => now,
        Err(_) => OffsetDateTime::from_unix_timestamp(LATEST.load(Ordering::Relaxed)).unwrap_or(now),
    }
}

/// The time for whoever judges certificates: none before the clock is set, and then nobody's is right.
#[derive(Debug)]
pub struct Known;

impl TimeProvider for Known {
    fn current_time(&self) -> Option<UnixTime> {
        check().ok().map(|()| UnixTime::now())
    }
}

/// The rule.
fn judge(now: i64, latest: i64, signs: &Signs) -> Result<(), Unset> {
    // Had the clock been ahead when the gateway last wrote, it would be behind for years after it was put right.
    let latest = if signs.synchronised == Some(true) { BUILT } else { latest };
    is_between(now, latest)?;
    let agrees = |other: &i64| other.abs_diff(now) <= SLACK.unsigned_abs();
    match signs.synchronised {
        Some(false) if !signs.hardware.iter().any(agrees) => Err(Unset::Waiting),
        _ => Ok(()),
    }
}

fn is_between(now: i64, latest: i64) -> Result<(), Unset> {
    match now {
        _ if now < latest.saturating_sub(SLACK) => Err(Unset::Behind { now, latest }),
        _ if now >= NEVER => Err(Unset::Ahead { now }),
        _ => Ok(()),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A day as people write it.
struct Day(i64);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OffsetDateTime::from_unix_timestamp(self.0) {
            Ok(at) => write!(f, "{}", at.date()),
            Err(_) => write!(f, "{} s after 1970", self.0),
        }
    }
}

/// Digits as a number; what is none counts as 0.
const fn seconds(digits: &[u8]) -> i64 {
    let (mut sum, mut at) = (0, 0);
    while at < digits.len() {
        if !digits[at].is_ascii_digit() || at > 12 {
            return 0;
        }
        sum = sum * 10 + (digits[at] - b'0') as i64;
        at += 1;
    }
    sum
}

const fn later(one: i64, other: i64) -> i64 {
    if one > other { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = BUILT + 1_000 * SLACK;

    fn signs(synchronised: Option<bool>, hardware: &[i64]) -> Signs {
        Signs { synchronised, hardware: hardware.to_vec() }
    }

    #[test]
    fn a_clock_behind_what_has_been_is_not_set_whoever_says_so() {
        for signs in [signs(None, &[]), signs(Some(false), &[0]), signs(None, &[NOON])] {
            let behind = Err(Unset::Behind { now: 0, latest: NOON });
            assert_eq!(judge(0, NOON, &signs), behind, "{signs:?}");
        }
        let behind = Err(Unset::Behind { now: 0, latest: BUILT });
        assert_eq!(judge(0, NOON, &signs(Some(true), &[])), behind, "not even before this was built");
        assert!(judge(NOON - SLACK - 1, NOON, &signs(None, &[])).is_err());
        assert!(judge(NOON - SLACK, NOON, &signs(None, &[])).is_ok(), "it was put right by a little");
    }

    /// Bug: a gateway that had written while the clock was ahead knew no time any more once it was right.
    #[test]
    fn a_time_server_knows_better_than_what_was_written_while_the_clock_was_ahead() {
        let now = NOON - 100 * SLACK;
        assert_eq!(judge(now, NOON, &signs(Some(true), &[])), Ok(()));
        for unsure in [signs(Some(false), &[now]), signs(None, &[])] {
            assert_eq!(judge(now, NOON, &unsure), Err(Unset::Behind { now, latest: NOON }));
        }
    }

    /// Bug: a hardware clock with a new battery said 2099, and certificates had ended.
    #[test]
    fn a_clock_that_is_ahead_of_all_that_this_program_will_see_is_not_set() {
        for signs in [signs(None, &[]), signs(Some(true), &[]), signs(Some(false), &[NEVER])] {
            assert_eq!(judge(NEVER, NOON, &signs), Err(Unset::Ahead { now: NEVER }), "{signs:?}");
        }
        assert_eq!(judge(NEVER - 1, NOON, &signs(None, &[])), Ok(()));
        let before = LATEST.load(Ordering::Relaxed);
        has_been(NEVER);
        assert_eq!(LATEST.load(Ordering::Relaxed), before, "it has not been");
    }

    #[test]
    fn where_something_will_set_it_it_is_waited_for_unless_a_hardware_clock_agrees() {
        assert_eq!(judge(NOON, BUILT, &signs(Some(false), &[])), Err(Unset::Waiting));
        assert_eq!(
            judge(NOON, BUILT, &signs(Some(false), &[12])),
            Err(Unset::Waiting),
            "its battery is empty"
        );
        assert!(judge(NOON, BUILT, &signs(Some(false), &[12, NOON + 7200])).is_ok());
        assert!(judge(NOON, BUILT, &signs(Some(true), &[12])).is_ok());
        assert!(judge(NOON, BUILT, &signs(None, &[])).is_ok(), "nobody would ever set it");
    }

    #[test]
    fn a_build_that_was_not_told_the_time_counts_from_2025() {
        assert_eq!((seconds(b"1735689600"), seconds(b""), seconds(b"soon")), (EARLIEST, 0, 0));
        const { assert!(BUILT >= EARLIEST) };
        let words = Unset::Behind { now: 0, latest: EARLIEST }.to_string();
        assert_eq!(words, "the clock is not set: it says 1970-01-01, and 2025-01-01 has been");
    }
}
