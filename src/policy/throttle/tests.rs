//! The throttle by itself, with the time handed in.

use proptest::prelude::*;

use super::*;

const RULES: ThrottleRules = ThrottleRules {
    failures: 5,
    window: Duration::from_secs(60),
    ban: Duration::from_secs(600),
    exempt_loopback: true,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn fail(throttle: &Throttle, user: &str, address: &str, times: u32, now: Instant) {
    for _ in 0..times {
        throttle.failed(user, ip(address), now);
    }
}

#[test]
fn a_login_is_banned_at_its_address_after_so_many_failures_and_for_so_long() {
    let (throttle, now) = (Throttle::new(RULES), Instant::now());
    fail(&throttle, "alice", "192.0.2.1", 4, now);
    assert!(!throttle.is_banned("alice", ip("192.0.2.1"), now));
    fail(&throttle, "alice", "192.0.2.1", 1, now);
    assert!(throttle.is_banned("alice", ip("192.0.2.1"), now));
    assert!(throttle.is_banned("alice", ip("192.0.2.1"), now + RULES.ban - Duration::from_nanos(1)));
    assert!(!throttle.is_banned("alice", ip("192.0.2.1"), now + RULES.ban));
    // From the beginning: the old failures are gone.
    fail(&throttle, "alice", "192.0.2.1", 4, now + RULES.ban);
    assert!(!throttle.is_banned("alice", ip("192.0.2.1"), now + RULES.ban));
    assert_eq!(throttle.totals(), Throttled { bans: 1, refused: 2, delayed: 7 });
}

#[test]
fn bans_are_listed_with_what_is_left_of_them_and_can_be_lifted() {
    let (throttle, now) = (Throttle::new(RULES), Instant::now());
    let later = now + Duration::from_secs(1);
    fail(&throttle, "alice", "192.0.2.1", 5, now);
    fail(&throttle, "alice", "192.0.2.2", 5, later);
    fail(&throttle, &"ü".repeat(60), "2001:db8::7", 5, later);
    (0..20).for_each(|name| fail(&throttle, &name.to_string(), "192.0.2.3", 1, later));
    let banned = |throttle: &Throttle| {
        throttle.bans(later).into_iter().map(|ban| (ban.network.to_string(), ban.user)).collect::<Vec<_>>()
    };
    let mut all = banned(&throttle);
    assert_eq!(all.pop(), Some(("192.0.2.1".into(), Some("alice".into()))), "it ends first");
    assert!(all.contains(&("2001:db8::".into(), Some("ü".repeat(32)))), "{all:?}");
    assert!(all.contains(&("192.0.2.3".into(), None)) && all.len() == 3, "{all:?}");
    assert_eq!(throttle.bans(later)[0].left, RULES.ban);
    assert_eq!(throttle.banned_for("alice", ip("192.0.2.1"), later), Some(RULES.ban - (later - now)));
    assert_eq!(throttle.banned_for("bob", ip("192.0.2.1"), later), None);

    assert_eq!(throttle.lift(Some("bob"), None), 0);
    assert_eq!(throttle.lift(Some("alice"), Some(ip("192.0.2.3"))), 0);
    assert_eq!(throttle.lift(None, Some(ip("192.0.2.3"))), 1);
    assert_eq!(throttle.lift(None, Some(ip("2001:db8::9"))), 1, "any address of the /64");
    assert_eq!(throttle.lift(Some("alice"), Some(ip("192.0.2.1"))), 1);
    assert_eq!(banned(&throttle), [("192.0.2.2".into(), Some("alice".into()))]);
    assert_eq!(throttle.lift(Some("alice"), None), 1);
    // What had been counted against alice is forgotten as well: she starts anew.
    fail(&throttle, "alice", "192.0.2.2", 4, later);
    assert!(!throttle.is_banned("alice", ip("192.0.2.2"), later));
    assert!(throttle.bans(later + RULES.ban).is_empty());
}

#[test]
fn a_user_is_not_locked_out_by_failures_elsewhere_nor_its_neighbours_by_its_own() {
    let (throttle, now) = (Throttle::new(RULES), Instant::now());
    for host in 0..200 {
        fail(&throttle, "alice", &format!("192.0.2.{host}"), 5, now);
    }
    assert!(!throttle.is_banned("alice", ip("198.51.100.1"), now));
    assert!(!throttle.is_banned("bob", ip("192.0.2.1"), now));
}

#[test]
fn an_address_that_tries_many_names_is_banned_for_all_of_them() {
    let (throttle, now) = (Throttle::new(RULES), Instant::now());
    for name in 0..19 {
        fail(&throttle, &name.to_string(), "192.0.2.1", 1, now);
    }
    assert!(!throttle.is_banned("bob", ip("192.0.2.1"), now));
    fail(&throttle, "19", "192.0.2.1", 1, now);
    assert!(throttle.is_banned("bob", ip("192.0.2.1"), now));
    assert!(throttle.is_banned("", ip("192.0.2.1"), now));
    assert!(throttle.is_banned("bob", ip("::ffff:192.0.2.1"), now), "the same address, mapped");
    assert!(!throttle.is_banned("bob", ip("192.0.2.2"), now));
}

#[test]
fn all_addresses_of_an_ipv6_customer_are_one() {
    let (throttle, now) = (Throttle::new(RULES), Instant::now());
    for host in 0..5 {
        fail(&throttle, "alice", &format!("2001:db8:0:1::{host:x}"), 1, now);
    }
    assert!(throttle.is_banned("alice", ip("2001:db8:0:1:ffff::1"), now));
    assert!(!throttle.is_banned("alice", ip("2001:db8:0:2::1"), now));
}

#[test]
fn answers_are_delayed_more_and_more_and_never_for_long() {
    let (throttle, now) = (Throttle::new(RULES), Instant::now());
    let delays: Vec<_> = (0..4).map(|_| throttle.failed("alice", ip("192.0.2.1"), now).as_millis()).collect();
    assert_eq!(delays, [0, 250, 500, 1000]);
    // Failures elsewhere count for the user name, at a quarter.
    for host in 0..100 {
        throttle.failed("alice", ip(&format!("198.51.100.{host}")), now);
    }
    assert_eq!(throttle.failed("alice", ip("203.0.113.1"), now), LONGEST);
    assert_eq!(throttle.failed("bob", ip("203.0.113.2"), now), Duration::ZERO);
    assert_eq!(delay(u32::MAX), LONGEST);
}

#[test]
fn a_good_login_forgives_the_user_s_own_slips_and_not_the_address_s() {
    let (throttle, now) = (Throttle::new(RULES), Instant::now());
    for _ in 0..4 {
        fail(&throttle, "alice", "192.0.2.1", 4, now);
        throttle.succeeded("alice", ip("192.0.2.1"));
        assert!(!throttle.is_banned("alice", ip("192.0.2.1"), now));
    }
    fail(&throttle, "bob", "192.0.2.1", 4, now);
    assert!(throttle.is_banned("alice", ip("192.0.2.1"), now), "twenty failures from there");
}

#[test]
fn failures_far_apart_do_not_add_up() {
    let throttle = Throttle::new(RULES);
    let mut now = Instant::now();
    for _ in 0..20 {
        fail(&throttle, "alice", "192.0.2.1", 4, now);
        now += RULES.window;
        assert!(!throttle.is_banned("alice", ip("192.0.2.1"), now));
    }
}

#[test]
fn this_machine_is_exempt_unless_told_otherwise_and_zero_failures_turn_it_off() {
    let now = Instant::now();
    for (exempt_loopback, failures, address, banned) in [
        (true, 5, "127.0.0.1", false),
        (true, 5, "::1", false),
        (true, 5, "::ffff:127.0.0.1", false),
        (false, 5, "127.0.0.1", true),
        (true, 0, "192.0.2.1", false),
    ] {
        let throttle = Throttle::new(ThrottleRules { exempt_loopback, failures, ..RULES });
        fail(&throttle, "alice", address, 10, now);
        assert_eq!(throttle.is_banned("alice", ip(address), now), banned, "{address} {failures}");
    }
}

#[test]
fn a_flood_of_addresses_takes_no_memory_and_forgets_neither_bans_nor_real_attackers() {
    let (throttle, now) = (Throttle::with_capacity(RULES, 64), Instant::now());
    fail(&throttle, "alice", "192.0.2.1", 5, now);
    fail(&throttle, "bob", "192.0.2.2", 4, now);
    for n in 0..10_000u32 {
        throttle.failed(&n.to_string(), std::net::Ipv4Addr::from_bits(0x0A00_0000 + n).into(), now);
    }
    let state = throttle.state.lock();
    assert!(state.counts.len() <= 64 && state.bans.len() <= 64);
    drop(state);
    assert!(throttle.is_banned("alice", ip("192.0.2.1"), now));
    fail(&throttle, "bob", "192.0.2.2", 1, now);
    assert!(throttle.is_banned("bob", ip("192.0.2.2"), now), "its four failures were not forgotten");
}

#[test]
fn more_bans_than_there_is_room_for_forget_those_that_end_first() {
    let (throttle, start) = (Throttle::with_capacity(RULES, 64), Instant::now());
    for n in 0..100u32 {
        fail(&throttle, "alice", &format!("192.0.2.{n}"), 5, start + Duration::from_secs(n.into()));
    }
    let now = start + Duration::from_secs(100);
    assert!(throttle.state.lock().bans.len() <= 64);
    assert!(throttle.is_banned("alice", ip("192.0.2.99"), now));
    assert!(!throttle.is_banned("alice", ip("192.0.2.0"), now));
}

proptest! {
    /// Whatever happens: who has not failed here is not banned here, a ban ends, and memory is bounded.
    #[test]
    fn nobody_is_banned_for_what_others_did(steps in prop::collection::vec((0..3u8, 0..4u8, 0..8u8, 0..40u64), 1..300)) {
        let throttle = Throttle::with_capacity(RULES, 8);
        let mut now = Instant::now();
        let mut failures = std::collections::HashMap::new();
        let (mut last, mut from) = (now, std::collections::HashMap::new());
        for (user, host, kind, seconds) in steps {
            now += Duration::from_secs(seconds);
            let (name, address) = (user.to_string(), ip(&format!("192.0.2.{host}")));
            let login: u32 = failures.get(&(user, host)).copied().unwrap_or(0);
            let here: u32 = from.get(&host).copied().unwrap_or(0);
            let banned = throttle.is_banned(&name, address, now);
            prop_assert!(!banned || login >= RULES.failures || here >= RULES.failures * ADDRESS);
            match kind {
                0 => throttle.succeeded(&name, address),
                // Whoever is banned is not let try.
                _ if !banned => {
                    prop_assert!(throttle.failed(&name, address, now) <= LONGEST);
                    *failures.entry((user, host)).or_default() += 1;
                    *from.entry(host).or_default() += 1;
                    last = now;
                }
                _ => {}
            }
            let state = throttle.state.lock();
            prop_assert!(state.counts.len() <= 8 && state.bans.len() <= 8);
        }
        for user in 0..3 {
            for host in 0..4 {
                let address = ip(&format!("192.0.2.{host}"));
                prop_assert!(!throttle.is_banned(&user.to_string(), address, last + RULES.ban));
            }
        }
    }
}
