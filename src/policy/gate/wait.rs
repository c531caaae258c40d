//! What must be waited for, since a backend elsewhere is asked.

use crate::mqtt::TopicFilter;

use super::{
    super::{
        acl::{Access, Object, Open, Outcome, reserved},
        asked::Asked,
        auth::desk::{Said, Tag},
        command::without_secret,
        permit::Delivery,
    },
    Gate, Standing,
    verdict::object_of,
};

impl Gate {
    /// Whether anything may have to be waited for at all.
    pub fn asks(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether the verdict on publishing `payload` to `topic` must be waited for: the bell rings when there is one. Nothing may
    /// be asked of [`Gate::publish`] about it before.
    pub fn awaits_publish(&mut self, topic: &str, payload: &[u8]) -> bool {
        // About a command its topic is asked, as in `Gate::command`; what stands behind it is no backend's business.
        self.asked.is_some() && self.awaits(Access::PUBLISH, Object::Message(without_secret(topic), payload))
    }

    /// The same for [`Gate::subscribe`].
    pub fn awaits_subscribe(&mut self, filter: &TopicFilter) -> bool {
        self.asked.is_some() && self.awaits(Access::SUBSCRIBE, Object::Filter(filter))
    }

    /// The same for [`Gate::deliver`].
    pub fn awaits_delivery<M: Delivery>(&mut self, message: &M) -> bool {
        if self.asked.is_none() && message.author().is_none() {
            return false;
        }
        self.refresh();
        let again = self.is_last_received(message.topic());
        let receiving = !again && self.asked.is_some() && self.awaits(Access::RECEIVE, object_of(message));
        let Some(author) = message.author() else { return receiving };
        if !self.policy.settings().check_retained_source || self.policy.is_own(author) {
            return receiving;
        }
        self.ask_about(author);
        let Some(known) = &self.author else { return receiving };
        let open = match known.may_publish(object_of(message), &mut recall(&self.asked)) {
            Outcome::Known(..) => return receiving,
            Outcome::Unknown(open) => open,
        };
        self.put(open);
        true
    }

    fn awaits(&mut self, access: Access, object: Object<'_>) -> bool {
        self.refresh();
        let topic = object.text();
        let until = match access {
            Access::PUBLISH => self.publish.get(topic).map(|slot| self.verdicts[*slot].until),
            Access::RECEIVE => self.receive.get(topic).map(|(_, until)| *until),
            _ => None,
        };
        if until.is_some_and(|until| self.counts(until)) || matches!(self.standing, Standing::Ended(_)) {
            return false;
        }
        let command = || self.policy.settings().commands?.read(topic);
        let object = match (access == Access::PUBLISH).then(command).flatten() {
            Some((kind, _)) => Object::Name(kind.topic()),
            None if access == Access::PUBLISH && reserved(topic) => return false,
            None => object,
        };
        let how = self.policy.settings().subscribe;
        let outcome = self.sources.decide(access, object, how, &mut recall(&self.asked));
        let Outcome::Unknown(open) = outcome else { return false };
        self.put(open);
        true
    }

    /// Puts questions to the backends they are for.
    fn put(&mut self, open: Vec<Open>) {
        let bell = self.presence.watch.bell();
        self.asked.get_or_insert_default().put(open, bell);
    }

    /// Waits until the verdict on the will is known, and then counts for a moment.
    pub async fn will_is_known(&mut self, topic: &str, payload: &[u8]) {
        // A backend may take its time: a change of the lock does not wait for it.
        self.rest();
        self.refresh();
        while self.asked.is_some() && !reserved(topic) {
            let how = self.policy.settings().subscribe;
            let object = Object::Message(topic, payload);
            let outcome = self.sources.decide(Access::PUBLISH, object, how, &mut recall(&self.asked));
            let Outcome::Unknown(open) = outcome else { return };
            for Open { desk, who, question, tag } in open {
                let said = desk.ask(&who, &question).await;
                self.asked.get_or_insert_default().learn(tag, said);
            }
        }
    }
}

/// What was answered, as a question looks it up.
pub(super) fn recall(asked: &Option<Box<Asked>>) -> impl FnMut(&Tag) -> Option<Said> {
    move |tag| asked.as_ref().and_then(|asked| asked.recall(tag))
}
