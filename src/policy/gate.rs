//! The gate of one connection: every question it may be asked, and the cache of its answers.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use ahash::AHashMap;

use crate::mqtt::{ReasonCode, TopicFilter};

use super::{
    acl::{Access, Object, Open, Outcome, Sources, reserved},
    asked::Asked,
    audit::Refused,
    auth::{
        desk::{Said, Tag},
        token::{Errand, Guardian, TOKEN_OVER, Token},
    },
    author::Author,
    command::{Command, CommandKind, LONGEST as LONGEST_VALUE, without_secret},
    decision::{Denial, Operation, Stage},
    explain::{Explanation, Subject},
    identity::Identity,
    live::{Inquiry, Presence},
    lock::{Lock, View, is_always_received},
    metrics::Tally,
    permit::{Deliver, Delivery, Permit, Publish, Subscribe},
    policy::{BY_CERTIFICATE, Policy, Secret},
};

/// How many topics' verdicts a gate remembers for each operation. When full it starts afresh.
const REMEMBERED: usize = 1024;
/// Verdicts on topics of more bytes than this are not remembered.
const LONGEST: usize = 256;

/// How a client stands after a change of policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing changed for it.
    Same,
    /// Its rights may differ: subscriptions must be asked again.
    Changed,
    /// It may no longer be connected.
    Ended(Denial),
}

/// Why a message is not delivered now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// The client may not have it.
    Denied(Denial),
    /// The lock keeps it back until it is opened.
    Held,
    /// The lock was changed: [`Gate::follow_lock`] comes first, since what was held may go out before this.
    Moved,
}

/// What was decided about one topic.
#[derive(Debug)]
struct Verdict {
    topic: Arc<str>,
    denial: Option<Denial>,
    until: Until,
}

/// How long a verdict counts; `None`: until the policy changes.
type Until = Option<Instant>;

/// Answers for one admitted client. Every question first looks whether the policy changed, so an answer is never
/// older than the last change.
#[derive(Debug)]
pub struct Gate {
    policy: Arc<Policy>,
    identity: Arc<Identity>,
    presence: Presence,
    seen: u64,
    standing: Standing,
    sources: Sources,
    /// What was asked over a network; `None`: nothing ever is for this client.
    asked: Option<Box<Asked>>,
    guardian: Option<Guardian>,
    /// Whether no verdict on one message is one on another.
    minds_payload: bool,
    lock: Arc<Lock>,
    /// The generation of the lock that `locked` is of.
    lock_seen: u64,
    /// The generation that [`Gate::follow_lock`] has seen.
    lock_followed: u64,
    /// What is closed for this client.
    locked: View,
    /// Whether what the lock keeps back is held; else it is refused.
    holds: bool,
    publish: AHashMap<Arc<str>, usize>,
    verdicts: Vec<Verdict>,
    receive: AHashMap<Arc<str>, (Result<(), Denial>, Until)>,
    last_received: Option<Arc<str>>,
    author: Option<Author>,
    tally: Tally,
}

impl Gate {
    pub(super) fn new(policy: Arc<Policy>, identity: Arc<Identity>, presence: Presence) -> Self {
        let lock = policy.lock().clone();
        presence.look(lock.generation());
        let mut gate = Gate {
            policy,
            identity,
            presence,
            seen: u64::MAX,
            standing: Standing::Same,
            sources: Sources::default(),
            asked: None,
            guardian: None,
            minds_payload: false,
            lock,
            lock_seen: 0,
            lock_followed: 0,
            locked: View::default(),
            holds: true,
            publish: AHashMap::default(),
            verdicts: Vec::new(),
            receive: AHashMap::default(),
            last_received: None,
            author: None,
            tally: Tally::default(),
        };
        gate.refresh();
        gate
    }

    /// Has the token that the client logged in with watched over as long as the gate lives.
    pub(super) fn guard(&mut self, errand: Errand, token: Arc<Token>) {
        self.guardian = Some(Guardian::new(errand, token, self.presence.watch.clone()));
    }

    /// Whether no lock keeps a client from receiving this topic, or subscribing to this filter: `LATCH/…` tells it that it
    /// is locked, and `$SYS/…` how the gateway is.
    pub fn is_always_received(topic: &str) -> bool {
        is_always_received(topic)
    }

    /// Who it answers for.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// How the client stands, after any change since the last call. To be called when the bell rang; whoever asked
    /// why is answered as well.
    pub fn review(&mut self) -> Standing {
        self.presence.look(self.lock.generation());
        self.refresh();
        if let Some(asked) = &mut self.asked {
            asked.begin_turn();
            self.last_received = None;
        }
        for inquiry in self.presence.watch.inquiries() {
            // Whoever asked may have given up.
            let _ = inquiry.reply.try_send(self.explain(&inquiry));
        }
        match &self.standing {
            Standing::Ended(denial) => Standing::Ended(denial.clone()),
            _ => std::mem::replace(&mut self.standing, Standing::Same),
        }
    }

    /// Why the client may no longer be connected, if so.
    pub fn ended(&mut self) -> Option<Denial> {
        self.refresh();
        match &self.standing {
            Standing::Ended(denial) => Some(denial.clone()),
            _ => None,
        }
    }

    /// A change of the lock does not wait for this client until the next [`Gate::review`]: nothing that was permitted is
    /// still to be done, and nothing is asked before.
    pub fn rest(&self) {
        self.presence.rest();
    }

    /// Why the client may not log in while the gateway is closed for it, if that is not allowed.
    pub(super) fn locked_out(&mut self) -> Option<Denial> {
        self.refresh();
        let denial = self.locked.login().filter(|_| self.lock.settings().refuse_logins)?;
        Some(self.record(Operation::Connect, "", denial))
    }

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

    /// When this turn began: what counts until then counts no more.
    fn turn(&self) -> Until {
        Some(self.asked.as_ref().map_or_else(Instant::now, |asked| asked.now()))
    }

    /// Whether a verdict counts in this turn.
    fn counts(&self, until: Until) -> bool {
        match (until, &self.asked) {
            (Some(until), Some(asked)) => asked.now() < until,
            _ => true,
        }
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
        if asked.is_ok() && self.last_received.as_ref().is_some_and(|last| Arc::ptr_eq(last, topic)) {
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
            Ok(()) => {
                self.tally.permit(Operation::Receive);
                self.last_received = (!self.minds_payload).then(|| topic.clone());
                Ok(Permit::new(Deliver { message }))
            }
        }
    }

    fn may_subscribe(&mut self, filter: &TopicFilter) -> Result<(), Denial> {
        if let Standing::Ended(denial) = &self.standing {
            return Err(denial.clone());
        }
        self.decide(Access::SUBSCRIBE, Object::Filter(filter)).0
    }

    fn may_receive(&mut self, topic: &Arc<str>, payload: &[u8]) -> Result<(), Denial> {
        if let Some((verdict, until)) = self.receive.get(&**topic)
            && self.counts(*until)
        {
            self.tally.hits += 1;
            return verdict.clone();
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
        verdict
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
    fn ask_about(&mut self, identity: &Arc<Identity>) {
        let generation = self.policy.generation();
        if !self.author.as_ref().is_some_and(|author| author.is(generation, identity)) {
            self.author = Some(Author::new(&self.policy, generation, identity.clone()));
        }
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

    /// What `ask` comes to. If it is a verdict, the answers that it was made of are used up.
    fn spending(&self, ask: impl FnOnce(&mut dyn FnMut(&Tag) -> Option<Said>) -> Outcome) -> Outcome {
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

    fn decide(&self, access: Access, object: Object<'_>) -> (Result<(), Denial>, Until) {
        let how = self.policy.settings().subscribe;
        match self.spending(|recall| self.sources.decide(access, object, how, recall)) {
            // A verdict on one message is for no other, whenever its answer came.
            Outcome::Known(verdict, Some(_)) if self.minds_payload => (verdict.map(drop), self.turn()),
            Outcome::Known(verdict, until) => (verdict.map(drop), until),
            // Who was to wait for the answer did not: it is no, and not remembered.
            Outcome::Unknown(_) => (Err(unanswered(Stage::Allow)), Some(Instant::now())),
        }
    }

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
        let receiving = self.asked.is_some() && self.awaits(Access::RECEIVE, object_of(message));
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

    /// Takes a change of policy in: new rights, empty caches, and whether the client may stay.
    fn refresh(&mut self) {
        let generation = self.lock.generation().load(Ordering::Acquire);
        if generation != self.lock_seen {
            self.lock_seen = generation;
            self.locked = self.lock.view(&self.identity.user);
            self.holds = !self.lock.settings().drop_queued;
            self.forget_verdicts();
        }
        let epoch = self.presence.watch.epoch();
        if epoch == self.seen {
            return;
        }
        self.seen = epoch;
        self.forget_verdicts();
        let book = self.policy.book();
        self.sources = self.policy.sources(&book, &self.identity);
        self.minds_payload = self.sources.mind_payload();
        if self.sources.ask() {
            self.asked.get_or_insert_default();
        }
        let ended = self.policy.ended(&book, &self.identity);
        match (ended, &self.standing) {
            (_, Standing::Ended(_)) => {}
            (None, _) => self.standing = Standing::Changed,
            (Some(why), _) => {
                let code = if why == TOKEN_OVER {
                    ReasonCode::MaximumConnectTime
                } else {
                    ReasonCode::NotAuthorized
                };
                let denial = Denial { code, ..Denial::not_authorized(Stage::Login, None, why) };
                let denial = self.record(Operation::Connect, "", denial);
                self.standing = Standing::Ended(denial);
            }
        }
    }

    fn forget_verdicts(&mut self) {
        self.publish.clear();
        self.verdicts.clear();
        self.receive.clear();
        self.last_received = None;
    }

    /// Adds what this gate counted to the totals; to be called once in a while.
    pub fn tell_tally(&mut self) {
        self.policy.metrics().add(&mut self.tally);
    }

    /// Answers as every question is answered, and says how; with what must be asked first.
    fn explain(&self, inquiry: &Inquiry) -> (Explanation, Vec<Open>) {
        let Identity { client_id, user, address, listener, backend, .. } = &*self.identity;
        let login = match (&self.standing, backend) {
            (Standing::Ended(denial), _) => Err(denial.clone()),
            (_, Some(backend)) => Ok(format!("logged in with a password that {backend} knew")),
            (_, None) if self.identity.is_by_certificate() => Ok(BY_CERTIFICATE.to_owned()),
            (_, None) => Ok("without a login".to_owned()),
        };
        let subject = Subject {
            listener: Ok(format!("by listener {listener:?} from {address}")),
            login,
            sources: &self.sources,
            subscribe: self.policy.settings().subscribe,
            locked: &self.locked,
        };
        let topic = &inquiry.topic;
        let cache = |operation| {
            let remembered = match operation {
                Operation::Publish => self.publish.contains_key(&**topic),
                Operation::Receive => self.receive.contains_key(&**topic),
                _ => return Some("never remembered"),
            };
            Some(if remembered { "remembered" } else { "not remembered" })
        };
        let mut remembered = recall(&self.asked);
        let known =
            |tag: &Tag| inquiry.told.iter().find(|(told, _)| told == tag).map(|(_, said)| said.clone());
        let recall = &mut |tag: &Tag| remembered(tag).or_else(|| known(tag));
        self.policy.explain_subject(&subject, user, client_id, inquiry.access, topic, cache, recall)
    }

    /// Puts a no on record; what the client is told names the record.
    fn record(&self, operation: Operation, topic: &str, denial: Denial) -> Denial {
        let who = Refused {
            client: &self.identity.client_id,
            user: &self.identity.user,
            address: self.identity.address,
            login: self.identity.is_by_certificate().then_some(BY_CERTIFICATE),
        };
        self.policy.metrics().deny(operation, denial.stage);
        let topic = without_secret(topic);
        let now = Instant::now();
        if let Some(cause) = denial.lock {
            self.lock.refused(topic, &self.identity.user, cause, now);
        }
        let audit = self.policy.audit().refused(who, operation, topic, &denial, now);
        Denial { audit, ..denial }
    }
}

/// What was answered, as a question looks it up.
fn recall(asked: &Option<Box<Asked>>) -> impl FnMut(&Tag) -> Option<Said> {
    move |tag| asked.as_ref().and_then(|asked| asked.recall(tag))
}

/// A message as the sources are asked about it.
fn object_of<M: Delivery>(message: &M) -> Object<'_> {
    Object::Message(message.topic(), message.payload())
}

/// The no to whoever asks before the backends have answered.
fn unanswered(stage: Stage) -> Denial {
    Denial::not_authorized(stage, None, "a backend has not answered yet")
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.tell_tally();
    }
}
