//! Accounts and rules in text files: those of Mosquitto, and what its plugins made of them.
//!
//! The files are read whole, and replaced whole when they change. A line that cannot be understood names itself, and
//! then nothing of the new reading counts: to leave a line out could open what somebody meant to close.

mod acl_file;
mod cdb;
mod password_file;
mod rights;

use std::{path::PathBuf, sync::Arc};

use ahash::AHashMap;
use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{
    password::SaltReading,
    stamp::{Stamp, stamp},
};
use acl_file::AclFile;

pub use rights::FileRights;

/// Largest file that is read, in bytes: some hundred thousand accounts.
const LARGEST: u64 = 64 << 20;

/// Whose files these are: the same words mean different things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Mosquitto's own `password_file` and `acl_file`.
    #[default]
    Mosquitto,
    /// The `files` backend of mosquitto-go-auth.
    GoAuth,
    /// The `files` backend of mosquitto-auth-plug.
    AuthPlug,
}

/// Which files, and how they are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesSettings {
    /// Lines of user name and stored password; without it nobody can log in here.
    pub password_file: Option<PathBuf>,
    /// Rules; without it none is known here.
    pub acl_file: Option<PathBuf>,
    /// A constant database that holds both, in their place.
    pub cdb: Option<PathBuf>,
    /// Whose files they are.
    pub dialect: Dialect,
}

/// A line, or a whole file, that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {what}", file.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// Its line, counted from 1.
    pub line: Option<usize>,
    /// What is wrong with it. Holds no stored password.
    pub what: String,
}

/// One reading of the files.
#[derive(Debug, Default)]
pub struct Reading {
    passwords: AHashMap<Arc<str>, Arc<str>>,
    acl: Option<AclFile>,
}

/// The files, as they were read last.
#[derive(Debug)]
pub struct Files {
    settings: FilesSettings,
    reading: ArcSwap<Reading>,
    looks: Mutex<Looks>,
}

/// What became of files that changed.
#[derive(Debug)]
pub struct Reread {
    /// The earlier reading.
    pub old: Arc<Reading>,
    /// The one in force now.
    pub new: Arc<Reading>,
}

/// What the files looked like.
#[derive(Debug)]
struct Looks {
    /// When they were read.
    read: [Stamp; 3],
    /// The last time.
    last: [Stamp; 3],
}

impl Files {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    /// The first line that cannot be understood, or the file that cannot be read.
    pub fn open(settings: FilesSettings) -> Result<Self, FileError> {
        let read = looks(&settings);
        let reading = Reading::read(&settings)?;
        Ok(Files {
            settings,
            reading: ArcSwap::from_pointee(reading),
            looks: Mutex::new(Looks { read, last: read }),
        })
    }

    /// How the salt of a `PBKDF2$` string is meant.
    pub fn salt(&self) -> SaltReading {
        self.settings.dialect.salt()
    }

    /// The reading in force.
    pub fn reading(&self) -> Arc<Reading> {
        self.reading.load_full()
    }

    /// Reads the files again once they have changed and settled; the earlier reading and the new one then. It is called
    /// several times a second. Blocks.
    ///
    /// # Errors
    /// As [`Files::open`], once for each change; the earlier reading stays in force.
    pub fn look(&self) -> Result<Option<Reread>, FileError> {
        let now = looks(&self.settings);
        {
            let mut looks = self.looks.lock();
            let settled = looks.last == now;
            looks.last = now;
            // Half a file may be a right one that says something else.
            if !settled || looks.read == now {
                return Ok(None);
            }
            looks.read = now;
        }
        let new = Arc::new(Reading::read(&self.settings)?);
        let old = self.reading.swap(new.clone());
        Ok(Some(Reread { old, new }))
    }
}

fn looks(settings: &FilesSettings) -> [Stamp; 3] {
    [&settings.password_file, &settings.acl_file, &settings.cdb].map(|file| file.as_deref().and_then(stamp))
}

impl Reading {
    fn read(settings: &FilesSettings) -> Result<Self, FileError> {
        if let Some(file) = &settings.cdb {
            return cdb::parse(&bytes(file)?, file);
        }
        let passwords = match &settings.password_file {
            Some(file) => password_file::parse(&text(file)?, file, settings.dialect)?,
            None => AHashMap::default(),
        };
        let acl = match &settings.acl_file {
            Some(file) => Some(AclFile::parse(&text(file)?, file, settings.dialect)?),
            None => None,
        };
        Ok(Reading { passwords, acl })
    }

    /// The stored password of a user.
    pub fn stored(&self, user: &str) -> Option<&Arc<str>> {
        self.passwords.get(user)
    }

    /// The rights of a client. `anonymous`: it brought no user name, and `user` is the listener's for such clients.
    pub fn rights(&self, user: &str, client_id: &str, anonymous: bool) -> FileRights {
        match &self.acl {
            // go-auth knows only the users that have a password.
            Some(acl) if acl.dialect() == Dialect::GoAuth && !anonymous && self.stored(user).is_none() => {
                acl.rights("", client_id, true)
            }
            Some(acl) => acl.rights(user, client_id, anonymous),
            None => FileRights::default(),
        }
    }

    /// Whether `user` fares alike under both readings.
    pub fn same_for(&self, other: &Reading, user: &str) -> bool {
        let acl = match (&self.acl, &other.acl) {
            (Some(one), Some(other)) => one.same_for(other, user),
            (one, other) => one.is_none() && other.is_none(),
        };
        acl && self.stored(user) == other.stored(user)
    }
}

/// The content of a file.
fn bytes(file: &PathBuf) -> Result<Vec<u8>, FileError> {
    let fail = |what: String| FileError { file: file.clone(), line: None, what };
    let size = std::fs::metadata(file).map_err(|error| fail(format!("cannot be read: {error}")))?.len();
    if size > LARGEST {
        return Err(fail(format!("has {size} bytes; at most {LARGEST} are read")));
    }
    std::fs::read(file).map_err(|error| fail(format!("cannot be read: {error}")))
}

/// The text of a file. What is no UTF-8 cannot be a name or a topic of MQTT.
fn text(file: &PathBuf) -> Result<String, FileError> {
    String::from_utf8(bytes(file)?).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|b| *b == b'\n').count();
        FileError { file: file.clone(), line: Some(line), what: "is not UTF-8".into() }
    })
}

#[cfg(test)]
mod tests;
