//! Who is paired, and the trait by which that is kept.
//!
//! `store/` implements [`PairingStore`] on SQLite.

use std::collections::BTreeMap;

use super::Id;

/// One user's pairing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// User name.
    pub user: String,
    /// The account at the service; `None`: what is kept cannot be understood, so nothing can be asked and the user is
    /// shut out.
    pub account: Option<Id>,
    /// Its instances, by topic.
    pub instances: Vec<Instance>,
    /// What the service said last, as far as it was kept.
    pub known: Option<Known>,
}

/// An instance: a topic filter that the phone can lock by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its identifier at the service.
    pub id: Id,
    /// The topic filter.
    pub topic: String,
}

/// What the service said, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Seconds since 1970, by this machine's clock.
    pub at: u64,
    /// What it said.
    pub state: State,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// The service says "on".
    Open,
    /// The service says "off".
    Locked,
    /// The service does not know it (any more).
    Gone,
}

impl Switch {
    pub(super) fn of(on: bool) -> Self {
        if on { Switch::Open } else { Switch::Locked }
    }
}

/// What the service said of one user.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The application as a whole.
    pub application: Switch,
    /// The operation for publishing.
    pub publish: Switch,
    /// The operation for subscribing and receiving.
    pub subscribe: Switch,
    /// Each instance that was asked about.
    pub instances: BTreeMap<Id, Switch>,
}

/// Why pairings could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct PairingError {
    /// What happened and what to do, for the operator.
    pub what: String,
}

/// Where pairings are kept. All methods block: they are never called on an async worker.
pub trait PairingStore: Send + Sync + 'static {
    /// Every pairing, in one consistent snapshot.
    fn load(&self) -> Result<Vec<Pairing>, PairingError>;

    /// A number that differs from an earlier one if a pairing or an instance was changed in between, by whomever. Cheap:
    /// it is asked several times a second.
    fn revision(&self) -> Result<u64, PairingError>;

    /// Keeps a new pairing, without instances; an earlier one of the same user is replaced.
    fn pair(&self, user: &str, account: &Id) -> Result<(), PairingError>;

    /// Forgets a pairing with its instances. Returns whether there was one.
    fn unpair(&self, user: &str) -> Result<bool, PairingError>;

    /// Keeps an instance of a paired user; one for the same topic is replaced.
    fn add_instance(&self, user: &str, instance: &Instance) -> Result<(), PairingError>;

    /// Forgets an instance. Returns whether there was one.
    fn remove_instance(&self, user: &str, topic: &str) -> Result<bool, PairingError>;

    /// Keeps what the service said, if the user is still paired with that account. This is no change of a pairing.
    fn remember(&self, user: &str, account: &Id, known: &Known) -> Result<(), PairingError>;
}
