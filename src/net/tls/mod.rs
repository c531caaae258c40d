//! TLS 1.2 and 1.3: the handshake of a listener, with certificates that are read again when they change.

mod client;
mod dated;
pub(in crate::net) mod files;
mod name;
mod term;
mod watch;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use rustls::{Error, HandshakeKind, pki_types::UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

pub use client::Presented;
pub use name::Described;
pub use term::{Kind, Term};
pub use tokio_rustls::server::TlsStream;

use self::{files::Files, term::Notice};
use crate::config::{self, Problem};

/// How long a refused client may take to read why, and to close.
const LINGER: Duration = Duration::from_secs(1);

/// The TLS of one listener.
#[derive(Debug)]
pub struct Tls {
    listener: String,
    config: config::Tls,
    /// What a client may ask for by ALPN.
    protocols: &'static [&'static [u8]],
    active: ArcSwap<Active>,
    /// What the files looked like before they were read first.
    opened: Vec<watch::Stamp>,
    failed: [AtomicU64; Failure::KINDS.len()],
}

/// One reading of the files.
#[derive(Debug)]
struct Active {
    /// Its number: each is greater than the one before.
    reading: u64,
    files: Files,
}

/// Seconds since 1970 by the clock of the wall.
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// A finished handshake, and the certificate that the client showed.
type Done<S> = (TlsStream<S>, Option<Presented>);

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The client's certificate, or the lack of one.
    #[error("{0}")]
    Certificate(&'static str),
    /// What came is not TLS, is TLS that is not offered, or the client did not like what it saw.
    #[error("no TLS handshake: {0}")]
    Protocol(String),
    /// The handshake took too long.
    #[error("the TLS handshake took too long")]
    Slow,
}

impl Failure {
    /// The kinds of failures, for labels.
    pub const KINDS: [&'static str; 3] = ["certificate", "protocol", "timeout"];

    fn kind(&self) -> usize {
        match self {
            Failure::Certificate(_) => 0,
            Failure::Protocol(_) => 1,
            Failure::Slow => 2,
        }
    }
}

impl Tls {
    /// Reads the files of `listener`. `protocols` are what a client may ask for by ALPN; one that asks for none is
    /// taken as well. Blocks.
    ///
    /// # Errors
    /// What is wrong with the first file that is not usable, with its place in the configuration.
    pub fn open(
        listener: &str,
        config: &config::Tls,
        protocols: &'static [&'static [u8]],
    ) -> Result<Arc<Self>, Problem> {
        let opened = watch::stamps(config);
        let files = Files::read(config, protocols)?;
        Ok(Arc::new(Tls {
            listener: listener.to_owned(),
            config: config.clone(),
            protocols,
            active: ArcSwap::from_pointee(Active { reading: 1, files }),
            opened,
            failed: Default::default(),
        }))
    }

    /// Name of the listener.
    pub fn listener(&self) -> &str {
        &self.listener
    }

    /// What is allowed in the files read last, but worth a second look.
    pub fn warnings(&self) -> Vec<String> {
        self.active.load().files.warnings.clone()
    }

    /// When the files read last run out, the gateway's certificate first.
    pub fn terms(&self) -> Vec<Term> {
        self.active.load().files.terms.clone()
    }

    /// One sentence for each file that runs out soon, or has.
    pub fn running_out(&self) -> Vec<String> {
        let now = now();
        let terms = self.terms();
        let urgent = terms.iter().filter(|term| term.notice(now) != Notice::None);
        urgent.map(|term| term.told_at(now).to_string()).collect()
    }

    /// Failed handshakes since the start, by [`Failure::KINDS`].
    pub fn failed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Failure::KINDS.into_iter().zip(self.failed.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Does the handshake within `limit`, and tells what certificate the client showed. A client that is refused is told
    /// why before its connection is closed.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn accept<S>(self: &Arc<Self>, stream: S, limit: Duration) -> Result<Done<S>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = tokio::time::timeout(limit, self.handshake(stream)).await;
        let (failure, stream) = match handshake {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err((failure, stream))) => (failure, stream),
            Err(_elapsed) => (Failure::Slow, None),
        };
        self.failed[failure.kind()].fetch_add(1, Ordering::Relaxed);
        if let Some(stream) = stream {
            linger(stream).await;
        }
        Err(failure)
    }

    async fn handshake<S>(self: &Arc<Self>, stream: S) -> Result<Done<S>, (Failure, Option<S>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let active = self.active.load_full();
        let acceptor = TlsAcceptor::from(active.files.server.clone());
        let mut stream = match acceptor.accept(stream).into_fallible().await {
            Ok(stream) => stream,
            Err((error, stream)) => return Err((failure(&error), Some(stream))),
        };
        let (_, connection) = stream.get_ref();
        let Some(chain) = connection.peer_certificates().filter(|chain| !chain.is_empty()) else {
            return Ok((stream, None));
        };
        let at = UnixTime::now();
        // In a session that is resumed nobody has looked at the certificate.
        if connection.handshake_kind() == Some(HandshakeKind::Resumed)
            && let Err(why) = client::verify_now(&active, chain, at)
        {
            let _ = tokio::time::timeout(LINGER, stream.shutdown()).await;
            return Err((Failure::Certificate(why), None));
        }
        let user = name::user_name(&chain[0], self.config.username_from);
        let presented = Presented::new(self, &active, chain.to_vec(), user, at);
        Ok((stream, Some(presented)))
    }
}

fn failure(error: &io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(why)) => Failure::Certificate(client::in_words(why)),
        Some(Error::NoCertificatesPresented) => Failure::Certificate("the client showed no certificate"),
        _ => Failure::Protocol(error.to_string()),
    }
}

/// Closes our side, and reads what still comes until the client has closed too: a client of TLS 1.3 has sent more by
/// now, and closing at once would cost it the reason.
async fn linger<S>(mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = [0; 1024];
    let until_closed = async {
        stream.shutdown().await?;
        while stream.read(&mut bytes).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(LINGER, until_closed).await;
}
