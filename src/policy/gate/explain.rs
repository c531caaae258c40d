//! How a verdict came about.

use super::{
    super::{
        acl::Open,
        auth::desk::Tag,
        decision::Operation,
        explain::{Explanation, Subject},
        identity::{BY_CERTIFICATE, Identity},
        live::Inquiry,
    },
    Gate, Standing,
    wait::recall,
};

impl Gate {
    /// Answers as every question is answered, and says how; with what must be asked first.
    pub(super) fn explain(&self, inquiry: &Inquiry) -> (Explanation, Vec<Open>) {
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
}
