//! Certificates are followed: files that changed are read again, and those that are about to run out are told.

use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc, time::Duration};

use super::{
    Active, Files, Tls, now,
    term::{Kind, Notice, Term},
};
use crate::config;

/// How often the files are looked at. A change is in force two looks later: it must have stopped first.
const LOOK: Duration = Duration::from_millis(400);

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
        let mut told: Vec<(Notice, Term)> = Vec::new();
        loop {
            // The clock may jump, so the terms are looked at each time.
            let now = now();
            let terms = self.terms();
            let notices: Vec<_> = terms.into_iter().map(|term| (term.notice(now), term)).collect();
            for (_, term) in notices.iter().filter(|notice| !told.contains(*notice)) {
                self.tell(term, now);
            }
            told = notices;
            tokio::time::sleep(LOOK).await;
            let found = self.look().await;
            let settled = found == seen;
            if settled && found != read {
                if self.read_again().await {
                    changed();
                    told.clear();
                }
                read = found.clone();
            }
            seen = found;
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

    /// Tells of a file that runs out.
    fn tell(&self, term: &Term, now: i64) {
        let (listener, told) = (&self.listener, term.told_at(now));
        match (term.kind, term.notice(now)) {
            (_, Notice::None) => {}
            (Kind::Certificate, Notice::Over) => tracing::error!(listener, "{told}"),
            (_, Notice::Soon(_) | Notice::Over) => tracing::warn!(listener, "{told}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
