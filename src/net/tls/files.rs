//! The files of a TLS listener: read, checked against each other, and made into what a handshake needs.

use std::{os::unix::fs::MetadataExt, sync::Arc};

use rustls::{
    DistinguishedName, InconsistentKeys, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{
        ServerSessionMemoryCache, VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
};
use x509_parser::{parse_x509_certificate, parse_x509_crl};

use super::{
    dated::Dated,
    term::{Kind, Term},
};
use crate::{
    config::{ClientCertificate, NamedFile, Problem, Tls},
    file,
};

/// Sessions that may be resumed, for each listener.
const SESSIONS: usize = 1024;

/// What the files of a listener come to.
#[derive(Debug)]
pub(super) struct Files {
    pub server: Arc<ServerConfig>,
    /// Judges as of any time, whatever the clock says now. `None`: clients show no certificate.
    pub verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// When the files run out, the gateway's certificate first.
    pub terms: Vec<Term>,
    /// What is allowed, but worth a second look.
    pub warnings: Vec<String>,
}

impl Files {
    /// Reads the files. `protocols` are what a client may ask for by ALPN. Blocks.
    ///
    /// # Errors
    /// What is wrong with the first file that is not usable, with its place in the configuration.
    pub fn read(tls: &Tls, protocols: &[&[u8]]) -> Result<Self, Problem> {
        let provider = Arc::new(ring::default_provider());
        let mut warnings = Vec::new();
        let chain = certificates(&tls.certificate)?;
        let key = private_key(&tls.key, &mut warnings)?;
        check_pair(tls, &provider, &chain, &key)?;
        check_purpose(&tls.certificate, &chain)?;
        let term = Term::of_certificates(Kind::Certificate, &tls.certificate, &chain);
        let mut terms = vec![term.ok_or_else(|| unusable(&tls.certificate, "it cannot be parsed"))?];
        let verifier = match (tls.client_certificate, &tls.client_ca) {
            (ClientCertificate::None, _) | (_, None) => None,
            (asked, Some(authorities)) => {
                Some(verifier(tls, asked, authorities, &provider, &mut terms, &mut warnings)?)
            }
        };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&tls.certificate, error))?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::new(Dated(verifier.clone()))),
            None => builder.with_no_client_auth(),
        };
        let mut server = builder.with_single_cert(chain, key).map_err(|error| unusable(&tls.key, error))?;
        server.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        // A new store with every reading: nobody resumes what the files no longer allow.
        server.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        server.send_tls13_tickets = 1;
        Ok(Files { server: Arc::new(server), verifier, terms, warnings })
    }
}

pub(in crate::net) fn unusable(file: &NamedFile, why: impl std::fmt::Display) -> Problem {
    file.wrong(format_args!("is not usable: {why}"), "make a new one")
}

/// The bytes of a file, and whether others than its owner and group may read it.
pub(in crate::net) fn read(named: &NamedFile) -> Result<(Vec<u8>, bool), Problem> {
    read_a(named, "a PEM file")
}

/// The same of a file that should be something else, in words.
pub(in crate::net) fn read_a(named: &NamedFile, wanted: &str) -> Result<(Vec<u8>, bool), Problem> {
    let read = || {
        let (open, metadata) = file::open(&named.path, file::PEM)?;
        Ok((file::content(open, file::PEM)?, metadata.mode() & 0o007 != 0))
    };
    read().map_err(|error: std::io::Error| {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!("give the path of {wanted}; a relative one starts at this file's folder")
            }
            std::io::ErrorKind::PermissionDenied => "let the gateway's user read it".to_owned(),
            _ => format!("give the path of {wanted}"),
        };
        named.wrong(format_args!("cannot be read: {error}"), help)
    })
}

/// Every piece of the kind `T` in a PEM file; at least one.
fn pieces<T: PemObject>(file: &NamedFile, bytes: &[u8], kind: &str) -> Result<Vec<T>, Problem> {
    let found: Result<Vec<T>, pem::Error> = T::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) if bytes.first() == Some(&0x30) => {
            let help = "it looks like DER: `openssl x509 -inform der` (pkey, crl) makes PEM of it";
            Err(file.wrong(format_args!("holds no {kind} in PEM form"), help))
        }
        Ok(_) => {
            let holds = String::from_utf8_lossy(bytes);
            let mut labels: Vec<&str> = holds
                .lines()
                .filter_map(|line| line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
                .collect();
            labels.dedup();
            let help = match labels.as_slice() {
                ["ENCRYPTED PRIVATE KEY"] => {
                    "it is encrypted, and nobody can be asked for its password: `openssl pkey` decrypts it"
                        .into()
                }
                [] => "give a PEM file: text with a line that begins with -----BEGIN".to_owned(),
                labels => format!("it holds {}: give the other file", labels.join(", ")),
            };
            Err(file.wrong(format_args!("holds no {kind} in PEM form"), help))
        }
        Err(error) => {
            Err(file.wrong(format_args!("is not PEM: {error}"), "make a new one, or copy it again"))
        }
    }
}

pub(in crate::net) fn certificates(file: &NamedFile) -> Result<Vec<CertificateDer<'static>>, Problem> {
    pieces(file, &read(file)?.0, "certificate")
}

pub(in crate::net) fn private_key(
    file: &NamedFile,
    warnings: &mut Vec<String>,
) -> Result<PrivateKeyDer<'static>, Problem> {
    let (bytes, open_to_all) = read(file)?;
    let mut keys: Vec<PrivateKeyDer<'static>> = pieces(file, &bytes, "private key")?;
    if open_to_all {
        let path = file.path.display();
        warnings.push(format!("{path}: every user of this machine can use the private key: `chmod 600` it"));
    }
    Ok(keys.swap_remove(0))
}

/// Whether the key belongs to the first certificate.
fn check_pair(
    tls: &Tls,
    provider: &CryptoProvider,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<(), Problem> {
    let signing = provider.key_provider.load_private_key(key.clone_key()).map_err(|error| {
        let help = "RSA of at least 2048 bits, ECDSA on P-256 or P-384 and Ed25519 are";
        tls.key.wrong(format_args!("holds a key that is not usable: {error}"), help)
    })?;
    match CertifiedKey::new(chain.to_vec(), signing).keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let certificate = tls.certificate.path.display();
            let help = "give the two files that were made together; the gateway's own certificate comes first in its file";
            Err(tls.key.wrong(format_args!("is not the key of the certificate in {certificate}"), help))
        }
        Err(error) => Err(unusable(&tls.certificate, error)),
    }
}

/// Whether the first certificate may be a server's. One that does not say what it is for may.
fn check_purpose(file: &NamedFile, chain: &[CertificateDer<'static>]) -> Result<(), Problem> {
    let Some(Ok((_, own))) = chain.first().map(|own| parse_x509_certificate(own)) else { return Ok(()) };
    match own.extended_key_usage() {
        Ok(Some(usage)) if !usage.value.server_auth && !usage.value.any => {
            let help =
                "make one with `latchgate pki issue NAME --server`; a bridge's and a client's are others";
            Err(file.wrong("is no certificate of a server, so every client would refuse it", help))
        }
        _ => Ok(()),
    }
}

/// What checks the certificates of clients.
fn verifier(
    tls: &Tls,
    asked: ClientCertificate,
    authorities: &NamedFile,
    provider: &Arc<CryptoProvider>,
    terms: &mut Vec<Term>,
    warnings: &mut Vec<String>,
) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
    let mut roots = RootCertStore::empty();
    let all = certificates(authorities)?;
    terms.extend(Term::of_certificates(Kind::ClientCa, authorities, &all));
    for certificate in all {
        roots.add(certificate).map_err(|error| unusable(authorities, error))?;
    }
    let subjects = roots.subjects();
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    if asked == ClientCertificate::Optional {
        builder = builder.allow_unauthenticated();
    }
    if let Some(file) = &tls.crl {
        let lists = revoked(file, &subjects, warnings)?;
        terms.extend(Term::of_lists(file, &lists));
        builder = builder.with_crls(lists);
    }
    builder.build().map_err(|error| match (error, &tls.crl) {
        (VerifierBuilderError::InvalidCrl(error), Some(file)) => {
            let help = "complete lists of version 2 are read, signed by the authority itself; OpenSSL makes them with \
                        `crl_extensions` in its configuration";
            file.wrong(format_args!("holds a list that is not usable: {error:?}"), help)
        }
        (error, _) => unusable(authorities, error),
    })
}

/// The lists of revoked certificates. Those that are not from a known authority are warned of.
fn revoked(
    file: &NamedFile,
    authorities: &[DistinguishedName],
    warnings: &mut Vec<String>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, Problem> {
    let lists: Vec<CertificateRevocationListDer<'static>> =
        pieces(file, &read(file)?.0, "list of revoked certificates (X509 CRL)")?;
    let path = file.path.display();
    for list in &lists {
        // One that cannot be parsed is refused by the verifier.
        let Ok((_, parsed)) = parse_x509_crl(list) else { continue };
        let issuer = parsed.issuer();
        if !authorities.iter().any(|known| known.as_ref() == issuer.as_raw()) {
            warnings.push(format!("{path}: the list of {issuer} is of none of the authorities in client_ca"));
        }
    }
    Ok(lists)
}
