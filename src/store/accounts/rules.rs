//! Rules: who is allowed or denied what.
//!
//! One subject has at most one allowing and one denying row for a filter; to allow more operations widens the
//! row, to remove some narrows it, and the last one removed takes the row away. So what was removed is
//! certainly gone, in whatever portions it was added.

use rusqlite::types::ValueRef;
use rusqlite::{Row, Transaction, params};

use super::{AccountsDb, Change, check, roles, text};
use crate::policy::accounts::{RuleRecord, Subject};
use crate::policy::acl::Access;
use crate::store::StoreError;

/// One row of the rule table, as it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRow {
    /// Its number.
    pub id: i64,
    /// Whom it is for, as spelled.
    pub subject: String,
    /// Its filter, as spelled.
    pub filter: String,
    /// Whether it denies. Whatever is not plainly no is yes.
    pub deny: bool,
    /// What it means, or why it means nothing.
    pub rule: Result<RuleRecord, String>,
}

impl Change<'_> {
    /// As [`AccountsDb::add_rule`].
    pub fn add_rule(&self, rule: &RuleRecord) -> Result<bool, StoreError> {
        check::subject(&rule.subject)
            .and_then(|()| check::filter(&rule.filter))
            .map_err(StoreError::Invalid)?;
        if let Subject::Role(name) = &rule.subject {
            roles::id(self, name)?;
        }
        let changed = self.execute(
            "INSERT INTO rule (subject, access, filter, deny) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (subject, filter, deny) DO UPDATE SET access = access | excluded.access
             WHERE access | excluded.access <> access",
            params![rule.subject.to_string(), rule.access.bits(), rule.filter, rule.deny],
        )?;
        Ok(changed == 1)
    }
}

impl AccountsDb {
    /// Adds a rule. Returns whether that changed anything.
    ///
    /// # Errors
    /// A subject or filter that is not one; a role that does not exist.
    pub fn add_rule(&self, rule: &RuleRecord) -> Result<bool, StoreError> {
        self.change(|change| change.add_rule(rule))
    }

    /// Removes the operations of `rule` from what its subject is allowed (or denied) for exactly this filter.
    ///
    /// # Errors
    /// There was none of them.
    pub fn remove_rule(&self, rule: &RuleRecord) -> Result<(), StoreError> {
        let subject = rule.subject.to_string();
        let row = params![subject, rule.access.bits(), rule.filter, rule.deny];
        self.change(|change| {
            let same = "subject = ?1 AND filter = ?3 AND deny = ?4";
            let removed =
                change.execute(&format!("DELETE FROM rule WHERE {same} AND access & ~?2 = 0"), row)?;
            let narrowed = change.execute(
                &format!("UPDATE rule SET access = access & ~?2 WHERE {same} AND access & ?2 <> 0"),
                row,
            )?;
            if removed + narrowed > 0 {
                return Ok(());
            }
            let opposite =
                "SELECT 1 FROM rule WHERE subject = ?1 AND filter = ?3 AND deny <> ?4 AND access & ?2 <> 0";
            let opposite = change.number(opposite, row)?.is_some();
            let hint = match (opposite, rule.deny) {
                (true, false) => "; one denies it: to remove that, add --deny",
                (true, true) => "; one allows it: to remove that, leave --deny out",
                (false, _) => " (see: latchgate acl list)",
            };
            let verb = if rule.deny { "denies" } else { "allows" };
            let RuleRecord { access, filter, .. } = rule;
            Err(StoreError::Missing(format!("no rule {verb} {subject:?} to {access} {filter:?}{hint}")))
        })
    }

    /// Removes a rule by its row, readable or not.
    pub fn remove_rule_row(&self, row: i64) -> Result<(), StoreError> {
        self.change(|change| match change.execute("DELETE FROM rule WHERE id = ?1", [row])? {
            0 => Err(StoreError::Missing(format!(
                "there is no rule in row {row} (the rows are in: latchgate acl list --json)"
            ))),
            _ => Ok(()),
        })
    }

    /// Every rule, or those of one subject, in the order they were made; unreadable ones too.
    pub fn rules(&self, subject: Option<&Subject>) -> Result<Vec<RuleRow>, StoreError> {
        self.read(|transaction| all(transaction, subject))
    }
}

/// Reads rules in the order they were made.
pub(super) fn all(transaction: &Transaction, subject: Option<&Subject>) -> rusqlite::Result<Vec<RuleRow>> {
    let mut statement = transaction.prepare(
        "SELECT id, subject, access, filter, deny FROM rule WHERE ?1 IS NULL OR subject = ?1 ORDER BY id",
    )?;
    statement.query_map([subject.map(Subject::to_string)], read)?.collect()
}

fn read(row: &Row) -> rusqlite::Result<RuleRow> {
    let (subject, access, filter) = (text(row.get_ref(1)?), row.get_ref(2)?, text(row.get_ref(3)?));
    let deny = !matches!(row.get_ref(4)?, ValueRef::Integer(0));
    let shown = |text: Result<&str, _>| text.unwrap_or("(unreadable)").to_owned();
    Ok(RuleRow {
        id: row.get(0)?,
        subject: shown(subject),
        filter: shown(filter),
        deny,
        rule: meaning(subject, access, filter, deny),
    })
}

fn meaning(
    subject: Result<&str, &str>,
    access: ValueRef,
    filter: Result<&str, &str>,
    deny: bool,
) -> Result<RuleRecord, String> {
    let subject: Subject = subject
        .and_then(|text| text.parse().map_err(|why: &'static str| why))
        .map_err(|why| format!("its subject: {why}"))?;
    check::subject(&subject)?;
    let filter = filter.map_err(|why| format!("its filter: {why}"))?;
    check::filter(filter)?;
    let access = match access {
        ValueRef::Integer(bits) => u8::try_from(bits).ok().and_then(Access::from_bits),
        _ => None,
    };
    let access = access.ok_or("its access is not a sum of 1 publish, 2 subscribe and 4 receive")?;
    Ok(RuleRecord { subject, access, filter: filter.to_owned(), deny })
}
