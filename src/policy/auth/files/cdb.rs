//! A constant database (cdb): the key `USER` holds a stored password, each `acl:USER` a topic filter, as
//! mosquitto-auth-plug has them.
//!
//! The file is 256 pairs of numbers, then records, then hash tables, the first of which begins where the first
//! pair says. All records are read at once, so that the tables are not needed.

use std::{path::Path, sync::Arc};

use ahash::AHashMap;

use super::{
    Dialect, FileError, Reading,
    acl_file::AclFile,
    rights::{Line, Means},
};
use crate::{mqtt::TopicFilter, policy::auth::password::StoredPassword};

/// Bytes before the first record.
const HEADER: usize = 2048;

/// Reads every record. Where a password comes twice the first counts, as the format has it.
pub(super) fn parse(bytes: &[u8], file: &Path) -> Result<Reading, FileError> {
    let wrong = |what: String| FileError { file: file.to_owned(), line: None, what };
    let mut passwords: AHashMap<Arc<str>, Arc<str>> = AHashMap::default();
    let mut users: AHashMap<Arc<str>, Vec<Line>> = AHashMap::default();
    for record in Records::new(bytes).ok_or_else(|| wrong("is no constant database (cdb)".into()))? {
        let (key, value) = record.ok_or_else(|| wrong("is cut short or damaged".into()))?;
        let text =
            |bytes| std::str::from_utf8(bytes).map_err(|_| wrong("holds a record that is not UTF-8".into()));
        let (key, value) = (text(key)?, text(value)?);
        match key.strip_prefix("acl:") {
            Some(user) => {
                TopicFilter::new(value)
                    .map_err(|error| wrong(format!("{key:?}: not a valid topic filter: {error}")))?;
                let text = format!("{key} {value}").into();
                let line = Line { means: Means::READ_WRITE, filter: value.into(), text };
                users.entry(user.into()).or_default().push(line);
            }
            None => {
                StoredPassword::parse_reading(value, Dialect::AuthPlug.salt())
                    .map_err(|error| wrong(format!("{key:?}: {error}")))?;
                passwords.entry(key.into()).or_insert_with(|| value.into());
            }
        }
    }
    Ok(Reading { passwords: Arc::new(passwords), acl: Some(Arc::new(AclFile::of_users(users))) })
}

/// The records of a file, one after the other; `None` where one does not end within them.
struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let end = number(bytes, 0)?;
        (end >= HEADER && end <= bytes.len()).then(|| Records { bytes: &bytes[..end], at: HEADER })
    }

    fn record(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let (key, value) = (number(self.bytes, self.at)?, number(self.bytes, self.at + 4)?);
        let from = self.at + 8;
        let (middle, end) = (from.checked_add(key)?, from.checked_add(key)?.checked_add(value)?);
        let record = (self.bytes.get(from..middle)?, self.bytes.get(middle..end)?);
        self.at = end;
        Some(record)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Option<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let record = self.record();
        if record.is_none() {
            // Whatever follows cannot be found.
            self.at = self.bytes.len();
        }
        Some(record)
    }
}

/// The number of four bytes, the lowest first.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(records: &[(&str, &str)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (key, value) in records {
            body.extend((key.len() as u32).to_le_bytes());
            body.extend((value.len() as u32).to_le_bytes());
            body.extend(key.as_bytes());
            body.extend(value.as_bytes());
        }
        let end = ((HEADER + body.len()) as u32).to_le_bytes();
        let mut file = Vec::new();
        (0..256).for_each(|_| file.extend(end.iter().chain(&[0; 4])));
        file.extend(body);
        file
    }

    const STORED: &str = "PBKDF2$sha256$901$x8mf3JIFTUFU9C23$Mid2xcgTrKBfBdye6W/4hE3GKeksu00+";

    #[test]
    fn passwords_and_filters_are_read_and_the_first_password_counts() {
        let records = [
            ("jjolie", STORED),
            ("jjolie", "PBKDF2$sha256$901$XPkOwNbd05p5XsUn$1uPtR6hMKBedWE44nqdVg+2NPKvyGst8"),
            ("acl:jjolie", "loc/jjolie"),
            ("acl:jjolie", "loc/+/x"),
            ("acl:nop", "mega/secret"),
        ];
        let reading = parse(&file(&records), "x.cdb".as_ref()).unwrap();
        assert_eq!(reading.stored("jjolie").map(|stored| &**stored), Some(STORED));
        assert_eq!(reading.stored("nop"), None);
        let allowed = |user, topic| {
            let rights = reading.rights(user, "c", false);
            rights.on_topic(crate::policy::acl::Access::PUBLISH, topic).unwrap().is_some()
        };
        assert!(
            allowed("jjolie", "loc/jjolie") && allowed("jjolie", "loc/a/x") && allowed("nop", "mega/secret")
        );
        assert!(!allowed("jjolie", "mega/secret") && !allowed("a", "loc/jjolie"));
    }

    #[test]
    fn no_bytes_make_it_panic_and_damage_is_an_error() {
        let good = file(&[("ann", STORED), ("acl:ann", "a/#")]);
        for cut in [0, 3, 4, 2047, good.len() - 1] {
            assert!(parse(&good[..cut], "x".as_ref()).is_err(), "{cut}");
        }
        for at in (0..8).chain(HEADER..HEADER + 8) {
            for value in [0x00, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = parse(&bad, "x".as_ref());
            }
        }
        assert!(parse(&file(&[("ann", "plain")]), "x".as_ref()).is_err());
        assert!(parse(&file(&[("acl:ann", "a/#/b")]), "x".as_ref()).is_err());
    }
}
