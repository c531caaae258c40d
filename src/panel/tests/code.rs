//! The LED: which code, and how it blinks.

use std::time::Duration;

use proptest::prelude::*;

use crate::panel::{CODES, Code, Conditions, Pattern, Service};

#[test]
fn the_most_urgent_condition_is_shown() {
    let mut now = Conditions::default();
    assert_eq!(now.code(false), Code::Open);
    now.bridge_down = true;
    assert_eq!(now.code(false), Code::BridgeDown);
    now.certificate_expires = true;
    assert_eq!(now.code(false), Code::CertificateExpires);
    for service in [Service::Silent, Service::Unpaired, Service::Signature, Service::Clock] {
        now.service = Some(service);
        assert_eq!(now.code(false), Code::Service(service));
    }
    now.closed_by_another = true;
    assert_eq!(now.code(false), Code::ClosedByAnother);
    now.closed_by_panel = true;
    assert_eq!(now.code(false), Code::ClosedByPanel);
    now.starting = true;
    assert_eq!(now.code(false), Code::Starting);
    now.failing = true;
    assert_eq!(now.code(false), Code::Failing);
    assert_eq!(now.code(true), Code::Recovery);
}

#[test]
fn every_code_has_one_pattern_of_its_own_and_can_be_counted() {
    for (index, (code, pattern, words)) in CODES.iter().enumerate() {
        assert_eq!((code.pattern(), code.looks()), (*pattern, *words));
        for (other, same, _) in &CODES[..index] {
            assert!(
                code != other && pattern != same && code.name() != other.name(),
                "{code:?} and {other:?}"
            );
        }
        if let Pattern::Cycle(steps) = pattern {
            assert!(steps.len().is_multiple_of(2) && !steps.contains(&0), "{code:?}: {steps:?}");
        }
    }
    let flashes = |code: Code| match code.pattern() {
        Pattern::Cycle(steps) => (steps.len() / 2, steps[steps.len() - 1]),
        Pattern::Steady(_) => (0, 0),
    };
    assert_eq!(flashes(Code::BridgeDown), (2, 2000));
    assert_eq!(flashes(Code::CertificateExpires), (3, 2000));
    assert_eq!(flashes(Code::Service(Service::Silent)), (4, 2000));
    assert_eq!(flashes(Code::Service(Service::Clock)), (7, 2000));
}

/// Every code the gateway can be in is in the list: a condition whose code were missing would show "open".
#[test]
fn every_condition_has_its_code_in_the_list() {
    let with = |change: fn(&mut Conditions)| {
        let mut conditions = Conditions::default();
        change(&mut conditions);
        conditions.code(false)
    };
    let codes = [
        with(|now| now.failing = true),
        with(|now| now.starting = true),
        with(|now| now.closed_by_panel = true),
        with(|now| now.closed_by_another = true),
        with(|now| now.service = Some(Service::Silent)),
        with(|now| now.service = Some(Service::Unpaired)),
        with(|now| now.service = Some(Service::Signature)),
        with(|now| now.service = Some(Service::Clock)),
        with(|now| now.certificate_expires = true),
        with(|now| now.bridge_down = true),
        Conditions::default().code(true),
        Conditions::default().code(false),
    ];
    let all: std::collections::HashSet<Code> = codes.into_iter().collect();
    assert_eq!(all.len(), CODES.len());
}

#[test]
fn the_card_in_the_readme_is_the_list() {
    let readme = include_str!("../../../README.md");
    let mut rest = readme;
    for (code, _, words) in CODES {
        let row = format!("\n| {words} | `{}` |", code.name());
        let at = rest.find(&row).unwrap_or_else(|| panic!("README.md lacks, or has in another place: {row}"));
        rest = &rest[at..];
    }
}

#[test]
fn a_pattern_is_lit_and_dark_for_as_long_as_it_says() {
    let pattern = Code::BridgeDown.pattern();
    let expected = [(0, true, 200), (199, true, 1), (200, false, 300), (500, true, 200), (700, false, 2000)];
    for round in [0, 2700, 2700 * 1_000_000] {
        for (at, lit, left) in expected {
            let shown = pattern.at(Duration::from_millis(round + at));
            assert_eq!(shown, (lit, Some(Duration::from_millis(left))), "at {at} of the round at {round}");
        }
    }
    assert_eq!(Pattern::Steady(true).at(Duration::from_secs(9)), (true, None));
    assert_eq!(Pattern::Cycle(&[]).at(Duration::from_secs(9)), (false, None));
}

proptest! {
    #[test]
    fn at_the_end_of_each_step_the_led_changes(index in 0..CODES.len(), at in 0..u64::from(u32::MAX)) {
        let pattern = CODES[index].1;
        let at = Duration::from_micros(at);
        let (lit, lasts) = pattern.at(at);
        if let Some(lasts) = lasts {
            prop_assert!(!lasts.is_zero());
            prop_assert_eq!(pattern.at(at + lasts - Duration::from_micros(1)).0, lit);
            prop_assert_eq!(pattern.at(at + lasts).0, !lit);
        }
    }
}
