//! TCP listeners.

use std::{net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::config;

/// Connections the system holds for us between two accepts: a whole fleet may come back after a power cut.
const BACKLOG: i32 = 4096;
/// A peer that vanished without a word is noticed even if it asked for no keep alive.
const IDLE: Duration = Duration::from_secs(300);
/// Bytes the system takes on for a client beyond what is on its way.
const UNSENT: u32 = 128 * 1024;
/// How long accepting pauses when the system has no descriptors or memory left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "listener {name:?} cannot listen on {address} (`ss -ltnp` shows ports in use, `ip address` the addresses of this machine)"
)]
pub struct BindError {
    name: String,
    address: SocketAddr,
    source: std::io::Error,
}

/// A bound TCP socket.
#[derive(Debug)]
pub struct Tcp {
    listener: TcpListener,
    name: String,
}

impl Tcp {
    /// Binds the address of a listener. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the address is in use or not ours.
    pub fn bind(config: &config::Listener) -> Result<Self, BindError> {
        let bind = || {
            let socket = Socket::new(Domain::for_address(config.address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&config.address.into())?;
            socket.listen(BACKLOG)?;
            TcpListener::from_std(socket.into())
        };
        match bind() {
            Ok(listener) => Ok(Tcp { listener, name: config.name.clone() }),
            Err(source) => Err(BindError { name: config.name.clone(), address: config.address, source }),
        }
    }

    /// Takes over a socket that listens already, in place of the listener's address. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    pub fn take_over(config: &config::Listener, socket: &std::net::TcpListener) -> Result<Self, BindError> {
        let listener = socket.try_clone().and_then(TcpListener::from_std);
        let address = socket.local_addr().unwrap_or(config.address);
        match listener {
            Ok(listener) => Ok(Tcp { listener, name: config.name.clone() }),
            Err(source) => Err(BindError { name: config.name.clone(), address, source }),
        }
    }

    /// The address it is bound to, with the real port if 0 was asked for.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection. Errors of single connections are passed over; exhaustion is waited out.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        let mut complained = false;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // A connection that is gone already fails here; it is noticed at the first read.
                    let _ = stream.set_nodelay(true);
                    // What lies in the system's buffer cannot be taken back when a right is lost.
                    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
                    let _ = SockRef::from(&stream)
                        .set_tcp_keepalive(&TcpKeepalive::new().with_time(IDLE).with_interval(IDLE / 10));
                    return (stream, peer);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if !complained {
                        tracing::error!(listener = self.name, %error, "no connection can be accepted for now");
                        complained = true;
                    }
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}
