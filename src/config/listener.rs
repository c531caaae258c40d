//! `[[listener]]`: where clients may connect.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use toml::de::DeValue;

use super::auth::{Backend, BackendName};
use super::error::quoted;
use super::limits::{Limits, ListenerLimits};
use super::scalar::{List, OneOf, words};
use super::section::{Entry, Reader, Section, Setting, comment, kind_of, section};
use super::text::{Address, Name, OptionalUser, Origin};
use super::tls::{OptionalTls, Tls};

words! {
    /// What clients speak to a listener.
    pub enum Protocol {
        /// MQTT.
        Mqtt = "mqtt",
        /// MQTT in WebSocket frames.
        Websocket = "websocket",
    }
}

section! {
    /// A place where clients may connect; as many as needed, each beginning with `[[listener]]`. A file without any
    /// has this one.
    pub struct Listener {
        /// A name for messages and logs. Each listener has its own.
        pub name: String => Name = "plain".to_owned(),

        /// IP address and port. `0.0.0.0` and `[::]` are every address of this machine; port 0 is any that is free.
        pub address: SocketAddr => Address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1883)),

        /// What clients speak: MQTT, or MQTT over WebSocket (any path, subprotocol `mqtt`).
        pub protocol: Protocol => OneOf<Protocol> = Protocol::Mqtt,

        /// Web pages that may connect over WebSocket, by their origins as browsers write them:
        /// `["https://lamp.example"]`; `"*"` is every page. Empty: pages of the host name that they ask for, whatever the
        /// port. An attacker's page can have its own host name lead here, so list the origins where `anonymous` is set.
        /// Clients that are no browsers send no origin and are not asked.
        pub origins: Vec<String> => List<Origin, 0> = Vec::new(),

        /// Who is asked about logins and rights of clients of this listener, in this order. Empty: as in `[auth]`.
        pub backends: Vec<Backend> => List<BackendName, 0> = Vec::new(),

        /// The user name given to clients that bring none. Without this key they are refused.
        pub anonymous: Option<String> => OptionalUser = None,

        /// Limits for this listener alone, with the keys of `[limits]`; what is not set here is as there.
        pub limits: Limits => ListenerLimits = Limits::default(),

        /// Encryption. Without this section there is none.
        pub tls: Option<Tls> => OptionalTls = None,
    }
}

/// The list of all listeners.
pub(super) enum Listeners {}

impl Setting for Listeners {
    type Value = Vec<Listener>;

    /// `fallback` is the one listener of a file that has none; its limits are those of `[limits]`.
    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, fallback: &Vec<Listener>) -> Vec<Listener> {
        let span = entry.value.span();
        let DeValue::Array(tables) = entry.value.into_inner() else {
            reader.wrong(span, "`listener` is a list of sections", "write [[listener]], with two brackets");
            return fallback.clone();
        };
        if tables.is_empty() {
            reader.wrong(
                span,
                "there is no listener, so nobody could connect",
                "give one, or leave the key out",
            );
        }
        let defaults = fallback.first().cloned().unwrap_or_default();
        let mut taken = Taken::default();
        let mut listeners = Vec::new();
        for table in tables.iter().cloned() {
            let span = table.span();
            if !table.get_ref().is_table() {
                let what = format!("a listener is a section, not {}", kind_of(table.get_ref()));
                reader.wrong(span, what, "write [[listener]], with its keys below");
                continue;
            }
            let Some(section) = (Entry { path: "listener".to_owned(), value: table }).section(reader) else {
                continue;
            };
            let places = ["name", "address"].map(|key| require(&section, key, reader));
            let origins = section.span_of("origins");
            let listener = Listener::read_keys(section, reader, &defaults);
            if let Some(span) = origins
                && listener.protocol != Protocol::Websocket
                && !listener.origins.is_empty()
            {
                let what = "`origins` is for WebSocket listeners: only web pages have one";
                reader.wrong(span, what, "add protocol = \"websocket\", or take it out");
            }
            taken.add(&listener, places, reader);
            listeners.push(listener);
        }
        listeners
    }

    fn describe(_: &str, key: &str, _: &[&str], listeners: &Vec<Listener>, out: &mut String) {
        for listener in listeners {
            out.push('\n');
            comment(Listener::ABOUT, out);
            out.push_str(&format!("[[{key}]]\n"));
            listener.describe_keys(key, out);
        }
    }
}

/// The place of a key's value; notes that it is missing.
fn require(section: &Section<'_>, key: &str, reader: &mut Reader<'_>) -> Option<Range<usize>> {
    let place = section.span_of(key);
    if place.is_none() {
        let what = format!("this listener has no `{key}`");
        let example = if key == "name" { "name = \"plain\"" } else { "address = \"127.0.0.1:1883\"" };
        reader.wrong(section.span.clone(), what, format!("add one, as {example}"));
    }
    place
}

/// Names and addresses of the listeners read so far.
#[derive(Default)]
struct Taken {
    names: Vec<String>,
    addresses: Vec<(SocketAddr, String)>,
}

impl Taken {
    /// Notes what `listener` has in common with an earlier one. Keys without a place were not given.
    fn add(&mut self, listener: &Listener, places: [Option<Range<usize>>; 2], reader: &mut Reader<'_>) {
        let [name_place, address_place] = places;
        if let Some(span) = name_place {
            if self.names.contains(&listener.name) {
                let what = format!("a second listener has the name {}", quoted(&listener.name));
                reader.wrong(span, what, "give each listener its own name");
            }
            self.names.push(listener.name.clone());
        }
        if let Some(span) = address_place {
            let address = listener.address;
            if let Some((other, name)) = self.addresses.iter().find(|(other, _)| collide(*other, address)) {
                let what = format!("{address} is taken: listener {} has {other}", quoted(name));
                reader.wrong(span, what, "give each listener its own address or port");
            }
            self.addresses.push((address, listener.name.clone()));
        }
    }
}

/// Whether two listeners cannot have these addresses at once.
pub(super) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let every_address = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0
        && one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || every_address)
}
