//! Whether a password is right, by what is stored of it: few at a time, and never on an async worker.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant, SystemTime},
};

use super::{
    super::{
        backends::Kind,
        password::{
            self, StoredPassword,
            once::{self, Usage},
        },
    },
    Judged, Login, Step,
};
use crate::policy::{accounts::AccountStore, policy::Secret};

impl Login {
    /// Judges the password by what is stored of it. If that `decides`, a wrong one is counted before the next is looked at.
    pub(super) async fn judge(
        &self,
        name: &str,
        step: &Step<'_>,
        password: &Secret,
        address: IpAddr,
        decides: bool,
    ) -> Judged {
        let (user, password, stored) = (step.user, &password.0[..], step.stored.clone());
        let recalled = || {
            let recalled = stored
                .as_deref()
                .is_some_and(|stored| self.memory.recall(user, stored, password, Instant::now()));
            self.metrics.remembered.fetch_add(recalled.into(), Relaxed);
            if recalled {
                self.throttle.succeeded(name, address);
            }
            recalled
        };
        if recalled() {
            return Judged::Right;
        }
        let Ok(permit) = self.hashing.clone().acquire_owned().await else {
            return Judged::Wrong(Some(Duration::ZERO));
        };
        // A thousand clients of one user that come back together wait here for the first one's answer.
        if recalled() {
            return Judged::Right;
        }
        // Many guesses may have waited here side by side, all of them begun before the first was found wrong.
        if self.throttle.is_banned(name, address, Instant::now()) {
            return Judged::Banned;
        }
        let (user, password, name) = (user.to_owned(), password.to_vec(), name.to_owned());
        let (store, memory, salt) = (self.store.clone(), self.memory.clone(), step.salt);
        let ours = matches!(step.backend.kind, Kind::Sqlite);
        let (upgrade, backend) = (self.upgrade && ours, step.backend.name.clone());
        let decoy = self.decoy.load_full();
        let (metrics, throttle) = (self.metrics.clone(), self.throttle.clone());
        let verify = move || {
            let began = Instant::now();
            let usable = stored.as_deref().map(|stored| once::usage(stored, SystemTime::now()));
            let (Some(stored), Some((form, only_once))) = (stored.as_deref(), usable.and_then(in_use)) else {
                let decoy = busy_work(&decoy, &password);
                metrics.passwords.add(began.elapsed());
                return (false, Some(decoy));
            };
            let parsed = match StoredPassword::parse_reading(form, salt) {
                Ok(parsed) => parsed,
                Err(error) => {
                    let how = if ours { "with `latchgate user password`" } else { "where the account is" };
                    tracing::error!(?user, %backend, %error, "the stored password is not usable: nobody can log in with it; set a new one {how}");
                    return (false, Some(busy_work(&decoy, &password)));
                }
            };
            let right = parsed.verify(&password);
            // Foreign forms are often far cheaper than ours: a wrong password would tell that there is such an account.
            let decoy = (!right && !parsed.is_current()).then(|| busy_work(&decoy, &password));
            metrics.passwords.add(began.elapsed());
            if !right {
                return (false, decoy);
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
                Judged::Wrong(decides.then(|| throttle.failed(&name, address, Instant::now())))
            };
            drop(permit);
            (judged, decoy)
        };
        let failed = (Judged::Wrong(Some(Duration::ZERO)), None);
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
