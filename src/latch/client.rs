//! The HTTP client: one request at a time of each caller, signed, over TLS, in bounds.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{Method, Request, StatusCode, Uri, body::Bytes, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use time::OffsetDateTime;

use super::{Error, Id, Secret, answer::Answer, signature};
use crate::{clock, file};

/// Largest answer in bytes; an account's history is the longest.
const LARGEST: usize = 1 << 20;
/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(90);
/// Connections that are kept.
const KEPT: usize = 8;

/// Where the service is, and for which application it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `https://HOST` or `https://HOST:PORT`.
    pub host: String,
    /// The version in the path, as `3.0`.
    pub api_version: String,
    /// The application's identifier.
    pub application: Id,
    /// The application's secret.
    pub secret: Secret,
    /// Longest time for a request, connection included.
    pub timeout: Duration,
    /// PEM file with the authorities to trust in place of the system's.
    pub ca: Option<PathBuf>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The host is none.
    #[error("`latch.host` is not an address of the form https://HOST or https://HOST:PORT: {0:?}")]
    Host(String),
    /// The file of authorities is not usable.
    #[error("`latch.ca`: {}: {why}", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system has no authorities.
    #[error(
        "this system has no list of certificate authorities, so nobody could be trusted: install the package ca-certificates, or \
         name a file with `latch.ca`"
    )]
    NoAuthorities,
    /// Anything else.
    #[error("TLS cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// A client of one application at the service. Connections are kept and shared; redirects are not followed.
#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    service: Arc<Service>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Client {
    /// A client; nothing is connected yet. Reads the authorities' files: blocks.
    ///
    /// # Errors
    /// A host that is none, or authorities that cannot be read.
    pub fn new(service: Service) -> Result<Self, SetupError> {
        let wrong = || SetupError::Host(service.host.clone());
        let host: Uri = service.host.parse().map_err(|_| wrong())?;
        let plain = host.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if host.scheme_str() != Some("https") || !plain || host.path() != "/" || host.query().is_some() {
            return Err(wrong());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_details(provider, Arc::new(clock::Known))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(&service)?)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(service.timeout));
        let https =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().wrap_connector(tcp);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .build(https);
        Ok(Client { pool, service: Arc::new(service) })
    }

    /// The application that is asked about.
    pub fn application(&self) -> &Id {
        &self.service.application
    }

    /// Sends one request; `path` follows the version and holds nothing but what [`Id`] and this room let through.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Answer, Error> {
        let timeout = self.service.timeout;
        let answer = tokio::time::timeout(timeout, self.exchange(method, path, parameters)).await;
        answer.unwrap_or(Err(Error::Timeout(timeout)))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Answer, Error> {
        clock::check().map_err(|why| Error::Unreachable(why.to_string()))?;
        let Service { host, api_version, application, secret, .. } = &*self.service;
        let path = format!("/api/{api_version}/{path}");
        let date = signature::date(OffsetDateTime::now_utc());
        let body = signature::form(parameters);
        let signature = signature::sign(secret, method.as_str(), &date, &path, &body);
        let mut request = Request::builder()
            .uri(format!("{}{path}", host.trim_end_matches('/')))
            .header(header::AUTHORIZATION, format!("11PATHS {application} {signature}"))
            .header("X-11Paths-Date", date)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("latchgate/", env!("CARGO_PKG_VERSION")));
        if method == Method::POST || method == Method::PUT {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request = request
            .method(method)
            .body(Full::from(body))
            .map_err(|_| Error::Unreachable("the request cannot be written".to_owned()))?;
        let response = self.pool.request(request).await.map_err(|error| Error::Unreachable(chain(&error)))?;
        let status = response.status();
        let body = match Limited::new(response.into_body(), LARGEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(Error::Nonsense(format!("its answer is larger than {LARGEST} bytes")));
            }
            Err(error) => return Err(Error::Unreachable(chain(&*error))),
        };
        read(status, &body)
    }
}

/// An answer by its status and body. A no in words may come with any status; everything else needs a good one.
fn read(status: StatusCode, body: &[u8]) -> Result<Answer, Error> {
    if status == StatusCode::NO_CONTENT {
        return Ok(Answer::default());
    }
    match Answer::parse(body) {
        Ok(answer) if status.is_success() || answer.error.is_some() => Ok(answer),
        Err(error) if status.is_success() => Err(error),
        _ => Err(Error::Nonsense(format!("its answer has HTTP status {}", status.as_u16()))),
    }
}

/// Whom to trust: `ca` alone if it is given, else whom the system trusts. The system's list is kept up to date by its
/// packages; one in the executable would grow as old as the executable.
fn roots(service: &Service) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = &service.ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(SetupError::NoAuthorities) } else { Ok(roots) };
    };
    let wrong = |why: String| SetupError::Ca { path: path.clone(), why };
    let bytes = file::read(path, file::PEM).map_err(|error| wrong(error.to_string()))?;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("holds no certificate".to_owned())) } else { Ok(roots) }
}

/// An error with its causes in one line: the outermost alone only says that something failed.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut words: Vec<String> = causes.map(ToString::to_string).collect();
    words.dedup();
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(host: &str) -> Service {
        Service {
            host: host.to_owned(),
            api_version: "3.0".to_owned(),
            application: Id::new("APPIDAPPIDAPPIDAPPID").unwrap(),
            secret: Secret::new("0123456789abcdef0123456789abcdef01234567").unwrap(),
            timeout: Duration::from_secs(1),
            ca: None,
        }
    }

    #[test]
    fn only_an_https_host_is_one() {
        for wrong in [
            "",
            "latch.tu.com",
            "http://latch.tu.com",
            "https://",
            "https://u:p@h",
            "https://h/x",
            "https://h?x",
        ] {
            assert!(matches!(Client::new(service(wrong)), Err(SetupError::Host(_))), "{wrong}");
        }
    }

    #[test]
    fn the_secret_is_not_printed_with_the_client() {
        let printed = format!("{:?}", service("https://h"));
        assert!(printed.contains("***") && !printed.contains("0123456789abcdef"), "{printed}");
    }

    #[test]
    fn a_no_may_come_with_any_status_and_a_yes_only_with_a_good_one() {
        let ok = br#"{"data":{}}"#;
        assert!(read(StatusCode::OK, ok).is_ok() && read(StatusCode::NO_CONTENT, b"").is_ok());
        for status in [StatusCode::FOUND, StatusCode::FORBIDDEN, StatusCode::INTERNAL_SERVER_ERROR] {
            assert!(matches!(read(status, ok), Err(Error::Nonsense(_))), "{status}");
            let no = read(status, br#"{"error":{"code":109}}"#).unwrap();
            assert_eq!(no.error.map(|refusal| refusal.code), Some(109));
        }
        assert!(read(StatusCode::OK, b"").is_err());
    }
}
