//! `acl_file`: `user NAME`, `topic [read|write|readwrite|deny] FILTER`, `pattern [same] FILTER`.
//!
//! What the dialects disagree about stands in [`super::rights`], except for words: go-auth has `subscribe` as well,
//! and auth-plug no `deny`.

use std::{path::Path, sync::Arc};

use ahash::AHashMap;

use super::{
    Dialect, FileError, FileRights,
    rights::{Line, Means},
};
use crate::mqtt::TopicFilter;

/// The rules of a file.
#[derive(Debug)]
pub(super) struct AclFile {
    dialect: Dialect,
    /// Before the first `user`.
    general: Arc<[Line]>,
    users: AHashMap<Arc<str>, Arc<[Line]>>,
    patterns: Arc<[Line]>,
}

impl AclFile {
    /// Reads the lines of `text`, the content of `file`.
    pub fn parse(text: &str, file: &Path, dialect: Dialect) -> Result<Self, FileError> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let (mut general, mut patterns) = (Vec::new(), Vec::new());
        let mut users: AHashMap<Arc<str>, Vec<Line>> = AHashMap::default();
        let mut user: Option<Arc<str>> = None;
        for (number, line) in text.lines().enumerate() {
            let wrong = |what: &str| {
                Err(FileError { file: file.to_owned(), line: Some(number + 1), what: what.to_owned() })
            };
            let line = line.trim_end();
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            let line = line.trim_start_matches(' ');
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim_start_matches(' ');
            match word {
                "user" if rest.is_empty() => return wrong("`user` needs a name"),
                "user" => {
                    let name: Arc<str> = rest.trim().into();
                    users.entry(name.clone()).or_default();
                    user = Some(name);
                }
                "topic" | "pattern" if rest.is_empty() => return wrong("a topic filter is missing"),
                "topic" | "pattern" => {
                    let (means, filter) = match rest.split_once(' ') {
                        None => (Means::READ_WRITE, rest),
                        Some((access, filter)) => match Means::word(access, dialect) {
                            Some(means) => (means, filter.trim_start_matches(' ')),
                            None => return wrong(access_words(dialect)),
                        },
                    };
                    if let Err(error) = TopicFilter::new(filter) {
                        return wrong(&format!("not a valid topic filter: {error}"));
                    }
                    let text = format!("{name}:{}: {line}", number + 1).into();
                    let rule = Line { means, filter: filter.into(), text };
                    match (word, &user) {
                        ("pattern", _) => patterns.push(rule),
                        (_, None) => general.push(rule),
                        (_, Some(user)) => users.entry(user.clone()).or_default().push(rule),
                    }
                }
                _ => return wrong("a line begins with `user`, `topic`, `pattern` or `#`"),
            }
        }
        let sorted = |mut lines: Vec<Line>| -> Arc<[Line]> {
            // Denying lines come first; else the order of the file holds.
            lines.sort_by_key(|line| line.means != Means::DENY);
            lines.into()
        };
        Ok(AclFile {
            dialect,
            general: sorted(general),
            users: users.into_iter().map(|(user, lines)| (user, sorted(lines))).collect(),
            patterns: sorted(patterns),
        })
    }

    /// Rules of users alone, as auth-plug would read them.
    pub fn of_users(users: AHashMap<Arc<str>, Vec<Line>>) -> Self {
        AclFile {
            dialect: Dialect::AuthPlug,
            general: Arc::default(),
            users: users.into_iter().map(|(user, lines)| (user, lines.into())).collect(),
            patterns: Arc::default(),
        }
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The rights of one client.
    pub fn rights(&self, user: &str, client_id: &str, anonymous: bool) -> FileRights {
        let own = if anonymous { None } else { self.users.get(user) };
        let general = match self.dialect {
            // Mosquitto's lines before the first `user` are for clients without a name only.
            Dialect::Mosquitto => anonymous.then_some(&self.general),
            Dialect::GoAuth | Dialect::AuthPlug => Some(&self.general),
        };
        let own = own.into_iter().chain(general).cloned().collect();
        FileRights::new(self.dialect, own, &self.patterns, (!anonymous).then_some(user), client_id)
    }

    /// Whether `user` has the same rules in both.
    pub fn same_for(&self, other: &AclFile, user: &str) -> bool {
        let same = |one: &[Line], other: &[Line]| {
            let bare = |line: &Line| (line.means, line.filter.clone());
            one.iter().map(bare).eq(other.iter().map(bare))
        };
        let own = match (self.users.get(user), other.users.get(user)) {
            (Some(one), Some(other)) => same(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        own && same(&self.general, &other.general) && same(&self.patterns, &other.patterns)
    }
}

fn access_words(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Mosquitto => "access is read, write, readwrite or deny; without a word it is readwrite",
        Dialect::GoAuth => {
            "access is read, write, readwrite, subscribe or deny; without a word it is readwrite"
        }
        Dialect::AuthPlug => "access is read, write or readwrite; without a word it is readwrite",
    }
}
