//! What presses mean, with time handed in.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::panel::{Presses, Wish};

const DEBOUNCE: Duration = Duration::from_millis(20);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Changes of the button, each with its time in milliseconds, and what came of them until two minutes after the last,
/// with the time when it came. The panel's hold follows the wishes, as it does in the gateway.
fn wishes(held_down: bool, held: bool, changes: &[(u64, bool)]) -> Vec<(u64, Wish)> {
    let start = Instant::now();
    let mut presses = Presses::new(held_down, DEBOUNCE, start);
    let (mut held, mut all) = (held, Vec::new());
    let mut note = |wishes: Vec<Wish>, now: Instant, held: &mut bool| {
        for wish in wishes {
            *held = match wish {
                Wish::Close => true,
                Wish::Open => false,
                Wish::Recover | Wish::Stuck => *held,
            };
            all.push(((now - start).as_millis() as u64, wish));
        }
    };
    let last = changes.last().map_or(0, |(at, _)| *at);
    let reports = changes.iter().map(|(at, pressed)| (start + ms(*at), Some(*pressed)));
    for (at, report) in reports.chain([(start + ms(last + 120_000), None)]) {
        // The task wakes up whenever something is due in between.
        while let Some(due) = presses.deadline().filter(|due| *due < at) {
            let mut made = Vec::new();
            presses.advance(due, held, &mut made);
            note(made, due, &mut held);
        }
        let mut made = Vec::new();
        match report {
            Some(pressed) => presses.report(pressed, at, held, &mut made),
            None => presses.advance(at, held, &mut made),
        }
        note(made, at, &mut held);
    }
    all
}

fn kinds(all: Vec<(u64, Wish)>) -> Vec<Wish> {
    all.into_iter().map(|(_, wish)| wish).collect()
}

#[test]
fn a_press_closes_at_the_touch_and_the_next_one_opens_when_it_is_let_go() {
    let presses = [(1000, true), (1200, false), (5000, true), (5300, false), (9000, true), (9100, false)];
    assert_eq!(
        wishes(false, false, &presses),
        [(1020, Wish::Close), (5320, Wish::Open), (9020, Wish::Close)]
    );
}

#[test]
fn held_for_three_seconds_it_closes_whatever_it_was_and_never_opens_in_between() {
    let press = [(1000, true), (4500, false)];
    assert_eq!(wishes(false, true, &press), [(4000, Wish::Close)]);
    // What was open is closed at the touch, and that it is closed is said again.
    assert_eq!(wishes(false, false, &press), [(1020, Wish::Close), (4000, Wish::Close)]);
}

#[test]
fn just_under_three_seconds_is_a_short_press_even_while_the_contact_still_bounces() {
    // At 4000 ms nobody knows yet whether 3995 was the end of it.
    let press = [(1000, true), (3995, false)];
    assert_eq!(wishes(false, true, &press), [(4015, Wish::Open)]);
    let bounced = [(1000, true), (3995, false), (4005, true), (6000, false)];
    assert_eq!(wishes(false, true, &bounced), [(4005, Wish::Close)]);
}

#[test]
fn held_for_ten_seconds_and_pressed_within_five_it_recovers_and_toggles_nothing() {
    let presses = [(0, true), (10_000, false), (14_900, true), (15_100, false)];
    assert_eq!(kinds(wishes(false, true, &presses)), [Wish::Close, Wish::Recover]);
    // The next press is an ordinary one.
    let more = [presses.as_slice(), &[(16_000, true), (16_100, false)]].concat();
    assert_eq!(kinds(wishes(false, true, &more)), [Wish::Close, Wish::Recover, Wish::Open]);
}

#[test]
fn without_the_second_press_or_with_a_late_one_nothing_is_recovered() {
    assert_eq!(kinds(wishes(false, true, &[(0, true), (10_000, false)])), [Wish::Close]);
    let late = [(0, true), (10_000, false), (15_000, true), (15_100, false)];
    assert_eq!(kinds(wishes(false, true, &late)), [Wish::Close, Wish::Open]);
    let short = [(0, true), (9_990, false), (10_500, true), (10_600, false)];
    assert_eq!(kinds(wishes(false, true, &short)), [Wish::Close, Wish::Open]);
}

#[test]
fn it_flickers_from_ten_seconds_on_until_five_seconds_after_it_was_let_go() {
    let start = Instant::now();
    let (mut presses, mut none) = (Presses::new(false, Duration::ZERO, start), Vec::new());
    let mut armed = |report: Option<bool>, at: u64| {
        match report {
            Some(pressed) => presses.report(pressed, start + ms(at), true, &mut none),
            None => presses.advance(start + ms(at), true, &mut none),
        }
        presses.is_armed()
    };
    assert!(!armed(Some(true), 0));
    assert!(!armed(None, 9_999));
    assert!(armed(None, 10_000));
    assert!(armed(Some(false), 12_000));
    assert!(armed(None, 16_999));
    assert!(!armed(None, 17_000));
}

#[test]
fn a_button_held_at_the_start_does_nothing_until_it_is_let_go() {
    assert_eq!(wishes(true, false, &[]), []);
    let later = [(60_000, false), (61_000, true), (61_200, false)];
    assert_eq!(wishes(true, false, &later), [(61_020, Wish::Close)]);
}

#[test]
fn a_stuck_button_is_told_once_and_leaves_no_recovery_behind() {
    let stuck = [(0, true), (40_000, false), (41_000, true), (41_100, false)];
    let expected = [(3_000, Wish::Close), (30_000, Wish::Stuck), (41_120, Wish::Open)];
    assert_eq!(wishes(false, true, &stuck), expected);
}

#[test]
fn a_storm_of_bounces_shorter_than_the_debounce_time_does_nothing() {
    let storm: Vec<(u64, bool)> = (0..2000).map(|n| (n * 10, n % 2 == 0)).collect();
    assert_eq!(wishes(false, false, &storm), []);
}

#[test]
fn a_task_that_wakes_up_late_comes_to_the_same_end() {
    let start = Instant::now();
    let (mut presses, mut made) = (Presses::new(false, Duration::ZERO, start), Vec::new());
    presses.report(true, start, true, &mut made);
    presses.report(false, start + ms(11_000), true, &mut made);
    presses.report(true, start + ms(12_000), true, &mut made);
    assert_eq!(made, [Wish::Close, Wish::Recover]);
}

/// The meaning of clean presses (begin and end in milliseconds, in order), written as plainly as can be.
fn plainly(presses: &[(u64, u64)], mut held: bool) -> Vec<Wish> {
    let (mut all, mut armed_until) = (Vec::new(), None);
    for (begin, end) in presses {
        let long = end - begin;
        if armed_until.take().is_some_and(|until| *begin < until) {
            all.push(Wish::Recover);
            continue;
        }
        let was_held = held;
        if !was_held {
            all.push(Wish::Close);
            held = true;
        }
        if long >= 3000 {
            all.push(Wish::Close);
        } else if was_held {
            all.push(Wish::Open);
            held = false;
        }
        if long >= 30_000 {
            all.push(Wish::Stuck);
        } else if long >= 10_000 {
            armed_until = Some(end + 5000);
        }
    }
    all
}

proptest! {
    #[test]
    fn presses_mean_what_is_plainly_said_however_the_contact_bounces(
        held in any::<bool>(),
        // A pause, how long it is held, and how the contact bounces at either end.
        presses in prop::collection::vec(
            (
                prop_oneof![100..1000u64, 4000..7000u64],
                prop_oneof![100..4000u64, 9000..12_000u64, 29_000..31_000u64],
                prop::collection::vec(1..5u64, 0..4),
                prop::collection::vec(1..5u64, 0..4),
            ),
            0..8,
        ),
    ) {
        let (mut now, mut clean, mut changes) = (0, Vec::new(), Vec::new());
        for (pause, hold, first, second) in presses {
            let mut edge = |to: bool, bounces: &[u64]| {
                changes.push((now, to));
                for gap in bounces {
                    changes.extend([(now + gap, !to), (now + 2 * gap, to)]);
                    now += 2 * gap;
                }
                now
            };
            // What counts is when it became steady.
            let begin = edge(true, &first);
            now += hold;
            let mut edge = |to: bool, bounces: &[u64]| {
                changes.push((now, to));
                for gap in bounces {
                    changes.extend([(now + gap, !to), (now + 2 * gap, to)]);
                    now += 2 * gap;
                }
                now
            };
            let end = edge(false, &second);
            clean.push((begin, end));
            now += pause;
        }
        prop_assert_eq!(kinds(wishes(false, held, &changes)), plainly(&clean, held));
    }
}
