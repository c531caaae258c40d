//! The gate of one connection: every question it may be asked, and the cache of its answers.

use std::{sync::Arc, time::Instant};

use ahash::AHashMap;

use crate::mqtt::TopicFilter;

use super::{
    acl::{Access, Rights, reserved},
    audit::Refused,
    author::Author,
    certificate::Certificate,
    command::{Command, LONGEST as LONGEST_VALUE, without_secret},
    decision::{Denial, Operation, Stage},
    explain::{Explanation, Subject},
    identity::Identity,
    live::Presence,
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

/// What was decided about one topic.
#[derive(Debug)]
struct Verdict {
    topic: Arc<str>,
    denial: Option<Denial>,
}

/// Answers for one admitted client. Every question first looks whether the policy changed, so an answer is never
/// older than the last change.
#[derive(Debug)]
pub struct Gate {
    policy: Arc<Policy>,
    identity: Arc<Identity>,
    presence: Presence,
    seen: u64,
    standing: Standing,
    rights: Rights,
    publish: AHashMap<Arc<str>, usize>,
    verdicts: Vec<Verdict>,
    receive: AHashMap<Arc<str>, Result<(), Denial>>,
    last_received: Option<Arc<str>>,
    author: Option<Author>,
    tally: Tally,
}

impl Gate {
    pub(super) fn new(policy: Arc<Policy>, identity: Arc<Identity>, presence: Presence) -> Self {
        let mut gate = Gate {
            policy,
            identity,
            presence,
            seen: u64::MAX,
            standing: Standing::Same,
            rights: Rights::default(),
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

    /// Who it answers for.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// How the client stands, after any change since the last call. To be called when the bell rang; whoever asked
    /// why is answered as well.
    pub fn review(&mut self) -> Standing {
        self.refresh();
        for inquiry in self.presence.watch.inquiries() {
            // Whoever asked may have given up.
            let _ = inquiry.reply.try_send(self.explain(inquiry.access, &inquiry.topic));
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

    /// May the client publish to `topic`? `make` makes the message, once that is settled.
    pub fn publish<M>(
        &mut self,
        topic: &str,
        make: impl FnOnce(&Arc<str>) -> M,
    ) -> Result<Permit<'_, Publish<M>>, Denial> {
        self.refresh();
        let (slot, topic, denial) = self.publish_verdict(topic);
        if let Some(denial) = denial {
            return Err(self.record(Operation::Publish, &topic, denial));
        }
        self.tally.permit(Operation::Publish);
        let message = make(&topic);
        Ok(Permit::new(Publish { topic, slot, message }))
    }

    fn publish_verdict(&mut self, topic: &str) -> (usize, Arc<str>, Option<Denial>) {
        if let Some(&slot) = self.publish.get(topic) {
            self.tally.hits += 1;
            let Verdict { topic, denial } = &self.verdicts[slot];
            return (slot, topic.clone(), denial.clone());
        }
        self.tally.misses += 1;
        let denial = self.may_publish(topic).err();
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
        self.verdicts.push(Verdict { topic: topic.clone(), denial: denial.clone() });
        (slot, topic, denial)
    }

    /// If a publish to `topic` is a command to the gateway: may the client give it? The rules decide about the command's
    /// topic as about any other. It is obeyed, and goes to no subscriber.
    pub fn command(&mut self, topic: &str, payload: &[u8]) -> Option<Result<Permit<'_, Command>, Denial>> {
        let (kind, value) = self.policy.settings().commands?.read(topic)?;
        self.refresh();
        let verdict = match &self.standing {
            Standing::Ended(denial) => Err(denial.clone()),
            _ => self.rights.on_topic(Access::PUBLISH, kind.topic()).map(drop),
        };
        if let Err(denial) = verdict {
            return Some(Err(self.record(Operation::Publish, topic, denial)));
        }
        self.tally.permit(Operation::Publish);
        let value = value.map_or(payload, str::as_bytes);
        let value = Secret(value[..value.len().min(LONGEST_VALUE)].to_vec());
        Some(Ok(Permit::new(Command { kind, value, by: self.identity.clone() })))
    }

    /// May the client's will be published now? Asked at CONNECT and again when it fires.
    pub fn will<M>(&mut self, topic: &str, message: M) -> Result<Permit<'_, Publish<M>>, Denial> {
        self.refresh();
        if let Err(denial) = self.may_publish(topic) {
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
        let verdict = match &self.standing {
            Standing::Ended(denial) => Err(denial.clone()),
            _ => self.rights.on_filter(filter, self.policy.settings().subscribe).map(drop),
        };
        match verdict {
            Ok(()) => {
                self.tally.permit(Operation::Subscribe);
                Ok(Permit::new(Subscribe { filter: filter.clone(), subscription }))
            }
            Err(denial) => Err(self.record(Operation::Subscribe, filter.as_str(), denial)),
        }
    }

    /// May the client be delivered `message`? With a no it is given back.
    pub fn deliver<M: Delivery>(&mut self, message: M) -> Result<Permit<'_, Deliver<M>>, (Denial, M)> {
        self.refresh();
        let topic = message.topic();
        let asked = match message.author() {
            Some(author) => self.may_still_publish(author, topic),
            None => Ok(()),
        };
        if asked.is_ok() && self.last_received.as_ref().is_some_and(|last| Arc::ptr_eq(last, topic)) {
            self.tally.hits += 1;
            self.tally.permit(Operation::Receive);
            return Ok(Permit::new(Deliver { message }));
        }
        match asked.and_then(|()| self.may_receive(topic)) {
            Err(denial) => {
                let denial = self.record(Operation::Receive, topic, denial);
                Err((denial, message))
            }
            Ok(()) => {
                self.tally.permit(Operation::Receive);
                self.last_received = Some(topic.clone());
                Ok(Permit::new(Deliver { message }))
            }
        }
    }

    fn may_receive(&mut self, topic: &Arc<str>) -> Result<(), Denial> {
        if let Some(verdict) = self.receive.get(&**topic) {
            self.tally.hits += 1;
            return verdict.clone();
        }
        self.tally.misses += 1;
        let verdict = match &self.standing {
            Standing::Ended(denial) => Err(denial.clone()),
            _ => self.rights.on_topic(Access::RECEIVE, topic).map(drop),
        };
        if topic.len() <= LONGEST {
            if self.receive.len() >= REMEMBERED {
                self.receive.clear();
            }
            self.receive.insert(topic.clone(), verdict.clone());
        }
        verdict
    }

    fn may_still_publish(&mut self, identity: &Arc<Identity>, topic: &str) -> Result<(), Denial> {
        if !self.policy.settings().check_retained_source || self.policy.is_own(identity) {
            return Ok(());
        }
        let book = self.policy.book();
        if !self.author.as_ref().is_some_and(|author| author.is(&book, identity)) {
            self.author = None;
        }
        self.author.get_or_insert_with(|| Author::new(book, identity.clone())).may_publish(topic)
    }

    fn may_publish(&self, topic: &str) -> Result<(), Denial> {
        if let Standing::Ended(denial) = &self.standing {
            return Err(denial.clone());
        }
        if reserved(topic) {
            return Err(Denial::not_authorized(Stage::Reserved, None, "only the gateway publishes there"));
        }
        self.rights.on_topic(Access::PUBLISH, topic).map(drop)
    }

    /// Takes a change of policy in: new rights, empty caches, and whether the client may stay.
    fn refresh(&mut self) {
        let epoch = self.presence.watch.epoch();
        if epoch == self.seen {
            return;
        }
        self.seen = epoch;
        self.publish.clear();
        self.verdicts.clear();
        self.receive.clear();
        self.last_received = None;
        let book = self.policy.book();
        self.rights = book.rights(&self.identity.user, &self.identity.client_id);
        let ended = match (book.account(&self.identity.user), self.identity.credential) {
            (Some(account), _) if !account.enabled => Some("the account is disabled"),
            (None, Some(_)) => Some("the account was removed"),
            (Some(account), Some(credential)) if account.credential != credential => {
                Some("the password was changed")
            }
            _ => self.identity.certificate.as_ref().and_then(Certificate::lost),
        };
        match (ended, &self.standing) {
            (_, Standing::Ended(_)) => {}
            (None, _) => self.standing = Standing::Changed,
            (Some(why), _) => {
                let denial = Denial::not_authorized(Stage::Login, None, why);
                let denial = self.record(Operation::Connect, "", denial);
                self.standing = Standing::Ended(denial);
            }
        }
    }

    /// Adds what this gate counted to the totals; to be called once in a while.
    pub fn tell_tally(&mut self) {
        self.policy.metrics().add(&mut self.tally);
    }

    /// Answers as every question is answered, and says how.
    fn explain(&self, access: Access, topic: &str) -> Explanation {
        let Identity { client_id, user, address, listener, credential, .. } = &*self.identity;
        let login = match (&self.standing, credential) {
            (Standing::Ended(denial), _) => Err(denial.clone()),
            (_, Some(_)) => Ok("logged in with a password".to_owned()),
            (_, None) if self.identity.is_by_certificate() => Ok(BY_CERTIFICATE.to_owned()),
            (_, None) => Ok("without a login".to_owned()),
        };
        let subject = Subject {
            listener: Some(format!("by listener {listener:?} from {address}")),
            login,
            rights: &self.rights,
            subscribe: self.policy.settings().subscribe,
        };
        let cache = |operation| {
            let remembered = match operation {
                Operation::Publish => self.publish.contains_key(topic),
                Operation::Receive => self.receive.contains_key(topic),
                _ => return Some("never remembered"),
            };
            Some(if remembered { "remembered" } else { "not remembered" })
        };
        self.policy.explain_subject(&subject, user, client_id, access, topic, cache)
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
        let audit = self.policy.audit().refused(who, operation, topic, &denial, Instant::now());
        Denial { audit, ..denial }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.tell_tally();
    }
}
