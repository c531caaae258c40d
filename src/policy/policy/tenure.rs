//! How long who was let in may stay.

use super::{
    super::{
        acl::Book,
        auth::backends::{Backend, Kind},
        certificate::Certificate,
        identity::Identity,
    },
    Policy,
};

impl Policy {
    /// Why the client may no longer be connected, if so.
    pub(in crate::policy) fn ended(&self, book: &Book, identity: &Identity) -> Option<&'static str> {
        let certificate = || identity.certificate.as_ref().and_then(Certificate::lost);
        let token = || identity.token.as_ref().and_then(|token| token.ended());
        self.account_ended(book, identity).or_else(certificate).or_else(token)
    }

    /// Why the account it logged in with lets nobody in any more, if so.
    pub(in crate::policy) fn account_ended(&self, book: &Book, identity: &Identity) -> Option<&'static str> {
        const GONE: Option<&str> = Some("the account was removed");
        const CHANGED: Option<&str> = Some("the password was changed");
        let Identity { user, listener, backend, credential, .. } = identity;
        let settings = self.settings.load();
        if is_disabled(&settings.backends.route(listener, user), book) {
            return Some("the account is disabled");
        }
        let askers = settings.backends.askers(listener, user, backend.as_deref());
        if let Some(name) = backend
            && !askers.iter().any(|(asked, _)| asked.name == *name)
        {
            return Some("the backend it logged in with is no longer asked here");
        }
        askers.into_iter().find_map(|(Backend { name, kind, .. }, user)| {
            let own = backend.as_ref() == Some(name);
            match (kind, credential) {
                (Kind::Sqlite, _) => match (book.account(user), credential) {
                    (None, Some(_)) if own => GONE,
                    (Some(account), Some(credential)) if own && account.credential != *credential => CHANGED,
                    _ => None,
                },
                (Kind::Files(files), Some(credential)) if own => match files.reading().stored(user) {
                    None => GONE,
                    Some(stored) if number_of(stored) != *credential => CHANGED,
                    Some(_) => None,
                },
                _ => None,
            }
        })
    }

    /// Whether the account that `identity` logged in with was removed.
    pub fn is_gone(&self, identity: &Identity) -> bool {
        let Identity { user, listener, backend, .. } = identity;
        let Some(backend) = backend else { return false };
        let settings = self.settings.load();
        let mut askers = settings.backends.askers(listener, user, Some(backend)).into_iter();
        let Some((own, user)) = askers.find(|(asked, _)| asked.name == *backend) else { return false };
        match &own.kind {
            Kind::Sqlite => self.book.load().account(user).is_none(),
            Kind::Files(files) => files.reading().stored(user).is_none(),
            Kind::Asked(_) => false,
        }
    }
}

/// Whether the gateway's own account is disabled of somebody whom these backends are asked about, whichever of them knows the
/// password.
pub(in crate::policy) fn is_disabled(route: &[(&Backend, &str)], book: &Book) -> bool {
    route.iter().any(|(backend, user)| {
        matches!(backend.kind, Kind::Sqlite) && book.account(user).is_some_and(|account| !account.enabled)
    })
}

/// The number of a stored password in a file: another for every other text. It cannot be read back.
pub(in crate::policy) fn number_of(stored: &str) -> i64 {
    use sha2::Digest;
    let mut first = [0; 8];
    first.copy_from_slice(&sha2::Sha256::digest(stored.as_bytes())[..8]);
    i64::from_le_bytes(first)
}
