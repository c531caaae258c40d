//! A TLS client as a tunnel: the raw test client speaks plain MQTT to it, and it speaks TLS to the gateway.

use std::io::{Error, Result};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::copy_bidirectional;
use tokio_rustls::TlsConnector;

use super::authority::{Authority, Pair};
use crate::support::{BOUND, Client, Connect, Packet};

/// How to open TLS connections.
pub struct Dialer {
    config: Arc<ClientConfig>,
    /// What the last handshake came to, in the client's eyes.
    seen: OnceLock<Seen>,
}

/// What a client sees of the gateway.
#[derive(Clone, Debug)]
pub struct Seen {
    pub version: Option<ProtocolVersion>,
    pub certificate: CertificateDer<'static>,
    pub protocol: Option<Vec<u8>>,
    pub resumed: bool,
}

pub const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

impl Dialer {
    /// Trusts one authority, shows no certificate.
    pub fn new(authority: &Authority) -> Self {
        Self::with(authority, None, BOTH, &[])
    }

    /// Shows a certificate.
    pub fn showing(authority: &Authority, pair: &Pair) -> Self {
        Self::with(authority, Some(pair), BOTH, &[])
    }

    pub fn with(
        authority: &Authority,
        pair: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).map(|c| c.unwrap());
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain.collect(), key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Dialer { config: Arc::new(config), seen: OnceLock::new() }
    }

    /// The same client, which remembers its TLS sessions, for one more connection.
    pub fn again(&self) -> Self {
        Dialer { config: self.config.clone(), seen: OnceLock::new() }
    }

    /// What the first handshake showed.
    pub fn seen(&self) -> &Seen {
        self.seen.get().expect("a handshake was done")
    }

    /// Sends CONNECT over a new connection; the client and the code of the CONNACK, or what ended the connection.
    pub fn connect(&self, port: u16, connect: &Connect) -> std::result::Result<(Client, u8), String> {
        let (tunnel, told) = self.tunnel(port);
        let mut client = Client::open(tunnel, connect.version);
        client.client_id = connect.client_id.clone();
        let sent = client.send_anyway(&connect.encode());
        let answer = if sent { client.try_read().ok() } else { None };
        // The handshake comes first, and only the end follows it.
        let ended = || match told.recv_timeout(BOUND) {
            Ok(Told::Seen(seen)) => {
                let _ = self.seen.set(seen);
                None
            }
            Ok(Told::Ended(why)) => Some(why),
            Err(_) => panic!("the tunnel is silent"),
        };
        let first = ended();
        match answer {
            Some(Packet::ConnAck { code, .. }) => Ok((client, code)),
            Some(other) => panic!("expected CONNACK, got {other:?}"),
            None => {
                // It may have ended in order: then the tunnel waits for this end too.
                drop(client);
                Err(first.or_else(ended).expect("nothing follows a handshake but the end").to_string())
            }
        }
    }

    /// A port of this machine that leads one connection through TLS to the gateway's. How it goes is not told.
    pub fn open(&self, port: u16) -> u16 {
        self.tunnel(port).0
    }

    /// Opens a port for one connection, which goes to the gateway through TLS.
    fn tunnel(&self, port: u16) -> (u16, Receiver<Told>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a nonblocking listener");
        let here = listener.local_addr().expect("its address").port();
        let (tell, told) = channel();
        let config = self.config.clone();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let ended: Result<Error> = runtime.block_on(async {
                let (mut near, _) = tokio::net::TcpListener::from_std(listener)?.accept().await?;
                let far = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
                let name = ServerName::try_from("localhost").expect("a name");
                let mut far = TlsConnector::from(config).connect(name, far).await?;
                let (_, connection) = far.get_ref();
                let seen = Seen {
                    version: connection.protocol_version(),
                    certificate: connection.peer_certificates().expect("a certificate")[0].clone(),
                    protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
                    resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
                };
                let _ = tell.send(Told::Seen(seen));
                copy_bidirectional(&mut near, &mut far).await?;
                Ok(Error::other("closed"))
            });
            let _ = tell.send(Told::Ended(ended.unwrap_or_else(|error| error)));
        });
        (here, told)
    }
}

/// What a tunnel has to say.
#[derive(Debug)]
enum Told {
    Seen(Seen),
    Ended(Error),
}
