//! Accounts and rules in text files: those of Mosquitto, and what its plugins made of them.
//!
//! A file is read whole, and its content replaced whole when it changes. A line that cannot be understood names itself,
//! and then nothing of the new content counts: to leave a line out could open what somebody meant to close. Each file
//! stands for itself: a wrong rule must not keep a user in whose password was taken away.

mod acl_file;
mod cdb;
mod password_file;
mod rights;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

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
pub const LARGEST: u64 = 64 << 20;

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

/// What was read of the files.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    passwords: Arc<AHashMap<Arc<str>, Arc<str>>>,
    acl: Option<Arc<AclFile>>,
}

/// One of the files.
#[derive(Clone, Copy, Debug)]
enum Part {
    Passwords,
    Acl,
    Cdb,
}

/// In the order of [`Looks`].
const PARTS: [Part; 3] = [Part::Passwords, Part::Acl, Part::Cdb];

/// The files, as they were read last.
#[derive(Debug)]
pub struct Files {
    settings: FilesSettings,
    reading: ArcSwap<Reading>,
    looks: Mutex<Looks>,
}

/// Another reading is in force.
#[derive(Debug)]
pub struct Reread {
    /// The earlier reading.
    pub old: Arc<Reading>,
    /// The one in force now.
    pub new: Arc<Reading>,
    /// The files whose content is new.
    pub files: Vec<PathBuf>,
}

/// What a look at the files came to.
#[derive(Debug, Default)]
pub struct Look {
    /// What is in force since, if anything changed.
    pub reread: Option<Reread>,
    /// Changed files that cannot be read or understood: what was read of them before stays in force.
    pub errors: Vec<FileError>,
}

/// What the files looked like.
#[derive(Clone, Copy, Debug)]
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
        let read = looks_of(&settings);
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

    /// Reads again each file that has changed and settled. A wrong one is told once for each change. It is called several
    /// times a second. Blocks.
    pub fn look(&self) -> Look {
        // Held to the end: whoever takes another reading meanwhile must not lose to this one.
        let mut looks = self.looks.lock();
        let now = looks_of(&self.settings);
        let last = std::mem::replace(&mut looks.last, now);
        let old = self.reading.load_full();
        let (mut new, mut files, mut errors) = (Reading::clone(&old), Vec::new(), Vec::new());
        for (place, part) in PARTS.into_iter().enumerate() {
            let Some(file) = self.settings.file(part) else { continue };
            // Half a file may be a right one that says something else.
            if last[place] != now[place] || looks.read[place] == now[place] {
                continue;
            }
            looks.read[place] = now[place];
            match new.read_part(part, file, self.settings.dialect) {
                Ok(()) => files.push(file.clone()),
                Err(error) => errors.push(error),
            }
        }
        let reread = (!files.is_empty()).then(|| {
            let new = Arc::new(new);
            self.reading.store(new.clone());
            Reread { old, new, files }
        });
        Look { reread, errors }
    }

    /// Puts in force what `fresh` has just read of the same files, without waiting for them to settle. `None` if it is
    /// about others, or they have changed since. Blocks.
    pub fn take(&self, fresh: &Files) -> Option<Reread> {
        let mut looks = self.looks.lock();
        let read = fresh.looks.lock().read;
        if fresh.settings != self.settings || read != looks_of(&self.settings) {
            return None;
        }
        *looks = Looks { read, last: read };
        let new = fresh.reading();
        let old = self.reading.swap(new.clone());
        let files = PARTS.into_iter().filter_map(|part| self.settings.file(part).cloned()).collect();
        Some(Reread { old, new, files })
    }
}

impl FilesSettings {
    fn file(&self, part: Part) -> Option<&PathBuf> {
        match part {
            Part::Cdb => self.cdb.as_ref(),
            _ if self.cdb.is_some() => None,
            Part::Passwords => self.password_file.as_ref(),
            Part::Acl => self.acl_file.as_ref(),
        }
    }
}

fn looks_of(settings: &FilesSettings) -> [Stamp; 3] {
    PARTS.map(|part| settings.file(part).and_then(|file| stamp(file)))
}

impl Reading {
    fn read(settings: &FilesSettings) -> Result<Self, FileError> {
        let mut reading = Reading::default();
        for part in PARTS {
            if let Some(file) = settings.file(part) {
                reading.read_part(part, file, settings.dialect)?;
            }
        }
        Ok(reading)
    }

    /// Reads what `file` holds; on an error everything stays.
    fn read_part(&mut self, part: Part, file: &Path, dialect: Dialect) -> Result<(), FileError> {
        match part {
            Part::Passwords => {
                self.passwords = Arc::new(password_file::parse(&text(file)?, file, dialect)?);
            }
            Part::Acl => self.acl = Some(Arc::new(AclFile::parse(&text(file)?, file, dialect)?)),
            Part::Cdb => *self = cdb::parse(&bytes(file)?, file)?,
        }
        Ok(())
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
fn bytes(file: &Path) -> Result<Vec<u8>, FileError> {
    crate::file::read(file, LARGEST).map_err(|error| FileError {
        file: file.to_owned(),
        line: None,
        what: format!("cannot be read: {error}"),
    })
}

/// The text of a file. What is no UTF-8 cannot be a name or a topic of MQTT.
fn text(file: &Path) -> Result<String, FileError> {
    String::from_utf8(bytes(file)?).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|b| *b == b'\n').count();
        FileError { file: file.to_owned(), line: Some(line), what: "is not UTF-8".into() }
    })
}

#[cfg(test)]
mod tests;
