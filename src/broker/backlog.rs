//! Retained messages that new subscriptions still have to be sent.
//!
//! They go out before anything newer. The messages of one subscription are looked up when those of the one before
//! it are sent, so that many subscriptions to many retained messages hold one list at a time.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use ahash::AHashSet;

use crate::mqtt::{QoS, TopicFilter};

use super::{
    message::{Candidate, Extra},
    retained::Retained,
};

/// A subscription whose retained messages are to be sent.
#[derive(Debug)]
pub(super) struct Search {
    pub filter: TopicFilter,
    pub qos: QoS,
    pub extra: Option<Arc<Extra>>,
    /// Whose own messages are left out (no local).
    pub not_by: Option<Arc<str>>,
}

/// What is still to be sent, in order. It outlives the connection with its session.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// What was found for `of`.
    found: VecDeque<Candidate>,
    of: Option<TopicFilter>,
    searches: VecDeque<Search>,
    /// The filters of `searches`, so that most need not be looked through.
    waiting: AHashSet<TopicFilter>,
}

impl Backlog {
    /// Adds the messages of a subscription. A repeated SUBSCRIBE sends them again, in place of those not sent yet.
    pub fn push(&mut self, search: Search) {
        self.forget(&search.filter);
        self.waiting.insert(search.filter.clone());
        self.searches.push_back(search);
    }

    /// Drops what a subscription that ended was still to be sent.
    pub fn forget(&mut self, filter: &TopicFilter) {
        if self.waiting.remove(filter) {
            self.searches.retain(|search| search.filter != *filter);
        }
        if self.of.as_ref() == Some(filter) {
            self.found.clear();
        }
    }

    /// Looks messages up, if none are at hand; whether there are any then. What was retained after the subscription
    /// may come twice, live and from here; nothing is left out.
    pub fn fill(&mut self, retained: &Retained, now: Instant) -> bool {
        while self.found.is_empty() {
            let Some(search) = self.searches.pop_front() else {
                if self.of.is_some() {
                    *self = Backlog::default();
                }
                return false;
            };
            let Search { filter, qos, extra, not_by } = search;
            self.waiting.remove(&filter);
            self.found = retained
                .matching(&filter, now)
                .into_iter()
                .filter(|message| not_by.as_ref() != Some(&message.author.client_id))
                .map(|message| Candidate {
                    qos: message.qos.min(qos),
                    retain: true,
                    stored: true,
                    size: message.size_u32(),
                    extra: extra.clone(),
                    message,
                })
                .collect();
            self.of = Some(filter);
        }
        true
    }

    /// The next message, among those that were looked up.
    pub fn front(&self) -> Option<&Candidate> {
        self.found.front()
    }

    /// Takes the next message out.
    pub fn pop(&mut self) -> Option<Candidate> {
        self.found.pop_front()
    }

    /// Whether nothing is to be sent or looked up.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.searches.is_empty()
    }
}
