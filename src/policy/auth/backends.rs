//! Which backends there are, and which of them a client's questions go to.

use std::sync::Arc;

use ahash::AHashMap;

use super::{backend::Question, desk::Desk, files::Files};

/// What kind of backend it is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// The gateway's own accounts and rules.
    Sqlite,
    /// Text files.
    Files(Arc<Files>),
    /// One that is asked over a network.
    Asked(Arc<Desk>),
}

impl Kind {
    /// Whether stored passwords come from elsewhere, to be verified here.
    pub(super) fn stores_elsewhere(&self) -> bool {
        matches!(self, Kind::Asked(desk) if desk.answers(&Question::Stored))
    }
}

/// One backend.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// Whether somebody can be a superuser by it.
    pub superusers: bool,
    /// User names that begin with this and an underscore go to this backend alone.
    pub prefix: Option<String>,
    /// Whether it is told such a name without the prefix.
    pub strip_prefix: bool,
}

/// Who is asked about rights, if a client has logged in with a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Askers {
    /// That one alone.
    #[default]
    Own,
    /// Every backend of the listener, in order.
    All,
}

/// All backends, and the order in which those of each listener are asked.
#[derive(Clone, Debug)]
pub struct Backends {
    /// In any order.
    pub list: Vec<Backend>,
    /// For a listener that has no order of its own: places in `list`.
    pub otherwise: Vec<usize>,
    /// For each listener that has one.
    pub listeners: AHashMap<String, Vec<usize>>,
    /// Who is asked about rights.
    pub askers: Askers,
}

/// The name of the gateway's own accounts and rules.
pub const SQLITE: &str = "sqlite";

impl Backend {
    /// The gateway's own accounts and rules.
    pub fn sqlite() -> Self {
        Backend {
            name: SQLITE.into(),
            kind: Kind::Sqlite,
            superusers: true,
            prefix: None,
            strip_prefix: false,
        }
    }

    /// What is left of `user` if its name leads to this backend alone.
    fn claims<'a>(&self, user: &'a str) -> Option<&'a str> {
        let (prefix, rest) = user.split_once('_')?;
        let claims = self.prefix.as_deref() == Some(prefix) && !rest.is_empty();
        claims.then_some(if self.strip_prefix { rest } else { user })
    }
}

impl Default for Backends {
    fn default() -> Self {
        Backends {
            list: vec![Backend::sqlite()],
            otherwise: vec![0],
            listeners: AHashMap::default(),
            askers: Askers::Own,
        }
    }
}

impl Backends {
    /// The backends that a client of `listener` called `user` belongs to, in order, with the name that each knows it by.
    pub fn route<'a>(&self, listener: &str, user: &'a str) -> Vec<(&Backend, &'a str)> {
        let places = self.listeners.get(listener).unwrap_or(&self.otherwise);
        let chain = || places.iter().filter_map(|place| self.list.get(*place));
        if let Some(only) = chain().find_map(|backend| Some((backend, backend.claims(user)?))) {
            return vec![only];
        }
        chain().map(|backend| (backend, user)).collect()
    }

    /// Those of [`Backends::route`] that are asked about the rights of a client that logged in with `backend`; without a
    /// login all are.
    pub fn askers<'a>(
        &self,
        listener: &str,
        user: &'a str,
        backend: Option<&str>,
    ) -> Vec<(&Backend, &'a str)> {
        let mut route = self.route(listener, user);
        if let (Askers::Own, Some(own)) = (self.askers, backend) {
            route.retain(|(backend, _)| &*backend.name == own);
        }
        route
    }

    /// The backends that are asked elsewhere.
    pub fn desks(&self) -> impl Iterator<Item = &Arc<Desk>> {
        self.list.iter().filter_map(|backend| match &backend.kind {
            Kind::Asked(desk) => Some(desk),
            _ => None,
        })
    }

    /// The files of every backend that has some.
    pub fn files(&self) -> impl Iterator<Item = &Arc<Files>> {
        self.list.iter().filter_map(|backend| match &backend.kind {
            Kind::Files(files) => Some(files),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: &str, prefix: Option<&str>, strip_prefix: bool) -> Backend {
        let prefix = prefix.map(str::to_owned);
        Backend { name: name.into(), prefix, strip_prefix, ..Backend::sqlite() }
    }

    fn names<'a>(route: Vec<(&Backend, &'a str)>) -> Vec<(String, &'a str)> {
        route.into_iter().map(|(backend, user)| (backend.name.to_string(), user)).collect()
    }

    #[test]
    fn a_prefix_leads_to_one_backend_and_no_other_name_does() {
        let backends = Backends {
            list: vec![
                backend("a", None, false),
                backend("b", Some("b"), true),
                backend("c", Some("c"), false),
            ],
            otherwise: vec![0, 1, 2],
            listeners: [("door".to_owned(), vec![1, 0])].into_iter().collect(),
            askers: Askers::Own,
        };
        let route = |listener, user| names(backends.route(listener, user));
        assert_eq!(route("x", "b_ann_x"), [("b".into(), "ann_x")]);
        assert_eq!(route("x", "c_ann"), [("c".into(), "c_ann")]);
        for user in ["ann", "b", "b_", "bb_x", "_b_x", "B_ann"] {
            assert_eq!(route("x", user).len(), 3, "{user}");
        }
        assert_eq!(route("door", "c_ann"), [("b".into(), "c_ann"), ("a".into(), "c_ann")]);
        assert_eq!(names(backends.askers("x", "ann", Some("b"))), [("b".into(), "ann")]);
        assert_eq!(backends.askers("x", "ann", None).len(), 3);
        assert_eq!(backends.askers("x", "ann", Some("gone")).len(), 0);
    }
}
