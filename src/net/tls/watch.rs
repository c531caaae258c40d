//! Certificates are followed: files that changed are read again, and a certificate that is about to expire is told.

use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc, time::Duration};

use super::{Active, Files, Tls};
use crate::config;

/// How often the files are looked at. A change is in force two looks later: it must have stopped first.
const LOOK: Duration = Duration::from_millis(400);

/// Days before the expiry of the server's certificate on which it is told.
const NOTICE: [i64; 2] = [30, 7];
const DAY: i64 = 24 * 60 * 60;

/// What tells a file from an earlier one of its name: device, inode, size, and its times in nanoseconds.
pub(super) type Stamp = Option<(u64, u64, u64, i128, i128)>;

fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        nanoseconds(found.mtime(), found.mtime_nsec()),
        nanoseconds(found.ctime(), found.ctime_nsec()),
    ))
}

/// The stamps of all files.
pub(super) fn stamps(tls: &config::Tls) -> Vec<Stamp> {
    let files = [Some(&tls.certificate), Some(&tls.key), tls.client_ca.as_ref(), tls.crl.as_ref()];
    files.into_iter().flatten().map(|file| stamp(&file.path)).collect()
}

impl Tls {
    /// Follows the files for ever; after each new reading it calls `changed`. Files that are not usable are told
    /// once and leave the last reading in force.
    pub async fn follow(self: Arc<Self>, changed: impl Fn()) {
        let (mut seen, mut read) = (Vec::new(), self.opened.clone());
        let mut told = None;
        loop {
            let notice = notice(self.expires_in());
            if told != Some(notice) {
                self.tell(notice);
                told = Some(notice);
            }
            tokio::time::sleep(LOOK).await;
            let now = self.look().await;
            let settled = now == seen;
            if settled && now != read {
                if self.read_again().await {
                    changed();
                    told = None;
                }
                read = now.clone();
            }
            seen = now;
        }
    }

    async fn look(self: &Arc<Self>) -> Vec<Stamp> {
        let tls = self.clone();
        // It only fails when the runtime ends.
        tokio::task::spawn_blocking(move || stamps(&tls.config)).await.unwrap_or_default()
    }

    /// Reads the files and puts them in force; whether they were usable.
    async fn read_again(self: &Arc<Self>) -> bool {
        let tls = self.clone();
        let read = tokio::task::spawn_blocking(move || Files::read(&tls.config, tls.protocols)).await;
        let files = match read {
            Ok(Ok(files)) => files,
            Ok(Err(problem)) => {
                tracing::error!(
                    listener = self.listener,
                    "{}: {}; what was read last stays in force",
                    problem.what,
                    problem.help
                );
                return false;
            }
            Err(_) => return false,
        };
        for warning in &files.warnings {
            tracing::warn!(listener = self.listener, "{warning}");
        }
        let reading = self.active.load().reading + 1;
        self.active.store(Arc::new(Active { reading, files }));
        tracing::info!(listener = self.listener, "certificates read again");
        true
    }

    fn tell(&self, notice: Notice) {
        let (listener, days) = (&self.listener, self.expires_in().div_euclid(DAY));
        let file = self.config.certificate.path.display();
        match notice {
            Notice::None => {}
            Notice::Soon(_) => {
                tracing::warn!(listener, "{file}: the certificate expires in {days} days: renew it");
            }
            Notice::Expired => {
                tracing::error!(listener, "{file}: the certificate has expired: clients refuse it; renew it");
            }
        }
    }
}

/// How urgent a new certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    None,
    /// At most so many days are left.
    Soon(i64),
    Expired,
}

fn notice(seconds: i64) -> Notice {
    match NOTICE.iter().rev().find(|days| seconds <= **days * DAY) {
        _ if seconds <= 0 => Notice::Expired,
        Some(days) => Notice::Soon(*days),
        None => Notice::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_of_at_thirty_days_at_seven_and_when_it_has_expired() {
        for (seconds, expected) in [
            (31 * DAY, Notice::None),
            (30 * DAY, Notice::Soon(30)),
            (7 * DAY + 1, Notice::Soon(30)),
            (7 * DAY, Notice::Soon(7)),
            (1, Notice::Soon(7)),
            (0, Notice::Expired),
            (-DAY, Notice::Expired),
        ] {
            assert_eq!(notice(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn a_replaced_file_has_another_stamp_and_a_missing_one_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&file, "one").unwrap();
        fs::write(&other, "two").unwrap();
        let before = stamp(&file);
        assert_eq!(stamp(&file), before);
        fs::rename(&other, &file).unwrap();
        assert_ne!(stamp(&file), before);
        assert_eq!(stamp(&other), None);
    }
}
