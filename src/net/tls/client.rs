//! A client's certificate after the handshake: whose it is, and whether it still holds.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::{
    CertificateError, Error,
    pki_types::{CertificateDer, UnixTime},
};

use crate::clock;

use super::{
    Active, Tls,
    name::{Described, describe},
};

/// A verified certificate of a connected client.
#[derive(Debug)]
pub struct Presented {
    tls: Arc<Tls>,
    chain: Vec<CertificateDer<'static>>,
    user: Option<String>,
    /// When it was shown. A connection may outlive its certificate's term, so later checks are made as of then.
    at: UnixTime,
    /// The last check, and of which reading of the files it is.
    checked: Mutex<(u64, Result<(), &'static str>)>,
}

impl Presented {
    /// `chain` was verified with `active`, its first certificate is the client's own.
    pub(super) fn new(
        tls: &Arc<Tls>,
        active: &Active,
        chain: Vec<CertificateDer<'static>>,
        user: Option<String>,
        at: UnixTime,
    ) -> Self {
        Presented { tls: tls.clone(), chain, user, at, checked: Mutex::new((active.reading, Ok(()))) }
    }

    /// The user name that it stands for; `None` if it is no login. It is empty if there is none where one should be.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// What it says of itself.
    pub fn describe(&self) -> Described {
        self.chain.first().map(describe).unwrap_or_default()
    }

    /// Whether it holds by the files as they are now: cheap unless they were read again since the last call.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self) -> Result<(), &'static str> {
        let active = self.tls.active.load();
        let mut checked = self.checked.lock();
        if checked.0 != active.reading {
            *checked = (active.reading, verify(&active, &self.chain, self.at));
        }
        checked.1
    }
}

/// Verifies the chain of a session that is resumed, as the handshake would have.
pub(super) fn verify_now(
    active: &Active,
    chain: &[CertificateDer<'_>],
    at: UnixTime,
) -> Result<(), &'static str> {
    clock::check().map_err(|_| UNSET)?;
    verify(active, chain, at)
}

/// Verifies a chain as of a time.
fn verify(active: &Active, chain: &[CertificateDer<'_>], at: UnixTime) -> Result<(), &'static str> {
    let (Some(verifier), Some((first, rest))) = (&active.files.verifier, chain.split_first()) else {
        return Err("certificates are no longer asked for");
    };
    match verifier.verify_client_cert(first, rest, at) {
        Ok(_) => Ok(()),
        Err(Error::InvalidCertificate(error)) => Err(in_words(&error)),
        Err(_) => Err("the certificate cannot be verified"),
    }
}

/// Why nobody's certificate is taken.
const UNSET: &str = "the clock of this machine is not set, so certificates are not judged yet";

/// Why a client's certificate is refused.
pub(super) fn in_words(error: &CertificateError) -> &'static str {
    use CertificateError::*;
    match error {
        Revoked => "the certificate was revoked",
        Expired | ExpiredContext { .. } => "the certificate has expired",
        NotValidYet | NotValidYetContext { .. } => "the certificate is not valid yet: is a clock wrong?",
        UnknownIssuer => "the certificate is from none of the authorities in client_ca",
        UnknownRevocationStatus => "crl has no list of the certificate's authority",
        Other(_) if clock::check().is_err() => UNSET,
        InvalidPurpose | InvalidPurposeContext { .. } => "the certificate is not one for clients",
        _ => "the certificate is not valid",
    }
}
