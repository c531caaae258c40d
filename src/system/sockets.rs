//! Sockets that the service manager opened and hands over (systemd's socket activation, `sd_listen_fds(3)`).

use std::{
    io,
    net::TcpListener,
    os::fd::{FromRawFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use socket2::{Socket, Type};

/// What was handed over is not usable.
#[derive(Debug, thiserror::Error)]
pub enum HandedError {
    /// `$LISTEN_FDS` and its companions make no sense.
    #[error("the sockets of the service manager cannot be taken")]
    Protocol(#[source] io::Error),
    /// A descriptor is something else.
    #[error(
        "the socket {0:?} of the service manager is no listening TCP socket: its .socket unit needs ListenStream= with a port"
    )]
    Kind(String),
}

/// The listening TCP sockets that were handed over, with their names (`FileDescriptorName=`). To be called once: a second call
/// gives none.
///
/// # Errors
/// See [`HandedError`].
pub fn take() -> Result<Vec<(String, TcpListener)>, HandedError> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let descriptors = sd_notify::listen_fds_with_names().map_err(HandedError::Protocol)?;
    let sockets = descriptors.map(|(number, name)| {
        #[expect(
            unsafe_code,
            reason = "the descriptor is open, and nobody else's: it was handed over, and is taken once"
        )]
        let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(number) });
        let is_tcp = || {
            let stream = socket.r#type()? == Type::STREAM && socket.is_listener()?;
            Ok::<_, io::Error>(stream && socket.local_addr()?.as_socket().is_some())
        };
        if !is_tcp().unwrap_or(false) {
            return Err(HandedError::Kind(name));
        }
        socket.set_nonblocking(true).map_err(HandedError::Protocol)?;
        Ok((name, socket.into()))
    });
    sockets.collect()
}
