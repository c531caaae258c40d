//! The gate of one connection: every question it may be asked, and the cache of its answers.

mod explain;
mod publish;
mod receive;
mod verdict;
mod wait;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use ahash::AHashMap;

use crate::mqtt::ReasonCode;

use super::{
    acl::Sources,
    asked::Asked,
    audit::Refused,
    auth::token::{Errand, Guardian, TOKEN_OVER, Token},
    author::Author,
    command::without_secret,
    decision::{Denial, Operation, Stage},
    identity::{BY_CERTIFICATE, Identity},
    live::Presence,
    lock::{Lock, View, is_always_received},
    metrics::Tally,
    policy::Policy,
};
use verdict::{Until, Verdict};

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
    /// The topic of the last delivery that was permitted, and how long that counts.
    last_received: Option<(Arc<str>, Until)>,
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

impl Drop for Gate {
    fn drop(&mut self) {
        self.tell_tally();
    }
}
