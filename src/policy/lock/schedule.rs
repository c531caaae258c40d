//! Closed from one time of the day to another: a plain function of the clock on the wall.
//!
//! What is closed follows from the present time alone, every few seconds anew. So a clock that is set, a night that has
//! an hour more or less, and a gateway that was off have no consequence beyond what the new time says.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, ToSpan, civil::Time, civil::Weekday, tz::TimeZone};

use super::{
    lock::Lock,
    scope::{Cause, Held, Holder, Scope},
};

/// How often the clock is looked at, at least.
const LOOK: Duration = Duration::from_secs(2);

/// Something that is closed at certain times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// What.
    pub scope: Scope,
    /// From this time of the day.
    pub from: Time,
    /// Until this; if it is not later than `from`, of the next day.
    pub to: Time,
    /// The days on which it begins.
    pub days: Vec<Weekday>,
    /// Where these times are those on the wall.
    pub zone: TimeZone,
}

impl Window {
    /// Whether it is closed at this moment. Times that the day skips or has twice (when clocks are changed) are those
    /// that a clock on the wall shows: closed from the first `from` to the last moment before `to`.
    pub fn is_closed(&self, now: Timestamp) -> bool {
        let local = now.to_zoned(self.zone.clone()).datetime();
        let begins = |date: jiff::civil::Date| self.days.contains(&date.weekday());
        let (today, time) = (local.date(), local.time());
        if self.from < self.to {
            return begins(today) && self.from <= time && time < self.to;
        }
        let yesterday = today.checked_sub(1.day());
        (begins(today) && self.from <= time) || (time < self.to && yesterday.is_ok_and(begins))
    }
}

/// What the schedule holds at this moment.
fn held(windows: &[Window], now: Timestamp) -> Vec<Held> {
    let closed = windows.iter().filter(|window| window.is_closed(now));
    let mut held: Vec<Held> =
        closed.map(|window| Held { scope: window.scope.clone(), cause: Cause::Locked }).collect();
    held.sort_by(|a, b| a.scope.cmp(&b.scope));
    held.dedup();
    held
}

impl Lock {
    /// Has the schedule of the configuration hold what it says, for ever. It says so whenever that changes: what was
    /// released by hand stays so until then.
    pub async fn keep_schedule(self: Arc<Self>) {
        let (mut said, mut complained) = (None, false);
        loop {
            let now = held(&self.settings().schedule, Timestamp::now());
            let outcome = match said.as_ref() == Some(&now) {
                true => Ok(()),
                false => self.hold(Holder::Schedule, now.clone(), "schedule").await.map(drop),
            };
            match outcome {
                Ok(()) => (said, complained) = (Some(now), false),
                Err(error) if !complained => {
                    tracing::error!(%error, "the schedule of the lock could not be followed; trying again");
                    complained = true;
                }
                Err(_) => {}
            }
            let changed = self.settings_changed.notified();
            let _ = tokio::time::timeout(LOOK, changed).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: &str, to: &str, days: &[Weekday], zone: &str) -> Window {
        let days =
            if days.is_empty() { Weekday::Monday.cycle_forward().take(7).collect() } else { days.to_vec() };
        Window {
            scope: Scope::parse("topic:doors/#", None).unwrap(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            days,
            zone: TimeZone::get(zone).unwrap(),
        }
    }

    fn closed(window: &Window, at: &[&str]) -> Vec<bool> {
        at.iter().map(|at| window.is_closed(at.parse().unwrap())).collect()
    }

    #[test]
    fn a_window_within_a_day_holds_from_its_beginning_to_before_its_end() {
        let noon = window("12:00", "13:30", &[], "UTC");
        let at = [
            "2026-03-02T11:59:59.9Z",
            "2026-03-02T12:00:00Z",
            "2026-03-02T13:29:59Z",
            "2026-03-02T13:30:00Z",
        ];
        assert_eq!(closed(&noon, &at), [false, true, true, false]);
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        // 2026-03-06 is a Friday.
        let night = window("22:00", "06:00", &[Weekday::Friday], "UTC");
        let at = [
            "2026-03-06T05:00:00Z",
            "2026-03-06T22:00:00Z",
            "2026-03-07T05:59:59Z",
            "2026-03-07T06:00:00Z",
            "2026-03-07T23:00:00Z",
        ];
        assert_eq!(closed(&night, &at), [false, true, true, false, false]);
        let all_day = window("00:00", "00:00", &[Weekday::Friday], "UTC");
        assert_eq!(
            closed(
                &all_day,
                &[
                    "2026-03-05T23:59:59Z",
                    "2026-03-06T00:00:00Z",
                    "2026-03-06T23:59:59Z",
                    "2026-03-07T00:00:00Z"
                ]
            ),
            [false, true, true, false]
        );
    }

    #[test]
    fn times_are_those_on_the_wall_when_clocks_change_too() {
        let night = window("22:00", "06:00", &[], "Europe/Berlin");
        // Winter and summer time.
        assert_eq!(
            closed(&night, &["2026-01-10T20:59:59Z", "2026-01-10T21:00:00Z", "2026-01-11T05:00:00Z"]),
            [false, true, false]
        );
        assert_eq!(
            closed(&night, &["2026-07-10T19:59:59Z", "2026-07-10T20:00:00Z", "2026-07-11T04:00:00Z"]),
            [false, true, false]
        );
        // The hour from two to three is skipped on 29 March 2026 and comes twice on 25 October.
        let hour = window("02:00", "03:00", &[], "Europe/Berlin");
        assert_eq!(closed(&hour, &["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"]), [false, false]);
        assert_eq!(
            closed(&hour, &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"]),
            [true, true, false]
        );
        let late = window("02:30", "04:00", &[], "Europe/Berlin");
        assert_eq!(
            closed(&late, &["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]),
            [false, true, false]
        );
    }

    #[test]
    fn what_several_windows_close_is_held_once() {
        let windows = [window("00:00", "12:00", &[], "UTC"), window("06:00", "18:00", &[], "UTC")];
        let at = |at: &str| held(&windows, at.parse().unwrap()).len();
        assert_eq!(
            (at("2026-03-02T08:00:00Z"), at("2026-03-02T15:00:00Z"), at("2026-03-02T20:00:00Z")),
            (1, 1, 0)
        );
    }
}
