//! Who somebody is, once admitted.

use std::{net::SocketAddr, sync::Arc};

use super::{auth::token::Token, certificate::Certificate};

/// What a record says of the login of a client whose certificate is its login.
pub(super) const BY_CERTIFICATE: &str = "logged in with a certificate";

/// An admitted client. Rights hang on `user` and, for rules with `%c`, on `client_id`.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Client identifier.
    pub client_id: Arc<str>,
    /// User name: the account's, the certificate's, or the listener's name for clients that bring none.
    pub user: Arc<str>,
    /// Where it comes from.
    pub address: SocketAddr,
    /// The listener it came in by.
    pub listener: Arc<str>,
    /// The backend that knew its password; `None` if it needed none.
    pub backend: Option<Arc<str>>,
    /// The number of the password it logged in with, as that backend counts (`AccountRecord::credential`); `None` if it
    /// needed none, or if the backend knows no such number.
    pub credential: Option<i64>,
    /// The token it logged in with, if its backend grants rights by tokens.
    pub token: Option<Arc<Token>>,
    /// The certificate it showed; a login or not.
    pub certificate: Option<Certificate>,
}

/// Two that stand for the same, whatever token each brought.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        let of = |one: &Self| (one.client_id.clone(), one.user.clone(), one.address, one.listener.clone());
        of(self) == of(other)
            && (&self.backend, self.credential) == (&other.backend, other.credential)
            && self.certificate == other.certificate
    }
}

impl Eq for Identity {}

impl Identity {
    /// Whether it brought no name of its own.
    pub(super) fn is_anonymous(&self) -> bool {
        self.backend.is_none() && !self.is_by_certificate()
    }

    /// Whether its certificate was its login.
    pub(super) fn is_by_certificate(&self) -> bool {
        self.certificate.as_ref().is_some_and(|certificate| certificate.user().is_some())
    }
}
