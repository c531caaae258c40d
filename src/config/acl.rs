//! `[acl]`: how rules are read. The rules themselves are in the database (`latchgate acl`).

use std::path::Path;

use toml::de::DeValue;

use super::error::quoted;
use super::scalar::{Fault, List, OneOf, Scalar, words};
use super::section::section;
use super::text::Glob;
use crate::mqtt::TopicFilter;

words! {
    /// What becomes of a retained message whose author lost the right to publish it.
    pub enum RetainedSource {
        /// It is not delivered.
        Checked = "checked",
        /// It is delivered.
        Unchecked = "unchecked",
    }
}

words! {
    /// Which filters may be subscribed to.
    pub enum SubscribeRule {
        /// Those that an allowing rule covers wholly and no denying rule does.
        Covered = "covered",
        /// Those that have a topic in common with an allowing rule.
        Overlap = "overlap",
    }
}

words! {
    /// What a client of version 3 gets for a publish that is refused.
    pub enum RefusedPublish {
        /// An acknowledgement like any other.
        Acknowledge = "acknowledge",
        /// Its connection is closed.
        Disconnect = "disconnect",
    }
}

/// A filter with % for the user name, which may be left out.
enum OptionalPrefix {}

impl Scalar for OptionalPrefix {
    type Value = Option<String>;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<Option<String>, Fault> {
        const HELP: &str = "a topic filter with % for the user name, as \"/location/%/#\"";
        let Some(text) = value.as_str() else { return Err(Fault::wrong_type("a string", value, HELP)) };
        match text.contains('%') && TopicFilter::new(&text.replace('%', "user")).is_ok() {
            true => Ok(Some(text.to_owned())),
            false => Err(Fault::new(format!("cannot be {}", quoted(text)), HELP)),
        }
    }

    fn show(value: &Option<String>) -> String {
        format!("{:?}", value.as_deref().unwrap_or_default())
    }

    const EXAMPLE: Option<&'static str> = Some("/location/%/#");
}

impl Acl {
    /// Keys that a running gateway can apply.
    pub(super) const LIVE: [&str; 4] = ["retained_source", "superusers", "subscribe", "topic_prefix"];
}

section! {
    /// How rules are read. The rules themselves are made with `latchgate acl`.
    pub struct Acl {
        /// Whether a retained message is kept back once its author has lost the right to publish it.
        pub retained_source: RetainedSource => OneOf<RetainedSource> = RetainedSource::Checked,

        /// Patterns of user names that no rule refuses anything, as `["admin-*"]`: `*` is any characters, `?` is
        /// one, `[abc]` one of these, and `\` stands before a character that is meant itself.
        pub superusers: Vec<String> => List<Glob, 0> = Vec::new(),

        /// A topic filter that every user with a name may read and write, whatever backend knows it, unless a rule denies it:
        /// each % in it stands for the user name, as in `/location/%/#` (`auth_opt_topic_prefix` of the first
        /// mosquitto-auth-plug). A name that holds +, # or / gets nothing by it.
        pub topic_prefix: Option<String> => OptionalPrefix = None,

        /// Which filters may be subscribed to. "covered": those that an allowing rule covers wholly and no denying
        /// rule does; narrower denying rules act at delivery. "overlap": those that have a topic in common with an
        /// allowing rule; delivery then sorts out what may be seen.
        pub subscribe: SubscribeRule => OneOf<SubscribeRule> = SubscribeRule::Covered,

        /// What a client of MQTT 3 gets for a publish that is refused, as it cannot be told: "acknowledge" has it
        /// believe that all went well, "disconnect" closes its connection.
        pub refused_publish_v3: RefusedPublish => OneOf<RefusedPublish> = RefusedPublish::Acknowledge,
    }
}
