//! Commands that clients publish: read, slowed down, done, put on record and answered.

use std::time::{Duration, Instant};

use ahash::RandomState;
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    broker::Speaker,
    latch::{self, Outcome, Pace, Performer, Token},
    mqtt::TopicFilter,
    policy::{Command, CommandKind, Identity},
};

/// Commands that one user may give within a time: each may cost a request to the service, and tokens could be guessed.
const TRIES: u32 = 5;
const WITHIN: Duration = Duration::from_secs(60);
/// Users whose commands are worked on side by side; each user's come one after the other.
const WORKERS: usize = 4;
/// Commands that wait for one worker.
const WAITING: usize = 16;

/// Obeys `commands` for ever. `performer` tells how, as the configuration then is.
pub(super) async fn obey(
    mut commands: mpsc::Receiver<Command>,
    performer: impl Fn() -> Performer + Clone + Send + Sync + 'static,
    speaker: Speaker,
) {
    let mut pace = Pace::new(TRIES, WITHIN, Instant::now());
    let hasher = RandomState::new();
    let workers: Vec<mpsc::Sender<Command>> = (0..WORKERS)
        .map(|_| {
            let (queue, mut waiting) = mpsc::channel::<Command>(WAITING);
            let (performer, speaker) = (performer.clone(), speaker.clone());
            tokio::spawn(async move {
                while let Some(command) = waiting.recv().await {
                    let Command { kind, by, .. } = &command;
                    let outcome = match read(&command) {
                        Ok(wanted) => performer().perform(&by.user, wanted, false).await,
                        Err(outcome) => outcome,
                    };
                    tell(*kind, by, &outcome, &speaker);
                }
            });
            queue
        })
        .collect();
    while let Some(command) = commands.recv().await {
        // Before it waits anywhere, so that one user fills no queue of others.
        if !pace.admits(&command.by.user, Instant::now()) {
            let refused = Outcome::Refused("too many commands: wait a minute");
            tell(command.kind, &command.by, &refused, &speaker);
            continue;
        }
        let worker = &workers[(hasher.hash_one(&*command.by.user) % WORKERS as u64) as usize];
        if let Err(error) = worker.try_send(command) {
            let Command { kind, by, .. } = error.into_inner();
            tell(kind, &by, &Outcome::Refused("too many commands wait already: try again"), &speaker);
        }
    }
}

/// What a command means, or why nothing.
fn read(command: &Command) -> Result<latch::Command, Outcome> {
    let refused = |why| Err(Outcome::Refused(why));
    let text = std::str::from_utf8(&command.value.0);
    match (command.kind, text) {
        (CommandKind::Unpairing, _) => Ok(latch::Command::Unpair),
        (CommandKind::Pairing, Ok(text)) => match Token::new(text) {
            Ok(token) => Ok(latch::Command::Pair(token)),
            Err(_) => refused("not a pairing token: the Latch app shows six letters and digits"),
        },
        (CommandKind::CreateInstance, Ok(text)) if TopicFilter::new(text).is_ok() => {
            Ok(latch::Command::CreateInstance(text.to_owned()))
        }
        (CommandKind::CreateInstance, _) => refused("not a topic filter"),
        (CommandKind::Pairing, Err(_)) => refused("not text"),
    }
}

/// Puts on record what became of a command, without what was published, and answers the user.
fn tell(kind: CommandKind, by: &Identity, outcome: &Outcome, speaker: &Speaker) {
    let Identity { user, client_id, address, .. } = by;
    let command = kind.topic();
    if outcome.is_done() {
        tracing::info!(?command, ?user, client = ?client_id, %address, %outcome, "command obeyed");
    } else {
        tracing::warn!(?command, ?user, client = ?client_id, %address, %outcome, "command not obeyed");
    }
    // A name that is no level of a topic has no topic of its own, as in rules with `%u`.
    if !user.is_empty() && !user.contains(['/', '+', '#', '\0']) {
        let words = json!({ "command": command, "done": outcome.is_done(), "says": outcome.for_user() });
        speaker.say(&format!("LATCH/answer/{user}").into(), words.to_string().into_bytes(), false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::Secret;

    fn read_as(kind: CommandKind, value: &[u8]) -> Result<latch::Command, Outcome> {
        let by = Identity {
            client_id: "c".into(),
            user: "u".into(),
            address: ([127, 0, 0, 1], 1).into(),
            listener: "l".into(),
            backend: None,
            token: None,
            credential: None,
            certificate: None,
        };
        read(&Command { kind, value: Secret(value.to_vec()), by: Arc::new(by) })
    }

    #[test]
    fn a_value_that_means_nothing_is_refused() {
        assert!(read_as(CommandKind::Pairing, b"abc123").is_ok());
        for wrong in [&b""[..], b"../x", b"\xff", b"a b c", &[b'x'; 100]] {
            assert!(read_as(CommandKind::Pairing, wrong).is_err(), "{wrong:?}");
        }
        assert!(read_as(CommandKind::CreateInstance, b"door/+").is_ok());
        for wrong in [&b""[..], b"a/#/b", b"\xff", b"a\0b"] {
            assert!(read_as(CommandKind::CreateInstance, wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(read_as(CommandKind::Unpairing, b"whatever \xff").ok(), Some(latch::Command::Unpair));
    }
}
