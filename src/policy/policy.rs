//! The policy of a gateway: the present book, and who is connected under it.

mod admission;
mod changes;
mod tenure;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{
    accounts::{AccountError, AccountStore},
    acl::{Book, Sources},
    audit::Audit,
    auth::{Login, backends::Backend, desk::Desk},
    identity::Identity,
    live::Live,
    lock::{Lock, LockStore, VolatileLock},
    metrics::{Metrics, Verdicts},
    settings::Settings,
    throttle::{Banned, Throttle},
    voice::Voice,
};

pub use admission::{Applicant, Secret};
pub(super) use tenure::{is_disabled, number_of};

/// The policy in force.
#[derive(Debug)]
pub struct Policy {
    settings: ArcSwap<Settings>,
    book: ArcSwap<Book>,
    /// Raised whenever rules or accounts of any kind have changed.
    generation: AtomicU64,
    live: Arc<Live>,
    lock: Arc<Lock>,
    audit: Audit,
    metrics: Arc<Metrics>,
    throttle: Arc<Throttle>,
    login: Login,
    /// Who the gateway's own messages are by.
    own: Arc<Identity>,
    /// Held while a book is read and put in force, so that an older one never replaces a newer one.
    reloading: Mutex<()>,
}

impl Policy {
    /// Reads accounts and rules, for a gateway that itself says nothing and whose lock is not kept. Blocks.
    pub fn open(store: Arc<dyn AccountStore>, settings: Settings) -> Result<Arc<Self>, AccountError> {
        Ok(Self::open_with_voice(store, Arc::new(VolatileLock), settings)?.0)
    }

    /// Reads accounts, rules and the state of the lock; with the policy comes its one [`Voice`]. Blocks.
    pub fn open_with_voice(
        store: Arc<dyn AccountStore>,
        lock: Arc<dyn LockStore>,
        settings: Settings,
    ) -> Result<(Arc<Self>, Voice), AccountError> {
        let book = read(&*store, &settings)?;
        let metrics = Arc::new(Metrics::default());
        let throttle = Arc::new(Throttle::new(settings.throttle));
        let (upgrade, remember) = (settings.upgrade_passwords, settings.remember_logins);
        let login = Login::new(store, upgrade, remember, metrics.clone(), throttle.clone())
            .map_err(|error| AccountError { what: format!("no random numbers: {error}") })?;
        let voice = Voice::new();
        let live: Arc<Live> = Arc::default();
        let lock = Lock::load(lock, settings.lock.clone(), live.clone())
            .map_err(|error| AccountError { what: error.what })?;
        let policy = Policy {
            book: ArcSwap::from_pointee(book),
            generation: AtomicU64::new(0),
            live,
            lock: Arc::new(lock),
            audit: Audit::default(),
            metrics,
            throttle,
            login,
            own: voice.identity().clone(),
            reloading: Mutex::default(),
            settings: ArcSwap::from_pointee(settings),
        };
        Ok((Arc::new(policy), voice))
    }

    pub(super) fn settings(&self) -> arc_swap::Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// What is closed, whatever the rules say.
    pub fn lock(&self) -> &Arc<Lock> {
        &self.lock
    }

    /// Every backend there is.
    pub fn backends(&self) -> Vec<Backend> {
        self.settings.load().backends.list.clone()
    }

    /// Does something with every backend that is asked elsewhere.
    pub fn with_desks(&self, f: impl FnMut(&Arc<Desk>)) {
        self.settings.load().backends.desks().for_each(f);
    }

    /// Which rules and accounts are in force, as a number.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Who speaks about the rights of `identity`.
    pub(super) fn sources(&self, book: &Book, identity: &Identity) -> Sources {
        let settings = self.settings.load();
        let Identity { user, listener, backend, .. } = identity;
        let askers = settings.backends.askers(listener, user, backend.as_deref());
        let anonymous = identity.is_anonymous();
        let prefix = settings.topic_prefix.as_deref().filter(|_| !anonymous);
        Sources::new(book, askers, identity, anonymous).with_prefix(prefix, user)
    }

    pub(super) fn audit(&self) -> &Audit {
        &self.audit
    }

    pub(super) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What was counted since the start.
    pub fn verdicts(&self) -> Verdicts {
        let (lock, closed) = (self.lock.counts(), self.lock.state().counts());
        Verdicts {
            lock,
            closed,
            throttled: self.throttle.totals(),
            bans: self.bans().len(),
            backends: self.settings.load().backends.desks().map(|desk| desk.totals()).collect(),
            ..self.metrics.get()
        }
    }

    /// Every ban after failed logins that is in force, the one that ends last first.
    pub fn bans(&self) -> Vec<Banned> {
        self.throttle.bans(std::time::Instant::now())
    }

    /// Lifts the bans of a user name, of an address, or of a user name at an address; how many it were.
    pub fn lift_bans(&self, user: Option<&str>, address: Option<IpAddr>) -> usize {
        let lifted = self.throttle.lift(user, address);
        let address = address.map(tracing::field::display);
        tracing::info!(target: "latchgate::policy::audit", user, address, lifted, "login bans lifted by an operator");
        lifted
    }

    pub(super) fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// Whether this is the gateway itself.
    pub(super) fn is_own(&self, identity: &Arc<Identity>) -> bool {
        Arc::ptr_eq(&self.own, identity)
    }

    pub(super) fn book(&self) -> Arc<Book> {
        self.book.load_full()
    }
}

fn read(store: &dyn AccountStore, settings: &Settings) -> Result<Book, AccountError> {
    Ok(Book::compile(&store.load()?, &settings.superusers, &settings.bridges))
}
