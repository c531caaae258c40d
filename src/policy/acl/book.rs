//! All accounts and rules, compiled: one snapshot, replaced whole when something changed.

use std::sync::Arc;

use ahash::AHashMap;
use glob::Pattern;

use crate::policy::accounts::{Accounts, Subject};

use super::{BRIDGE, BridgeRoutes, Rights, RuleSet, routes::BridgeRules};

/// What the book keeps of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Stored password.
    pub hash: Option<Arc<str>>,
    /// See `AccountRecord::credential`.
    pub credential: i64,
    /// Whether it may log in.
    pub enabled: bool,
    superuser: bool,
    /// Names of its roles.
    pub roles: Vec<String>,
}

/// Accounts and rules.
#[derive(Debug, Default)]
pub struct Book {
    accounts: AHashMap<Arc<str>, Account>,
    users: AHashMap<String, Arc<RuleSet>>,
    roles: AHashMap<String, Arc<RuleSet>>,
    everyone: Arc<RuleSet>,
    bridges: BridgeRules,
    superusers: Vec<Pattern>,
}

impl Book {
    /// Compiles what the store holds. `superusers` are globs of user names, `routes` those of the bridges. An unusable allowing rule is left out,
    /// an unusable denying rule denies its subject everything, since leaving it out would open something; both are
    /// said in the log.
    pub fn compile(accounts: &Accounts, superusers: &[String], routes: &[BridgeRoutes]) -> Self {
        let mut users: AHashMap<String, RuleSet> = AHashMap::default();
        let mut roles: AHashMap<String, RuleSet> = AHashMap::default();
        let mut bridges: AHashMap<String, RuleSet> = AHashMap::default();
        let mut everyone = RuleSet::default();
        for rule in &accounts.rules {
            let set = match &rule.subject {
                Subject::User(name) => users.entry(name.clone()).or_default(),
                Subject::Role(name) => roles.entry(name.clone()).or_default(),
                Subject::Bridge(name) => bridges.entry(name.clone()).or_default(),
                Subject::Everyone => &mut everyone,
            };
            if let Err(error) = set.add(rule) {
                let (subject, filter) = (&rule.subject, &rule.filter);
                if rule.deny {
                    tracing::error!(%subject, ?filter, %error, "a denying rule is not usable: its subject is denied everything; remove it with `latchgate acl remove`");
                    set.closed = true;
                } else {
                    tracing::warn!(%subject, ?filter, %error, "an allowing rule is not usable and left out");
                }
            }
        }
        let shared =
            |sets: AHashMap<String, RuleSet>| sets.into_iter().map(|(k, v)| (k, Arc::new(v))).collect();
        Book {
            accounts: accounts
                .accounts
                .iter()
                .map(|record| {
                    let account = Account {
                        hash: record.hash.as_deref().map(Arc::from),
                        credential: record.credential,
                        enabled: record.enabled,
                        superuser: record.superuser,
                        roles: record.roles.clone(),
                    };
                    (Arc::from(record.name.as_str()), account)
                })
                .collect(),
            users: shared(users),
            roles: shared(roles),
            everyone: Arc::new(everyone),
            bridges: BridgeRules::new(routes, bridges),
            superusers: superusers.iter().filter_map(|glob| Pattern::new(glob).ok()).collect(),
        }
    }

    /// The account of a user name.
    pub fn account(&self, user: &str) -> Option<&Account> {
        self.accounts.get(user)
    }

    /// Why `user` is a superuser whatever its account says, if it is.
    pub fn superuser_by_name(&self, user: &str) -> Option<Arc<str>> {
        let glob = self.superusers.iter().find(|glob| glob.matches(user))?;
        Some(format!("superuser by acl.superusers {glob}").into())
    }

    /// The rights of a client under this book.
    pub fn rights(&self, user: &str, client_id: &str) -> Rights {
        if let Some(name) = user.strip_prefix(BRIDGE) {
            let shared = self.bridges.of(name, &self.everyone);
            let mut own = RuleSet::default();
            shared.iter().for_each(|set| set.resolve(user, client_id, &mut own));
            return Rights { superuser: None, shared, own };
        }
        let account = self.account(user);
        let superuser = account.filter(|account| account.superuser).map(|_| "superuser account".into());
        let roles = account.map_or(&[][..], |account| &account.roles);
        let shared: Vec<Arc<RuleSet>> = self
            .users
            .get(user)
            .into_iter()
            .chain(roles.iter().filter_map(|role| self.roles.get(role)))
            .chain([&self.everyone])
            .cloned()
            .collect();
        let mut own = RuleSet::default();
        shared.iter().for_each(|set| set.resolve(user, client_id, &mut own));
        Rights { superuser, shared, own }
    }

    /// Whether `user` fares alike under both books, a new form of the same stored password aside.
    pub fn same_for(&self, other: &Book, user: &str) -> bool {
        let known =
            |book: &Book| book.account(user).map(|a| (a.credential, a.enabled, a.superuser, a.roles.clone()));
        let roles = |book: &Book| -> Vec<Option<Arc<RuleSet>>> {
            let roles = book.account(user).map_or(&[][..], |a| &a.roles);
            roles.iter().map(|role| book.roles.get(role).cloned()).collect()
        };
        known(self) == known(other)
            && self.users.get(user) == other.users.get(user)
            && self.everyone == other.everyone
            && user.strip_prefix(BRIDGE).is_none_or(|name| self.bridges.same_for(&other.bridges, name))
            && roles(self) == roles(other)
    }
}
