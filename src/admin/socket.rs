//! `admin.sock` in the state directory: who holds it is the one gateway that uses the directory.

use std::{
    fs::{self, File, Permissions},
    io,
    net::SocketAddr,
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, PermissionsExt},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
};

use axum::serve::Listener;
use rustix::fs::{FlockOperation, flock};
use tokio::net::UnixListener;

/// Owner and group may talk to the gateway.
const MODE: u32 = 0o660;
/// Bytes that fit into the address of a Unix socket.
const LONGEST: usize = 107;

/// Why the gateway cannot be administered, and so does not start.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process uses the state directory.
    #[error(
        "already running: another gateway uses the state directory {}; stop it first, or give this one its own \
         gateway.state", state.display()
    )]
    AlreadyRunning {
        /// The directory.
        state: PathBuf,
    },
    /// Something else lies where the socket should be.
    #[error("{} is not a socket; move it away", path.display())]
    NotASocket {
        /// Where.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    System {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The address of `admin.http` cannot be listened on.
    #[error("admin.http: cannot listen on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Where the admin socket of a state directory is.
pub fn path(state: &Path) -> PathBuf {
    super::in_directory(state)
}

/// Connects to the gateway that uses the directory `state`.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` if there is none.
pub fn connect(state: &Path) -> io::Result<UnixStream> {
    let directory = File::open(state)?;
    UnixStream::connect(within_bounds(&path(state), &directory))
}

/// A name of the socket that is short enough for its address, as long as `directory` is open.
fn within_bounds(path: &Path, directory: &File) -> PathBuf {
    if path.as_os_str().as_bytes().len() <= LONGEST {
        return path.to_owned();
    }
    super::in_directory(Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())))
}

/// The listening socket. Its file goes when it is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Locked as long as the gateway runs, whatever becomes of the socket's file.
    _directory: File,
}

impl AdminSocket {
    /// Claims the directory `state` and listens. A socket left by a gateway that died is replaced. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// [`SocketError::AlreadyRunning`] if another gateway uses the directory; else what the system said.
    pub fn bind(state: &Path) -> Result<Self, SocketError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| SocketError::System { doing, path, source }
        };
        let running = || SocketError::AlreadyRunning { state: state.to_owned() };
        let directory = File::open(state).map_err(failed("open", state))?;
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(running()),
            Err(error) => return Err(failed("lock", state)(error.into())),
        }
        let path = path(state);
        match fs::symlink_metadata(&path) {
            Ok(file) if !file.file_type().is_socket() => return Err(SocketError::NotASocket { path }),
            // With the lock in hand nobody of ours is there; somebody else's is left alone.
            Ok(_) if connect(state).is_ok() => return Err(running()),
            Ok(_) => fs::remove_file(&path).map_err(failed("replace", &path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("look at", &path)(error)),
        }
        let listener =
            UnixListener::bind(within_bounds(&path, &directory)).map_err(failed("listen on", &path))?;
        fs::set_permissions(&path, Permissions::from_mode(MODE)).map_err(failed("set the mode of", &path))?;
        Ok(AdminSocket { listener, path, _directory: directory })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // A file that is left does no harm: the next gateway replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

impl Listener for AdminSocket {
    type Io = tokio::net::UnixStream;
    type Addr = tokio::net::unix::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        Listener::accept(&mut self.listener).await
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let state = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(path(state.path())).unwrap());
        assert!(connect(state.path()).is_err(), "its file is there, its process is not");
        let socket = AdminSocket::bind(state.path()).unwrap();
        assert_eq!(fs::metadata(path(state.path())).unwrap().permissions().mode() & 0o777, MODE);
        connect(state.path()).unwrap();
        assert!(matches!(AdminSocket::bind(state.path()), Err(SocketError::AlreadyRunning { .. })));
        // Not even without its file: the directory is taken.
        fs::remove_file(path(state.path())).unwrap();
        assert!(matches!(AdminSocket::bind(state.path()), Err(SocketError::AlreadyRunning { .. })));
        drop(socket);
        drop(AdminSocket::bind(state.path()).unwrap());
        assert!(!path(state.path()).exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let state = tempfile::tempdir().unwrap();
        fs::write(path(state.path()), "mine").unwrap();
        assert!(matches!(AdminSocket::bind(state.path()), Err(SocketError::NotASocket { .. })));
        assert_eq!(fs::read(path(state.path())).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn a_state_directory_with_a_long_name_has_a_socket_too() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("x".repeat(120));
        fs::create_dir(&state).unwrap();
        let _socket = AdminSocket::bind(&state).unwrap();
        connect(&state).unwrap();
    }
}
