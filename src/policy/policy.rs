//! The policy of a gateway: the present book, who is connected under it, and how it is replaced.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use atomic_waker::AtomicWaker;
use parking_lot::Mutex;

use crate::mqtt::ReasonCode;

use super::{
    accounts::{AccountError, AccountStore, Accounts},
    acl::{Access, BRIDGE, Book, BridgeRoutes, Sources, SubscribeRule, Voiced},
    audit::{Audit, AuditId, Refused},
    auth::{
        Admitted, Candidate, Login,
        backends::{Backend, Backends, Kind},
        desk::Desk,
        files::{Look, Reread},
        token::Token,
    },
    certificate::{Certificate, is_user_name},
    command::CommandTopics,
    decision::{Denial, Operation, Stage},
    explain::{self, operation_of},
    gate::Gate,
    identity::Identity,
    live::Live,
    lock::{Lock, LockStore, VolatileLock},
    metrics::{Metrics, Verdicts},
    throttle::{Banned, Throttle, ThrottleRules},
    voice::Voice,
};

/// How often the store is asked whether anything changed. A change is obeyed within a second, the reading of
/// the new book included.
const POLL: Duration = Duration::from_millis(250);

/// What the configuration says of the policy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Globs of user names that are superusers.
    pub superusers: Vec<String>,
    /// A filter that every user with a name may read and write; each % stands for the name.
    pub topic_prefix: Option<String>,
    /// What the routes of bridges name.
    pub bridges: Vec<BridgeRoutes>,
    /// When subscriptions are granted.
    pub subscribe: SubscribeRule,
    /// Whether a retained message is delivered only while its author may still publish it.
    pub check_retained_source: bool,
    /// Whether a stored password in a legacy form is replaced at the first good login.
    pub upgrade_passwords: bool,
    /// How long a verified login is remembered.
    pub remember_logins: Duration,
    /// When failed logins are delayed, and lead to a ban.
    pub throttle: ThrottleRules,
    /// Whether there is somebody to obey commands that clients publish.
    pub commands: Option<CommandTopics>,
    /// Who is asked about logins and rights.
    pub backends: Backends,
    /// What is said of the lock.
    pub lock: super::lock::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            superusers: Vec::new(),
            topic_prefix: None,
            bridges: Vec::new(),
            subscribe: SubscribeRule::default(),
            check_retained_source: true,
            upgrade_passwords: true,
            remember_logins: Duration::from_secs(300),
            throttle: ThrottleRules::default(),
            commands: None,
            backends: Backends::default(),
            lock: Default::default(),
        }
    }
}

impl Settings {
    /// Who speaks about the rights of somebody called `user`, who is not connected.
    pub(super) fn sources_for(&self, book: &Book, user: &str, client_id: &str, listener: &str) -> Sources {
        let identity = Identity {
            client_id: client_id.into(),
            user: user.into(),
            address: ([0, 0, 0, 0], 0).into(),
            listener: listener.into(),
            backend: None,
            token: None,
            credential: None,
            certificate: None,
        };
        let sources = Sources::new(book, self.backends.route(listener, user), &identity, false);
        sources.with_prefix(self.topic_prefix.as_deref(), user)
    }

    /// The answer to `acl test`: may a client do everything in `access` on `topic`? The yes names the rule, the no the
    /// operation. For subscribing, `topic` may be a filter. Backends elsewhere are asked; what each said comes as well.
    pub async fn test(
        &self,
        accounts: &Accounts,
        user: &str,
        client_id: &str,
        access: Access,
        topic: &str,
    ) -> (Result<Arc<str>, (Operation, Denial)>, Vec<(String, Vec<Voiced>)>) {
        let book = Book::compile(accounts, &self.superusers, &self.bridges);
        let sources = self.sources_for(&book, user, client_id, "");
        let nothing = Denial::not_authorized(Stage::Allow, None, "nothing was asked");
        let mut answer = Err((Operation::Receive, nothing));
        let mut voices = Vec::new();
        for one in access.operations(topic) {
            let operation = operation_of(one);
            let (verdict, said) = explain::settle(&sources, one, topic, self.subscribe, self.commands).await;
            voices.push((operation.to_string(), said));
            match verdict {
                Ok(rule) => answer = Ok(rule),
                Err(denial) => return (Err((operation, denial)), voices),
            }
        }
        (answer, voices)
    }
}

/// What a record says of the login of a client whose certificate is its login.
pub(super) const BY_CERTIFICATE: &str = "logged in with a certificate";

/// Somebody who wants in.
#[derive(Debug)]
pub struct Applicant {
    /// Client identifier, assigned or the client's own.
    pub client_id: Arc<str>,
    /// User name, if it brings one.
    pub username: Option<String>,
    /// Password, if it brings one.
    pub password: Option<Secret>,
    /// The user name of clients that bring none; `None`: they are refused.
    pub anonymous: Option<Arc<str>>,
    /// Where it comes from.
    pub address: SocketAddr,
    /// The listener it came in by.
    pub listener: Arc<str>,
    /// The certificate it showed, verified.
    pub certificate: Option<Certificate>,
}

/// A password on its way to be verified; it is never printed.
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

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

    /// Puts other settings in force and has every session look anew at its rights. What belongs to logins
    /// (`upgrade_passwords`, `remember_logins`) stays as it was at the start. On an error everything stays. Blocks.
    pub fn change(&self, settings: Settings) -> Result<(), AccountError> {
        let _one_at_a_time = self.reloading.lock();
        let new = Arc::new(read(self.login.store(), &settings)?);
        self.lock.set(settings.lock.clone());
        self.settings.store(Arc::new(settings));
        self.book.store(new);
        self.generation.fetch_add(1, Ordering::Release);
        self.live.raise(|_| true);
        Ok(())
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

    /// Why the client may no longer be connected, if so.
    pub(super) fn ended(&self, book: &Book, identity: &Identity) -> Option<&'static str> {
        let certificate = || identity.certificate.as_ref().and_then(Certificate::lost);
        let token = || identity.token.as_ref().and_then(|token| token.ended());
        self.account_ended(book, identity).or_else(certificate).or_else(token)
    }

    /// Why the account it logged in with lets nobody in any more, if so.
    pub(super) fn account_ended(&self, book: &Book, identity: &Identity) -> Option<&'static str> {
        const GONE: Option<&str> = Some("the account was removed");
        const CHANGED: Option<&str> = Some("the password was changed");
        let Identity { user, listener, backend, credential, .. } = identity;
        let settings = self.settings.load();
        let askers = settings.backends.askers(listener, user, backend.as_deref());
        if let Some(name) = backend
            && !askers.iter().any(|(asked, _)| asked.name == *name)
        {
            return Some("the backend it logged in with is no longer asked here");
        }
        askers.into_iter().find_map(|(Backend { name, kind, .. }, user)| {
            let own = backend.as_ref() == Some(name);
            match (kind, credential) {
                (Kind::Sqlite, _) => match (book.account(user), credential) {
                    (Some(account), _) if !account.enabled => Some("the account is disabled"),
                    (None, Some(_)) if own => GONE,
                    (Some(account), Some(credential)) if own && account.credential != *credential => CHANGED,
                    _ => None,
                },
                (Kind::Files(files), Some(credential)) if own => match files.reading().stored(user) {
                    None => GONE,
                    Some(stored) if number_of(stored) != *credential => CHANGED,
                    Some(_) => None,
                },
                _ => None,
            }
        })
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

    /// Reads accounts and rules again and tells the sessions concerned. On an error the old book stays. Blocks.
    pub fn reload(&self) -> Result<(), AccountError> {
        let _one_at_a_time = self.reloading.lock();
        let new = Arc::new(read(self.login.store(), &self.settings.load())?);
        let old = self.book.swap(new.clone());
        self.generation.fetch_add(1, Ordering::Release);
        // By a prefix a user may be known under another name.
        let named = |user: &str| user.split_once('_').map_or(user, |(_, rest)| rest).to_owned();
        self.live.raise(|user| !old.same_for(&new, user) || !old.same_for(&new, &named(user)));
        Ok(())
    }

    /// Reads text files again that have changed, and tells the sessions concerned. Blocks.
    fn follow_files(&self) {
        for files in self.settings.load().backends.files() {
            let Look { reread, errors } = files.look();
            for error in errors {
                tracing::error!(%error, "what was read of this file before stays in force");
            }
            if let Some(reread) = reread {
                tracing::info!(files = ?reread.files, "read again");
                self.files_changed(&reread);
            }
        }
    }

    /// Looks whether backends have changed that are watched, and tells every session. Blocks.
    fn follow_backends(&self) {
        let mut changed = false;
        for Backend { kind, .. } in &self.settings.load().backends.list {
            if let Kind::Asked(desk) = kind {
                changed |= desk.look();
            }
        }
        if changed {
            // Nobody can say whom it is about.
            self.generation.fetch_add(1, Ordering::Release);
            self.live.raise(|_| true);
        }
    }

    /// Puts in force what `fresh` backends have just read of the same text files, and tells the sessions concerned. Blocks.
    pub fn take_files(&self, fresh: &[Backend]) {
        for Backend { name, kind, .. } in &self.settings.load().backends.list {
            let same = fresh.iter().find(|other| other.name == *name).map(|other| &other.kind);
            if let (Kind::Files(files), Some(Kind::Files(fresh))) = (kind, same)
                && let Some(reread) = files.take(fresh)
            {
                self.files_changed(&reread);
            }
        }
    }

    fn files_changed(&self, Reread { old, new, .. }: &Reread) {
        self.generation.fetch_add(1, Ordering::Release);
        let named = |user: &str| user.split_once('_').map_or(user, |(_, rest)| rest).to_owned();
        self.live.raise(|user| !old.same_for(new, user) || !old.same_for(new, &named(user)));
    }

    /// Follows the store's changes for ever.
    pub async fn follow(self: Arc<Self>) {
        let mut revision = None;
        let mut complained = false;
        loop {
            let policy = self.clone();
            let look = move || {
                policy.follow_files();
                policy.follow_backends();
                let now = policy.login.store().revision()?;
                if revision != Some(now) {
                    policy.reload()?;
                }
                Ok::<_, AccountError>(now)
            };
            match tokio::task::spawn_blocking(look).await {
                Ok(Ok(now)) => {
                    revision = Some(now);
                    complained = false;
                }
                Ok(Err(error)) if !complained => {
                    tracing::error!(%error, "accounts cannot be read: the rules read last stay in force");
                    complained = true;
                }
                Ok(Err(_)) => {}
                Err(error) if error.is_cancelled() => return,
                Err(error) => tracing::error!(%error, "accounts could not be looked at; trying again"),
            }
            self.audit.report(std::time::Instant::now());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Tells the sessions that the listener vouched for by a certificate that its authorities or its list of revoked
    /// certificates have changed: each looks in its next turn whether its own still holds.
    pub fn certificates_changed(&self, listener: &str) {
        self.live.raise_vouched_by(listener);
    }

    /// Admits a client or refuses it. A certificate that is a login comes before a user name, which is then ignored. `bell` wakes its task when the policy changes.
    pub async fn admit(
        self: &Arc<Self>,
        applicant: Applicant,
        bell: Arc<AtomicWaker>,
    ) -> Result<Gate, Denial> {
        let refused = |user: &str, mut denial: Denial| {
            self.metrics.deny(Operation::Connect, denial.stage);
            let who = Refused {
                client: &applicant.client_id,
                user,
                address: applicant.address,
                login: applicant.certificate.as_ref().and_then(Certificate::user).map(|_| BY_CERTIFICATE),
            };
            denial.audit =
                self.audit.refused(who, Operation::Connect, "", &denial, std::time::Instant::now());
            denial
        };
        let certified = applicant.certificate.as_ref().and_then(Certificate::user);
        // Before anything else is done for it. What it would be called is not asked yet: an address can be banned alone. A
        // certificate was verified already.
        let claimed = applicant.username.as_deref().unwrap_or_default();
        if certified.is_none()
            && self.throttle.is_banned(claimed, applicant.address.ip(), std::time::Instant::now())
        {
            return Err(refused(claimed, Denial::banned()));
        }
        let user: Arc<str> = match (certified, &applicant.username, &applicant.password, &applicant.anonymous)
        {
            (Some(name), ..) if is_user_name(name) => name.clone(),
            (Some(name), ..) => {
                let reason = "the certificate holds nothing that can be a user name";
                return Err(refused(name, Denial::not_authorized(Stage::Login, None, reason)));
            }
            (None, Some(name), _, _) => name.as_str().into(),
            (None, None, None, Some(name)) => name.clone(),
            (None, None, ..) => {
                let reason = "a user name is required";
                return Err(refused("", Denial::not_authorized(Stage::Login, None, reason)));
            }
        };
        if user.starts_with(BRIDGE) {
            let reason = "user names that begin with bridge: are those of bridges";
            return Err(refused(&user, Denial::not_authorized(Stage::Login, None, reason)));
        }
        // Registered before the book is read: a change in between is then seen by the gate.
        let vouched_by = applicant.certificate.as_ref().map(|_| applicant.listener.clone());
        let presence = self.live.enter(user.clone(), applicant.client_id.clone(), vouched_by, bell);
        let settings = self.settings.load_full();
        let admitted = match applicant.username.as_ref().filter(|_| certified.is_none()) {
            Some(_) => {
                let candidate = Candidate {
                    route: settings.backends.route(&applicant.listener, &user),
                    user: user.clone(),
                    client_id: applicant.client_id.clone(),
                    address: applicant.address,
                    listener: applicant.listener.clone(),
                    certificate: applicant.certificate.as_ref().and_then(Certificate::shown).cloned(),
                };
                match self.login.verify(&self.book, candidate, applicant.password.as_ref()).await {
                    Ok(admitted) => admitted,
                    Err(denial) => return Err(refused(&user, denial)),
                }
            }
            None => Admitted::default(),
        };
        let (granted, errand) = admitted.grant.unzip();
        let token = granted.map(|granted| Arc::new(Token::new(granted)));
        let identity = Identity {
            client_id: applicant.client_id.clone(),
            user: user.clone(),
            address: applicant.address,
            listener: applicant.listener.clone(),
            backend: admitted.backend,
            credential: admitted.credential,
            token: token.clone(),
            certificate: applicant.certificate.clone(),
        };
        if identity.backend.is_none()
            && let Some(why) = self.account_ended(&self.book(), &identity)
        {
            return Err(refused(&user, Denial::not_authorized(Stage::Login, None, why)));
        }
        // What changed while the password was being verified counts.
        let mut gate = Gate::new(self.clone(), Arc::new(identity), presence);
        match gate.ended().or_else(|| gate.locked_out()) {
            None => {
                self.metrics.permit(Operation::Connect);
                if let Some((errand, token)) = errand.zip(token) {
                    gate.guard(errand, token);
                }
                // Until its first turn nothing of it is on its way.
                gate.rest();
                Ok(gate)
            }
            Some(denial) => Err(denial),
        }
    }

    /// Records that somebody was refused before the gate was asked, or for another reason than its answer. Returns the
    /// record, as [`Audit::refused`] does.
    pub fn refused_at_door(
        &self,
        client: &str,
        user: &str,
        address: SocketAddr,
        code: ReasonCode,
        reason: &str,
    ) -> Option<AuditId> {
        let denial = Denial {
            stage: Stage::Listener,
            rule: Some(reason.into()),
            reason: code.text(),
            code,
            audit: None,
            lock: None,
        };
        let who = Refused { client, user, address, login: None };
        self.audit.refused(who, Operation::Connect, "", &denial, std::time::Instant::now())
    }

    /// Whether the account that `identity` logged in with was removed.
    pub fn is_gone(&self, identity: &Identity) -> bool {
        let Identity { user, listener, backend, .. } = identity;
        let Some(backend) = backend else { return false };
        let settings = self.settings.load();
        let mut askers = settings.backends.askers(listener, user, Some(backend)).into_iter();
        let Some((own, user)) = askers.find(|(asked, _)| asked.name == *backend) else { return false };
        match &own.kind {
            Kind::Sqlite => self.book.load().account(user).is_none(),
            Kind::Files(files) => files.reading().stored(user).is_none(),
            Kind::Asked(_) => false,
        }
    }

    /// The gate of a bridge of this gateway. Its rights are its routes, see [`Settings::bridges`].
    pub fn gate_of_bridge(self: &Arc<Self>, name: &str, bell: Arc<AtomicWaker>) -> Gate {
        let user: Arc<str> = format!("{BRIDGE}{name}").into();
        let presence = self.live.enter(user.clone(), user.clone(), None, bell);
        let identity = Identity {
            client_id: user.clone(),
            user,
            address: ([0, 0, 0, 0], 0).into(),
            listener: "".into(),
            backend: None,
            credential: None,
            certificate: None,
            token: None,
        };
        Gate::new(self.clone(), Arc::new(identity), presence)
    }

    /// A gate for a client that is gone but whose delayed will is to be published.
    pub fn gate_of(self: &Arc<Self>, identity: &Arc<Identity>) -> Gate {
        // The gate is asked once and forgotten: nothing needs to be told to it.
        let presence =
            self.live.enter(identity.user.clone(), identity.client_id.clone(), None, Arc::default());
        Gate::new(self.clone(), identity.clone(), presence)
    }
}

/// The number of a stored password in a file: another for every other text. It cannot be read back.
pub(super) fn number_of(stored: &str) -> i64 {
    use sha2::Digest;
    let mut first = [0; 8];
    first.copy_from_slice(&sha2::Sha256::digest(stored.as_bytes())[..8]);
    i64::from_le_bytes(first)
}

fn read(store: &dyn AccountStore, settings: &Settings) -> Result<Book, AccountError> {
    Ok(Book::compile(&store.load()?, &settings.superusers, &settings.bridges))
}
