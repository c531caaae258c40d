//! One entry of a role: what it is about here, and what of it no rule can say.

use serde_json::Value;

use super::text;
use crate::{mqtt::TopicFilter, store::accounts::check};

/// What a role allows or denies.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub deny: bool,
    pub access: &'static str,
    pub filter: TopicFilter,
    /// Whether Mosquitto means this very filter and none within it.
    pub literal: bool,
    pub priority: i64,
}

/// What an entry comes to.
#[derive(Debug)]
pub(super) enum Read {
    Rule(Entry),
    /// It is about what there is not here.
    Nothing,
    /// The same, and more than it denied; which and why.
    Wider(Entry, String),
    /// It cannot be said; why.
    Impossible(String),
}

/// Reads an entry.
pub(super) fn read(entry: &Value) -> Read {
    let (topic, kind) = (text(entry, "topic"), text(entry, "acltype"));
    let access = match kind {
        "publishClientSend" => "publish",
        "publishClientReceive" => "receive",
        "subscribe" | "subscribePattern" | "subscribeLiteral" => "subscribe",
        "unsubscribe" | "unsubscribePattern" | "unsubscribeLiteral" => return Read::Nothing,
        other => return Read::Impossible(format!("there is no acltype {other:?}")),
    };
    if topic == "$CONTROL" || topic.starts_with("$CONTROL/") {
        return Read::Nothing;
    }
    if topic == "$share" || topic.starts_with("$share/") {
        return Read::Impossible(format!(
            "{topic:?}: a rule speaks of what is shared, not of the share group"
        ));
    }
    let deny = entry["allow"].as_bool() != Some(true);
    // A rule would take the name for it. Mosquitto 2.1 does so too, and 2.0 means these letters.
    let named = |level: &str| level.contains("%u") || level.contains("%c");
    let has_names = topic.split('/').any(named);
    if has_names && !deny {
        return Read::Impossible(format!(
            "{access} {topic:?}: Mosquitto 2.0 takes %u and %c for these very letters, and a rule for the user name and the \
             client identifier; if that was meant, make it with: latchgate acl allow role:NAME {access} '{topic}'"
        ));
    }
    let levels: Vec<&str> = topic.split('/').map(|level| if named(level) { "+" } else { level }).collect();
    let plain = levels.join("/");
    if let Err(why) = check::filter(&plain) {
        return Read::Impossible(why);
    }
    let filter = match TopicFilter::new(&plain) {
        Ok(filter) => filter,
        Err(why) => return Read::Impossible(format!("{plain:?} is not a filter: {why}")),
    };
    let literal = kind == "subscribeLiteral" && filter.has_wildcard() && !has_names;
    let priority = entry["priority"].as_i64().unwrap_or(0);
    let entry = Entry { deny, access, filter, literal, priority };
    if has_names {
        let why = format!(
            "{access} {topic:?} is denied as {plain:?}, whatever the name: Mosquitto 2.0 takes %u and %c for these very letters"
        );
        return Read::Wider(entry, why);
    }
    Read::Rule(entry)
}
