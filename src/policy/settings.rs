//! What the configuration says of the policy.

use std::{sync::Arc, time::Duration};

use super::{
    accounts::Accounts,
    acl::{Access, Book, BridgeRoutes, Sources, SubscribeRule, Voiced},
    auth::backends::{Backend, Backends, Kind},
    command::CommandTopics,
    decision::{Denial, Operation, Stage},
    explain::{self, operation_of},
    identity::Identity,
    throttle::ThrottleRules,
};

/// What the configuration says of the policy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Globs of user names that are superusers.
    pub superusers: Vec<String>,
    /// A filter that every user with a name may read and write; each % stands for the name.
    pub topic_prefix: Option<String>,
    /// What the routes of bridges name.
    pub bridges: Vec<BridgeRoutes>,
    /// When subscriptions are granted.
    pub subscribe: SubscribeRule,
    /// Whether a retained message is delivered only while its author may still publish it.
    pub check_retained_source: bool,
    /// Whether a stored password in a legacy form is replaced at the first good login.
    pub upgrade_passwords: bool,
    /// How long a verified login is remembered.
    pub remember_logins: Duration,
    /// When failed logins are delayed, and lead to a ban.
    pub throttle: ThrottleRules,
    /// Whether there is somebody to obey commands that clients publish.
    pub commands: Option<CommandTopics>,
    /// Who is asked about logins and rights.
    pub backends: Backends,
    /// Listeners that let clients in without a login, with the name that these are given there.
    pub anonymous: Vec<(String, String)>,
    /// What is said of the lock.
    pub lock: super::lock::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            superusers: Vec::new(),
            topic_prefix: None,
            bridges: Vec::new(),
            subscribe: SubscribeRule::default(),
            check_retained_source: true,
            upgrade_passwords: true,
            remember_logins: Duration::from_secs(300),
            throttle: ThrottleRules::default(),
            commands: None,
            backends: Backends::default(),
            anonymous: Vec::new(),
            lock: Default::default(),
        }
    }
}

impl Settings {
    /// The listener by which somebody called `user` is let in without a login, at `listener` if one is named; `None` if there
    /// is none, or an account of that name: then it is taken for who logs in.
    pub(super) fn anonymous_at(&self, book: &Book, user: &str, listener: Option<&str>) -> Option<&str> {
        let known = |(backend, user): (&Backend, &str)| match &backend.kind {
            Kind::Sqlite => book.account(user).is_some(),
            Kind::Files(files) => files.reading().stored(user).is_some(),
            Kind::Asked(_) => false,
        };
        let fits = |(at, name): &&(String, String)| {
            name == user
                && listener.is_none_or(|listener| listener == at)
                && !self.backends.route(at, user).into_iter().any(known)
        };
        self.anonymous.iter().find(fits).map(|(at, _)| &**at)
    }

    /// Who speaks about the rights of somebody called `user`, who is not connected, and would come in by `listener`.
    pub(super) fn sources_for(
        &self,
        book: &Book,
        user: &str,
        client_id: &str,
        listener: Option<&str>,
    ) -> Sources {
        let without_login = self.anonymous_at(book, user, listener);
        let (listener, anonymous) = (without_login.or(listener).unwrap_or_default(), without_login.is_some());
        let identity = Identity {
            client_id: client_id.into(),
            user: user.into(),
            address: ([0, 0, 0, 0], 0).into(),
            listener: listener.into(),
            backend: None,
            token: None,
            credential: None,
            certificate: None,
        };
        let sources = Sources::new(book, self.backends.route(listener, user), &identity, anonymous);
        sources.with_prefix(self.topic_prefix.as_deref().filter(|_| !anonymous), user)
    }

    /// The answer to `acl test`: may a client do everything in `access` on `topic`? The yes names the rule, the no the
    /// operation. For subscribing, `topic` may be a filter. Backends elsewhere are asked; what each said comes as well.
    pub async fn test(
        &self,
        accounts: &Accounts,
        user: &str,
        client_id: &str,
        access: Access,
        topic: &str,
    ) -> (Result<Arc<str>, (Operation, Denial)>, Vec<(String, Vec<Voiced>)>) {
        let book = Book::compile(accounts, &self.superusers, &self.bridges);
        let sources = self.sources_for(&book, user, client_id, None);
        let nothing = Denial::not_authorized(Stage::Allow, None, "nothing was asked");
        let mut answer = Err((Operation::Receive, nothing));
        let mut voices = Vec::new();
        for one in access.operations(topic) {
            let operation = operation_of(one);
            let (verdict, said) = explain::settle(&sources, one, topic, self.subscribe, self.commands).await;
            voices.push((operation.to_string(), said));
            match verdict {
                Ok(rule) => answer = Ok(rule),
                Err(denial) => return (Err((operation, denial)), voices),
            }
        }
        (answer, voices)
    }
}
