//! `[[bridge.route]]`: which topics travel, which way, and what they are called on either side.

use std::path::Path;

use toml::de::DeValue;

use crate::config::error::quoted;
use crate::config::scalar::{Fault, OneOf, Scalar, words};
use crate::config::section::{Entry, Reader, Section, Setting, comment, section};
use crate::mqtt::{QoS, TopicFilter};

use super::scalar::{GATEWAY_ID, show_text, text};
use super::{comment_out, tables_of};

words! {
    /// Which way messages travel.
    pub enum Direction {
        /// From the remote broker to this gateway.
        In = "in",
        /// From this gateway to the remote broker.
        Out = "out",
        /// Both ways.
        Both = "both",
    }
}

words! {
    /// What becomes of the retain flag.
    pub enum RouteRetain {
        /// It stays.
        Keep = "keep",
        /// It is taken off: nothing is retained on the other side.
        Clear = "clear",
    }
}

section! {
    /// What travels; as many as needed, each beginning with `[[bridge.route]]`. A message takes the first one that
    /// matches.
    pub struct BridgeRoute {
        /// Topic filter; every route has one. The topic on this gateway is local_prefix and this, on the remote broker remote_prefix and this.
        /// Empty: one single topic, local_prefix here and remote_prefix there.
        pub topic: String => Pattern = String::new(),

        /// Which way. Every route says it.
        pub direction: Direction => OneOf<Direction> = Direction::Out,

        /// The highest QoS at which messages travel. At 1 and 2 what was acknowledged to a publisher is kept until the
        /// remote broker has acknowledged it.
        pub qos: QoS => Level = QoS::AtLeastOnce,

        /// What stands before the topic on this gateway. Nothing is put between: end it with a slash.
        pub local_prefix: String => Pattern = String::new(),

        /// What stands before the topic on the remote broker.
        pub remote_prefix: String => Pattern = String::new(),

        /// What becomes of the retain flag. "keep" also sends what is retained here when a route is new, and when the
        /// remote broker has forgotten the bridge.
        pub retain: RouteRetain => OneOf<RouteRetain> = RouteRetain::Keep,
    }
}

impl BridgeRoute {
    /// The filter on this gateway.
    pub fn local(&self) -> String {
        format!("{}{}", self.local_prefix, self.topic)
    }

    /// The filter on the remote broker.
    pub fn remote(&self) -> String {
        format!("{}{}", self.remote_prefix, self.topic)
    }
}

/// Every route of a bridge.
pub(super) enum Routes {}

impl Setting for Routes {
    type Value = Vec<BridgeRoute>;

    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, _: &Vec<BridgeRoute>) -> Vec<BridgeRoute> {
        tables_of(entry, "route", reader).into_iter().map(|section| read_route(section, reader)).collect()
    }

    fn describe(path: &str, key: &str, _: &[&str], _: &Vec<BridgeRoute>, out: &mut String) {
        let mut keys = format!("[[{path}.{key}]]\n");
        BridgeRoute::default().describe_keys(path, &mut keys);
        out.push('\n');
        comment(BridgeRoute::ABOUT, out);
        comment_out(&keys, out);
    }
}

fn read_route(section: Section<'_>, reader: &mut Reader<'_>) -> BridgeRoute {
    let whole = section.span.clone();
    for (key, example) in [("topic", "\"lamp/#\""), ("direction", "\"out\"")] {
        if section.span_of(key).is_none() {
            let what = format!("this route has no `{key}`");
            reader.wrong(whole.clone(), what, format!("add one, as {key} = {example}"));
        }
    }
    let place = section.span_of("topic");
    let mut route = BridgeRoute::read_keys(section, reader, &BridgeRoute::default());
    for text in [&mut route.topic, &mut route.local_prefix, &mut route.remote_prefix] {
        *text = text.replace(GATEWAY_ID, &reader.gateway_id);
    }
    let Some(place) = place else { return route };
    if route.topic.is_empty() && (route.local_prefix.is_empty() || route.remote_prefix.is_empty()) {
        let what = "an empty `topic` needs both `local_prefix` and `remote_prefix`";
        reader.wrong(place, what, "they are then the one topic on either side");
        return route;
    }
    for (prefix, key) in [(&route.local_prefix, "local_prefix"), (&route.remote_prefix, "remote_prefix")] {
        if prefix.contains(['+', '#']) {
            let what = format!("`{key}` cannot hold a wildcard: {}", quoted(prefix));
            reader.wrong(place.clone(), what, "wildcards belong into topic");
        }
    }
    for (filter, side) in [(route.local(), "this gateway"), (route.remote(), "the remote broker")] {
        let wrong = match TopicFilter::parse_subscription(&filter) {
            Err(error) => error.to_string(),
            Ok((Some(_), _)) => "shared subscriptions cannot be bridged".to_owned(),
            Ok((None, filter)) if filter.levels().count() > 1000 => "it has more than 1000 levels".to_owned(),
            Ok((None, _)) => continue,
        };
        let what = format!("{} on {side} is no topic filter: {wrong}", quoted(&filter));
        reader.wrong(place.clone(), what, "look at topic and prefixes together");
    }
    route
}

/// One sentence for each two routes that some topic matches both of.
pub(super) fn overlaps(routes: &[BridgeRoute]) -> Vec<String> {
    let meets = |one: String, other: String| match (TopicFilter::new(&one), TopicFilter::new(&other)) {
        (Ok(one), Ok(other)) => one.overlaps(&other),
        _ => false,
    };
    let goes = |route: &BridgeRoute, way| route.direction == way || route.direction == Direction::Both;
    let mut found = Vec::new();
    for (at, one) in routes.iter().enumerate() {
        for (other_at, other) in routes.iter().enumerate().skip(at + 1) {
            let out =
                goes(one, Direction::Out) && goes(other, Direction::Out) && meets(one.local(), other.local());
            let into =
                goes(one, Direction::In) && goes(other, Direction::In) && meets(one.remote(), other.remote());
            if out || into {
                found.push(format!(
                    "routes {} ({}) and {} ({}) have topics in common: these take the first of them",
                    at + 1,
                    quoted(&one.topic),
                    other_at + 1,
                    quoted(&other.topic)
                ));
            }
        }
    }
    found
}

/// Whether some topic of the remote broker goes both ways.
pub(super) fn go_both_ways(routes: &[BridgeRoute]) -> bool {
    let remote = |way: Direction| {
        let routes = routes.iter().filter(move |route| [way, Direction::Both].contains(&route.direction));
        routes.filter_map(|route| TopicFilter::new(&route.remote()).ok())
    };
    remote(Direction::Out).any(|out| remote(Direction::In).any(|into| out.overlaps(&into)))
}

/// A topic filter or a part of one.
enum Pattern {}

impl Scalar for Pattern {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        text(value, "lamp/#").map(str::to_owned)
    }

    fn show(value: &String) -> String {
        show_text(value)
    }
}

/// A QoS.
enum Level {}

impl Scalar for Level {
    type Value = QoS;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<QoS, Fault> {
        let wrong = || Fault::new("is no QoS", "0, 1 or 2");
        let DeValue::Integer(written) = value else { return Err(wrong()) };
        written.as_str().parse().ok().and_then(QoS::from_bits).ok_or_else(wrong)
    }

    fn show(value: &QoS) -> String {
        (*value as u8).to_string()
    }
}
