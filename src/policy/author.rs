//! The author of a retained message: may it still publish there (CVE-2018-12546)?

use std::sync::Arc;

use super::{
    acl::{Access, Object, Outcome, Sources, SubscribeRule},
    auth::desk::{Said, Tag},
    decision::{Denial, Stage},
    identity::Identity,
    policy::Policy,
};

/// The rights of the author that was asked about last: retained messages often come many of one author.
#[derive(Debug)]
pub(super) struct Author {
    generation: u64,
    identity: Arc<Identity>,
    /// `None`: it may not even be connected any more.
    sources: Option<Sources>,
}

impl Author {
    /// The author under the policy as it is, whose generation was `generation` before it was looked at.
    pub fn new(policy: &Policy, generation: u64, identity: Arc<Identity>) -> Self {
        let book = policy.book();
        // Rules may go on standing for a name whose account is gone. A certificate is asked each time.
        // What a token allowed goes on counting when its time is over: its owner comes back with another.
        let revoked = identity.token.as_ref().is_some_and(|token| token.is_revoked());
        let gone = revoked || policy.account_ended(&book, &identity).is_some();
        let sources = (!gone).then(|| policy.sources(&book, &identity));
        Author { generation, identity, sources }
    }

    /// Whether this is `identity` under the policy of that generation.
    pub fn is(&self, generation: u64, identity: &Arc<Identity>) -> bool {
        self.generation == generation && Arc::ptr_eq(&self.identity, identity)
    }

    pub fn may_publish(&self, message: Object<'_>, recall: &mut dyn FnMut(&Tag) -> Option<Said>) -> Outcome {
        let denied =
            |rule| Denial::not_authorized(Stage::Source, rule, "its author may no longer publish it");
        // Not remembered: a certificate is revoked without a new book.
        if self.identity.certificate.as_ref().is_some_and(|certificate| certificate.lost().is_some()) {
            return Outcome::Known(Err(denied(None)), None);
        }
        let Some(sources) = &self.sources else { return Outcome::Known(Err(denied(None)), None) };
        let how = SubscribeRule::default();
        match sources.decide(Access::PUBLISH, message, how, recall) {
            Outcome::Known(Err(denial), until) => Outcome::Known(Err(denied(denial.rule)), until),
            outcome => outcome,
        }
    }
}
