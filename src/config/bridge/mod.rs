//! `[[bridge]]`: other brokers, and what travels to and from them.

mod address;
mod route;
mod scalar;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use toml::de::DeValue;

use super::error::quoted;
use super::number::Bound;
use super::scalar::{List, OneOf, Switch, words};
use super::section::{Entry, Reader, Section, Setting, comment, kind_of, section};
use super::tls::{NamedFile, OptionalFile};

pub use address::{RemoteAddress, Scheme};
pub use route::{BridgeRoute, Direction, RouteRetain};

use address::Addresses;
use route::Routes;
use scalar::{Alpn, BridgeName, ClientId, GATEWAY_ID, Inflight, KeepAlive, OptionalText, Pause};

words! {
    /// The version of MQTT that is spoken to the remote broker.
    pub enum BridgeProtocol {
        /// 3.1.1.
        V311 = "3.1.1",
        /// 5.
        V5 = "5",
    }
}

words! {
    /// What the remote broker keeps while the bridge is away.
    pub enum RemoteSession {
        /// Subscriptions, and messages of QoS 1 and 2.
        Durable = "durable",
        /// Nothing.
        Clean = "clean",
    }
}

words! {
    /// Where the state of the connection is published.
    pub enum Notifications {
        /// On this gateway and on the remote broker.
        Both = "both",
        /// On this gateway.
        Local = "local",
        /// Nowhere.
        None = "none",
    }
}

words! {
    /// What is dropped when the spool is full.
    pub enum WhenFull {
        /// The message that has waited longest.
        DropOldest = "drop-oldest",
        /// The message that comes.
        DropNewest = "drop-newest",
    }
}

section! {
    /// A connection to another broker; as many as needed, each beginning with `[[bridge]]`. What its routes name
    /// travels. In client_id, username, topics and prefixes, {gateway.id} stands for gateway.id.
    pub struct Bridge {
        /// A name for messages, logs and rules: rules for `bridge:NAME` can deny it what its routes allow.
        pub name: String => BridgeName = "cloud".to_owned(),

        /// Where the remote broker is: `mqtt://HOST[:PORT]`, mqtts (TLS), ws or wss (WebSocket). A list is tried in its order; the first one
        /// is gone back to when it can be reached again.
        pub address: Vec<RemoteAddress> => Addresses = Vec::new(),

        /// The client identifier on the remote broker. Default: gateway.id, an underscore and the name.
        pub client_id: String => ClientId = String::new(),

        /// The version of MQTT. With "3.1.1" there are no properties and no expiry, and two gateways that are bridged
        /// to each other need `peer`.
        pub protocol: BridgeProtocol => OneOf<BridgeProtocol> = BridgeProtocol::V5,

        /// The user name on the remote broker.
        pub username: Option<String> => OptionalText = None,

        /// A file with the password for the remote broker; white space at its end does not count. Read at each connect.
        pub password_file: Option<NamedFile> => OptionalFile = None,

        /// The longest time, in seconds, in which the remote broker must have answered for the bridge to count as connected.
        pub keep_alive: u16 => KeepAlive = 60,

        /// What the remote broker keeps while the bridge is away. With "clean" messages to this gateway are lost then,
        /// and one of QoS 2 that was half sent when the connection broke may arrive twice.
        pub session: RemoteSession => OneOf<RemoteSession> = RemoteSession::Durable,

        /// Messages of QoS 1 and 2 on their way to the remote broker at a time; it may want fewer.
        pub inflight: u16 => Inflight = 100,

        /// How long connecting, TLS included, and the answer to CONNECT may take.
        pub timeout: Duration => Pause = Duration::from_secs(20),

        /// How long to wait before a first new attempt to connect. It doubles with each further one, up to retry_max. The real
        /// time is between half of it and all of it, by chance.
        pub retry_min: Duration => Pause = Duration::from_secs(1),

        /// The longest wait between two attempts to connect.
        pub retry_max: Duration => Pause = Duration::from_secs(60),

        /// How often the first address is tried while another one is connected.
        pub return_after: Duration => Pause = Duration::from_secs(60),

        /// Where 1 (connected) or 0 is published, retained, as $SYS/broker/connection/CLIENT_ID/state.
        pub notifications: Notifications => OneOf<Notifications> = Notifications::Both,

        /// A topic on the remote broker that the bridge may publish and subscribe to. It then counts as connected only
        /// while its own messages come back by it. No route that comes in may have it. Without this key answers to pings are
        /// enough.
        pub canary: Option<String> => OptionalText = None,

        /// If the remote broker has a bridge of its own that leads here: the client identifier by which it comes. What that client
        /// publishes is not sent back by this bridge, and what this bridge brings is not sent to it. Two gateways that are bridged
        /// to each other by "3.1.1" need it on at least one side: nothing else would keep a message from going round for ever.
        /// Version 5 tells it by itself. "" says that there is no such bridge.
        pub peer: Option<String> => OptionalText = None,

        /// TLS, for mqtts and wss addresses. Without this section the authorities of the operating system are trusted.
        pub tls: BridgeTls => BridgeTls = BridgeTls::default(),

        /// What waits for the remote broker.
        pub spool: BridgeSpool => BridgeSpool = BridgeSpool::default(),

        /// What travels.
        pub route: Vec<BridgeRoute> => Routes = Vec::new(),
    }
}

section! {
    /// TLS to the remote broker. All files are PEM; they are read again at each connect, and when they have changed the
    /// bridge connects anew.
    pub struct BridgeTls {
        /// Certificates of the authorities that the remote broker's certificate must come from. Default: those that the
        /// operating system trusts.
        pub ca: Option<NamedFile> => OptionalFile = None,

        /// The certificate to show, followed by those of the authorities in between, if there are any.
        pub certificate: Option<NamedFile> => OptionalFile = None,

        /// The private key of the certificate, not encrypted.
        pub key: Option<NamedFile> => OptionalFile = None,

        /// The name that the remote broker's certificate must have, which it is also told (SNI). Default: the host of the address.
        pub server_name: Option<String> => OptionalText = None,

        /// Protocols to name by ALPN; AWS IoT on port 443 wants ["x-amzn-mqtt-ca"].
        pub alpn: Vec<String> => List<Alpn, 0> = Vec::new(),
    }
}

section! {
    /// Messages of QoS 1 and 2 that the remote broker has not acknowledged yet; kept on disk.
    pub struct BridgeSpool {
        /// How many messages may wait; 0 = no limit.
        pub max_messages: usize => Bound = 1_000_000,

        /// How many bytes they may have together; 0 = no limit.
        pub max_bytes: usize => Bound = 512 << 20,

        /// What is dropped, and counted, when more comes.
        pub when_full: WhenFull => OneOf<WhenFull> = WhenFull::DropOldest,

        /// Whether messages that come while the bridge is connected are sent before those that waited for it. This gives up the
        /// order of messages.
        pub live_first: bool => Switch = false,
    }
}

impl Bridge {
    /// Whether any address has TLS.
    pub fn has_tls(&self) -> bool {
        self.address.iter().any(|address| address.scheme.has_tls())
    }
}

/// The list of all bridges.
pub(super) enum Bridges {}

impl Setting for Bridges {
    type Value = Vec<Bridge>;

    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, _: &Vec<Bridge>) -> Vec<Bridge> {
        let tables = tables_of(entry, "bridge", reader);
        let (mut names, mut clients) = (HashSet::new(), HashSet::new());
        let mut bridges = Vec::new();
        for section in tables {
            let places = Places::of(&section, reader);
            let mut bridge = Bridge::read_keys(section, reader, &Bridge::default());
            bridge.fill_in(reader);
            if !names.insert(bridge.name.clone()) {
                let what = format!("a second bridge has the name {}", quoted(&bridge.name));
                reader.wrong(places.name.clone(), what, "give each bridge its own name");
            }
            for address in &bridge.address {
                if !clients.insert((address.to_string(), bridge.client_id.clone())) {
                    let what = format!("another bridge is {} on {address} too", quoted(&bridge.client_id));
                    let help =
                        "give each its own client_id: the remote broker lets only one of them be connected";
                    reader.wrong(places.name.clone(), what, help);
                }
            }
            bridge.check(&places, reader);
            bridges.push(bridge);
        }
        bridges
    }

    fn describe(_: &str, key: &str, _: &[&str], _: &Vec<Bridge>, out: &mut String) {
        let mut keys = format!("[[{key}]]\n");
        Bridge::default().describe_keys(key, &mut keys);
        out.push('\n');
        comment(Bridge::ABOUT, out);
        comment_out(&keys, out);
    }
}

/// The sections of a list of sections.
fn tables_of<'s>(entry: Entry<'s>, name: &str, reader: &mut Reader<'_>) -> Vec<Section<'s>> {
    let span = entry.value.span();
    let DeValue::Array(tables) = entry.value.into_inner() else {
        let what = format!("`{}` is a list of sections", entry.path);
        reader.wrong(span, what, format!("write [[{}]], with two brackets", entry.path));
        return Vec::new();
    };
    let mut sections = Vec::new();
    for table in tables.iter().cloned() {
        if !table.get_ref().is_table() {
            let what = format!("a {name} is a section, not {}", kind_of(table.get_ref()));
            reader.wrong(table.span(), what, format!("write [[{}]], with its keys below", entry.path));
            continue;
        }
        sections.extend((Entry { path: entry.path.clone(), value: table }).section(reader));
    }
    sections
}

/// Writes TOML whose lines are all comments.
fn comment_out(toml: &str, out: &mut String) {
    for line in toml.lines() {
        let bare = !line.is_empty() && !line.starts_with('#');
        out.push_str(if bare { "# " } else { "" });
        out.push_str(line);
        out.push('\n');
    }
}

/// Where the keys of a bridge stand.
struct Places {
    name: Range<usize>,
    tls: Range<usize>,
    retry: Range<usize>,
    canary: Range<usize>,
    client_id: Range<usize>,
    username: Range<usize>,
    password: Range<usize>,
}

impl Places {
    fn of(section: &Section<'_>, reader: &mut Reader<'_>) -> Self {
        for (key, example) in [("name", "\"cloud\""), ("address", "\"mqtts://cloud.example:8883\"")] {
            if section.span_of(key).is_none() {
                let what = format!("this bridge has no `{key}`");
                reader.wrong(section.span.clone(), what, format!("add one, as {key} = {example}"));
            }
        }
        if section.span_of("route").is_none() {
            let help = "add [[bridge.route]] with topic and direction";
            reader.wrong(section.span.clone(), "this bridge has no `route`, so nothing would travel", help);
        }
        let place = |key| section.span_of(key).unwrap_or(section.span.clone());
        Places {
            name: place("name"),
            tls: place("tls"),
            retry: place("retry_min"),
            canary: place("canary"),
            client_id: place("client_id"),
            username: place("username"),
            password: place("password_file"),
        }
    }
}

impl Bridge {
    /// Puts `gateway.id` in its places, and the default client identifier.
    fn fill_in(&mut self, reader: &Reader<'_>) {
        if self.client_id.is_empty() {
            self.client_id = format!("{GATEWAY_ID}_{}", self.name);
        }
        let texts =
            [Some(&mut self.client_id), self.username.as_mut(), self.canary.as_mut(), self.peer.as_mut()];
        for text in texts.into_iter().flatten() {
            *text = text.replace(GATEWAY_ID, &reader.gateway_id);
        }
    }

    /// Notes which keys do not go together.
    fn check(&self, places: &Places, reader: &mut Reader<'_>) {
        let tls = &self.tls;
        if tls.certificate.is_some() != tls.key.is_some() {
            let what = "`bridge.tls` has one of `certificate` and `key`";
            reader.wrong(places.tls.clone(), what, "give both, or none");
        }
        if *tls != BridgeTls::default() && !self.address.is_empty() && !self.has_tls() {
            let what = "`bridge.tls` is for mqtts and wss addresses, and there is none";
            reader.wrong(
                places.tls.clone(),
                what,
                "write the address as mqtts://HOST, or take the section out",
            );
        }
        if self.retry_min > self.retry_max {
            let what = "`retry_min` is longer than `retry_max`";
            reader.wrong(places.retry.clone(), what, "make it shorter");
        }
        if self.password_file.is_some() && self.username.is_none() {
            let what = "`password_file` means nothing without `username`";
            reader.wrong(places.password.clone(), what, "add username = \"NAME\"");
        }
        if self.canary.as_deref().is_some_and(|topic| crate::mqtt::valid_topic_name(topic).is_err()) {
            let what = "`canary` is no topic name";
            reader.wrong(places.canary.clone(), what, "a topic without + and #");
        }
        let canary = self.canary.as_deref();
        let taken = self.route.iter().filter(|route| route.direction != Direction::Out).find(|route| {
            let filter = crate::mqtt::TopicFilter::new(&route.remote());
            canary.is_some_and(|topic| filter.is_ok_and(|filter| filter.matches(topic)))
        });
        if let Some(route) = taken {
            let what = format!("`canary` is a topic of the route {}", quoted(&route.remote()));
            let help =
                "messages under the canary's topic are not brought in: choose a topic that no route has";
            reader.wrong(places.canary.clone(), what, help);
        }
        if self.client_id.contains(['/', '+', '#']) && self.notifications != Notifications::None {
            let what = format!("{} cannot be a level of a topic", quoted(&self.client_id));
            let help = "take /, + and # out, or set notifications = \"none\"";
            reader.wrong(places.client_id.clone(), what, help);
        }
        if self.username.as_deref() == Some("") {
            reader.wrong(places.username.clone(), "`username` is empty", "give one, or leave the key out");
        }
    }

    /// Whatever is right, but worth a second look.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for address in
            self.address.iter().filter(|address| !address.scheme.has_tls() && !address.is_loopback())
        {
            warnings.push(format!(
                "bridge \"{}\": {address} is not encrypted: passwords and messages can be read on the way",
                self.name
            ));
        }
        warnings.extend(
            route::overlaps(&self.route).into_iter().map(|what| format!("bridge \"{}\": {what}", self.name)),
        );
        if self.protocol == BridgeProtocol::V311 && self.peer.is_none() && route::go_both_ways(&self.route) {
            warnings.push(format!(
                "bridge \"{}\": topics travel both ways by MQTT 3.1.1: if the remote broker is bridged to this gateway as well, messages \
                 go round for ever; name that bridge's client identifier as peer, or say peer = \"\" if there is none",
                self.name
            ));
        }
        if self.spool.live_first {
            warnings.push(format!(
                "bridge \"{}\": live_first gives up the order of messages: an old value may arrive after a newer one",
                self.name
            ));
        }
        warnings
    }
}
