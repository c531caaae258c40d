//! Sessions, retained messages and the spools of bridges in `state.db`.
//!
//! [`StateDb`] is the broker's journal. A change is noted in memory at once; one thread writes what has gathered
//! whenever somebody waits for it, in one transaction. So a single publisher waits for one write and no timer,
//! and whatever arrives during a write goes together into the next. What nobody waits for is written within a second.
//! While the disk takes nothing, changes gather and are tried again; nothing may be promised meanwhile.

mod dirty;
mod fail;
mod forget;
mod image;
mod load;
mod schema;
mod spool;
mod wall;
mod write;
mod writer;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};

use parking_lot::Mutex;

use crate::broker::{Change, Journal, Saved, Ticket, Together, Written};

use super::StoreError;
use super::database::Database;

use self::spool::SpoolReader;
use self::writer::{Shared, Writer};

/// The open state database, and the thread that writes it.
pub struct StateDb {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    spools: SpoolReader,
}

impl StateDb {
    /// Name of the file in the state directory.
    pub const FILE: &str = "state.db";

    /// Opens `state.db` in the state directory and reads everything in it; it is made, private to its owner, if it is
    /// missing. A damaged one is set aside under another name, said loudly, and begun anew: what it held is lost, but
    /// a gateway that does not start would help nobody. Blocks.
    ///
    /// # Errors
    /// If the file cannot be opened, or was written by a newer release.
    pub fn open(state: &Path) -> Result<(Self, Saved), StoreError> {
        let path = state.join(Self::FILE);
        match Self::open_file(&path) {
            Err(StoreError::Corrupt { path: damaged, detail }) => {
                let aside = set_aside(&damaged)?;
                tracing::error!(
                    file = %damaged.display(), set_aside = %aside.display(), detail,
                    "the state database is damaged: sessions and retained messages are lost, and begun anew; accounts are not touched"
                );
                Self::open_file(&path)
            }
            outcome => outcome,
        }
    }

    fn open_file(path: &Path) -> Result<(Self, Saved), StoreError> {
        let set_back = wall::set_back(path);
        let database = Database::open(path, schema::MIGRATIONS)?;
        if let Some(step) = set_back {
            tracing::warn!(
                seconds = step / 1000,
                "the clock is behind the time when the state was last written"
            );
            database.write(|transaction| wall::shift(transaction, step).map_err(|e| database.failed(e)))?;
        }
        let loaded = database.read(|transaction| load::load(transaction).map_err(|e| database.failed(e)));
        let (saved, image, spools, left_out) = loaded?;
        if left_out > 0 {
            tracing::warn!(rows = left_out, file = %path.display(), "rows that make no sense were left out");
        }
        let shared = Arc::new(Shared::new(image));
        let writer = Writer::new(database, shared.clone())?;
        let thread = std::thread::Builder::new().name("state".into()).spawn(move || writer.run());
        let thread = thread.map_err(|error| StoreError::file("start the writer of", path, error))?;
        let spools = SpoolReader::new(path, spools);
        Ok((StateDb { shared, thread: Mutex::new(Some(thread)), spools }, saved))
    }

    /// Waits until the thread that writes has gone once around; whether it did. It may have failed to write (a full disk is told
    /// by [`Journal::is_writable`]), but it is not stuck.
    pub async fn answers(&self) -> bool {
        self.shared.ask().await.is_ok()
    }

    /// Writes what is left and closes the file. Later changes are not kept. Blocks.
    pub fn close(&self) {
        let thread = self.thread.lock().take();
        self.shared.stop();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of the state database ended in disorder");
        }
    }
}

impl Drop for StateDb {
    fn drop(&mut self) {
        self.close();
    }
}

impl Journal for StateDb {
    fn record(&self, change: Change<'_>) {
        self.shared.record(change);
    }

    fn commit(&self) -> Ticket {
        match self.shared.want() {
            Some(target) => Ticket::until(&self.shared.progress, target),
            None => Ticket::DONE,
        }
    }

    fn together(&self) -> Together<'_> {
        Together(Some(self.shared.together.read_recursive()))
    }

    fn is_writable(&self) -> bool {
        self.shared.writable.load(Ordering::Relaxed)
    }

    fn written(&self) -> Written {
        self.shared.written()
    }
}

/// Moves a damaged database and its companions out of the way.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let named = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let since = wall::now() / 1000;
    let free = (0..).map(|n| format!(".damaged-{}", since + n)).find(|end| !named(end).exists());
    let end = free.unwrap_or_default();
    for companion in ["-wal", "-shm", ""] {
        let (from, to) = (named(companion), named(&format!("{end}{companion}")));
        match std::fs::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::file("set aside", &from, error));
            }
            _ => {}
        }
    }
    Ok(named(&end))
}
