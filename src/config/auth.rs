//! `[auth]`: who says who a client is.

use std::time::Duration;

use super::number::{Seconds32, SecondsOrSpan, Span};
use super::scalar::{List, OneOf, Switch, words};
use super::section::section;

words! {
    /// What a login is checked against.
    pub enum Backend {
        /// The accounts in the state folder.
        Sqlite = "sqlite",
    }
}

section! {
    /// Logins.
    pub struct Auth {
        /// What a login is checked against.
        pub backends: Vec<Backend> => List<OneOf<Backend>, 1> = vec![Backend::Sqlite],

        /// Rewrite a stored password of a foreign form in our own, at the first good login. The password stays the
        /// same.
        pub upgrade_passwords: bool => Switch = true,

        /// What is remembered of logins.
        pub cache: AuthCache => AuthCache = AuthCache::default(),

        /// What failed logins lead to.
        pub throttle: AuthThrottle => AuthThrottle = AuthThrottle::default(),
    }
}

section! {
    /// What failed logins lead to. Their answers are delayed more and more, up to 4 s; then who tries is banned.
    pub struct AuthThrottle {
        /// Failed logins with one user name from one address that ban this login there; four times as many, with
        /// whatever names, ban the address. IPv6 addresses count by /64. 0: nobody is delayed or banned.
        pub failures: u32 => Seconds32 = 5,

        /// How long failures are added up. A whole number is in seconds.
        pub window: Duration => SecondsOrSpan = Duration::from_secs(300),

        /// How long a ban lasts. A whole number is in seconds.
        pub ban: Duration => SecondsOrSpan = Duration::from_secs(300),

        /// Whether logins from this machine (127.0.0.0/8 and ::1) are never delayed or banned.
        pub exempt_loopback: bool => Switch = true,
    }
}

section! {
    /// What is remembered of logins.
    pub struct AuthCache {
        /// How long a verified login is remembered, so that a client that comes back need not wait for its password
        /// to be hashed again. A change to the account is obeyed at once all the same. "0s": not at all.
        pub verified: Duration => Span = Duration::from_secs(300),
    }
}
