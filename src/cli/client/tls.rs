//! TLS to a server: whom to trust, and what certificate to show.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Options of TLS, named as in mosquitto_pub and mosquitto_sub.
#[derive(Debug, clap::Args)]
pub struct TlsArgs {
    /// Use TLS, and trust servers whose certificate comes from one of the authorities in this PEM file
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// Show the certificate in this PEM file
    #[arg(long, value_name = "FILE", requires_all = ["cafile", "key"])]
    cert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Do not look whether the server's certificate is for the host that was given: any server that the authority
    /// knows can then play this one
    #[arg(long, requires = "cafile")]
    insecure: bool,
}

/// How to speak TLS to a server.
#[derive(Clone)]
pub struct ClientTls(Arc<ClientConfig>);

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientTls")
    }
}

impl TlsArgs {
    /// Reads the files; `None` if TLS is not asked for.
    ///
    /// # Errors
    /// The file that is not usable, and why.
    pub fn read(&self) -> anyhow::Result<Option<ClientTls>> {
        let Some(cafile) = &self.cafile else { return Ok(None) };
        let provider = Arc::new(ring::default_provider());
        let verifier = server_verifier(cafile, &provider, self.insecure)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let private = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| anyhow!("cannot read a private key from {}: {error}", key.display()))?;
                builder
                    .with_client_auth_cert(certificates(cert)?, private)
                    .with_context(|| format!("cannot use {} with {}", cert.display(), key.display()))?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Some(ClientTls(Arc::new(config))))
    }
}

impl ClientTls {
    /// Does the handshake with the server called `host`.
    ///
    /// # Errors
    /// If the server's certificate is not right, or it does not like ours.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        TlsConnector::from(self.0.clone()).connect(name, stream).await
    }

    /// For those who drive the handshake themselves.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }
}

fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = || -> Result<Vec<_>, _> { CertificateDer::pem_file_iter(file)?.collect() };
    let found: Vec<_> = read().map_err(|error| anyhow!("cannot read {}: {error}", file.display()))?;
    if found.is_empty() {
        return Err(anyhow!("{} holds no certificate in PEM form", file.display()));
    }
    Ok(found)
}

fn server_verifier(
    cafile: &Path,
    provider: &Arc<CryptoProvider>,
    insecure: bool,
) -> anyhow::Result<Arc<dyn ServerCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(cafile)? {
        roots.add(certificate).with_context(|| format!("cannot use {}", cafile.display()))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    Ok(if insecure { Arc::new(AnyName(verifier)) } else { verifier })
}

/// Checks everything but the name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        // The name is looked at last, after everything else was right.
        match self.0.verify_server_cert(certificate, others, name, ocsp, now) {
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
