//! `[admin]`: what an operator may see over the network.

use std::{net::SocketAddr, ops::Range};

use super::listener::{Listener, collide};
use super::section::{Reader, section};
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

impl Admin {
    /// Notes a listener that has the address already.
    pub(super) fn check(&self, listeners: &[Listener], place: Option<Range<usize>>, reader: &mut Reader<'_>) {
        let taken = |http| listeners.iter().find(|listener| collide(listener.address, http));
        if let (Some(place), Some(http)) = (place, self.http)
            && let Some(Listener { name, address, .. }) = taken(http)
        {
            let what = format!("`http` cannot have {http}: listener {name:?} has {address}");
            reader.wrong(place, what, "give it a port of its own");
        }
    }
}
