//! Failed logins: whose answers are delayed, and who is kept out for a time.
//!
//! Three things are counted. A user name *at an address* is banned after so many failures; an address, whatever
//! the names, after [`ADDRESS`] times as many. A user name alone is never banned, since that would let anybody
//! lock a user out: failures with it are answered later and later, wherever they come from. A right password is
//! never delayed.

use std::{
    cmp::Reverse,
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use ahash::{AHashMap, RandomState};
use parking_lot::Mutex;

/// How many times as many failures as for one user name ban an address: devices behind one router share it.
const ADDRESS: u32 = 4;
/// The delay of the second failure's answer; each further one doubles it.
const DELAY: Duration = Duration::from_millis(250);
/// The longest delay, well below the time in which a client must be answered.
const LONGEST: Duration = Duration::from_secs(4);
/// How many counts are kept, and as many bans: some 4 MB.
const CAPACITY: usize = 16_384;
/// Bytes of a banned user name that are kept to be shown.
const SHOWN: usize = 64;

/// When failed logins lead to a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleRules {
    /// Failures within `window` that ban a user name at an address; 0: nobody is delayed or banned.
    pub failures: u32,
    /// How long failures are added up, from the first on.
    pub window: Duration,
    /// How long a ban lasts.
    pub ban: Duration,
    /// Whether failures from this machine itself are let pass.
    pub exempt_loopback: bool,
}

impl Default for ThrottleRules {
    fn default() -> Self {
        let minutes = Duration::from_secs(300);
        ThrottleRules { failures: 5, window: minutes, ban: minutes, exempt_loopback: true }
    }
}

/// Where somebody comes from: an IPv4 address, or the /64 that one IPv6 customer has at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(IpAddr);

impl Network {
    fn of(address: IpAddr) -> Self {
        Network(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
            v4 => v4,
        })
    }
}

/// What is counted. Of user names only a keyed hash is kept here, so that every entry has the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Login(u64, Network),
    Address(Network),
    User(u64),
}

#[derive(Clone, Copy, Debug)]
struct Count {
    failures: u32,
    since: Instant,
}

#[derive(Debug)]
struct Ban {
    until: Instant,
    /// What an operator is shown: the beginning of the user name; `None` if the address is banned.
    user: Option<Box<str>>,
}

#[derive(Debug, Default)]
struct State {
    counts: AHashMap<Key, Count>,
    /// Kept apart from the counts, so that no flood of failures pushes out a ban.
    bans: AHashMap<Key, Ban>,
}

/// Counts failed logins. Time is handed in.
#[derive(Debug)]
pub(super) struct Throttle {
    rules: ThrottleRules,
    capacity: usize,
    state: Mutex<State>,
    hasher: RandomState,
    bans: AtomicU64,
    refused: AtomicU64,
    delayed: AtomicU64,
}

/// What was throttled since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttled {
    /// Bans.
    pub bans: u64,
    /// Connections refused since they were banned.
    pub refused: u64,
    /// Failed logins that were answered late.
    pub delayed: u64,
}

/// A ban in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banned {
    /// The address, or the first of its /64.
    pub network: IpAddr,
    /// The user name that is banned there, the first 64 bytes of it; `None`: everybody is.
    pub user: Option<String>,
    /// For how long still.
    pub left: Duration,
}

impl Banned {
    /// The address, or the /64.
    pub fn place(&self) -> String {
        match self.network {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(network) => format!("{network}/64"),
        }
    }
}

impl Throttle {
    pub fn new(rules: ThrottleRules) -> Self {
        Self::with_capacity(rules, CAPACITY)
    }

    fn with_capacity(rules: ThrottleRules, capacity: usize) -> Self {
        Throttle {
            rules,
            capacity,
            state: Mutex::default(),
            hasher: RandomState::new(),
            bans: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
        }
    }

    /// Whether somebody is kept out for now; `user` is empty for who brings no name. A yes is counted as a refusal.
    pub fn is_banned(&self, user: &str, address: IpAddr, now: Instant) -> bool {
        let banned = self.banned_for(user, address, now).is_some();
        self.refused.fetch_add(banned.into(), Relaxed);
        banned
    }

    /// For how long somebody is still kept out.
    pub fn banned_for(&self, user: &str, address: IpAddr, now: Instant) -> Option<Duration> {
        if self.passes(address) {
            return None;
        }
        let network = Network::of(address);
        let keys = [Key::Login(self.hasher.hash_one(user), network), Key::Address(network)];
        let mut state = self.state.lock();
        let left = keys.map(|key| {
            let left = state.bans.get(&key)?.until.saturating_duration_since(now);
            if left.is_zero() {
                state.bans.remove(&key);
            }
            Some(left).filter(|left| !left.is_zero())
        });
        left.into_iter().flatten().max()
    }

    /// Every ban in force, the one that ends last first.
    pub fn bans(&self, now: Instant) -> Vec<Banned> {
        self.list(now, |_| true)
    }

    /// The bans of a user name, wherever it is banned; not those of whole addresses.
    pub fn bans_of(&self, user: &str, now: Instant) -> Vec<Banned> {
        let name = self.hasher.hash_one(user);
        self.list(now, |key| matches!(key, Key::Login(login, _) if *login == name))
    }

    fn list(&self, now: Instant, wanted: impl Fn(&Key) -> bool) -> Vec<Banned> {
        let state = self.state.lock();
        let in_force = |(key, ban): (&Key, &Ban)| {
            let left = ban.until.saturating_duration_since(now);
            match *key {
                Key::Login(_, Network(network)) | Key::Address(Network(network))
                    if !left.is_zero() && wanted(key) =>
                {
                    Some(Banned { network, user: ban.user.as_deref().map(str::to_owned), left })
                }
                _ => None,
            }
        };
        let mut bans: Vec<Banned> = state.bans.iter().filter_map(in_force).collect();
        drop(state);
        bans.sort_unstable_by_key(|ban| Reverse(ban.left));
        bans
    }

    /// Lifts the bans of whom `user` and `address` both fit, where given, and forgets the failures that count against
    /// them; how many bans it were.
    pub fn lift(&self, user: Option<&str>, address: Option<IpAddr>) -> usize {
        let name = user.map(|user| self.hasher.hash_one(user));
        let network = address.map(Network::of);
        let fits = |key: &Key| match *key {
            Key::Login(login, at) => {
                name.is_none_or(|name| name == login) && network.is_none_or(|network| network == at)
            }
            Key::Address(at) => name.is_none() && network.is_none_or(|network| network == at),
            Key::User(login) => network.is_none() && name.is_none_or(|name| name == login),
        };
        let mut state = self.state.lock();
        state.counts.retain(|key, _| !fits(key));
        let before = state.bans.len();
        state.bans.retain(|key, _| !fits(key));
        before - state.bans.len()
    }

    /// Notes a failed login; how long its answer is to be delayed. A ban that follows is logged.
    pub fn failed(&self, user: &str, address: IpAddr, now: Instant) -> Duration {
        if self.passes(address) {
            return Duration::ZERO;
        }
        let (name, network) = (self.hasher.hash_one(user), Network::of(address));
        let most = self.rules.failures;
        let mut state = self.state.lock();
        let login = self.count(&mut state, Key::Login(name, network), now);
        let here = self.count(&mut state, Key::Address(network), now);
        let user_wide = self.count(&mut state, Key::User(name), now);
        for (key, failures, most, scope) in [
            (Key::Login(name, network), login, most, "login"),
            (Key::Address(network), here, most.saturating_mul(ADDRESS), "address"),
        ] {
            if failures >= most {
                self.ban(&mut state, key, user, now);
                self.bans.fetch_add(1, Relaxed);
                // All in the message, since the journal keeps fields apart from it. What the client chose comes last.
                let (address, seconds) = (address.to_canonical(), self.rules.ban.as_secs());
                tracing::warn!(
                    "login ban: address={address} scope={scope} failures={failures} seconds={seconds} user={user:?}"
                );
            }
        }
        drop(state);
        let delay = delay(login.max(here / ADDRESS).max(user_wide / ADDRESS));
        self.delayed.fetch_add((!delay.is_zero()).into(), Relaxed);
        delay
    }

    /// Notes a good login: the user's earlier slips at this address are forgotten, not what else came from there.
    pub fn succeeded(&self, user: &str, address: IpAddr) {
        if !self.passes(address) {
            let key = Key::Login(self.hasher.hash_one(user), Network::of(address));
            self.state.lock().counts.remove(&key);
        }
    }

    /// What was throttled since the start.
    pub fn totals(&self) -> Throttled {
        Throttled {
            bans: self.bans.load(Relaxed),
            refused: self.refused.load(Relaxed),
            delayed: self.delayed.load(Relaxed),
        }
    }

    fn passes(&self, address: IpAddr) -> bool {
        let local = address.to_canonical().is_loopback();
        self.rules.failures == 0 || (local && self.rules.exempt_loopback)
    }

    /// Counts one more failure; how many it are within the window.
    fn count(&self, state: &mut State, key: Key, now: Instant) -> u32 {
        let over = |count: &Count| now.saturating_duration_since(count.since) >= self.rules.window;
        if state.counts.len() >= self.capacity && !state.counts.contains_key(&key) {
            state.counts.retain(|_, count| !over(count));
            // Those with the fewest failures go, the oldest of them first, a quarter at a time: a flood of addresses
            // with a failure each forgets itself.
            thin_out(&mut state.counts, self.capacity, |count| (count.failures, count.since));
        }
        let count = state.counts.entry(key).or_insert(Count { failures: 0, since: now });
        if over(count) {
            *count = Count { failures: 0, since: now };
        }
        count.failures = count.failures.saturating_add(1);
        count.failures
    }

    fn ban(&self, state: &mut State, key: Key, user: &str, now: Instant) {
        state.counts.remove(&key);
        if state.bans.len() >= self.capacity {
            state.bans.retain(|_, ban| ban.until > now);
            thin_out(&mut state.bans, self.capacity, |ban| ban.until);
        }
        let shown = &user[..user.floor_char_boundary(SHOWN)];
        let user = matches!(key, Key::Login(..)).then(|| shown.into());
        state.bans.insert(key, Ban { until: now + self.rules.ban, user });
    }
}

/// Drops the quarter of the entries that is least by `rank`, if there are `most`.
fn thin_out<V, R: Ord + Copy>(entries: &mut AHashMap<Key, V>, most: usize, rank: impl Fn(&V) -> R) {
    if entries.len() < most {
        return;
    }
    let mut ranked: Vec<(R, Key)> = entries.iter().map(|(key, value)| (rank(value), *key)).collect();
    let quarter = (ranked.len() / 4).max(1);
    ranked.select_nth_unstable_by_key(quarter - 1, |(rank, _)| *rank);
    for (_, key) in &ranked[..quarter] {
        entries.remove(key);
    }
}

/// The delay after so many failures: none after the first, then it doubles.
fn delay(failures: u32) -> Duration {
    match failures.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => DELAY.saturating_mul(1 << doublings.min(16)).min(LONGEST),
    }
}

#[cfg(test)]
#[path = "throttle/tests.rs"]
mod tests;
