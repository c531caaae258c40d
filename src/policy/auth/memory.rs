//! Verified logins, remembered for a while: a thousand clients that come back after a power cut, again and
//! again, should not cost a thousand full password hashes each time.
//!
//! No password is kept, only an HMAC-SHA256 under a key that is random per process and never leaves it. The
//! fields are length-prefixed, so that no two logins share an entry, and the stored password is one of them:
//! when the account's password changes, nothing remembered fits any more.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;

type Tag = [u8; 32];

/// Remembers which logins were verified. Bounded in number and in time.
pub struct LoginMemory {
    key: [u8; 32],
    capacity: usize,
    lifetime: Duration,
    logins: Mutex<Logins>,
}

#[derive(Default)]
struct Logins {
    until: HashMap<Tag, Instant>,
    /// Oldest first. Holds the same tags as `until`.
    order: VecDeque<(Tag, String)>,
}

impl LoginMemory {
    /// Entries kept when nothing else is said: under 1 MiB.
    pub const DEFAULT_CAPACITY: usize = 4096;

    /// A memory of up to `capacity` logins, each kept for `lifetime` from its verification.
    ///
    /// # Errors
    /// The operating system gave no random bytes.
    pub fn new(capacity: usize, lifetime: Duration) -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(LoginMemory { key, capacity, lifetime, logins: Mutex::default() })
    }

    /// Whether this login was verified within the lifetime before `now`, and not forgotten since.
    pub fn recall(&self, user: &str, stored: &str, password: &[u8], now: Instant) -> bool {
        let tag = self.tag(user, stored, password);
        self.logins.lock().until.get(&tag).is_some_and(|until| now < *until)
    }

    /// Remembers a login that has just been verified in full. The oldest entry makes room.
    pub fn remember(&self, user: &str, stored: &str, password: &[u8], now: Instant) {
        let tag = self.tag(user, stored, password);
        let mut logins = self.logins.lock();
        // All live equally long, so the expired ones are in front.
        while logins.oldest().is_some_and(|until| until <= now) {
            logins.drop_oldest();
        }
        let Some(until) = now.checked_add(self.lifetime) else { return };
        if self.capacity == 0 || logins.until.contains_key(&tag) {
            return;
        }
        if logins.order.len() >= self.capacity {
            logins.drop_oldest();
        }
        logins.until.insert(tag, until);
        logins.order.push_back((tag, user.to_owned()));
    }

    /// Forgets every login of `user`.
    pub fn forget(&self, user: &str) {
        let Logins { until, order } = &mut *self.logins.lock();
        order.retain(|(tag, name)| {
            let keep = name != user;
            if !keep {
                until.remove(tag);
            }
            keep
        });
    }

    fn tag(&self, user: &str, stored: &str, password: &[u8]) -> Tag {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of every length (RFC 2104)");
        for field in [user.as_bytes(), stored.as_bytes(), password] {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        mac.finalize().into_bytes().into()
    }
}

impl Logins {
    fn oldest(&self) -> Option<Instant> {
        self.order.front().and_then(|(tag, _)| self.until.get(tag)).copied()
    }

    fn drop_oldest(&mut self) {
        if let Some((tag, _)) = self.order.pop_front() {
            self.until.remove(&tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn memory(capacity: usize) -> LoginMemory {
        LoginMemory::new(capacity, MINUTE).unwrap()
    }

    #[test]
    fn a_verified_login_is_recalled_until_its_lifetime_ends() {
        let (memory, start) = (memory(8), Instant::now());
        assert!(!memory.recall("u", "h", b"p", start));
        memory.remember("u", "h", b"p", start);
        assert!(memory.recall("u", "h", b"p", start));
        assert!(memory.recall("u", "h", b"p", start + MINUTE - Duration::from_nanos(1)));
        assert!(!memory.recall("u", "h", b"p", start + MINUTE));
    }

    #[test]
    fn another_user_stored_form_or_password_is_not_recalled() {
        let (memory, now) = (memory(8), Instant::now());
        memory.remember("user", "hash", b"password", now);
        assert!(!memory.recall("use", "rhash", b"password", now), "fields must not run into each other");
        assert!(!memory.recall("user", "hashp", b"assword", now));
        assert!(!memory.recall("other", "hash", b"password", now));
        assert!(!memory.recall("user", "changed", b"password", now));
        assert!(!memory.recall("user", "hash", b"wrong", now));
    }

    #[test]
    fn a_forgotten_user_is_not_recalled_and_others_are() {
        let (memory, now) = (memory(8), Instant::now());
        memory.remember("a", "h", b"p", now);
        memory.remember("b", "h", b"p", now);
        memory.forget("a");
        assert!(!memory.recall("a", "h", b"p", now));
        assert!(memory.recall("b", "h", b"p", now));
    }

    #[test]
    fn the_oldest_login_makes_room_and_the_memory_never_grows_past_its_capacity() {
        let (memory, now) = (memory(3), Instant::now());
        for user in ["a", "b", "c", "d"] {
            memory.remember(user, "h", b"p", now);
            memory.remember(user, "h", b"p", now);
        }
        assert!(!memory.recall("a", "h", b"p", now));
        assert!(["b", "c", "d"].iter().all(|user| memory.recall(user, "h", b"p", now)));
        let logins = memory.logins.lock();
        assert_eq!((logins.order.len(), logins.until.len()), (3, 3));
    }

    #[test]
    fn an_expired_login_can_be_remembered_again() {
        let (memory, start) = (memory(3), Instant::now());
        memory.remember("a", "h", b"p", start);
        memory.remember("a", "h", b"p", start + MINUTE);
        assert!(memory.recall("a", "h", b"p", start + MINUTE));
        assert_eq!(memory.logins.lock().order.len(), 1);
    }

    #[test]
    fn two_processes_do_not_share_their_tags() {
        assert_ne!(memory(1).tag("u", "h", b"p"), memory(1).tag("u", "h", b"p"));
    }
}
