//! Accounts: who may log in.

use std::collections::HashMap;

use rusqlite::types::ValueRef;
use rusqlite::{Transaction, params};

use super::{AccountsDb, Change, check, text};
use crate::policy::accounts::AccountRecord;
use crate::store::StoreError;

impl Change<'_> {
    /// As [`AccountsDb::add_user`].
    pub fn add_user(&self, name: &str, hash: Option<&str>, superuser: bool) -> Result<(), StoreError> {
        check::user_name(name).map_err(StoreError::Invalid)?;
        let added = self.execute(
            "INSERT INTO user (name, hash, superuser) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![name, hash, superuser],
        )?;
        if added == 1 { Ok(()) } else { Err(StoreError::Exists(format!("user {name:?}"))) }
    }

    /// As [`AccountsDb::set_enabled`].
    pub fn set_enabled(&self, name: &str, enabled: bool) -> Result<(), StoreError> {
        let sql = "UPDATE user SET enabled = ?2 WHERE name = ?1";
        found(self.execute(sql, params![name, enabled])?, name)
    }
}

impl AccountsDb {
    /// Makes an account. `hash` is a stored password in a form that `auth::password` reads; without one nobody
    /// logs in to it by password.
    ///
    /// # Errors
    /// A name that is not allowed, or taken.
    pub fn add_user(&self, name: &str, hash: Option<&str>, superuser: bool) -> Result<(), StoreError> {
        self.change(|change| change.add_user(name, hash, superuser))
    }

    /// Removes an account and takes its roles from it. Rules for its name stay: they may be meant for whoever
    /// logs in under it by another backend. Returns how many there are.
    pub fn remove_user(&self, name: &str) -> Result<usize, StoreError> {
        self.change(|change| {
            let removed = change.execute("DELETE FROM user WHERE name = ?1", [name])?;
            found(removed, name)?;
            let rules = change.number("SELECT count(*) FROM rule WHERE subject = ?1", [name])?;
            Ok(rules.and_then(|rules| usize::try_from(rules).ok()).unwrap_or(0))
        })
    }

    /// Replaces the stored password. Live sessions that logged in with the old one end.
    pub fn set_password(&self, name: &str, hash: &str) -> Result<(), StoreError> {
        self.update(
            name,
            "UPDATE user SET hash = ?2, credential = (credential + 1) & 0x7fffffffffffffff WHERE name = ?1",
            params![name, hash],
        )
    }

    /// Enables or disables an account.
    pub fn set_enabled(&self, name: &str, enabled: bool) -> Result<(), StoreError> {
        self.change(|change| change.set_enabled(name, enabled))
    }

    /// Makes an account a superuser, or an ordinary one again.
    pub fn set_superuser(&self, name: &str, superuser: bool) -> Result<(), StoreError> {
        self.update(name, "UPDATE user SET superuser = ?2 WHERE name = ?1", params![name, superuser])
    }

    /// Makes `name` an enabled superuser with this stored password, whether there was such an account or not. Live
    /// sessions that logged in to it before end.
    ///
    /// # Errors
    /// A name that is not allowed.
    pub fn put_administrator(&self, name: &str, hash: &str) -> Result<(), StoreError> {
        check::user_name(name).map_err(StoreError::Invalid)?;
        self.change(|change| {
            change.execute(
                "INSERT INTO user (name, hash, superuser) VALUES (?1, ?2, 1) ON CONFLICT (name) DO UPDATE
                 SET hash = ?2, superuser = 1, enabled = 1, credential = (credential + 1) & 0x7fffffffffffffff",
                params![name, hash],
            )?;
            Ok(())
        })
    }

    /// Every account, by name.
    pub fn users(&self) -> Result<Vec<AccountRecord>, StoreError> {
        self.read(all)
    }

    /// Whether there is an account of this name.
    pub fn has_user(&self, name: &str) -> Result<bool, StoreError> {
        self.read(|transaction| {
            transaction
                .query_row("SELECT EXISTS (SELECT 1 FROM user WHERE name = ?1)", [name], |row| row.get(0))
        })
    }

    fn update(&self, name: &str, sql: &str, parameters: impl rusqlite::Params) -> Result<(), StoreError> {
        self.change(|change| found(change.execute(sql, parameters)?, name))
    }
}

/// An account's row, or an error that names it.
pub(super) fn id(change: &Change, name: &str) -> Result<i64, StoreError> {
    change.number("SELECT id FROM user WHERE name = ?1", [name])?.ok_or_else(|| missing(name))
}

fn found(rows: usize, name: &str) -> Result<(), StoreError> {
    if rows == 0 { Err(missing(name)) } else { Ok(()) }
}

fn missing(name: &str) -> StoreError {
    StoreError::Missing(format!("there is no user {name:?} (see: latchgate user list)"))
}

/// Reads every account by name. One whose name cannot be read is left out, which keeps it out of the gateway.
pub(super) fn all(transaction: &Transaction) -> rusqlite::Result<Vec<AccountRecord>> {
    let mut roles = roles_by_user(transaction)?;
    let mut statement = transaction
        .prepare("SELECT id, name, hash, credential, enabled, superuser FROM user ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut accounts = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let name = match text(row.get_ref(1)?).map_err(str::to_owned).and_then(|name| {
            check::user_name(name)?;
            Ok(name.to_owned())
        }) {
            Ok(name) => name,
            Err(why) => {
                tracing::warn!(row = id, why, "an account has an impossible name and is left out");
                continue;
            }
        };
        let hash = match row.get_ref(2)? {
            ValueRef::Null => None,
            value => match text(value) {
                Ok(hash) => Some(hash.to_owned()),
                Err(why) => {
                    tracing::warn!(user = name, why, "a stored password cannot be read: nobody can use it");
                    None
                }
            },
        };
        accounts.push(AccountRecord {
            name,
            hash,
            credential: row.get_ref(3)?.as_i64().unwrap_or_default(),
            // Whatever is not plainly yes is no.
            enabled: matches!(row.get_ref(4)?, ValueRef::Integer(1)),
            superuser: matches!(row.get_ref(5)?, ValueRef::Integer(1)),
            roles: roles.remove(&id).unwrap_or_default(),
        });
    }
    Ok(accounts)
}

fn roles_by_user(transaction: &Transaction) -> rusqlite::Result<HashMap<i64, Vec<String>>> {
    let mut statement = transaction.prepare(
        "SELECT membership.user, role.name FROM membership JOIN role ON role.id = membership.role
         ORDER BY role.name",
    )?;
    let mut rows = statement.query([])?;
    let mut roles: HashMap<i64, Vec<String>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let user: i64 = row.get(0)?;
        match text(row.get_ref(1)?) {
            Ok(name) => roles.entry(user).or_default().push(name.to_owned()),
            Err(why) => tracing::warn!(user, why, "a role has an impossible name and is left out"),
        }
    }
    Ok(roles)
}
