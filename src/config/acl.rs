//! `[acl]`: how rules are read. The rules themselves are in the database (`latchgate acl`).

use super::scalar::{List, OneOf, words};
use super::section::section;
use super::text::Glob;

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

impl Acl {
    /// Keys that a running gateway can apply.
    pub(super) const LIVE: [&str; 3] = ["retained_source", "superusers", "subscribe"];
}

section! {
    /// How rules are read. The rules themselves are made with `latchgate acl`.
    pub struct Acl {
        /// Whether a retained message is kept back once its author has lost the right to publish it.
        pub retained_source: RetainedSource => OneOf<RetainedSource> = RetainedSource::Checked,

        /// Patterns of user names that no rule refuses anything, as `["admin-*"]`: `*` is any characters, `?` is
        /// one, `[abc]` one of these, and `\` stands before a character that is meant itself.
        pub superusers: Vec<String> => List<Glob, 0> = Vec::new(),

        /// Which filters may be subscribed to. "covered": those that an allowing rule covers wholly and no denying
        /// rule does; narrower denying rules act at delivery. "overlap": those that have a topic in common with an
        /// allowing rule; delivery then sorts out what may be seen.
        pub subscribe: SubscribeRule => OneOf<SubscribeRule> = SubscribeRule::Covered,

        /// What a client of MQTT 3 gets for a publish that is refused, as it cannot be told: "acknowledge" has it
        /// believe that all went well, "disconnect" closes its connection.
        pub refused_publish_v3: RefusedPublish => OneOf<RefusedPublish> = RefusedPublish::Acknowledge,
    }
}
