//! Where accounts and rules will live: the backends of this gateway, each of which there is once.

use super::{
    document::{Part, What},
    report::Line,
};

const ASK_ALL: &str = "rights: every backend is asked in its order, as the plugins were, not only the one that knew the password";

const ADDS_ACCOUNTS: &str =
    "sqlite: whom `latchgate user` and `acl` add; files: password_file and acl_file, as they were";

/// Accounts, rules and files to be written, and the backends that are taken.
#[derive(Debug, Default)]
pub(super) struct Homes {
    /// Files of the new folder, by name. They are for their owner alone.
    pub files: Vec<(String, Vec<u8>)>,
    pub accounts: Vec<Account>,
    /// Roles, with the users who have them.
    pub roles: Vec<(String, Vec<String>)>,
    pub rules: Vec<Rule>,
    /// What `sqlite` is used for, if it is.
    pub sqlite: Option<Sqlite>,
    /// Whether it is there for accounts to come, beside those in files.
    pub adds_accounts: bool,
    /// Sections of backends, by their names.
    pub backends: Vec<(&'static str, Part)>,
    /// The backends of listeners that name none.
    pub otherwise: Vec<&'static str>,
    /// Whether every backend is asked about rights, not only the one that knew the password.
    pub ask_all: bool,
    /// Keys of `[acl]`.
    pub acl: Vec<(&'static str, toml::Value, Line)>,
    /// Keys of `[auth.cache]`.
    pub cache: Vec<(&'static str, String, Line)>,
    /// Sections besides, as `[latch]`.
    pub sections: Vec<Part>,
    /// What the Latch service knows of each user.
    pub pairings: Vec<Pairing>,
}

/// What the database is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sqlite {
    /// Everybody may do everything.
    Open,
    /// Its rules say what is allowed.
    Rules,
}

/// An account to be made.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub name: String,
    /// A stored password that is known to be readable.
    pub stored: Option<String>,
    pub superuser: bool,
    pub disabled: bool,
}

/// A rule to be made, as `latchgate acl` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub deny: bool,
    pub subject: String,
    pub access: &'static str,
    pub filter: String,
}

/// A user's account at the Latch service.
#[derive(Clone, Debug)]
pub(super) struct Pairing {
    pub user: String,
    pub account: String,
    /// Topic filter and number of each instance.
    pub instances: Vec<(String, String)>,
}

impl Homes {
    /// Puts a file into the folder; its name, which is `stem` and a number if that is taken.
    pub fn file(&mut self, stem: &str, ending: &str, bytes: Vec<u8>) -> String {
        let dot = if ending.is_empty() { "" } else { "." };
        let mut name = format!("{stem}{dot}{ending}");
        for number in 2.. {
            if self.files.iter().all(|(taken, _)| *taken != name) {
                break;
            }
            name = format!("{stem}-{number}{dot}{ending}");
        }
        self.files.push((name.clone(), bytes));
        name
    }

    /// The section of a backend, if nothing else has it.
    pub fn take(&mut self, name: &'static str, head: &'static str) -> Option<&mut Part> {
        if self.backends.iter().any(|(taken, _)| *taken == name) {
            return None;
        }
        self.backends.push((name, Part::new(What::Backend(name), head)));
        self.backends.last_mut().map(|(_, part)| part)
    }

    pub fn is_taken(&self, name: &str) -> bool {
        self.backends.iter().any(|(taken, _)| *taken == name)
    }

    pub fn rule(&mut self, subject: &str, access: &'static str, filter: &str) {
        let (subject, filter) = (subject.to_owned(), filter.to_owned());
        let rule = Rule { deny: false, subject, access, filter };
        if !self.rules.contains(&rule) {
            self.rules.push(rule);
        }
    }

    /// Whether nothing would be in the databases.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.roles.is_empty() && self.rules.is_empty() && self.pairings.is_empty()
    }

    /// The rules of a Mosquitto without any.
    pub fn open_sqlite(&mut self) {
        self.sqlite = Some(Sqlite::Open);
        self.rule("*", "all", "#");
        self.rule("*", "read", "$SYS/#");
        self.rule("*", "write", "$SYS/broker/connection/+/state");
    }

    /// The section `[auth]` with those of the backends.
    pub fn parts(&self) -> Vec<Part> {
        let mut auth = Part::new(What::Section, "[auth]");
        let list = if self.otherwise.is_empty() { vec!["sqlite"] } else { self.otherwise.clone() };
        let list: Vec<toml::Value> = list.into_iter().map(Into::into).collect();
        auth.explained("backends", list, if self.adds_accounts { ADDS_ACCOUNTS } else { "" }, &[]);
        if self.ask_all {
            auth.explained("acl", "all", ASK_ALL, &[]);
        }
        let mut parts = vec![auth];
        if !self.cache.is_empty() {
            let mut cache = Part::new(What::Section, "[auth.cache]");
            for (key, value, line) in &self.cache {
                cache.set(*key, value.as_str(), &[*line]);
            }
            parts.push(cache);
        }
        parts.extend(self.sections.iter().cloned());
        parts.extend(self.backends.iter().map(|(_, part)| part.clone()));
        parts
    }
}
