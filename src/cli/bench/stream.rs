//! The socket of a client, with TLS and WebSocket if they are asked for, for loops that try rather than wait.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use anyhow::Context as _;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::client::Target;
use super::framing::{self, Framing};

/// Bytes that TLS holds back at most when the socket takes no more.
const HELD: usize = 64 * 1024;

/// A connected socket.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    websocket: Option<Box<Framing>>,
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
    /// Connects, and does the handshakes of TLS and WebSocket if `target` asks for them.
    ///
    /// # Errors
    /// If the broker cannot be reached, or its certificate is not right.
    pub async fn connect(target: &Target, patience: Duration) -> anyhow::Result<Self> {
        let connect = async {
            let socket = TcpStream::connect(target.address).await?;
            socket.set_nodelay(true)?;
            let mut stream = Stream { socket, tls: None, websocket: None };
            if let Some(tls) = &target.tls {
                let name = ServerName::try_from(target.host.clone())?;
                let mut connection = ClientConnection::new(tls.config().clone(), name)?;
                connection.set_buffer_limit(Some(HELD));
                stream.tls = Some(Box::new(connection));
                stream.shake_hands().await.context("no TLS")?;
            }
            if target.websocket {
                stream.upgrade(&target.host).await.context("no WebSocket")?;
            }
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

    async fn upgrade(&mut self, host: &str) -> io::Result<()> {
        self.write_all(framing::request(host).as_bytes()).await?;
        let mut answer = Vec::new();
        while !framing::is_accepted(&answer)? {
            if self.read_buf(&mut answer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        self.websocket = Some(Box::default());
        Ok(())
    }

    /// Waits until something of `interest` can be tried, or gets rid of what is held back.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn ready(&mut self, interest: Interest) -> io::Result<()> {
        let framed = self.websocket.as_ref().is_some_and(|framing| !framing.pending().is_empty());
        let holds = framed || self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        let interest = if holds { interest | Interest::WRITABLE } else { interest };
        self.socket.ready(interest).await?;
        self.flush_frames()?;
        self.flush()
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.websocket.is_none() {
            return self.try_read_raw(buffer);
        }
        let mut filled = 0;
        // As much as there is: whoever gets less than asked for takes it that nothing is left.
        while filled < buffer.len() {
            let free = &mut buffer[filled..];
            let count = match self.try_read_raw(free) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && filled > 0 => break,
                count => count?,
            };
            if count == 0 {
                break;
            }
            if let Some(framing) = &mut self.websocket {
                filled += framing.strip(&mut free[..count])?;
            }
        }
        Ok(filled)
    }

    fn try_read_raw(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
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

    /// Writes what the socket takes; TLS and WebSocket may hold a part of it back.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.websocket.is_none() {
            return self.try_write_raw(bytes);
        }
        self.flush_frames()?;
        let Some(framing) = self.websocket.as_mut().filter(|framing| framing.pending().is_empty()) else {
            return Err(ErrorKind::WouldBlock.into());
        };
        let taken = framing.frame(bytes);
        self.flush_frames()?;
        Ok(taken)
    }

    /// Writes what is left of a frame, as far as it is taken.
    fn flush_frames(&mut self) -> io::Result<()> {
        let Some(mut framing) = self.websocket.take() else { return Ok(()) };
        let outcome = loop {
            if framing.pending().is_empty() {
                break Ok(());
            }
            match self.try_write_raw(framing.pending()) {
                Ok(count) => framing.written(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.websocket = Some(framing);
        outcome
    }

    fn try_write_raw(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.try_write(bytes) };
        let taken = tls.writer().write(bytes)?;
        self.flush()?;
        if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    /// Writes all of it, or holds the end of it back.
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
