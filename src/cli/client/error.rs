//! Why the client could not do what was asked.

use super::Outcome;
use crate::mqtt::DecodeError;

/// What went wrong between this client and the server. Print it with its sources (`{:#}` of `anyhow`).
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No TCP connection: nobody listens there, or the name is unknown.
    #[error("cannot connect to {host}:{port}")]
    Unreachable {
        /// Host as it was given.
        host: String,
        /// TCP port.
        port: u16,
        /// The system's words.
        source: std::io::Error,
    },
    /// No TLS: the server's certificate is not what it should be, or the server did not like ours.
    #[error("no TLS connection to {host}:{port}")]
    Tls {
        /// Host as it was given.
        host: String,
        /// TCP port.
        port: u16,
        /// What was wrong.
        source: std::io::Error,
    },
    /// The server said no in its CONNACK.
    #[error("the server refused the connection: {0}")]
    Refused(Outcome),
    /// The same, of a login without a password.
    #[error(
        "the server refused the connection: {0}; no password was given: --password-file FILE, -P, or LATCHGATE_PASSWORD"
    )]
    NoPassword(Outcome),
    /// The server said why it ends the connection (version 5).
    #[error("the server ended the connection: {0}")]
    Disconnected(Outcome),
    /// The server closed the connection without a word, as a 3.x server does when something is not allowed.
    #[error("the server closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[from] std::io::Error),
    /// The server did not answer in time.
    #[error("waited {seconds} s in vain for {what}")]
    Timeout {
        /// What did not come.
        what: &'static str,
        /// How long it was awaited.
        seconds: u64,
    },
    /// There is no token to log in with.
    #[error("the token command {what}")]
    Token {
        /// A predicate.
        what: String,
    },
    /// What the server sent is not MQTT.
    #[error("the server sent what is not MQTT")]
    NotMqtt(#[from] DecodeError),
    /// The server answered our plain CONNECT with TLS.
    #[error("{host}:{port} speaks TLS, not plain MQTT: is this a TLS port? give --cafile FILE")]
    TlsPort {
        /// Host as it was given.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// What the server sent is MQTT, but not what a server sends here.
    #[error("the server sent {0}")]
    Unexpected(&'static str),
    /// The server announced in its CONNACK that it does not take such a message.
    #[error("the server does not take {0}")]
    NotTaken(String),
    /// A string of more than 65,535 bytes, or a packet of more than 256 MiB.
    #[error("the message is larger than MQTT allows")]
    TooLarge,
}
