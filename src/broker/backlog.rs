//! Retained messages that new subscriptions still have to be sent.
//!
//! They go out before anything newer. Once many are at hand, those of further subscriptions are looked up only when
//! the ones before are sent, so that many subscriptions to many retained messages do not multiply.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use ahash::AHashSet;

use crate::mqtt::{QoS, TopicFilter};

use super::{
    message::{Candidate, Extra},
    retained::Retained,
};

/// Messages at hand, from which on further subscriptions wait.
const AT_HAND: usize = 10_000;

/// A subscription whose retained messages are to be sent.
#[derive(Debug)]
pub(super) struct Search {
    pub filter: TopicFilter,
    pub qos: QoS,
    pub extra: Option<Arc<Extra>>,
    /// Whose own messages are left out (no local).
    pub not_by: Option<Arc<str>>,
}

/// A message that was found for a subscription.
#[derive(Debug)]
struct Found {
    of: TopicFilter,
    candidate: Candidate,
}

/// What is still to be sent, in order. It outlives the connection with its session.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    found: VecDeque<Found>,
    /// Subscriptions that wait until there is room for what they bring.
    searches: VecDeque<Search>,
    /// The filters of `searches`, so that most need not be looked through.
    waiting: AHashSet<TopicFilter>,
}

impl Backlog {
    /// Adds the messages of a subscription. A repeated SUBSCRIBE sends them again, in place of those not sent yet.
    pub fn push(&mut self, search: Search, retained: &Retained, now: Instant) {
        self.forget(&search.filter);
        if self.searches.is_empty() && self.found.len() < AT_HAND {
            self.look_up(search, retained, now);
        } else {
            self.waiting.insert(search.filter.clone());
            self.searches.push_back(search);
        }
    }

    /// Drops what a subscription that ended was still to be sent.
    pub fn forget(&mut self, filter: &TopicFilter) {
        if self.waiting.remove(filter) {
            self.searches.retain(|search| search.filter != *filter);
        }
        self.found.retain(|found| found.of != *filter);
    }

    /// Looks messages up, if none are at hand; whether there are any then. What was retained after a subscription
    /// that had to wait may come twice, live and from here; nothing is left out.
    pub fn fill(&mut self, retained: &Retained, now: Instant) -> bool {
        while self.found.is_empty() {
            let Some(search) = self.searches.pop_front() else {
                if self.found.capacity() > 0 {
                    *self = Backlog::default();
                }
                return false;
            };
            self.waiting.remove(&search.filter);
            self.look_up(search, retained, now);
        }
        true
    }

    fn look_up(&mut self, search: Search, retained: &Retained, now: Instant) {
        let Search { filter, qos, extra, not_by } = search;
        for message in retained.matching(&filter, now) {
            if not_by.as_ref() == Some(&message.author.client_id) {
                continue;
            }
            let candidate = Candidate {
                qos: message.qos.min(qos),
                retain: true,
                stored: true,
                seq: 0,
                packet_id: 0,
                size: message.size_u32(),
                extra: extra.clone(),
                message,
            };
            self.found.push_back(Found { of: filter.clone(), candidate });
        }
    }

    /// The next message, among those that were looked up.
    pub fn front(&self) -> Option<&Candidate> {
        self.found.front().map(|found| &found.candidate)
    }

    /// Takes the next message out.
    pub fn pop(&mut self) -> Option<Candidate> {
        self.found.pop_front().map(|found| found.candidate)
    }

    /// Whether nothing is to be sent or looked up.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.searches.is_empty()
    }
}
