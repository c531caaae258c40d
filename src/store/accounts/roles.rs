//! Roles: rules given to several users at once.

use rusqlite::params;

use super::{AccountsDb, Change, check, text, users};
use crate::policy::accounts::Subject;
use crate::store::StoreError;

/// One role, as listed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RoleRow {
    /// Its name, without `role:`.
    pub name: String,
    /// The users it is granted to, by name.
    pub users: Vec<String>,
    /// Number of rules it stands for.
    pub rules: usize,
}

impl Change<'_> {
    /// As [`AccountsDb::add_role`].
    pub fn add_role(&self, name: &str) -> Result<(), StoreError> {
        check::role_name(name).map_err(StoreError::Invalid)?;
        match self.execute("INSERT INTO role (name) VALUES (?1) ON CONFLICT DO NOTHING", [name])? {
            1 => Ok(()),
            _ => Err(StoreError::Exists(format!("role {name:?}"))),
        }
    }

    /// As [`AccountsDb::grant`].
    pub fn grant(&self, role: &str, user: &str) -> Result<bool, StoreError> {
        let ids = params![users::id(self, user)?, id(self, role)?];
        let sql = "INSERT INTO membership (user, role) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        Ok(self.execute(sql, ids)? == 1)
    }
}

impl AccountsDb {
    /// Makes a role.
    pub fn add_role(&self, name: &str) -> Result<(), StoreError> {
        self.change(|change| change.add_role(name))
    }

    /// Removes a role with its rules and takes it from everyone. Returns how many rules went with it.
    pub fn remove_role(&self, name: &str) -> Result<usize, StoreError> {
        self.change(|change| {
            let id = id(change, name)?;
            change.execute("DELETE FROM role WHERE id = ?1", [id])?;
            let subject = Subject::Role(name.to_owned()).to_string();
            change.execute("DELETE FROM rule WHERE subject = ?1", [subject])
        })
    }

    /// Grants a role to a user. Returns whether it is new to them.
    pub fn grant(&self, role: &str, user: &str) -> Result<bool, StoreError> {
        self.change(|change| change.grant(role, user))
    }

    /// Takes a role from a user. Returns whether they had it.
    pub fn revoke(&self, role: &str, user: &str) -> Result<bool, StoreError> {
        self.change(|change| {
            let ids = params![users::id(change, user)?, id(change, role)?];
            Ok(change.execute("DELETE FROM membership WHERE user = ?1 AND role = ?2", ids)? == 1)
        })
    }

    /// Every role, by name.
    pub fn roles(&self) -> Result<Vec<RoleRow>, StoreError> {
        self.read(|transaction| {
            let mut members = transaction.prepare(
                "SELECT user.name FROM membership JOIN user ON user.id = membership.user
                 WHERE membership.role = ?1 ORDER BY user.name",
            )?;
            let mut roles = transaction.prepare(
                "SELECT id, name, (SELECT count(*) FROM rule WHERE subject = 'role:' || role.name)
                 FROM role ORDER BY name",
            )?;
            let mut rows = roles.query([])?;
            let mut list = Vec::new();
            while let Some(row) = rows.next()? {
                let mut users = Vec::new();
                let mut names = members.query([row.get::<_, i64>(0)?])?;
                while let Some(name) = names.next()? {
                    users.push(text(name.get_ref(0)?).unwrap_or("(unreadable)").to_owned());
                }
                list.push(RoleRow {
                    name: text(row.get_ref(1)?).unwrap_or("(unreadable)").to_owned(),
                    users,
                    rules: row.get::<_, u32>(2)? as usize,
                });
            }
            Ok(list)
        })
    }
}

/// A role's row, or an error that names it.
pub(super) fn id(change: &Change, name: &str) -> Result<i64, StoreError> {
    change.number("SELECT id FROM role WHERE name = ?1", [name])?.ok_or_else(|| {
        StoreError::Missing(format!("there is no role {name:?}; make it with: latchgate role add {name}"))
    })
}
