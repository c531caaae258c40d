//! When the files of a listener run out: the gateway's certificate, the authorities of its clients, lists of revoked ones.

use std::fmt;

use x509_parser::{parse_x509_certificate, parse_x509_crl};

use crate::config::NamedFile;

const DAY: i64 = 24 * 60 * 60;

/// What runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The gateway's own certificate: clients then refuse it.
    Certificate,
    /// An authority in `client_ca`. Its clients are still let in, since only their own certificates' dates count.
    ClientCa,
    /// A list in `crl`. It is used all the same.
    Crl,
}

impl Kind {
    /// Days left on which it is told. Lists are often made anew every week.
    const fn notice(self) -> &'static [i64] {
        match self {
            Kind::Certificate | Kind::ClientCa => &[30, 7],
            Kind::Crl => &[3],
        }
    }
}

/// The end of one file: of what in it ends first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What ends.
    pub kind: Kind,
    /// In seconds since 1970.
    pub end: i64,
    file: String,
    /// Whose it is, as the file says.
    whose: String,
}

/// How urgent a new one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    None,
    /// At most so many days are left.
    Soon(i64),
    Over,
}

impl Term {
    /// The term of certificates; `None` if none can be parsed.
    pub(super) fn of_certificates<B: AsRef<[u8]>>(
        kind: Kind,
        file: &NamedFile,
        certificates: &[B],
    ) -> Option<Self> {
        let one = |der: &B| {
            let (_, parsed) = parse_x509_certificate(der.as_ref()).ok()?;
            Some((parsed.validity().not_after.timestamp(), parsed.subject().to_string()))
        };
        Self::first(kind, file, certificates.iter().filter_map(one))
    }

    /// The term of lists; those that say none have none.
    pub(super) fn of_lists<B: AsRef<[u8]>>(file: &NamedFile, lists: &[B]) -> Option<Self> {
        let one = |der: &B| {
            let (_, parsed) = parse_x509_crl(der.as_ref()).ok()?;
            Some((parsed.next_update()?.timestamp(), parsed.issuer().to_string()))
        };
        Self::first(Kind::Crl, file, lists.iter().filter_map(one))
    }

    fn first(kind: Kind, file: &NamedFile, ends: impl Iterator<Item = (i64, String)>) -> Option<Self> {
        let (end, whose) = ends.min()?;
        Some(Term { kind, end, file: file.path.display().to_string(), whose })
    }

    /// Seconds that are left at `now` (since 1970); negative if it is over.
    pub fn left(&self, now: i64) -> i64 {
        self.end.saturating_sub(now)
    }

    pub(super) fn notice(&self, now: i64) -> Notice {
        let left = self.left(now);
        match self.kind.notice().iter().rev().find(|days| left <= **days * DAY) {
            _ if left <= 0 => Notice::Over,
            Some(days) => Notice::Soon(*days),
            None => Notice::None,
        }
    }

    /// What there is to be said at `now`.
    pub(super) fn told_at(&self, now: i64) -> Told<'_> {
        Told { term: self, left: self.left(now) }
    }
}

/// A term in words.
pub(super) struct Told<'a> {
    term: &'a Term,
    left: i64,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { term: Term { kind, file, whose, .. }, left } = self;
        let days = left.div_euclid(DAY);
        match (kind, *left <= 0) {
            (Kind::Certificate, false) => {
                write!(f, "{file}: the certificate expires in {days} days: renew it")
            }
            (Kind::Certificate, true) => {
                write!(f, "{file}: the certificate has expired: clients refuse it; renew it")
            }
            (Kind::ClientCa, false) => {
                write!(f, "{file}: the authority {whose} expires in {days} days: renew it")
            }
            (Kind::ClientCa, true) => write!(
                f,
                "{file}: the authority {whose} has expired; its clients are let in while their own certificates last: renew it"
            ),
            (Kind::Crl, false) => {
                write!(f, "{file}: the list of {whose} is overdue in {days} days: make a new one")
            }
            (Kind::Crl, true) => {
                write!(f, "{file}: the list of {whose} is overdue; it is used all the same: make a new one")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(kind: Kind) -> Term {
        Term { kind, end: 1000 * DAY, file: "a.crt".into(), whose: "CN=home".into() }
    }

    #[test]
    fn a_certificate_is_told_of_at_thirty_days_at_seven_and_when_it_has_expired() {
        for (left, expected) in [
            (31 * DAY, Notice::None),
            (30 * DAY, Notice::Soon(30)),
            (7 * DAY + 1, Notice::Soon(30)),
            (7 * DAY, Notice::Soon(7)),
            (1, Notice::Soon(7)),
            (0, Notice::Over),
            (-DAY, Notice::Over),
        ] {
            for kind in [Kind::Certificate, Kind::ClientCa] {
                assert_eq!(term(kind).notice(1000 * DAY - left), expected, "{left}");
            }
        }
    }

    #[test]
    fn a_list_is_told_of_only_shortly_before_its_end() {
        let list = term(Kind::Crl);
        assert_eq!(list.notice(996 * DAY), Notice::None);
        assert_eq!(list.notice(997 * DAY), Notice::Soon(3));
        assert_eq!(list.notice(1001 * DAY), Notice::Over);
        assert_eq!(
            list.told_at(998 * DAY).to_string(),
            "a.crt: the list of CN=home is overdue in 2 days: make a new one"
        );
    }

    #[test]
    fn what_cannot_be_parsed_has_no_term() {
        let file = crate::config::NamedFile::default();
        assert_eq!(Term::of_certificates(Kind::Certificate, &file, &[[0x30, 0x80]]), None);
        assert_eq!(Term::of_lists(&file, &[[0x30, 0x80]]), None);
    }
}
