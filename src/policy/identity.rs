//! Who somebody is, once admitted.

use std::{net::SocketAddr, sync::Arc};

/// An admitted client. Rights hang on `user` and, for rules with `%c`, on `client_id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Client identifier.
    pub client_id: Arc<str>,
    /// User name: the account's, or the listener's name for clients that bring none.
    pub user: Arc<str>,
    /// Where it comes from.
    pub address: SocketAddr,
    /// The listener it came in by.
    pub listener: Arc<str>,
    /// The number of the password it logged in with (`AccountRecord::credential`); `None` if it brought none.
    pub credential: Option<i64>,
}
