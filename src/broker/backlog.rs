//! Retained messages that new subscriptions still have to be sent.
//!
//! They go out before anything newer. Once many are at hand, those of further subscriptions are looked up only when
//! the ones before are sent, so that many subscriptions to many retained messages do not multiply.
//!
//! For a session that is kept the journal knows what a subscription owes ([`Owed`]), from its SUBACK until all of it was
//! taken out here; after a restart it is looked up again. A message of QoS 2 is queued with the journal when it is found,
//! since it may not come twice; one of QoS 1 when it is taken out, so that what is acknowledged at once is never written.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use ahash::{AHashMap, AHashSet};

use crate::mqtt::QoS;
use crate::policy::Gate;
use crate::session::Subscription;

use super::{
    journal::{Change, Owed},
    message::{Candidate, Extra},
    outbox::Outbox,
    router::Router,
};

/// Messages at hand, from which on further subscriptions wait.
const AT_HAND: usize = 10_000;

/// A subscription whose retained messages are to be sent.
#[derive(Debug)]
pub(super) struct Search {
    /// The filter as the client wrote it.
    pub text: Arc<str>,
    pub subscription: Subscription,
    /// What of them is to be found.
    pub owed: Owed,
}

/// Whose backlog it is, and where its messages come from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub router: &'a Router,
    pub outbox: &'a Outbox,
    pub subscriptions: &'a AHashMap<Arc<str>, Subscription>,
    pub now: Instant,
}

/// The subscription for which messages were found.
#[derive(Debug)]
struct Found {
    text: Arc<str>,
    /// Whether the journal waits to be told that all were taken out.
    owes: bool,
}

/// What is still to be sent, in order. It outlives the connection with its session.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Those of one subscription lie together.
    found: VecDeque<(Arc<Found>, Candidate)>,
    /// Those of subscriptions that the lock never closes; they come first.
    always: VecDeque<(Arc<Found>, Candidate)>,
    /// Subscriptions that wait until there is room for what they bring.
    searches: VecDeque<Search>,
    /// The texts of `searches`, so that most need not be looked through.
    waiting: AHashSet<Arc<str>>,
}

impl Source<'_> {
    fn note(&self, text: &Arc<str>, owed: Owed) {
        let Some(subscription) = self.subscriptions.get(text).filter(|_| self.outbox.is_durable()) else {
            return;
        };
        let client = &self.outbox.client_id;
        self.router.journal.record(Change::Subscribed { client, text, subscription, owed });
    }

    /// The messages that a search finds, and what of them the journal is still to be told.
    fn look_up(&self, search: &Search) -> (Vec<Candidate>, Owed) {
        let Subscription { filter, options, identifier, .. } = &search.subscription;
        let extra =
            identifier.map(|identifier| Arc::new(Extra { identifiers: vec![identifier], group: None }));
        let mut messages = self.router.retained.matching(filter, self.now);
        messages.retain(|message| !options.no_local || message.author.client_id != self.outbox.client_id);
        let durable = self.outbox.is_durable();
        let first = if durable { self.outbox.reserve(messages.len()) } else { 0 };
        let mut owed = Owed::Nothing;
        let candidates = messages.into_iter().zip(first..).filter_map(|(message, seq)| {
            let qos = message.qos.min(options.qos);
            let promised = durable && qos != QoS::AtMostOnce;
            let candidate = Candidate {
                qos,
                retain: true,
                stored: true,
                seq: if promised { seq } else { 0 },
                packet_id: 0,
                size: message.size_u32(),
                extra: extra.clone(),
                message,
            };
            match qos {
                // It was queued with the journal before the restart.
                QoS::ExactlyOnce if search.owed == Owed::AtLeastOnce => return None,
                QoS::ExactlyOnce if promised => {
                    self.router.journal.record(candidate.queued(&self.outbox.client_id));
                }
                QoS::AtLeastOnce if promised => owed = Owed::AtLeastOnce,
                _ => {}
            }
            Some(candidate)
        });
        (candidates.collect(), owed)
    }
}

impl Backlog {
    /// Adds the messages of a subscription, and says what it owes from now on. A repeated SUBSCRIBE sends them again, in
    /// place of those not sent yet.
    pub fn push(&mut self, search: Search, source: &Source<'_>) -> Owed {
        self.forget(&search.text, source);
        if is_first(&search) || (self.searches.is_empty() && self.found.len() < AT_HAND) {
            return self.look_up(search, source);
        }
        let owed = search.owed;
        self.postpone(search);
        owed
    }

    /// Adds a subscription that is looked up later.
    pub fn postpone(&mut self, search: Search) {
        self.waiting.insert(search.text.clone());
        self.searches.push_back(search);
    }

    /// What a subscription owes.
    pub fn owed(&self, text: &str) -> Owed {
        if self.waiting.contains(text) {
            let search = self.searches.iter().find(|search| *search.text == *text);
            return search.map_or(Owed::Nothing, |search| search.owed);
        }
        match self.found.iter().chain(&self.always).any(|(of, _)| of.owes && *of.text == *text) {
            true => Owed::AtLeastOnce,
            false => Owed::Nothing,
        }
    }

    /// Drops what a subscription that ended was still to be sent.
    pub fn forget(&mut self, text: &str, source: &Source<'_>) {
        if self.waiting.remove(text) {
            self.searches.retain(|search| *search.text != *text);
        }
        for found in [&mut self.found, &mut self.always] {
            found.retain(|(of, candidate)| {
                let stays = *of.text != *text;
                if !stays {
                    source.router.settle(source.outbox, candidate);
                }
                stays
            });
        }
    }

    /// Looks messages up, if none are at hand; whether there are any then. What was retained after a subscription
    /// that had to wait may come twice, live and from here; nothing is left out. While `suspended`, only what the lock
    /// never closes counts, here and below.
    pub fn fill(&mut self, source: &Source<'_>, suspended: bool) -> bool {
        while self.front(suspended).is_none() {
            let Some(search) = self.next_search(suspended) else {
                if self.found.capacity() > 0 && self.is_empty() {
                    *self = Backlog::default();
                }
                return false;
            };
            self.waiting.remove(&search.text);
            let text = search.text.clone();
            // What is queued from here on is no longer owed.
            let _together = source.router.journal.together();
            let owed = self.look_up(search, source);
            source.note(&text, owed);
        }
        true
    }

    fn look_up(&mut self, search: Search, source: &Source<'_>) -> Owed {
        let (candidates, owed) = source.look_up(&search);
        let found = if is_first(&search) { &mut self.always } else { &mut self.found };
        let of = Arc::new(Found { text: search.text, owes: owed != Owed::Nothing });
        found.extend(candidates.into_iter().map(|candidate| (of.clone(), candidate)));
        owed
    }

    /// The next message, among those that were looked up.
    pub fn front(&self, suspended: bool) -> Option<&Candidate> {
        let found = self.always.front().or_else(|| self.found.front().filter(|_| !suspended));
        found.map(|(_, candidate)| candidate)
    }

    /// The same, to promise it an identifier.
    pub fn front_mut(&mut self, suspended: bool) -> Option<&mut Candidate> {
        let found = self.found.front_mut().filter(|_| !suspended);
        self.always.front_mut().or(found).map(|(_, candidate)| candidate)
    }

    fn next_search(&mut self, suspended: bool) -> Option<Search> {
        if !suspended {
            return self.searches.pop_front();
        }
        self.searches.remove(self.searches.iter().position(is_first)?)
    }

    /// Whether something is still to be looked up.
    pub fn has_searches(&self, suspended: bool) -> bool {
        if suspended { self.searches.iter().any(is_first) } else { !self.searches.is_empty() }
    }

    /// Takes the next message out.
    pub fn pop(&mut self, source: &Source<'_>, suspended: bool) -> Option<Candidate> {
        let line = match self.always.is_empty() {
            true if suspended => return None,
            true => &mut self.found,
            false => &mut self.always,
        };
        let (of, candidate) = line.pop_front()?;
        if candidate.seq != 0 && candidate.qos == QoS::AtLeastOnce {
            source.router.journal.record(candidate.queued(&source.outbox.client_id));
        }
        if of.owes && !line.front().is_some_and(|(next, _)| Arc::ptr_eq(next, &of)) {
            source.note(&of.text, Owed::Nothing);
        }
        Some(candidate)
    }

    /// Whether nothing is to be sent or looked up.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.always.is_empty() && self.searches.is_empty()
    }
}

/// Whether the lock never closes what a search is for.
fn is_first(search: &Search) -> bool {
    Gate::is_always_received(search.subscription.filter.as_str())
}
