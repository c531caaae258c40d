//! `[auth]`: who says who a client is.

use std::time::Duration;

use super::number::Span;
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
