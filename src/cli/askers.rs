//! Does anybody ask the accounts and rules that `user`, `role` and `acl` edit? They say so if not, and where else somebody is
//! kept: a change that nobody obeys must not look like one.

use std::{path::Path, process::ExitCode};

use super::{context::Context, output};
use crate::{
    config::{self, Backend, Config},
    policy::auth::files::LARGEST,
    store::AccountsDb,
};

/// What a command of these does, as far as it matters here.
#[derive(Clone, Debug)]
pub(super) enum Doing {
    /// It adds an account.
    Adds(String),
    /// It needs an account to be there.
    Needs(String),
    /// It makes a rule for a user.
    Rules(String),
    /// It lists some.
    Lists,
    /// It edits something else.
    Edits,
    /// It is about what no listener is asked for.
    Else,
}

/// What a command came to, with what is good to know besides.
pub(super) fn told(
    context: &Context,
    doing: &Doing,
    state: &Path,
    done: anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    // A wrong configuration stops no emergency, and was told.
    let Ok(config) = context.config() else { return done };
    let askers = Askers::new(&config);
    match done {
        Ok(code) => {
            askers.remark(doing).iter().for_each(|remark| output::note(remark));
            Ok(code)
        }
        Err(error) => match askers.kept(doing, state) {
            Some(place) => Err(anyhow::anyhow!("{error:#}; {place}")),
            None => Err(error),
        },
    }
}

/// Whom the listeners ask.
struct Askers<'a> {
    config: &'a Config,
    /// Whether the accounts and rules in the state folder are asked by any.
    own: bool,
    /// Every backend that is asked by one.
    others: Vec<Backend>,
}

impl<'a> Askers<'a> {
    fn new(config: &'a Config) -> Self {
        let mut others: Vec<Backend> = Vec::new();
        for listener in &config.listeners {
            let chain = if listener.backends.is_empty() { &config.auth.backends } else { &listener.backends };
            let more: Vec<Backend> = chain.iter().filter(|name| !others.contains(name)).copied().collect();
            others.extend(more);
        }
        // With `path` it is a database of another program.
        let own = others.contains(&Backend::Sqlite) && config.auth.sqlite.path.is_none();
        others.retain(|name| *name != Backend::Sqlite || !own);
        Askers { config, own, others }
    }

    /// What is good to know after a command.
    fn remark(&self, doing: &Doing) -> Option<String> {
        if matches!(doing, Doing::Else) {
            return None;
        }
        if !self.own {
            let file = self.config.file.as_deref().unwrap_or(Path::new("the configuration")).display();
            let todo = match &self.config.auth.sqlite.path {
                Some(path) => format!("[auth.sqlite] path is {}, another program's", path.path.display()),
                None => {
                    "to have them asked, put \"sqlite\" first in [auth] backends, and restart the gateway"
                        .to_owned()
                }
            };
            return Some(format!(
                "no listener asks these accounts and rules, but {}: see {file}; {todo}",
                self.elsewhere()
            ));
        }
        match doing {
            Doing::Lists if !self.others.is_empty() => Some(format!("listeners ask others too: {}", self.elsewhere())),
            Doing::Adds(user) => self.line_of(user).map(|(file, line)| {
                format!("{user:?} is in line {line} of {file} too: whoever knows that password goes on logging in, with the rights there")
            }),
            Doing::Rules(user) if self.config.auth.acl == config::Askers::Own => self.line_of(user).map(|(file, line)| {
                format!("{user:?} is in line {line} of {file}, so its rights are those of the backend files; this rule counts for it once it logs in by an account")
            }),
            _ => None,
        }
    }

    /// Where somebody who is not in `accounts` is kept, and how to shut it out.
    fn kept(&self, doing: &Doing, state: &Path) -> Option<String> {
        let Doing::Needs(user) = doing else { return None };
        if !AccountsDb::exists(state) || AccountsDb::open(state).ok()?.has_user(user).ok()? {
            return None;
        }
        let (file, line) = self.line_of(user)?;
        let or = match self.own {
            true => format!(
                "; to shut it out without that: latchgate user add {user} --no-password, then latchgate user disable {user}"
            ),
            false => String::new(),
        };
        Some(format!("it is kept in line {line} of {file}: change or remove that line{or}"))
    }

    /// The backends besides, with their files.
    fn elsewhere(&self) -> String {
        let files = &self.config.auth.files;
        let one = |name: &Backend| match name {
            Backend::Files => {
                let names: Vec<String> = [&files.password_file, &files.acl_file]
                    .into_iter()
                    .flatten()
                    .map(|file| file.path.display().to_string())
                    .collect();
                format!("files ({})", names.join(", "))
            }
            other => other.word().to_owned(),
        };
        let all: Vec<String> = self.others.iter().map(one).collect();
        if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
    }

    /// The line of the password file that a user has there.
    fn line_of(&self, user: &str) -> Option<(String, usize)> {
        let file = self
            .config
            .auth
            .files
            .password_file
            .as_ref()
            .filter(|_| self.others.contains(&Backend::Files))?;
        let text = String::from_utf8(crate::file::read(&file.path, LARGEST).ok()?).ok()?;
        let is_it = |line: &str| line.split_once(':').is_some_and(|(name, _)| name.trim() == user);
        // The later line counts.
        let line = text.lines().enumerate().filter(|(_, line)| is_it(line)).last()?.0;
        Some((file.path.display().to_string(), line + 1))
    }
}
