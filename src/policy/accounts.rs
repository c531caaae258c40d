//! What the policy needs to know of accounts and rules, and the trait by which they are kept.
//!
//! `store/` implements [`AccountStore`] on SQLite. Names and filters here are what a person typed; they are
//! checked and compiled in `acl/`.

use super::acl::Access;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// User name: not empty, no null character, not beginning with `role:` or `bridge:`.
    pub name: String,
    /// The stored password in any form `auth::password` reads; `None`: nobody can log in with a password.
    pub hash: Option<String>,
    /// Raised by every change of password, but not when a stored form is upgraded: live sessions that logged
    /// in under another number are ended.
    pub credential: i64,
    /// A disabled account can neither log in nor stay connected.
    pub enabled: bool,
    /// Passes every check but the lock and the reserved topics.
    pub superuser: bool,
    /// Names of the roles granted to it.
    pub roles: Vec<String>,
}

/// Whom a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// One user name; an account of that name need not exist.
    User(String),
    /// Everyone who was granted the role.
    Role(String),
    /// One bridge.
    Bridge(String),
    /// Everyone, anonymous clients included.
    Everyone,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRecord {
    /// Whom it is for.
    pub subject: Subject,
    /// What it speaks about.
    pub access: Access,
    /// Topic filter, perhaps with `%u` and `%c` as whole levels.
    pub filter: String,
    /// Whether it denies; a denying rule wins over every allowing one.
    pub deny: bool,
}

/// Everything the policy reads at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// All accounts.
    pub accounts: Vec<AccountRecord>,
    /// All rules, in the order they were made.
    pub rules: Vec<RuleRecord>,
}

/// Why accounts could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct AccountError {
    /// What happened and what to do, for the operator.
    pub what: String,
}

/// Where accounts and rules are kept. All methods block: they are never called on an async worker.
pub trait AccountStore: Send + Sync + 'static {
    /// Reads every account and rule in one consistent snapshot.
    fn load(&self) -> Result<Accounts, AccountError>;

    /// A number that differs from an earlier one if anybody has changed anything in between (false alarms are
    /// allowed). Cheap: it is asked several times a second.
    fn revision(&self) -> Result<u64, AccountError>;

    /// Replaces the stored password of `user` by another form of the same password, if it is still `old`.
    /// Returns whether it was. This is not a change of password: `credential` stays.
    fn upgrade_hash(&self, user: &str, old: &str, new: &str) -> Result<bool, AccountError>;
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::User(name) => f.write_str(name),
            Subject::Role(name) => write!(f, "role:{name}"),
            Subject::Bridge(name) => write!(f, "bridge:{name}"),
            Subject::Everyone => f.write_str("*"),
        }
    }
}

impl std::str::FromStr for Subject {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |name: &str| match name {
            "" => Err("a subject is a user name, role:NAME, bridge:NAME or *"),
            name if name.contains('\0') => Err("a name cannot hold the null character"),
            name => Ok(name.to_owned()),
        };
        match text.split_once(':') {
            _ if text == "*" => Ok(Subject::Everyone),
            Some(("role", name)) => named(name).map(Subject::Role),
            Some(("bridge", name)) => named(name).map(Subject::Bridge),
            _ => named(text).map(Subject::User),
        }
    }
}
