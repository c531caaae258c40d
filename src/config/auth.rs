//! `[auth]`: who says who a client is.

use std::time::Duration;

use super::number::{Seconds32, SecondsOrSpan, Span};
use super::scalar::{List, OneOf, Switch, words};
use super::section::{Reader, section};
use super::text::Prefix;
use super::tls::{NamedFile, OptionalFile};

words! {
    /// What a login is checked against.
    pub enum Backend {
        /// The accounts in the state folder.
        Sqlite = "sqlite",
        /// Text files.
        Files = "files",
    }
}

words! {
    /// Which backends are asked about the rights of a client that has logged in with one.
    pub enum Askers {
        /// That one.
        Own = "own",
        /// Every one of its listener.
        All = "all",
    }
}

words! {
    /// Whose files they are.
    pub enum Dialect {
        /// Mosquitto's.
        Mosquitto = "mosquitto",
        /// Those of mosquitto-go-auth's `files`.
        GoAuth = "go-auth",
        /// Those of mosquitto-auth-plug's `files`.
        AuthPlug = "auth-plug",
    }
}

section! {
    /// Logins.
    pub struct Auth {
        /// Who is asked about logins and rights, in this order. Whoever says yes or no decides; who does not know a name
        /// or has no rule leaves it to the next. A listener can have an order of its own.
        pub backends: Vec<Backend> => List<OneOf<Backend>, 1> = vec![Backend::Sqlite],

        /// Who is asked about the rights of a client that has logged in with a backend. "own": that backend alone, so that
        /// nobody gets rights from another one where somebody else has this name. "all": every backend of the listener,
        /// in order. For a client without a login, or with a certificate, it is every backend in any case.
        pub acl: Askers => OneOf<Askers> = Askers::Own,

        /// Rewrite a stored password of a foreign form in our own, at the first good login. The password stays the
        /// same.
        pub upgrade_passwords: bool => Switch = true,

        /// The backend `sqlite`.
        pub sqlite: AuthSqlite => AuthSqlite = AuthSqlite::default(),

        /// The backend `files`.
        pub files: AuthFiles => AuthFiles = AuthFiles::default(),

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

section! {
    /// The backend `sqlite`: the accounts and rules in the state folder, made with `latchgate user`, `role` and `acl`.
    pub struct AuthSqlite {
        /// Whether an account can be a superuser by it.
        pub superusers: bool => Switch = true,

        /// User names `PREFIX_NAME` go to this backend alone. Empty: there is no such prefix.
        pub prefix: String => Prefix = String::new(),

        /// Whether the prefix and its underscore are no part of the name that this backend knows.
        pub strip_prefix: bool => Switch = false,
    }
}

section! {
    /// The backend `files`: text files as Mosquitto and its plugins have them. A change is obeyed within a second; while a
    /// line cannot be understood, what was read before stays in force.
    pub struct AuthFiles {
        /// Lines `USER:STORED`, as mosquitto_passwd or `latchgate hash` write them. Without this key nobody logs in here.
        pub password_file: Option<NamedFile> => OptionalFile = None,

        /// Rules: `user NAME`, `topic [read|write|readwrite|deny] FILTER`, `pattern [same] FILTER` with %u and %c. Without
        /// this key no rule is known here, so nothing is allowed by it.
        pub acl_file: Option<NamedFile> => OptionalFile = None,

        /// Whose files they are. "mosquitto": lines before the first `user` are for clients without a name, every
        /// subscription is granted and each delivery asked about. "go-auth": such lines are for everyone, `read` grants
        /// subscriptions (but not to #), there is `subscribe`, and # covers $SYS. "auth-plug": such lines are for everyone.
        pub dialect: Dialect => OneOf<Dialect> = Dialect::Mosquitto,

        /// User names `PREFIX_NAME` go to this backend alone. Empty: there is no such prefix.
        pub prefix: String => Prefix = String::new(),

        /// Whether the prefix and its underscore are no part of the name that this backend knows.
        pub strip_prefix: bool => Switch = false,
    }
}

impl Auth {
    /// Notes what is missing for the backends that are used anywhere; `span` is the section's place.
    pub(super) fn check(&self, used: &[Backend], span: std::ops::Range<usize>, reader: &mut Reader<'_>) {
        let AuthFiles { password_file, acl_file, .. } = &self.files;
        if used.contains(&Backend::Files) && password_file.is_none() && acl_file.is_none() {
            let what = "the backend \"files\" has neither `password_file` nor `acl_file` in [auth.files]";
            reader.wrong(span, what, "name at least one of them, as password_file = \"passwd\"");
        }
    }
}
