//! The HTTP client of backends: pooled, bounded, TLS verified, redirects not followed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request,
    body::{Body, Bytes},
    header,
    http::uri::Scheme,
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::backend::Failure;
use crate::{clock, file};

/// Largest answer in bytes: a yes, or what a token is good for.
const LARGEST: usize = 256 * 1024;
/// Length of a body in bytes from which a service may break off: names of devices and topics do not come to that.
const LONG: u64 = 16 * 1024;
/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);
/// Connections that are kept.
const KEPT: usize = 16;

/// Why a backend cannot be asked over HTTP.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The file of authorities is not usable.
    #[error("{}: {why}", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Anything else.
    #[error("TLS cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// A client of HTTP and HTTPS.
pub(super) struct Web(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// What was answered.
pub(super) struct Page {
    pub status: u16,
    pub body: Bytes,
}

impl Web {
    /// A client that trusts the authorities in `ca` alone, or whom the system trusts. Blocks.
    pub fn new(ca: Option<&Path>) -> Result<Self, WebError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_details(provider, Arc::new(clock::Known))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(ca)?)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .build(https);
        Ok(Web(pool))
    }

    /// Sends one request. The caller bounds the time.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Page, Failure> {
        let agent = header::HeaderValue::from_static(concat!("latchgate/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().entry(header::USER_AGENT).or_insert(agent);
        if request.uri().scheme() == Some(&Scheme::HTTPS) {
            clock::check().map_err(Failure::undated)?;
        }
        let length = request.body().size_hint().lower();
        let answer = self.0.request(request).await.map_err(|error| {
            let what = chain(&error);
            match length > LONG && !error.is_connect() {
                // Some services break off what is too long for them: that is no outage.
                true => Failure::of_question(format_args!("{what}, in a request of {length} bytes")),
                false => Failure::passing(what),
            }
        })?;
        let status = answer.status();
        match Limited::new(answer.into_body(), LARGEST).collect().await {
            Ok(body) => Ok(Page { status: status.as_u16(), body: body.to_bytes() }),
            // An error page may repeat what was asked. What counts is the status.
            Err(error) if status.is_client_error() && error.is::<LengthLimitError>() => {
                Ok(Page { status: status.as_u16(), body: Bytes::new() })
            }
            Err(error) if error.is::<LengthLimitError>() => {
                Err(Failure::lasting(format_args!("its answer is larger than {LARGEST} bytes")))
            }
            Err(error) => Err(Failure::passing(chain(&*error))),
        }
    }
}

pub(super) fn roots(ca: Option<&Path>) -> Result<RootCertStore, WebError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        // Without any, nobody is trusted: a request over TLS then says so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let wrong = |why: String| WebError::Ca { path: path.to_owned(), why };
    let bytes = file::read(path, file::PEM).map_err(|error| wrong(error.to_string()))?;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("holds no certificate".to_owned())) } else { Ok(roots) }
}

/// Fields as a form (`application/x-www-form-urlencoded`): whatever a value holds, it stays one value.
pub(super) fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        if !out.is_empty() {
            out.push('&');
        }
        encode(name.as_bytes(), &mut out);
        out.push('=');
        encode(value.as_bytes(), &mut out);
    }
    out
}

fn encode(bytes: &[u8], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                out.push(char::from(*byte))
            }
            b' ' => out.push('+'),
            byte => {
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
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

    #[test]
    fn whatever_a_value_holds_it_stays_one_value() {
        assert_eq!(form([("a", "x y"), ("b", "1&c=2#+%\0é")]), "a=x+y&b=1%26c%3D2%23%2B%25%00%C3%A9");
        assert_eq!(form([]), "");
    }
}
