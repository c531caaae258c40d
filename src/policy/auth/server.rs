//! A server of a database: how it is reached, with TLS or without, and the connections to it that are kept.

use std::{
    fmt, io,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    backend::Failure,
    web::{WebError, roots},
};
use crate::{clock, file, policy::policy::Secret};

/// How long a connection that nobody uses is kept: less than what firewalls remember.
const IDLE: Duration = Duration::from_secs(60);

/// Where a server is, and who the gateway is there.
#[derive(Debug, Default)]
pub struct ServerSettings {
    /// A name or an IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its socket, in place of host and port.
    pub socket: Option<PathBuf>,
    /// The user; empty: none is told.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
    /// Whether the connection is encrypted; `None`: unless the server is this machine.
    pub tls: Option<bool>,
    /// PEM file with the authorities to trust in place of the system's.
    pub ca: Option<PathBuf>,
    /// PEM files with the certificate that the gateway shows, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Connections that are kept.
    pub connections: usize,
}

/// Why a server can never be asked.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The file of authorities, or TLS itself.
    #[error(transparent)]
    Trust(#[from] WebError),
    /// The gateway's own certificate, or its key.
    #[error("{}: {why}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No certificate can be for such a host.
    #[error("{0:?} is no host name")]
    Host(String),
}

/// A server.
pub(super) struct Server {
    pub settings: ServerSettings,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// The way to a server.
pub(super) enum Stream {
    Tcp(TcpStream),
    Socket(UnixStream),
}

impl Server {
    /// Reads the certificates. Nothing is connected yet. Blocks.
    pub fn new(settings: ServerSettings) -> Result<Self, ServerError> {
        let here = settings.socket.is_some() || is_here(&settings.host);
        let encrypted = settings.socket.is_none() && settings.tls.unwrap_or(!here);
        let tls = match encrypted {
            false => None,
            true => {
                let name = ServerName::try_from(settings.host.clone());
                let name = name.map_err(|_| ServerError::Host(settings.host.clone()))?;
                Some((Arc::new(client_config(&settings)?), name))
            }
        };
        Ok(Server { settings, tls })
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether a connection may be made: over TLS the server's certificate is judged.
    pub fn is_ready(&self) -> Result<(), Failure> {
        if self.is_encrypted() { clock::check().map_err(Failure::undated) } else { Ok(()) }
    }

    /// The password as text.
    pub fn password(&self) -> Option<&str> {
        self.settings.password.as_ref().and_then(|password| std::str::from_utf8(&password.0).ok())
    }

    /// Connects, not yet with TLS. `socket` is the file of the socket in its folder, if that is what the settings name.
    pub async fn reach(&self, socket: Option<&str>) -> io::Result<Stream> {
        let ServerSettings { host, port, .. } = &self.settings;
        match &self.settings.socket {
            Some(path) => {
                let path = socket.map_or_else(|| path.clone(), |name| path.join(name));
                Ok(Stream::Socket(UnixStream::connect(path).await?))
            }
            None => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }

    /// Puts TLS over a connection.
    pub async fn secure<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (config, name) = self.tls.as_ref().ok_or_else(|| io::Error::other("TLS is not configured"))?;
        TlsConnector::from(config.clone()).connect(name.clone(), stream).await
    }
}

/// Whether a host is this machine, so that nobody listens in between.
fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn client_config(settings: &ServerSettings) -> Result<ClientConfig, ServerError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_details(provider, Arc::new(clock::Known))
        .with_safe_default_protocol_versions()
        .map_err(WebError::from)?
        .with_root_certificates(trusted(settings)?);
    let Some((certificate, key)) = &settings.identity else { return Ok(config.with_no_client_auth()) };
    let wrong = |path: &PathBuf, why: &dyn fmt::Display| ServerError::Identity {
        path: path.clone(),
        why: why.to_string(),
    };
    let read = |path: &PathBuf| file::read(path, file::PEM).map_err(|error| wrong(path, &error));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(certificate)?).collect();
    let chain = chain.map_err(|error| wrong(certificate, &error))?;
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| wrong(key, &error))?;
    config.with_client_auth_cert(chain, private).map_err(|error| wrong(certificate, &error))
}

/// What is in the files of the gateway's own certificate and its key, for a client that makes TLS itself.
pub(super) fn identity_files(settings: &ServerSettings) -> Result<Option<[Vec<u8>; 2]>, ServerError> {
    let Some((certificate, key)) = &settings.identity else { return Ok(None) };
    let read = |path: &PathBuf| {
        file::read(path, file::PEM)
            .map_err(|error| ServerError::Identity { path: path.clone(), why: error.to_string() })
    };
    Ok(Some([read(certificate)?, read(key)?]))
}

/// The certificates of the authorities that a server's may come from, for a client that reads them itself.
pub(super) fn trusted_files(settings: &ServerSettings) -> Result<Vec<Vec<u8>>, WebError> {
    // What is wrong with the file is told here, not when somebody logs in.
    trusted(settings)?;
    match &settings.ca {
        Some(path) => match file::read(path, file::PEM) {
            Ok(bytes) => Ok(vec![bytes]),
            Err(error) => Err(WebError::Ca { path: path.clone(), why: error.to_string() }),
        },
        None => {
            let system = rustls_native_certs::load_native_certs().certs;
            // One that cannot be read would keep all from being used.
            let sound = |one: &CertificateDer<'static>| RootCertStore::empty().add(one.clone()).is_ok();
            Ok(system.into_iter().filter(sound).map(|one| one.to_vec()).collect())
        }
    }
}

fn trusted(settings: &ServerSettings) -> Result<RootCertStore, WebError> {
    roots(settings.ca.as_deref())
}

/// Connections that nobody uses just now.
#[derive(Debug)]
pub(super) struct Pool<C> {
    idle: Mutex<Vec<(Instant, C)>>,
    most: usize,
}

impl<C> Pool<C> {
    /// An empty pool of up to `most`.
    pub fn new(most: usize) -> Self {
        Pool { idle: Mutex::default(), most }
    }

    /// The connection that was used last, unless that is too long ago.
    pub fn take(&self) -> Option<C> {
        let now = Instant::now();
        let mut idle = self.idle.lock();
        idle.retain(|(since, _)| now < *since + IDLE);
        idle.pop().map(|(_, connection)| connection)
    }

    /// Gives one back that is in order.
    pub fn give(&self, connection: C) {
        let mut idle = self.idle.lock();
        if idle.len() < self.most {
            idle.push((Instant::now(), connection));
        }
    }

    /// Drops all: where one was broken off, the others were too.
    pub fn clear(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }
}

/// What went wrong with a question.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server answered that it cannot answer this; the connection is in order.
    Refused(String),
    /// The connection is not.
    Broken(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_over_a_network_in_clear_unless_told_so() {
        let server = |host: &str, socket: Option<&str>, tls| {
            let settings = ServerSettings {
                host: host.into(),
                socket: socket.map(PathBuf::from),
                tls,
                ..ServerSettings::default()
            };
            Server::new(settings).map(|server| server.is_encrypted())
        };
        for here in ["localhost", "LocalHost", "127.0.0.1", "127.8.0.1", "::1"] {
            assert!(!server(here, None, None).unwrap(), "{here}");
            assert!(server(here, None, Some(true)).unwrap(), "{here}");
        }
        for there in ["db.example", "10.0.0.1", "localhost.example", "fe80::1"] {
            assert!(server(there, None, None).unwrap(), "{there}");
            assert!(!server(there, None, Some(false)).unwrap(), "{there}");
        }
        assert!(!server("db.example", Some("/run/x.sock"), None).unwrap());
        assert!(server("no host", None, None).is_err());
    }

    #[test]
    fn the_pool_keeps_no_more_than_it_may() {
        let pool = Pool::new(2);
        (0..5).for_each(|number| pool.give(number));
        assert_eq!((pool.take(), pool.take(), pool.take()), (Some(1), Some(0), None));
        pool.give(7);
        pool.clear();
        assert_eq!(pool.take(), None::<i32>);
    }
}
