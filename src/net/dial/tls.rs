//! TLS to a remote broker.

use std::{fmt, io, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::why::in_words;
use crate::clock;
use crate::config::{BridgeTls, Problem};
use crate::net::tls::files::{certificates, private_key, unusable};

/// Reads the files. Blocks.
///
/// # Errors
/// The first that is not usable.
pub fn config(tls: &BridgeTls, is_websocket: bool) -> Result<Arc<ClientConfig>, Problem> {
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| unusable(file, error))?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let builder =
        ClientConfig::builder_with_details(Arc::new(ring::default_provider()), Arc::new(clock::Known))
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .expect("ring has what the default versions need")
            .with_root_certificates(roots);
    let mut config = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            let private = private_key(key, &mut Vec::new())?;
            builder
                .with_client_auth_cert(certificates(certificate)?, private)
                .map_err(|error| unusable(key, error))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = tls.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    if is_websocket && config.alpn_protocols.is_empty() {
        config.alpn_protocols.push(b"http/1.1".to_vec());
    }
    Ok(Arc::new(config))
}

/// Does the handshake with the server called `name`.
///
/// # Errors
/// If the server's certificate is not right, or it does not like ours.
pub async fn handshake(
    config: Arc<ClientConfig>,
    name: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the server_name is no name"))?;
    TlsConnector::from(config)
        .connect(name, stream)
        .await
        // As it is, and not in words: `why` tells what can be done.
        .map_err(|error| io::Error::new(error.kind(), NoHandshake(error)))
}

/// The handshake came to nothing.
#[derive(Debug)]
struct NoHandshake(io::Error);

impl fmt::Display for NoHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = self.0.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(error) => write!(f, "no TLS handshake: {}", in_words(error)),
            None => write!(f, "no TLS handshake: {}", self.0),
        }
    }
}

impl std::error::Error for NoHandshake {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
