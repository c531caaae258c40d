//! How rules and accounts that have changed are put in force, and who is told.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    super::{
        accounts::AccountError,
        auth::{
            backends::{Backend, Kind},
            files::{Look, Reread},
        },
        settings::Settings,
    },
    Policy, read,
};

/// How often the store is asked whether anything changed. A change is obeyed within a second, the reading of
/// the new book included.
const POLL: Duration = Duration::from_millis(250);

impl Policy {
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
}
