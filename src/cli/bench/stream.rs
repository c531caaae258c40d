//! The socket of a client, with TLS if it is asked for, for loops that try rather than wait.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use anyhow::Context as _;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::client::Target;

/// Bytes that TLS holds back at most when the socket takes no more.
const HELD: usize = 64 * 1024;

/// A connected socket.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

/// The socket as the blocking code of TLS sees it: it says so when it would block.
struct Trying<'a>(&'a TcpStream);

impl Read for Trying<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Trying<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    /// Connects, and does the TLS handshake if `target` asks for TLS.
    ///
    /// # Errors
    /// If the broker cannot be reached, or its certificate is not right.
    pub async fn connect(target: &Target, patience: Duration) -> anyhow::Result<Self> {
        let connect = async {
            let socket = TcpStream::connect(target.address).await?;
            socket.set_nodelay(true)?;
            let Some(tls) = &target.tls else { return Ok(Stream { socket, tls: None }) };
            let name = ServerName::try_from(target.host.clone())?;
            let mut connection = ClientConnection::new(tls.config().clone(), name)?;
            connection.set_buffer_limit(Some(HELD));
            let mut stream = Stream { socket, tls: Some(Box::new(connection)) };
            stream.shake_hands().await.context("no TLS")?;
            Ok(stream)
        };
        tokio::time::timeout(patience, connect).await.context("no answer in time")?
    }

    /// The socket, to set its options.
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.socket)
    }

    async fn shake_hands(&mut self) -> io::Result<()> {
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            self.flush()?;
            match self.fill() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.ready(Interest::READABLE).await?,
                Err(error) => return Err(error),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
            }
        }
        self.flush()
    }

    /// Waits until something of `interest` can be tried, or TLS gets rid of what it holds back.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn ready(&mut self, interest: Interest) -> io::Result<()> {
        let holds = self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        let interest = if holds { interest | Interest::WRITABLE } else { interest };
        self.socket.ready(interest).await?;
        self.flush()
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(tls) = &mut self.tls else { return self.socket.try_read(buffer) };
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            // At the end of the socket the reader says what kind of an end it is.
            self.fill()?;
        }
    }

    /// Writes what the socket takes; TLS may hold a part of it back.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.try_write(bytes) };
        let taken = tls.writer().write(bytes)?;
        self.flush()?;
        if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.ready(Interest::WRITABLE).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads once and appends; 0 at the end.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn read_buf(&mut self, out: &mut Vec<u8>) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        loop {
            match self.try_read(&mut buffer) {
                Ok(count) => {
                    out.extend_from_slice(&buffer[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.ready(Interest::READABLE).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes bytes off the socket and decrypts them.
    fn fill(&mut self) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return Ok(0) };
        let count = tls.read_tls(&mut Trying(&self.socket))?;
        tls.process_new_packets().map_err(io::Error::other)?;
        Ok(count)
    }

    /// Writes what TLS holds back, as far as the socket takes it.
    fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut Trying(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
