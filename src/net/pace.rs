//! How fast connections may come from one address: beyond it they are not taken, whoever else comes.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use ahash::AHashMap;
use parking_lot::Mutex;

/// What may come at once: as much as in this time at the rate. A fleet behind one router comes back together.
const AT_ONCE: Duration = Duration::from_secs(10);
/// How many addresses are told apart: some 500 KB.
const CAPACITY: usize = 8192;

/// Counts the connections of one listener by address (IPv6: the /64 that one customer has at least). Time is handed in.
///
/// Kept for each address is only when its connections so far would have come at exactly the rate (the generic cell
/// rate algorithm), so that an address that was quiet needs no entry.
#[derive(Debug)]
pub struct Pace {
    /// The time between two connections at the rate; zero: no limit.
    interval: Duration,
    exempt_loopback: bool,
    capacity: usize,
    due: Mutex<AHashMap<IpAddr, Instant>>,
}

impl Pace {
    /// At most `rate` connections a second from one address on average; 0 is no limit.
    pub fn new(rate: u32, exempt_loopback: bool) -> Self {
        Self::with_capacity(rate, exempt_loopback, CAPACITY)
    }

    fn with_capacity(rate: u32, exempt_loopback: bool, capacity: usize) -> Self {
        let interval = Duration::from_secs(1).checked_div(rate).unwrap_or_default();
        Pace { interval, exempt_loopback, capacity, due: Mutex::default() }
    }

    /// Whether one more connection may come from `address`; only those that may are counted.
    pub fn admits(&self, address: IpAddr, now: Instant) -> bool {
        let address = address.to_canonical();
        if self.interval.is_zero() || (self.exempt_loopback && address.is_loopback()) {
            return true;
        }
        let network = match address {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
            v4 => v4,
        };
        let mut due = self.due.lock();
        if due.len() >= self.capacity && !due.contains_key(&network) {
            self.make_room(&mut due, now);
        }
        let entry = due.entry(network).or_insert(now);
        let next = (*entry).max(now) + self.interval;
        let admitted = next.saturating_duration_since(now) <= AT_ONCE;
        if admitted {
            *entry = next;
        }
        admitted
    }

    /// Forgets whoever was quiet long enough; if that is nobody, the quarter that is nearest to it.
    fn make_room(&self, due: &mut AHashMap<IpAddr, Instant>, now: Instant) {
        due.retain(|_, next| *next > now);
        if due.len() >= self.capacity {
            let mut times: Vec<Instant> = due.values().copied().collect();
            let (_, bound, _) = times.select_nth_unstable(self.capacity / 4);
            let bound = *bound;
            due.retain(|_, next| *next > bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(pace: &Pace, address: &str, now: Instant) -> usize {
        (0..10_000).filter(|_| pace.admits(address.parse().unwrap(), now)).count()
    }

    #[test]
    fn ten_seconds_worth_may_come_at_once_and_then_the_rate() {
        let (pace, start) = (Pace::new(3, true), Instant::now());
        assert_eq!(many(&pace, "192.0.2.1", start), 30);
        assert_eq!(many(&pace, "192.0.2.1", start + Duration::from_secs(2)), 6);
        assert_eq!(many(&pace, "192.0.2.1", start + Duration::from_secs(3600)), 30);
    }

    #[test]
    fn each_address_has_its_own_and_a_64_of_ipv6_is_one() {
        let (pace, now) = (Pace::new(1, true), Instant::now());
        assert_eq!(many(&pace, "192.0.2.1", now), 10);
        assert_eq!(many(&pace, "::ffff:192.0.2.1", now), 0);
        assert_eq!(many(&pace, "192.0.2.2", now), 10);
        assert_eq!(many(&pace, "2001:db8::1", now), 10);
        assert_eq!(many(&pace, "2001:db8::ffff:0:0:1", now), 0);
        assert_eq!(many(&pace, "2001:db8:0:1::1", now), 10);
    }

    #[test]
    fn loopback_is_exempt_if_so_configured_and_0_is_no_limit() {
        let now = Instant::now();
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(many(&Pace::new(1, true), address, now), 10_000);
            assert_eq!(many(&Pace::new(1, false), address, now), 10);
        }
        assert_eq!(many(&Pace::new(0, false), "192.0.2.1", now), 10_000);
    }

    #[test]
    fn a_flood_of_addresses_takes_bounded_memory_and_does_not_free_the_one_that_floods_most() {
        let (pace, now) = (Pace::with_capacity(1, true, 64), Instant::now());
        assert_eq!(many(&pace, "192.0.2.1", now), 10);
        for number in 0..10_000_u32 {
            assert!(pace.admits(std::net::Ipv4Addr::from_bits(0x0A00_0000 + number).into(), now));
            assert!(pace.due.lock().len() <= 64);
        }
        assert_eq!(many(&pace, "192.0.2.1", now), 0);
    }

    #[test]
    fn the_highest_rate_still_works() {
        let (pace, now) = (Pace::new(u32::MAX, true), Instant::now());
        assert_eq!(many(&pace, "192.0.2.1", now), 10_000);
    }
}
