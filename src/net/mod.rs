//! Where do bytes come from? Listeners, connections to remote brokers, TLS, WebSockets, and the facts about a peer.
//!
//! This room owns sockets up to the point where bytes are MQTT. It promises that a silent or hostile socket holds
//! nobody else up and that running out of descriptors is survived. It must not know what the bytes say.

pub mod dial;
mod lobby;
mod pace;
mod tcp;
pub mod tls;
pub mod websocket;

pub use dial::Dialer;
pub use lobby::{Lobby, Out, within};
pub use pace::Pace;
pub use tcp::{BindError, Tcp};
pub use tls::Tls;
