//! `[limits]` and `[listener.limits]`: bounds on what clients may cost.
//!
//! No limit (0 in the file) is `usize::MAX` in counts and sizes, 65535 in `inflight`, `u32::MAX` seconds in
//! `connect_timeout`, and 0 in `keep_alive`, `session_expiry` and `connect_rate`.

use std::time::Duration;

use super::number::{Bound, Bound16, Seconds16, Seconds32, Timeout};
use super::scalar::Switch;
use super::section::{Entry, Reader, Setting, section};

section! {
    /// Bounds on what clients may cost. In every key 0 means: no limit. The defaults fit a computer with 512 MB.
    pub struct Limits {
        /// Clients connected at once.
        pub connections: usize => Bound = 1000,

        /// Size of the largest packet in bytes, both what is accepted and what is sent.
        pub packet_size: usize => Bound = 10 << 20,

        /// Messages of QoS 1 and 2 that may be under way to one client, and from one client, before the first is
        /// acknowledged. 0 is 65535, the most that the protocol can say.
        pub inflight: u16 => Bound16 = 100,

        /// Messages waiting for one client, connected or not.
        pub queued_messages: usize => Bound = 10_000,

        /// Size in bytes of the messages waiting for one client.
        pub queued_bytes: usize => Bound = 8 << 20,

        /// The longest keep alive in seconds that a client may ask for. A client of version 5 that asks for more, or
        /// for none, is told to keep to this one; an older client is held to it.
        pub keep_alive: u16 => Seconds16 = 0,

        /// Levels of a topic name or filter (`a/b/c` has three).
        pub topic_levels: usize => Bound = 128,

        /// Length of a topic name or filter in bytes.
        pub topic_length: usize => Bound = 8192,

        /// Subscriptions of one client.
        pub subscriptions: usize => Bound = 10_000,

        /// Sessions kept beyond their connection. One user may have at most half of them. Only in `[limits]`: it counts
        /// for the whole gateway.
        pub sessions: usize => Bound = 10_000,

        /// Retained messages kept. Only in `[limits]`: it counts for the whole gateway.
        pub retained_messages: usize => Bound = 100_000,

        /// Size in bytes of the retained messages kept. Only in `[limits]`: it counts for the whole gateway.
        pub retained_bytes: usize => Bound = 64 << 20,

        /// Size in bytes of all messages held at a time, waiting, under way or retained, each counted once however many
        /// clients it goes to, and of large packets that are not complete yet: half for each. Beyond it publishes are refused (QoS 0:
        /// dropped). Only in `[limits]`: it counts for the whole gateway.
        pub memory: usize => Bound = 128 << 20,

        /// The longest time in seconds that a session is kept after its client has gone.
        pub session_expiry: u32 => Seconds32 = 0,

        /// Seconds within which a new connection must have sent its CONNECT; as long again may pass until it is
        /// answered, and with TLS as long before it for the handshake.
        pub connect_timeout: Duration => Timeout = Duration::from_secs(10),

        /// Connections of a listener that are not yet admitted; when there are more, the oldest is closed.
        pub pending: usize => Bound = 512,

        /// Connections a second that one address may make to a listener on average; what would come in ten seconds may
        /// come at once. More are closed before anything is read. IPv6 addresses count by /64.
        pub connect_rate: u32 => Seconds32 = 100,

        /// Whether this machine itself (127.0.0.0/8 and ::1) is let pass where addresses are limited, as by
        /// `connect_rate`.
        pub exempt_loopback: bool => Switch = true,
    }
}

impl Limits {
    /// Keys that count for the whole gateway, so that a listener cannot set them.
    pub(super) const GATEWAY_ONLY: [&str; 4] = ["sessions", "retained_messages", "retained_bytes", "memory"];
}

/// The limits of one listener; what it does not set is as in `[limits]`.
pub(super) enum ListenerLimits {}

impl Setting for ListenerLimits {
    type Value = Limits;

    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, global: &Limits) -> Limits {
        let Some(mut section) = entry.section(reader) else {
            return global.clone();
        };
        for key in Limits::GATEWAY_ONLY {
            if let Some((span, _)) = section.take(key) {
                let what = format!("`{key}` counts for the whole gateway, not for one listener");
                reader.wrong(span, what, "set it in [limits]");
            }
        }
        Limits::read_keys(section, reader, global)
    }

    fn describe(_: &str, _: &str, doc: &[&str], _: &Limits, out: &mut String) {
        out.push('\n');
        super::section::comment(doc, out);
        out.push_str("# [listener.limits]\n");
    }
}
