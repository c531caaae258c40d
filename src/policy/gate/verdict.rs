//! How a verdict is made of what the rules and the backends say, and how long it counts.

use std::{sync::Arc, time::Instant};

use super::{
    super::{
        acl::{Access, Object, Outcome},
        auth::desk::{Said, Tag},
        decision::{Denial, Stage},
        permit::Delivery,
    },
    Gate,
};

/// How many topics' verdicts a gate remembers for each operation. When full it starts afresh.
pub(super) const REMEMBERED: usize = 1024;
/// Verdicts on topics of more bytes than this are not remembered.
pub(super) const LONGEST: usize = 256;

/// What was decided about one topic.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) topic: Arc<str>,
    pub(super) denial: Option<Denial>,
    pub(super) until: Until,
}

/// How long a verdict counts; `None`: until the policy changes.
pub(super) type Until = Option<Instant>;

impl Gate {
    /// When this turn began: what counts until then counts no more.
    pub(super) fn turn(&self) -> Until {
        Some(self.asked.as_ref().map_or_else(Instant::now, |asked| asked.now()))
    }

    /// Whether a verdict counts in this turn.
    pub(super) fn counts(&self, until: Until) -> bool {
        match (until, &self.asked) {
            (Some(until), Some(asked)) => asked.now() < until,
            _ => true,
        }
    }

    /// What `ask` comes to. If it is a verdict, the answers that it was made of are used up.
    pub(super) fn spending(
        &self,
        ask: impl FnOnce(&mut dyn FnMut(&Tag) -> Option<Said>) -> Outcome,
    ) -> Outcome {
        let Some(asked) = &self.asked else { return ask(&mut |_| None) };
        let mut used = Vec::new();
        let outcome = ask(&mut |tag| {
            used.push(*tag);
            asked.recall(tag)
        });
        if matches!(outcome, Outcome::Known(..)) {
            used.iter().for_each(|tag| asked.spend(tag));
        }
        outcome
    }

    pub(super) fn decide(&self, access: Access, object: Object<'_>) -> (Result<(), Denial>, Until) {
        let how = self.policy.settings().subscribe;
        match self.spending(|recall| self.sources.decide(access, object, how, recall)) {
            // A verdict on one message is for no other, whenever its answer came.
            Outcome::Known(verdict, Some(_)) if self.minds_payload => (verdict.map(drop), self.turn()),
            Outcome::Known(verdict, until) => (verdict.map(drop), until),
            // Who was to wait for the answer did not: it is no, and not remembered.
            Outcome::Unknown(_) => (Err(unanswered(Stage::Allow)), Some(Instant::now())),
        }
    }
}

/// A message as the sources are asked about it.
pub(super) fn object_of<M: Delivery>(message: &M) -> Object<'_> {
    Object::Message(message.topic(), message.payload())
}

/// The no to whoever asks before the backends have answered.
pub(super) fn unanswered(stage: Stage) -> Denial {
    Denial::not_authorized(stage, None, "a backend has not answered yet")
}
