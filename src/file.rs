//! What is in a file that somebody named? Whatever a configuration names may be a mistake: only a regular file is read, whole,
//! up to a bound that its reader gives, and nothing is waited for.
//!
//! Every room may use this one, and none reads a named file in another way.

use std::{
    fs::{File, Metadata},
    io::{self, ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::OFlags;

/// Largest file of certificates and keys in bytes: lists of revoked certificates may be long.
pub const PEM: u64 = 16 << 20;
/// Largest file that holds one secret, in bytes.
pub const SECRET: u64 = 64 << 10;

/// Opens a regular file of at most `most` bytes. Blocks.
///
/// # Errors
/// It cannot be opened; it is a directory, a pipe or a device; it is larger ([`ErrorKind::FileTooLarge`]).
pub fn open(path: &Path, most: u64) -> io::Result<(File, Metadata)> {
    // Opening a pipe would wait for whoever writes to it, and a terminal could become this process's own.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() > most {
        return Err(too_large(most));
    }
    Ok((file, metadata))
}

/// The bytes of a regular file, at most `most`. Blocks.
///
/// # Errors
/// Those of [`open`]; it cannot be read, or has grown beyond `most` meanwhile.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    content(open(path, most)?.0, most)
}

/// What an open file holds, at most `most` bytes. Blocks.
///
/// # Errors
/// It cannot be read, or holds more: files of the kernel say that they are empty.
pub fn content(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

fn too_large(most: u64) -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {most} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_is_read_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [&*pipe, Path::new("/dev/zero"), Path::new("/dev/null"), folder.path()] {
            let error = read(path, 10).unwrap_err();
            assert!(error.to_string().contains("not a regular file"), "{}: {error}", path.display());
        }
        let error = read(&folder.path().join("gone"), 10).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_read_up_to_its_bound_also_if_it_says_that_it_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(read(&path, 10).unwrap(), b"0123456789");
        assert_eq!(read(&path, 9).unwrap_err().kind(), ErrorKind::FileTooLarge);
        let endless = Path::new("/proc/self/maps");
        assert_eq!(read(endless, 10).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
