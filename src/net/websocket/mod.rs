//! MQTT over WebSocket (RFC 6455; MQTT 5 and 3.1.1, section 6).
//!
//! [`upgrade`] answers the HTTP request that a connection begins with; from then on [`WebSocket`] is a stream of bytes
//! like any other. What is MQTT in them is none of its business, so packets may lie in frames as they like
//! [MQTT-6.0.0-2]. Nothing is gathered: a payload is handed on as it arrives, however large its frame says it is, so
//! an idle connection owns no buffer and a header alone takes no memory. Extensions, compression among them, are not
//! offered.
//!
//! The crate tungstenite reads the HTTP request and the frame headers and knows the codes; its own reader is not used,
//! because it holds a whole message, and reserves what a header announces.

mod incoming;
mod origin;
mod stream;
mod upgrade;

pub use origin::Origins;
pub use stream::WebSocket;
pub use upgrade::{Refused, upgrade};
