//! A TLS server before a broker, as large clouds have it: it wants a client certificate and an ALPN name, and notes what
//! each connection brought.

use std::{net::TcpListener, path::Path, sync::Arc};

use parking_lot::Mutex;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

/// What one connection brought.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The name it asked for (SNI).
    pub name: Option<String>,
    /// The protocol agreed on.
    pub protocol: Option<String>,
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
}

pub struct Front {
    pub port: u16,
    visits: Arc<Mutex<Vec<Visit>>>,
}

impl Front {
    /// Takes connections that agree on `protocol` (none: whatever they name), with the files of `pki`, and passes them on to
    /// a port.
    pub fn start(pki: &Path, protocol: Option<&'static str>, to: u16) -> Self {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&pki.join("ca.crt"))).expect("an authority");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let issued = |file| pki.join("issued").join(file);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_client_cert_verifier(verifier.expect("a verifier"))
            .with_single_cert(
                vec![certificate(&issued("localhost.crt"))],
                PrivateKeyDer::from_pem_file(issued("localhost.key")).expect("a key"),
            )
            .expect("they go together");
        config.alpn_protocols = protocol.into_iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        listener.set_nonblocking(true).expect("it can be asked without waiting");
        let port = listener.local_addr().expect("its port").port();
        let visits = Arc::new(Mutex::new(Vec::new()));
        let noted = visits.clone();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, noted) = (acceptor.clone(), noted.clone());
                    tokio::spawn(async move {
                        let mut stream = acceptor.accept(stream).await.ok()?;
                        let session = stream.get_ref().1;
                        let agreed =
                            session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
                        // As the cloud does with whoever names nothing it knows.
                        if protocol.is_some_and(|wanted| agreed.as_deref() != Some(wanted)) {
                            return None;
                        }
                        noted.lock().push(Visit {
                            name: session.server_name().map(str::to_owned),
                            protocol: agreed,
                            certificate: session.peer_certificates()?.first()?.clone().into_owned(),
                        });
                        let mut there = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.ok()?;
                        tokio::io::copy_bidirectional(&mut stream, &mut there).await.ok()
                    });
                }
            });
        });
        Front { port, visits }
    }

    /// What connections brought so far, in order.
    pub fn visits(&self) -> Vec<Visit> {
        self.visits.lock().clone()
    }
}

/// The first certificate of a file.
pub fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("a certificate")
}
