//! Thousands of connects at once.

use std::time::Instant;

use crate::fleet::{self, storm};
use crate::gauge::{Memory, count, dropped, until};
use crate::probe::Probe;
use crate::support::Subject;

#[test]
fn ten_thousand_connects_at_once_all_get_in_and_cost_nobody_else_anything() {
    let clients = fleet::sockets(10_000);
    let subject = Subject::with().limit("connections", clients as u64 + 10).start();
    let probe = Probe::start(&subject);
    let mut memory = Memory::before(&subject);
    for _ in 0..3 {
        let since = Instant::now();
        let mut missing: Vec<_> = (0..clients).collect();
        let (mut inside, mut attempts) = (Vec::new(), 0);
        while !missing.is_empty() {
            attempts += 1;
            assert!(attempts <= 20, "{} clients never get in", missing.len());
            let (more, outside) = storm(subject.port(), &missing);
            inside.extend(more);
            missing = outside.into_iter().map(|(number, _)| number).collect();
        }
        eprintln!("{clients} connects at once: all in after {:?}, {attempts} attempts", since.elapsed());
        assert_eq!(count(&subject, "connections"), clients as u64 + 2);
        memory.top(&subject);
        drop(inside);
        until(&subject, "connections", 2);
    }
    probe.finish("connects at once", 50);
    memory.settle("connects at once", &subject, 16);
    subject.still_serves();
}

#[test]
fn a_storm_beyond_the_default_limits_is_told_so_and_gets_in_once_there_is_room() {
    let clients = fleet::sockets(10_000);
    let subject = Subject::start();
    let probe = Probe::start(&subject);
    let (inside, outside) = storm(subject.port(), &(0..clients).collect::<Vec<_>>());
    let told = outside.iter().filter(|(_, code)| code.is_some()).count();
    let (refused, evicted) =
        (dropped(&subject, "connections", "connections"), dropped(&subject, "connections", "pending"));
    eprintln!(
        "{clients} connects at once, 1000 allowed: {} in, {told} told, {} closed; counted {refused} and {evicted}",
        inside.len(),
        outside.len() - told
    );
    // Two of the thousand are those that measure.
    assert_eq!(inside.len(), 998);
    // Refused as unavailable for now.
    assert!(outside.iter().all(|(_, code)| matches!(code, None | Some(3))), "{outside:?}");
    assert_eq!(outside.len() as u64, refused + evicted);
    drop(inside);
    until(&subject, "connections", 2);
    let again: Vec<_> = outside.iter().take(900).map(|(number, _)| *number).collect();
    let (inside, outside) = storm(subject.port(), &again);
    assert_eq!((inside.len(), outside.len()), (900, 0));
    probe.finish("a storm beyond the limits", 50);
}

#[test]
fn those_that_a_small_lobby_turns_away_get_in_when_they_come_back() {
    let subject = Subject::with().limit("connections", 3000).limit("pending", 8).start();
    let mut missing: Vec<_> = (0..2000).collect();
    let (mut inside, mut attempts) = (Vec::new(), 0);
    while !missing.is_empty() {
        attempts += 1;
        assert!(attempts <= 100, "{} clients never get in", missing.len());
        let before = dropped(&subject, "connections", "pending");
        let (more, outside) = storm(subject.port(), &missing);
        assert!(!more.is_empty(), "nobody of {} gets in", missing.len());
        inside.extend(more);
        // Who comes while the lobby is full is closed without a word, and counted.
        assert!(outside.iter().all(|(_, code)| code.is_none()), "{outside:?}");
        // One that gets in at the very moment when it is turned away may be counted too.
        let (counted, away) = (dropped(&subject, "connections", "pending") - before, outside.len() as u64);
        assert!((away..=away + 8).contains(&counted), "{away} were turned away, {counted} are counted");
        missing = outside.into_iter().map(|(number, _)| number).collect();
    }
    eprintln!("2000 connects through a lobby of 8: {attempts} attempts");
    assert_eq!(count(&subject, "connections"), 2000);
}
