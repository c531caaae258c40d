//! `latchgate role …`: groups of rules given to users.

use std::convert::Infallible;
use std::path::Path;
use std::process::ExitCode;

use super::askers::Doing;
use super::console::Console;
use crate::store::AccountsDb;
use crate::store::accounts::check;

/// Roles: rules (`acl allow role:NAME …`) given to several users at once
#[derive(Debug, clap::Subcommand)]
pub enum RoleCommand {
    /// Make a role
    Add {
        /// Its name; `role:` before it is left out
        #[arg(value_parser = new_role)]
        name: String,
    },
    /// Remove a role with its rules, and take it from everyone
    Remove {
        /// Its name, with or without `role:`
        #[arg(value_parser = role)]
        name: String,
    },
    /// List the roles and who has them
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Grant a role to a user
    Grant {
        /// Name of the role, with or without `role:`
        #[arg(value_parser = role)]
        role: String,
        /// User name
        user: String,
    },
    /// Take a role from a user
    Revoke {
        /// Name of the role, with or without `role:`
        #[arg(value_parser = role)]
        role: String,
        /// User name
        user: String,
    },
}

impl RoleCommand {
    /// What it does with roles that somebody may or may not ask.
    pub(super) fn doing(&self) -> Doing {
        match self {
            RoleCommand::List { json: true } => Doing::Else,
            RoleCommand::List { .. } => Doing::Lists,
            RoleCommand::Grant { user, .. } | RoleCommand::Revoke { user, .. } => Doing::Needs(user.clone()),
            RoleCommand::Add { .. } | RoleCommand::Remove { .. } => Doing::Edits,
        }
    }
}

/// Does what was asked with the roles in the state directory.
pub fn run(command: RoleCommand, state_dir: &Path) -> anyhow::Result<ExitCode> {
    Console::of_process(|console| execute(command, state_dir, console))
}

fn execute(command: RoleCommand, state_dir: &Path, console: &mut Console) -> anyhow::Result<ExitCode> {
    let db = AccountsDb::open(state_dir)?;
    match command {
        RoleCommand::Add { name } => {
            db.add_role(&name)?;
            writeln!(console.out, "role {name:?} added")?;
        }
        RoleCommand::Remove { name } => {
            let rules = db.remove_role(&name)?;
            writeln!(console.out, "role {name:?} removed with {rules} rule(s)")?;
        }
        RoleCommand::List { json } => {
            let roles = db.roles()?;
            if json {
                console.json(&roles)?;
            } else {
                let rows: Vec<_> = roles
                    .into_iter()
                    .map(|role| [role.name, role.rules.to_string(), role.users.join(", ")])
                    .collect();
                console.table(["NAME", "RULES", "USERS"], &rows)?;
            }
        }
        RoleCommand::Grant { role, user } => {
            let already = if db.grant(&role, &user)? { "" } else { " already" };
            writeln!(console.out, "user {user:?} has role {role:?}{already}")?;
        }
        RoleCommand::Revoke { role, user } => {
            let word = if db.revoke(&role, &user)? { "no longer has" } else { "did not have" };
            writeln!(console.out, "user {user:?} {word} role {role:?}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A role named on the command line, bare or as a subject: rules call it `role:NAME`.
fn role(name: &str) -> Result<String, Infallible> {
    Ok(name.strip_prefix("role:").unwrap_or(name).to_owned())
}

/// A name given on the command line for a new role.
fn new_role(name: &str) -> Result<String, String> {
    let Ok(name) = role(name);
    check::role_name(&name).map(|()| name)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::console::piped;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: RoleCommand,
    }

    fn role(state: &Path, line: &[&str]) -> Result<String, String> {
        let line = Line::try_parse_from([&["role"], line].concat()).map_err(|error| error.to_string())?;
        let (result, out, _) = piped("", |console| execute(line.command, state, console));
        result.map(|_| out).map_err(|error| error.to_string())
    }

    #[test]
    fn a_role_is_added_granted_listed_revoked_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path();
        AccountsDb::open(state).unwrap().add_user("a", None, false).unwrap();
        role(state, &["add", "lamps"]).unwrap();
        assert_eq!(role(state, &["grant", "lamps", "a"]).unwrap(), "user \"a\" has role \"lamps\"\n");
        assert_eq!(role(state, &["grant", "lamps", "a"]).unwrap(), "user \"a\" has role \"lamps\" already\n");
        assert_eq!(role(state, &["list"]).unwrap(), "NAME   RULES  USERS\nlamps  0      a\n");
        let json: serde_json::Value =
            serde_json::from_str(&role(state, &["list", "--json"]).unwrap()).unwrap();
        assert_eq!(json, serde_json::json!([{"name": "lamps", "users": ["a"], "rules": 0}]));
        assert!(role(state, &["revoke", "lamps", "a"]).unwrap().contains("no longer"));
        assert!(role(state, &["revoke", "lamps", "a"]).unwrap().contains("did not have"));
        role(state, &["remove", "lamps"]).unwrap();
        assert_eq!(role(state, &["list", "--json"]).unwrap(), "[]\n");
    }

    #[test]
    fn a_role_may_be_named_as_the_subject_of_its_rules() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path();
        AccountsDb::open(state).unwrap().add_user("a", None, false).unwrap();
        assert_eq!(role(state, &["add", "role:lamps"]).unwrap(), "role \"lamps\" added\n");
        role(state, &["grant", "role:lamps", "a"]).unwrap();
        assert!(role(state, &["grant", "lamps", "a"]).unwrap().contains("already"));
        assert!(role(state, &["revoke", "role:lamps", "a"]).unwrap().contains("no longer"));
        role(state, &["remove", "role:lamps"]).unwrap();
    }

    #[test]
    fn a_missing_role_or_user_and_an_impossible_name_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path();
        role(state, &["add", "lamps"]).unwrap();
        assert!(role(state, &["add", "lamps"]).unwrap_err().contains("exists already"));
        assert!(role(state, &["add", "role:lamps"]).unwrap_err().contains("exists already"));
        assert!(role(state, &["add", "role:role:lamps"]).unwrap_err().contains("without `role:`"));
        assert!(role(state, &["grant", "lamps", "a"]).unwrap_err().contains("no user"));
        assert!(role(state, &["remove", "doors"]).unwrap_err().contains("no role"));
    }
}
