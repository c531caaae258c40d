//! The few topics under `LATCH/` that clients may publish to: commands, which the gateway obeys and nobody else receives.

use std::sync::Arc;

use super::{identity::Identity, policy::Secret};

/// Bytes of a command's value that are taken; none that means anything is longer.
pub const LONGEST: usize = 1024;

/// What is commanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// Pair the publisher's user with the phone that shows the token given.
    Pairing,
    /// End its pairing.
    Unpairing,
    /// Give the phone a lock of its own for the topic filter given.
    CreateInstance,
}

/// That commands are obeyed, and how they may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandTopics {
    /// Whether the value may stand in the topic, behind `=`.
    pub legacy: bool,
}

/// A command that was permitted. Its value is never printed.
#[derive(Debug)]
pub struct Command {
    /// What is commanded.
    pub kind: CommandKind,
    /// Token or name, as it was published.
    pub value: Secret,
    /// By whom.
    pub by: Arc<Identity>,
}

impl CommandKind {
    const ALL: [CommandKind; 3] = [CommandKind::Pairing, CommandKind::Unpairing, CommandKind::CreateInstance];

    /// The topic to publish it to. Rules speak of it, and records name it, wherever the value stands.
    pub fn topic(self) -> &'static str {
        match self {
            CommandKind::Pairing => "LATCH/pairing",
            CommandKind::Unpairing => "LATCH/unpairing",
            CommandKind::CreateInstance => "LATCH/create_instance",
        }
    }
}

impl CommandTopics {
    /// The command that a publish to `topic` is, and the value if it stands in the topic.
    pub(in crate::policy) fn read(self, topic: &str) -> Option<(CommandKind, Option<&str>)> {
        match parse(topic)? {
            (_, Some(_)) if !self.legacy => None,
            command => Some(command),
        }
    }
}

fn parse(topic: &str) -> Option<(CommandKind, Option<&str>)> {
    CommandKind::ALL.into_iter().find_map(|kind| match topic.strip_prefix(kind.topic())? {
        "" => Some((kind, None)),
        rest => Some((kind, Some(rest.strip_prefix('=')?))),
    })
}

/// The topic as it may be recorded and announced: what stands behind the `=` of a command is a token or a password,
/// whether such commands are obeyed or not.
pub fn without_secret(topic: &str) -> &str {
    match parse(topic) {
        Some((kind, _)) => kind.topic(),
        None => topic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_the_topic_is_a_command_only_where_that_is_switched_on() {
        let (plain, legacy) = (CommandTopics { legacy: false }, CommandTopics { legacy: true });
        let pairing = CommandKind::Pairing;
        assert_eq!(plain.read("LATCH/pairing"), Some((pairing, None)));
        assert_eq!(plain.read("LATCH/pairing=abc123"), None);
        assert_eq!(legacy.read("LATCH/pairing=abc123"), Some((pairing, Some("abc123"))));
        assert_eq!(
            legacy.read("LATCH/create_instance=a/b=c"),
            Some((CommandKind::CreateInstance, Some("a/b=c")))
        );
        for other in [
            "LATCH",
            "LATCH/",
            "LATCH/pairings",
            "LATCH/pairing/x",
            "LATCHpairing",
            "x/LATCH/pairing",
            "LATCH/status",
        ] {
            assert_eq!(legacy.read(other), None, "{other}");
        }
    }

    #[test]
    fn what_stands_behind_a_command_is_not_recorded() {
        for (topic, shown) in [
            ("LATCH/unpairing=password", "LATCH/unpairing"),
            ("LATCH/pairing=", "LATCH/pairing"),
            ("LATCH/status", "LATCH/status"),
            ("door/front", "door/front"),
        ] {
            assert_eq!(without_secret(topic), shown);
        }
    }
}
