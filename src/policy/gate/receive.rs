//! What a client may subscribe to and be delivered.

use std::{sync::Arc, time::Instant};

use crate::mqtt::TopicFilter;

use super::{
    super::{
        acl::{Access, Object, Outcome},
        author::Author,
        decision::{Denial, Operation, Stage},
        identity::Identity,
        permit::{Deliver, Delivery, Permit, Subscribe},
    },
    Gate, Standing, Withheld,
    verdict::{LONGEST, REMEMBERED, Until, object_of, unanswered},
};

impl Gate {
    /// May the client subscribe to `filter` (given without its share prefix)?
    pub fn subscribe<S>(
        &mut self,
        filter: &TopicFilter,
        subscription: S,
    ) -> Result<Permit<'_, Subscribe<S>>, Denial> {
        self.refresh();
        let verdict = match (&self.standing, self.locked.subscribe(filter)) {
            (Standing::Ended(denial), _) => Err(denial.clone()),
            (_, Some(denial)) => Err(denial),
            _ => self.may_subscribe(filter),
        };
        match verdict {
            Ok(()) => {
                self.tally.permit(Operation::Subscribe);
                Ok(Permit::new(Subscribe { filter: filter.clone(), subscription }))
            }
            Err(denial) => Err(self.record(Operation::Subscribe, filter.as_str(), denial)),
        }
    }

    /// May the client keep its subscription to `filter`? The lock ends none.
    pub fn keep_subscription(&mut self, filter: &TopicFilter) -> Result<(), Denial> {
        self.refresh();
        let verdict = self.may_subscribe(filter);
        verdict.map_err(|denial| self.record(Operation::Subscribe, filter.as_str(), denial))
    }

    /// Whether the lock was changed since [`Gate::follow_lock`].
    pub fn lock_moved(&mut self) -> bool {
        self.refresh();
        self.lock_followed != self.lock_seen
    }

    /// Has deliveries follow the lock as it is now. Everything that was held must be asked about again, before anything
    /// newer. Returns whether the client is to receive nothing but what is always received, so that nothing else need
    /// be asked about.
    pub fn follow_lock(&mut self) -> bool {
        self.refresh();
        self.lock_followed = self.lock_seen;
        self.holds && self.locked.receives_nothing()
    }

    /// May the client be delivered `message`? With a no it is given back.
    pub fn deliver<M: Delivery>(&mut self, message: M) -> Result<Permit<'_, Deliver<M>>, (Withheld, M)> {
        if self.lock_moved() {
            return Err((Withheld::Moved, message));
        }
        let topic = message.topic();
        let asked = match message.author() {
            Some(author) => self.may_still_publish(author, &message),
            None => Ok(()),
        };
        if asked.is_ok() && self.is_last_received(topic) {
            self.tally.hits += 1;
            self.tally.permit(Operation::Receive);
            return Ok(Permit::new(Deliver { message }));
        }
        match asked.and_then(|()| self.may_receive(topic, message.payload())) {
            Err(denial) if denial.lock.is_some() && self.holds => Err((Withheld::Held, message)),
            Err(denial) => {
                let denial = self.record(Operation::Receive, topic, denial);
                Err((Withheld::Denied(denial), message))
            }
            Ok(until) => {
                self.tally.permit(Operation::Receive);
                self.last_received = (!self.minds_payload).then(|| (topic.clone(), until));
                Ok(Permit::new(Deliver { message }))
            }
        }
    }

    /// Whether the last delivery that was permitted was of this topic, and that still counts.
    pub(super) fn is_last_received(&self, topic: &Arc<str>) -> bool {
        self.last_received
            .as_ref()
            .is_some_and(|(last, until)| Arc::ptr_eq(last, topic) && self.counts(*until))
    }

    fn may_subscribe(&mut self, filter: &TopicFilter) -> Result<(), Denial> {
        if let Standing::Ended(denial) = &self.standing {
            return Err(denial.clone());
        }
        self.decide(Access::SUBSCRIBE, Object::Filter(filter)).0
    }

    fn may_receive(&mut self, topic: &Arc<str>, payload: &[u8]) -> Result<Until, Denial> {
        if let Some((verdict, until)) = self.receive.get(&**topic)
            && self.counts(*until)
        {
            self.tally.hits += 1;
            return verdict.clone().map(|()| *until);
        }
        self.tally.misses += 1;
        let (verdict, until) = match (&self.standing, self.locked.receive(topic)) {
            (Standing::Ended(denial), _) => (Err(denial.clone()), None),
            (_, Some(denial)) => (Err(denial), Some(Instant::now())),
            _ => self.decide(Access::RECEIVE, Object::Message(topic, payload)),
        };
        if topic.len() <= LONGEST {
            if self.receive.len() >= REMEMBERED {
                self.receive.clear();
            }
            self.receive.insert(topic.clone(), (verdict.clone(), until));
        }
        verdict.map(|()| until)
    }

    fn may_still_publish<M: Delivery>(
        &mut self,
        identity: &Arc<Identity>,
        message: &M,
    ) -> Result<(), Denial> {
        if !self.policy.settings().check_retained_source || self.policy.is_own(identity) {
            return Ok(());
        }
        self.ask_about(identity);
        let Some(author) = &self.author else { return Err(unanswered(Stage::Source)) };
        match self.spending(|recall| author.may_publish(object_of(message), recall)) {
            Outcome::Known(verdict, _) => verdict.map(drop),
            Outcome::Unknown(_) => Err(unanswered(Stage::Source)),
        }
    }

    /// Makes `identity` the author that is asked about.
    pub(super) fn ask_about(&mut self, identity: &Arc<Identity>) {
        let generation = self.policy.generation();
        if !self.author.as_ref().is_some_and(|author| author.is(generation, identity)) {
            self.author = Some(Author::new(&self.policy, generation, identity.clone()));
        }
    }
}
