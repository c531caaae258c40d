//! The author of a retained message: may it still publish there (CVE-2018-12546)?

use std::sync::Arc;

use super::{
    acl::{Access, Book, Rights},
    decision::{Denial, Stage},
    identity::Identity,
};

/// The rights of the author that was asked about last: retained messages often come many of one author.
#[derive(Debug)]
pub(super) struct Author {
    book: Arc<Book>,
    identity: Arc<Identity>,
    /// `None`: it may not even be connected any more.
    rights: Option<Rights>,
}

impl Author {
    pub fn new(book: Arc<Book>, identity: Arc<Identity>) -> Self {
        // Rules may go on standing for a name whose account is gone.
        let gone = match book.account(&identity.user) {
            Some(account) => !account.enabled,
            None => identity.credential.is_some(),
        };
        let rights = (!gone).then(|| book.rights(&identity.user, &identity.client_id));
        Author { book, identity, rights }
    }

    /// Whether this is `identity` under `book`.
    pub fn is(&self, book: &Arc<Book>, identity: &Arc<Identity>) -> bool {
        Arc::ptr_eq(&self.book, book) && Arc::ptr_eq(&self.identity, identity)
    }

    pub fn may_publish(&self, topic: &str) -> Result<(), Denial> {
        let denied =
            |rule| Denial::not_authorized(Stage::Source, rule, "its author may no longer publish it");
        // Not remembered: a certificate is revoked without a new book.
        if self.identity.certificate.as_ref().is_some_and(|certificate| certificate.lost().is_some()) {
            return Err(denied(None));
        }
        match &self.rights {
            None => Err(denied(None)),
            Some(rights) => {
                rights.on_topic(Access::PUBLISH, topic).map(drop).map_err(|denial| denied(denial.rule))
            }
        }
    }
}
