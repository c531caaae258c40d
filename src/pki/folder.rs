//! Whose the files are, and how they are written: keys are private from their first byte, a file is there
//! whole or not at all, and a command run by root leaves files that belong to the directory's owner.
//!
//! The directory may belong to an unprivileged user while root works in it. So everything is done relative to
//! the opened directory, and nothing follows a symbolic link out of it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, FlockOperation, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::PkiError;

/// Largest file that is read, in bytes: an index of some hundred thousand certificates.
const LARGEST: u64 = 64 << 20;

/// Mode of a private key.
pub(super) const PRIVATE: u32 = 0o600;
/// Mode of what may be shown to anybody.
pub(super) const PUBLIC: u32 = 0o644;

/// An opened directory.
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    uid: Uid,
    gid: Gid,
}

impl Folder {
    /// Opens a directory.
    pub fn open(path: &Path) -> Result<Folder, PkiError> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty()).map_err(PkiError::file("open the directory", path))?;
        Folder::of(fd, path.to_owned())
    }

    /// Opens a directory, which is made if it is not there; the one it lies in must be.
    pub fn open_or_make(path: &Path) -> Result<Folder, PkiError> {
        let (Some(name), parent) = (path.file_name(), path.parent()) else {
            return Folder::open(path);
        };
        if path.symlink_metadata().is_ok() {
            return Folder::open(path);
        }
        let parent = parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Folder::open(parent)?.make(Path::new(name), path)
    }

    /// Opens a directory in this one; it is made if it is not there.
    pub fn inner(&self, name: &str) -> Result<Folder, PkiError> {
        self.make(Path::new(name), &self.path.join(name))
    }

    fn make(&self, name: &Path, path: &Path) -> Result<Folder, PkiError> {
        let made = match fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(cause) => return Err(PkiError::file("make the directory", path)(cause)),
        };
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, name, flags, Mode::empty())
            .map_err(PkiError::file("open the directory", path))?;
        if made {
            self.give(&fd, path)?;
        }
        Folder::of(fd, path.to_owned())
    }

    fn of(fd: OwnedFd, path: PathBuf) -> Result<Folder, PkiError> {
        let facts = fs::fstat(&fd).map_err(PkiError::file("read the directory", &path))?;
        Ok(Folder { fd, path, uid: Uid::from_raw(facts.st_uid), gid: Gid::from_raw(facts.st_gid) })
    }

    /// Keeps other commands out of this directory, waiting for them, until this value is dropped.
    pub fn lock(&self) -> Result<(), PkiError> {
        fs::flock(&self.fd, FlockOperation::LockExclusive).map_err(PkiError::file("lock", &self.path))
    }

    /// The path of a file in it, for messages and people.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path of the directory.
    pub fn directory(&self) -> &Path {
        &self.path
    }

    /// Whether anything of that name is there.
    pub fn has(&self, name: &str) -> Result<bool, PkiError> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(cause) => Err(PkiError::file("look for", &self.path(name))(cause)),
        }
    }

    /// What a file holds; nothing if it is not there.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, PkiError> {
        let path = self.path(name);
        // Without NONBLOCK a named pipe would hold us for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(PkiError::NotAFile { path, what: "a symbolic link" }),
            Err(cause) => return Err(PkiError::file("read", &path)(cause)),
        };
        plain(&fd, &path)?;
        let mut bytes = Vec::new();
        File::from(fd).take(LARGEST + 1).read_to_end(&mut bytes).map_err(PkiError::file("read", &path))?;
        if bytes.len() as u64 > LARGEST {
            return Err(PkiError::NotAFile { path, what: "larger than 64 MiB" });
        }
        Ok(Some(bytes))
    }

    /// Writes a file whole, replacing what was there, and has it on the disk when it returns.
    pub fn put(&self, name: &str, mode: u32, bytes: &[u8]) -> Result<(), PkiError> {
        let path = self.path(name);
        let temporary = format!(".{name}.new");
        let result = self.put_by(&temporary, name, mode, bytes, &path);
        if result.is_err() {
            let _ = fs::unlinkat(&self.fd, &temporary, AtFlags::empty());
        }
        result
    }

    fn put_by(
        &self,
        temporary: &str,
        name: &str,
        mode: u32,
        bytes: &[u8],
        path: &Path,
    ) -> Result<(), PkiError> {
        // What an interrupted command left behind.
        let _ = fs::unlinkat(&self.fd, temporary, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, temporary, flags, Mode::from_raw_mode(PRIVATE))
            .map_err(PkiError::file("write", path))?;
        let mut file = File::from(fd);
        file.write_all(bytes).map_err(PkiError::file("write", path))?;
        fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(PkiError::file("set the mode of", path))?;
        self.give(&file, path)?;
        file.sync_all().map_err(PkiError::file("write", path))?;
        fs::renameat(&self.fd, temporary, &self.fd, name).map_err(PkiError::file("write", path))?;
        fs::fsync(&self.fd).map_err(PkiError::file("write the directory", &self.path))
    }

    /// Gives what root made to the owner of this directory.
    fn give(&self, fd: &impl std::os::fd::AsFd, path: &Path) -> Result<(), PkiError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        fs::fchown(fd, Some(self.uid), Some(self.gid))
            .map_err(PkiError::file("give to the directory's owner", path))
    }
}

/// Refuses everything that is no plain file.
fn plain(fd: &OwnedFd, path: &Path) -> Result<(), PkiError> {
    let facts = fs::fstat(fd).map_err(PkiError::file("read", path))?;
    let what = match FileType::from_raw_mode(facts.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        _ => "a device, pipe or socket",
    };
    Err(PkiError::NotAFile { path: path.into(), what })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_written_whole_with_its_mode_and_leaves_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open_or_make(&place.path().join("pki")).unwrap();
        folder.put("a.key", PRIVATE, b"one").unwrap();
        folder.put("a.key", PRIVATE, b"two").unwrap();
        folder.put("a.crt", PUBLIC, b"three").unwrap();
        assert_eq!(folder.read("a.key").unwrap().unwrap(), b"two");
        assert_eq!(folder.read("b.key").unwrap(), None);
        let mode = |name| folder.path(name).metadata().unwrap().mode() & 0o777;
        assert_eq!((mode("a.key"), mode("a.crt")), (0o600, 0o644));
        assert_eq!(std::fs::read_dir(place.path().join("pki")).unwrap().count(), 2);
    }

    #[test]
    fn a_symbolic_link_is_neither_followed_nor_written_through() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let victim = place.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        for name in ["ca.key", ".ca.key.new"] {
            symlink(&victim, place.path().join(name)).unwrap();
        }
        assert!(matches!(folder.read("ca.key"), Err(PkiError::NotAFile { .. })));
        folder.put("ca.key", PRIVATE, b"key").unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        assert!(folder.path("ca.key").symlink_metadata().unwrap().is_file());
        symlink("/", place.path().join("issued")).unwrap();
        assert!(folder.inner("issued").is_err());
    }

    #[test]
    fn what_is_no_plain_file_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        std::fs::create_dir(place.path().join("ca.crt")).unwrap();
        assert!(matches!(folder.read("ca.crt"), Err(PkiError::NotAFile { what: "a directory", .. })));
        fs::mknodat(fs::CWD, place.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(folder.read("pipe"), Err(PkiError::NotAFile { .. })));
    }

    #[test]
    fn what_root_makes_belongs_to_the_directory_s_owner() {
        if !rustix::process::geteuid().is_root() {
            return; // only root can give files away
        }
        let place = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(place.path(), Some(12345), Some(12346)).unwrap();
        let folder = Folder::open_or_make(&place.path().join("pki")).unwrap();
        folder.inner("issued").unwrap().put("a.key", PRIVATE, b"key").unwrap();
        for path in ["pki", "pki/issued", "pki/issued/a.key"] {
            let facts = place.path().join(path).metadata().unwrap();
            assert_eq!((facts.uid(), facts.gid()), (12345, 12346), "{path}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_an_error_with_its_path() {
        let place = tempfile::tempdir().unwrap();
        let missing = place.path().join("no/such");
        let error = Folder::open_or_make(&missing).err().unwrap().to_string();
        assert!(error.contains("no"), "{error}");
        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Folder::open_or_make(&file).is_err());
    }
}
