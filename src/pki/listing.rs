//! What an authority has issued, and how it stands with it.

use time::OffsetDateTime;

use super::certificate::{as_date, days_left};
use super::{Authority, Name, PkiError, Use};

/// How it stands with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In place, and it has not ended.
    Valid,
    /// It has ended.
    Expired,
    /// Taken back.
    Revoked,
    /// Another one is in its place; whoever has it can still use it.
    Replaced,
}

/// One certificate of the index.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Listed {
    /// To whom.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// What for.
    pub uses: Vec<Use>,
    /// Names and addresses of a server.
    pub sans: Vec<String>,
    /// Serial number in hexadecimal.
    pub serial: String,
    /// First second it is valid, in seconds since 1970.
    #[serde(serialize_with = "as_date")]
    pub not_before: i64,
    /// Last second it is valid, in seconds since 1970.
    #[serde(serialize_with = "as_date")]
    pub not_after: i64,
    /// Whole days until it ends, negative when it has.
    pub days: i64,
}

impl Authority {
    /// Every certificate it issued, by name, then in the order of signing.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn list(&self, now: OffsetDateTime) -> Result<Vec<Listed>, PkiError> {
        let mut list = Vec::new();
        for (name, entries) in self.index.by_name() {
            // Without a file (it was moved to its device) the last one counts.
            let last = || entries.last().map(|entry| entry.serial.clone()).unwrap_or_default();
            let current = self.in_place(name)?.unwrap_or_else(last);
            list.extend(entries.into_iter().map(|entry| Listed {
                name: entry.name.clone(),
                state: match entry.revoked {
                    Some(_) => State::Revoked,
                    None if entry.not_after < now.unix_timestamp() => State::Expired,
                    None if entry.serial != current => State::Replaced,
                    None => State::Valid,
                },
                uses: entry.uses.clone(),
                sans: entry.sans.clone(),
                serial: entry.serial.clone(),
                not_before: entry.not_before,
                not_after: entry.not_after,
                days: days_left(entry.not_after, now),
            }));
        }
        Ok(list)
    }

    /// The names whose valid certificate ends within so many days.
    ///
    /// # Errors
    /// As [`Authority::list`].
    pub fn ending(&self, within: u32, now: OffsetDateTime) -> Result<Vec<Name>, PkiError> {
        let list = self.list(now)?;
        let ending = list.iter().filter(|one| one.state == State::Valid && one.days < i64::from(within));
        Ok(ending.filter_map(|one| one.name.parse().ok()).collect())
    }
}
