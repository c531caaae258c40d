//! Logging in with a user name and a password.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use crate::mqtt::ReasonCode;
use crate::policy::{
    accounts::AccountStore,
    acl::Book,
    decision::{Denial, Stage},
    metrics::Metrics,
    policy::Secret,
    throttle::Throttle,
};

use super::{
    memory::LoginMemory,
    password::{
        self, StoredPassword,
        once::{self, Usage},
    },
};

/// How a password was judged.
enum Judged {
    Right,
    /// To be answered after this time.
    Wrong(Duration),
    /// Nothing was verified: there were too many wrong ones meanwhile.
    Banned,
}

/// Verifies logins, few at a time and never on an async worker.
pub(in crate::policy) struct Login {
    store: Arc<dyn AccountStore>,
    upgrade: bool,
    metrics: Arc<Metrics>,
    throttle: Arc<Throttle>,
    memory: Arc<LoginMemory>,
    /// How many passwords are hashed at a time: one core stays free for traffic.
    hashing: Arc<Semaphore>,
    /// What the password of an unknown user is compared with, so that it takes as long as a known one's.
    decoy: ArcSwap<Option<String>>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

impl Login {
    pub fn new(
        store: Arc<dyn AccountStore>,
        upgrade: bool,
        remember: Duration,
        metrics: Arc<Metrics>,
        throttle: Arc<Throttle>,
    ) -> Result<Self, getrandom::Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Login {
            store,
            upgrade,
            metrics,
            throttle,
            memory: Arc::new(LoginMemory::new(LoginMemory::DEFAULT_CAPACITY, remember)?),
            hashing: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))),
            decoy: ArcSwap::from_pointee(None),
        })
    }

    pub fn store(&self) -> &dyn AccountStore {
        &*self.store
    }

    /// Verifies a login and returns the number of the password it was made with. An unknown user, a wrong
    /// password and an account without one are answered alike, and as late.
    pub async fn verify(
        &self,
        book: &ArcSwap<Book>,
        user: &str,
        password: Option<&Secret>,
        address: IpAddr,
    ) -> Result<i64, Denial> {
        let wrong = || Denial {
            stage: Stage::Login,
            rule: None,
            reason: "bad user name or password",
            code: ReasonCode::BadUserNameOrPassword,
            audit: None,
        };
        let account = book.load().account(user).cloned();
        let stored = account.as_ref().and_then(|account| account.hash.clone());
        let judged = match password {
            Some(Secret(password)) => self.judge(user, stored, password, address).await,
            None => Judged::Wrong(self.throttle.failed(user, address, Instant::now())),
        };
        match judged {
            Judged::Right => {}
            Judged::Wrong(delay) => {
                // No hashing slot is held meanwhile.
                tokio::time::sleep(delay).await;
                return Err(wrong());
            }
            Judged::Banned => return Err(Denial::banned()),
        }
        match account {
            Some(account) if account.enabled => Ok(account.credential),
            Some(_) => Err(Denial::not_authorized(Stage::Login, None, "the account is disabled")),
            None => Err(wrong()),
        }
    }

    async fn judge(&self, user: &str, stored: Option<Arc<str>>, password: &[u8], address: IpAddr) -> Judged {
        let recalled = || {
            let recalled = stored
                .as_deref()
                .is_some_and(|stored| self.memory.recall(user, stored, password, Instant::now()));
            self.metrics.remembered.fetch_add(recalled.into(), Relaxed);
            if recalled {
                self.throttle.succeeded(user, address);
            }
            recalled
        };
        if recalled() {
            return Judged::Right;
        }
        let Ok(permit) = self.hashing.clone().acquire_owned().await else {
            return Judged::Wrong(Duration::ZERO);
        };
        // A thousand clients of one user that come back together wait here for the first one's answer.
        if recalled() {
            return Judged::Right;
        }
        // Many guesses may have waited here side by side, all of them begun before the first was found wrong.
        if self.throttle.is_banned(user, address, Instant::now()) {
            return Judged::Banned;
        }
        let (user, password) = (user.to_owned(), password.to_vec());
        let (store, memory, upgrade) = (self.store.clone(), self.memory.clone(), self.upgrade);
        let decoy = self.decoy.load_full();
        let (metrics, throttle) = (self.metrics.clone(), self.throttle.clone());
        let name = user.clone();
        let verify = move || {
            let began = Instant::now();
            let usable = stored.as_deref().map(|stored| once::usage(stored, SystemTime::now()));
            let (Some(stored), Some((form, only_once))) = (stored.as_deref(), usable.and_then(in_use)) else {
                let decoy = busy_work(&decoy, &password);
                metrics.passwords.add(began.elapsed());
                return (false, Some(decoy));
            };
            let parsed = match StoredPassword::parse(form) {
                Ok(parsed) => parsed,
                Err(error) => {
                    tracing::error!(?user, %error, "the stored password is not usable: nobody can log in with it; set a new one with `latchgate user password`");
                    return (false, None);
                }
            };
            let right = parsed.verify(&password);
            metrics.passwords.add(began.elapsed());
            if !right {
                return (false, None);
            }
            if only_once {
                return (spend(&*store, &user, stored), None);
            }
            memory.remember(&user, stored, &password, Instant::now());
            if upgrade && !parsed.is_current() {
                match upgraded(&*store, &user, stored, &password) {
                    Ok(Some(new)) => memory.remember(&user, &new, &password, Instant::now()),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(?user, error, "the stored password stays in its legacy form");
                    }
                }
            }
            (true, None)
        };
        let judge = move || {
            let (right, decoy) = verify();
            // Counted before the slot is free, so that the next one is judged by it.
            let judged = if right {
                throttle.succeeded(&name, address);
                Judged::Right
            } else {
                Judged::Wrong(throttle.failed(&name, address, Instant::now()))
            };
            drop(permit);
            (judged, decoy)
        };
        let failed = (Judged::Wrong(Duration::ZERO), None);
        let (judged, decoy) = tokio::task::spawn_blocking(judge).await.unwrap_or(failed);
        if let Some(decoy) = decoy {
            self.decoy.store(Arc::new(decoy));
        }
        judged
    }
}

/// The form to be verified, and whether it may be so only once.
fn in_use(usage: Usage<'_>) -> Option<(&str, bool)> {
    match usage {
        Usage::Always(form) => Some((form, false)),
        Usage::Once(form) => Some((form, true)),
        Usage::Never => None,
    }
}

/// Uses a one-time password up; whether this was the one time. It is on the disk before anybody is let in.
fn spend(store: &dyn AccountStore, user: &str, stored: &str) -> bool {
    match store.upgrade_hash(user, stored, once::SPENT) {
        Ok(true) => {
            tracing::warn!(?user, "a one-time password was used");
            true
        }
        Ok(false) => false,
        Err(error) => {
            tracing::error!(?user, %error, "a one-time password cannot be used up, so it lets nobody in");
            false
        }
    }
}

/// Rewrites a legacy form; `None` if the row changed meanwhile.
fn upgraded(
    store: &dyn AccountStore,
    user: &str,
    stored: &str,
    password: &[u8],
) -> Result<Option<String>, String> {
    let new = password::hash(password).map_err(|error| error.to_string())?;
    let done = store.upgrade_hash(user, stored, &new).map_err(|error| error.to_string())?;
    Ok(done.then_some(new))
}

/// Verifies against a stored password that nobody has; returns it for the next time.
fn busy_work(decoy: &Option<String>, password: &[u8]) -> Option<String> {
    match decoy {
        Some(decoy) => {
            let _ = StoredPassword::parse(decoy).map(|stored| stored.verify(password));
            Some(decoy.clone())
        }
        None => password::hash(password).ok(),
    }
}
