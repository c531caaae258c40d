//! Connections to remote brokers: TCP, TLS and WebSocket. Files are read anew for each connection.

mod tls;
mod websocket;
mod why;

use std::{io, os::unix::fs::MetadataExt, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::tls::files::read_a;
use crate::clock;
use crate::config::{Bridge, NamedFile, Problem, RemoteAddress};

pub use why::{Trouble, trouble, why};

/// Bytes that wait to leave at most.
const UNSENT: u32 = 32 * 1024;

/// Bytes both ways.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Bytes for S {}

/// Connects to the addresses of one bridge.
#[derive(Debug)]
pub struct Dialer {
    bridge: Bridge,
}

impl Dialer {
    /// Reads every file once, so that what is wrong is known at the start. Blocks.
    ///
    /// # Errors
    /// The first file that is not usable.
    pub fn open(bridge: &Bridge) -> Result<Self, Problem> {
        let dialer = Dialer { bridge: bridge.clone() };
        if bridge.has_tls() {
            tls::config(&bridge.tls, false)?;
        }
        if let Some(file) = &bridge.password_file {
            read_password(file)?;
        }
        Ok(dialer)
    }

    /// Connects to address number `address`.
    ///
    /// # Errors
    /// If there is no connection, in words.
    pub async fn dial(&self, address: usize) -> io::Result<Box<dyn Bytes>> {
        let address = self.bridge.address.get(address).ok_or(io::ErrorKind::NotFound)?;
        if address.scheme.has_tls() {
            // Told before anything is connected; the handshake would not judge the certificate either.
            clock::check().map_err(io::Error::other)?;
        }
        let stream = tcp(address).await?;
        if !address.scheme.has_tls() {
            return match address.scheme.is_websocket() {
                true => Ok(Box::new(websocket::open(stream, address).await?)),
                false => Ok(Box::new(stream)),
            };
        }
        let (tls, is_websocket) = (self.bridge.tls.clone(), address.scheme.is_websocket());
        let config = tokio::task::spawn_blocking(move || tls::config(&tls, is_websocket))
            .await
            .map_err(io::Error::other)?
            .map_err(|problem| io::Error::other(problem.what))?;
        let name = self.bridge.tls.server_name.as_deref().unwrap_or(&address.host);
        let stream = tls::handshake(config, name, stream).await?;
        match is_websocket {
            true => Ok(Box::new(websocket::open(stream, address).await?)),
            false => Ok(Box::new(stream)),
        }
    }

    /// The password, if there is one. Blocks.
    ///
    /// # Errors
    /// If it cannot be read, in words.
    pub fn password(&self) -> Result<Option<Vec<u8>>, String> {
        let file = self.bridge.password_file.as_ref();
        file.map(read_password).transpose().map_err(|problem| problem.what)
    }

    /// Something that changes when one of the files does. Blocks.
    pub fn stamp(&self) -> Vec<u8> {
        let tls = &self.bridge.tls;
        let files = [&tls.ca, &tls.certificate, &tls.key, &self.bridge.password_file];
        let mut stamp = Vec::new();
        for file in files.into_iter().flatten() {
            let found = std::fs::metadata(&file.path).ok();
            let of = found
                .map(|found| (found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()));
            stamp.extend(format!("{of:?};").into_bytes());
        }
        stamp
    }
}

fn read_password(file: &NamedFile) -> Result<Vec<u8>, Problem> {
    let (mut bytes, _) = read_a(file, "a file that holds the password")?;
    bytes.truncate(bytes.trim_ascii_end().len());
    if bytes.is_empty() || bytes.len() > 65_535 {
        return Err(file.wrong("is empty or too long for a password", "write the password into it"));
    }
    Ok(bytes)
}

async fn tcp(address: &RemoteAddress) -> io::Result<TcpStream> {
    let place = address.authority();
    let stream = TcpStream::connect(&place)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{place}: {error}")))?;
    stream.set_nodelay(true)?;
    // So that bytes are taken as they leave, which tells a slow link from a dead one, and a ping does not wait behind a
    // buffer full of messages.
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
    // Keep alive of MQTT finds a dead peer; this one keeps routers from forgetting the connection.
    let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(60)));
    Ok(stream)
}
