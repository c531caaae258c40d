//! `[admin]`: what an operator may see over the network.

use std::net::SocketAddr;

use super::section::section;
use super::text::OptionalAddress;

section! {
    /// For operators and monitoring. The commands that talk to a running gateway need nothing here: they use
    /// `admin.sock` in the state folder.
    pub struct Admin {
        /// IP address and port of an HTTP server for `/metrics` and `/healthz`. Whoever reaches it can read them; without
        /// this key there is none.
        pub http: Option<SocketAddr> => OptionalAddress = None,
    }
}
