//! What a client may publish: messages, commands to the gateway, and its will.

use std::{sync::Arc, time::Instant};

use super::{
    super::{
        acl::{Access, Object, reserved},
        command::{Command, CommandKind, LONGEST as LONGEST_VALUE},
        decision::{Denial, Operation, Stage},
        permit::{Permit, Publish},
        policy::Secret,
    },
    Gate, Standing,
    verdict::{LONGEST, REMEMBERED, Until, Verdict},
};

impl Gate {
    /// May the client publish `payload` to `topic`? `make` makes the message, once that is settled.
    pub fn publish<M>(
        &mut self,
        topic: &str,
        payload: &[u8],
        make: impl FnOnce(&Arc<str>) -> M,
    ) -> Result<Permit<'_, Publish<M>>, Denial> {
        self.refresh();
        let (slot, topic, denial) = self.publish_verdict(topic, payload);
        if let Some(denial) = denial {
            return Err(self.record(Operation::Publish, &topic, denial));
        }
        self.tally.permit(Operation::Publish);
        let message = make(&topic);
        Ok(Permit::new(Publish { topic, slot, message }))
    }

    fn publish_verdict(&mut self, topic: &str, payload: &[u8]) -> (usize, Arc<str>, Option<Denial>) {
        let known = self.publish.get(topic).copied();
        if let Some(slot) = known {
            let Verdict { topic, denial, until } = &self.verdicts[slot];
            if self.counts(*until) {
                self.tally.hits += 1;
                return (slot, topic.clone(), denial.clone());
            }
        }
        self.tally.misses += 1;
        let (verdict, until) = self.may_publish(topic, payload);
        let denial = verdict.err();
        if let Some(slot) = known {
            let verdict = &mut self.verdicts[slot];
            (verdict.denial, verdict.until) = (denial.clone(), until);
            return (slot, verdict.topic.clone(), denial);
        }
        let topic: Arc<str> = topic.into();
        if topic.len() > LONGEST {
            return (usize::MAX, topic, denial);
        }
        if self.verdicts.len() >= REMEMBERED {
            self.publish.clear();
            self.verdicts.clear();
        }
        let slot = self.verdicts.len();
        self.publish.insert(topic.clone(), slot);
        self.verdicts.push(Verdict { topic: topic.clone(), denial: denial.clone(), until });
        (slot, topic, denial)
    }

    /// If a publish to `topic` is a command to the gateway: may the client give it? The rules decide about the command's
    /// topic as about any other. It is obeyed, and goes to no subscriber.
    pub fn command(&mut self, topic: &str, payload: &[u8]) -> Option<Result<Permit<'_, Command>, Denial>> {
        let (kind, value) = self.policy.settings().commands?.read(topic)?;
        self.refresh();
        let verdict = match &self.standing {
            Standing::Ended(denial) => Err(denial.clone()),
            // Pairing closes things and opens nothing, and is how a user becomes one of those who must be paired.
            _ => match self.locked.publish_strictly(kind.topic()) {
                Some(denial) if kind != CommandKind::Pairing => Err(denial),
                _ => self.decide(Access::PUBLISH, Object::Name(kind.topic())).0,
            },
        };
        if let Err(denial) = verdict {
            return Some(Err(self.record(Operation::Publish, topic, denial)));
        }
        self.tally.permit(Operation::Publish);
        let value = value.map_or(payload, str::as_bytes);
        let value = Secret(value[..value.len().min(LONGEST_VALUE)].to_vec());
        Some(Ok(Permit::new(Command { kind, value, by: self.identity.clone() })))
    }

    /// May the client leave a will on `topic`? Whether that is locked counts when it fires.
    pub fn leave_will(&mut self, topic: &str, payload: &[u8]) -> Result<(), Denial> {
        self.refresh();
        let (verdict, _) = self.has_right_to_publish(topic, payload);
        verdict.map_err(|denial| self.record(Operation::Will, topic, denial))
    }

    /// May the client's will be published now?
    pub fn will<M>(
        &mut self,
        topic: &str,
        payload: &[u8],
        message: M,
    ) -> Result<Permit<'_, Publish<M>>, Denial> {
        // It may have rested until now.
        self.presence.look(self.lock.generation());
        self.refresh();
        if let Err(denial) = self.may_publish(topic, payload).0 {
            return Err(self.record(Operation::Will, topic, denial));
        }
        self.tally.permit(Operation::Will);
        Ok(Permit::new(Publish { topic: topic.into(), slot: usize::MAX, message }))
    }

    fn may_publish(&self, topic: &str, payload: &[u8]) -> (Result<(), Denial>, Until) {
        if let Standing::Ended(denial) = &self.standing {
            return (Err(denial.clone()), None);
        }
        match self.locked.publish(topic) {
            // What follows an opening is asked as if nothing were known.
            Some(denial) if !reserved(topic) => (Err(denial), Some(Instant::now())),
            _ => self.has_right_to_publish(topic, payload),
        }
    }

    fn has_right_to_publish(&self, topic: &str, payload: &[u8]) -> (Result<(), Denial>, Until) {
        if let Standing::Ended(denial) = &self.standing {
            return (Err(denial.clone()), None);
        }
        if reserved(topic) {
            let reason = "only the gateway publishes there";
            return (Err(Denial::not_authorized(Stage::Reserved, None, reason)), None);
        }
        self.decide(Access::PUBLISH, Object::Message(topic, payload))
    }
}
