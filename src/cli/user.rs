//! `latchgate user …`: accounts.

use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::bail;

use super::askers::Doing;
use super::console::{Console, PasswordArgs};
use crate::policy::accounts::AccountRecord;
use crate::policy::auth::password::once::{self, Usage};
use crate::store::AccountsDb;
use crate::store::accounts::check;

/// Accounts; a running gateway obeys a change within a second
#[derive(Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Make an account
    Add {
        /// User name
        #[arg(value_parser = user_name)]
        name: String,
        /// Let it pass every rule (not the lock)
        #[arg(long)]
        superuser: bool,
        /// Where the password comes from
        #[command(flatten)]
        password: PasswordArgs,
        /// Give it no password: it logs in by a certificate or another backend, or is made to be ready
        #[arg(long, conflicts_with_all = ["password_stdin", "hash"])]
        no_password: bool,
    },
    /// Remove an account; its live sessions end, rules for its name stay
    Remove {
        /// User name
        name: String,
    },
    /// List the accounts
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change the password of an account; its live sessions end
    Password {
        /// User name
        name: String,
        /// Where the password comes from
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Let a disabled account in again
    Enable {
        /// User name
        name: String,
    },
    /// Keep an account out; its live sessions end
    Disable {
        /// User name
        name: String,
    },
}

impl UserCommand {
    /// What it does with accounts that somebody may or may not ask.
    pub(super) fn doing(&self) -> Doing {
        match self {
            UserCommand::Add { name, .. } => Doing::Adds(name.clone()),
            UserCommand::List { json: true } => Doing::Else,
            UserCommand::List { .. } => Doing::Lists,
            UserCommand::Remove { name }
            | UserCommand::Password { name, .. }
            | UserCommand::Enable { name }
            | UserCommand::Disable { name } => Doing::Needs(name.clone()),
        }
    }
}

#[derive(serde::Serialize)]
struct Listed {
    name: String,
    enabled: bool,
    superuser: bool,
    /// Whether it has one that works. What it is stays in the database.
    password: bool,
    roles: Vec<String>,
}

impl From<AccountRecord> for Listed {
    fn from(account: AccountRecord) -> Self {
        let AccountRecord { name, hash, credential: _, enabled, superuser, roles } = account;
        let works = |hash: String| once::usage(&hash, SystemTime::now()) != Usage::Never;
        Listed { name, enabled, superuser, password: hash.is_some_and(works), roles }
    }
}

/// Does what was asked with the accounts in the state directory.
pub fn run(command: UserCommand, state_dir: &Path) -> anyhow::Result<ExitCode> {
    Console::of_process(|console| execute(command, state_dir, console))
}

fn execute(command: UserCommand, state_dir: &Path, console: &mut Console) -> anyhow::Result<ExitCode> {
    let db = AccountsDb::open(state_dir)?;
    match command {
        UserCommand::Add { name, superuser, password, no_password } => {
            if db.has_user(&name)? {
                bail!("user {name:?} exists already; to change the password: latchgate user password {name}");
            }
            let hash = if no_password { None } else { Some(console.new_stored_password(&password)?) };
            db.add_user(&name, hash.as_deref(), superuser)?;
            writeln!(console.out, "user {name:?} added")?;
        }
        UserCommand::Remove { name } => {
            let rules = db.remove_user(&name)?;
            writeln!(console.out, "user {name:?} removed")?;
            if rules > 0 {
                writeln!(
                    console.err,
                    "note: {rules} rule(s) for the name {name:?} stay and count for whoever logs in under it (see: latchgate acl list {name})"
                )?;
            }
        }
        UserCommand::List { json } => {
            let users: Vec<Listed> = db.users()?.into_iter().map(Listed::from).collect();
            if json {
                console.json(&users)?;
            } else {
                let rows: Vec<_> = users.into_iter().map(row).collect();
                console.table(["NAME", "STATE", "SUPERUSER", "PASSWORD", "ROLES"], &rows)?;
            }
        }
        UserCommand::Password { name, password } => {
            if !db.has_user(&name)? {
                bail!("there is no user {name:?}; make it with: latchgate user add {name}");
            }
            let hash = console.new_stored_password(&password)?;
            db.set_password(&name, &hash)?;
            writeln!(console.out, "password of {name:?} changed")?;
        }
        UserCommand::Enable { name } => {
            db.set_enabled(&name, true)?;
            writeln!(console.out, "user {name:?} enabled")?;
        }
        UserCommand::Disable { name } => {
            db.set_enabled(&name, false)?;
            writeln!(console.out, "user {name:?} disabled")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(user: Listed) -> [String; 5] {
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let state = if user.enabled { "enabled" } else { "disabled" }.to_owned();
    [user.name, state, yes_or_no(user.superuser), yes_or_no(user.password), user.roles.join(", ")]
}

/// A name given on the command line for a new account.
fn user_name(name: &str) -> Result<String, String> {
    check::user_name(name).map(|()| name.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::console::piped;
    use super::*;
    use crate::policy::auth::password::StoredPassword;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: UserCommand,
    }

    /// Runs one command line; its output, or its error.
    fn user(state: &Path, line: &[&str], input: &str) -> Result<String, String> {
        let line = Line::try_parse_from([&["user"], line].concat()).map_err(|error| error.to_string())?;
        let (result, out, err) = piped(input, |console| execute(line.command, state, console));
        result.map(|code| assert_eq!(code, ExitCode::SUCCESS)).map_err(|error| format!("{error:#}"))?;
        Ok(out + &err)
    }

    fn stored(state: &Path, name: &str) -> Option<String> {
        let users = AccountsDb::open(state).unwrap().users().unwrap();
        users.into_iter().find(|user| user.name == name).unwrap().hash
    }

    #[test]
    fn a_user_is_added_listed_changed_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let state = &directory.path().join("state");
        user(state, &["add", "jjolie", "--password-stdin"], "foo\n").unwrap();
        assert!(StoredPassword::parse(&stored(state, "jjolie").unwrap()).unwrap().verify(b"foo"));
        let np = "PBKDF2$sha256$901$chEZ4HcSmKtlV0kf$yRh2N62uq6cHoAB6FIrxIN2iihYqNIJp";
        user(state, &["add", "su1", "--superuser", "--hash", np], "").unwrap();
        user(state, &["add", "cert", "--no-password"], "").unwrap();
        user(state, &["disable", "jjolie"], "").unwrap();
        let table = user(state, &["list"], "").unwrap();
        assert_eq!(
            table,
            "NAME    STATE     SUPERUSER  PASSWORD  ROLES\n\
             cert    enabled   no         no        -\n\
             jjolie  disabled  no         yes       -\n\
             su1     enabled   yes        yes       -\n"
        );
        let json = user(state, &["list", "--json"], "").unwrap();
        assert!(!json.contains("PBKDF2"));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            json[2],
            serde_json::json!({"name": "su1", "enabled": true, "superuser": true, "password": true, "roles": []})
        );
        user(state, &["enable", "jjolie"], "").unwrap();
        user(state, &["password", "jjolie", "--hash", np], "").unwrap();
        assert_eq!(stored(state, "jjolie").as_deref(), Some(np));
        user(state, &["remove", "jjolie"], "").unwrap();
        assert!(!user(state, &["list"], "").unwrap().contains("jjolie"));
    }

    #[test]
    fn what_cannot_be_done_is_refused_in_words_and_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path();
        for (line, input, words) in [
            (&["add", "a"][..], "foo\n", "--password-stdin"),
            (&["add", "a", "--password-stdin"], "\n", "empty"),
            (&["add", "a", "--hash", "plain"], "", "no known form"),
            (&["add", "a", "--hash", "x", "--password-stdin"], "", "cannot be used with"),
            (&["add", "role:a", "--no-password"], "", "something else"),
            (&["add", "", "--no-password"], "", "empty"),
            (&["remove", "a"], "", "no user"),
            (&["password", "a", "--password-stdin"], "foo", "no user"),
            (&["enable", "a"], "", "no user"),
            (&["disable", "a"], "", "no user"),
        ] {
            let error = user(state, line, input).expect_err(&format!("{line:?}"));
            assert!(error.contains(words), "{line:?}: {error}");
        }
        assert_eq!(user(state, &["list", "--json"], "").unwrap(), "[]\n");
        user(state, &["add", "a", "--no-password"], "").unwrap();
        assert!(
            user(state, &["add", "a", "--password-stdin"], "foo").unwrap_err().contains("exists already")
        );
        assert_eq!(stored(state, "a"), None);
    }
}
