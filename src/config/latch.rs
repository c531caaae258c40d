//! `[latch]`: the remote second factor.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;

use super::error::quoted;
use super::number::Span;
use super::scalar::{Fault, OneOf, Scalar, Switch, words};
use super::section::{Reader, section};
use super::tls::{NamedFile, OptionalFile};

words! {
    /// What counts while the Latch service does not answer.
    pub enum LatchOnError {
        /// What it said last, for a time.
        LastKnown = "last-known",
        /// Closed.
        Closed = "closed",
        /// Open.
        Open = "open",
    }
}

section! {
    /// The Latch service: a second factor that each user's owner switches on a phone. `latchgate latch setup` writes this
    /// section.
    pub struct Latch {
        /// The application's identifier, from the developers' page of the service. Without it Latch is not used.
        pub application_id: Option<String> => OptionalId = None,

        /// The file that holds the application's secret, readable by the gateway's user only (chmod 600).
        pub secret_file: Option<NamedFile> => OptionalFile = None,

        /// Where the service is.
        pub host: String => Host = "https://latch.tu.com".to_owned(),

        /// The version of the service's interface, as it stands in its addresses.
        pub api_version: String => Version = "3.0".to_owned(),

        /// The operation that lets a user publish. Without it only the application as a whole and the instances count.
        pub publish_operation: Option<String> => OptionalId = None,

        /// The operation that lets a user subscribe and receive.
        pub subscribe_operation: Option<String> => OptionalId = None,

        /// How often the service is asked about each paired user: how long a switch on the phone takes at most.
        pub poll: Duration => Pause = Duration::from_secs(5),

        /// The longest time for one request, connection included.
        pub timeout: Duration => Pause = Duration::from_secs(5),

        /// What counts while the service does not answer. "last-known": what it said last, for the time `grace`, then
        /// closed. "closed": closed at once. "open": open, so that whoever cuts the line gets in. A wrong secret, a wrong
        /// clock and an account unpaired from the phone close in every case.
        pub on_error: LatchOnError => OneOf<LatchOnError> = LatchOnError::LastKnown,

        /// How long what the service said last counts while it does not answer, over restarts too.
        pub grace: Duration => Span = Duration::from_secs(15 * 60),

        /// Whether users without a pairing are shut out. Otherwise Latch says nothing about them.
        pub must_be_paired: bool => Switch = false,

        /// Whether the commands `LATCH/pairing=TOKEN`, `LATCH/unpairing=…` and `LATCH/create_instance=NAME` are obeyed too,
        /// with their value in the topic, where logs and others can see it. The value belongs into the payload.
        pub legacy_topics: bool => Switch = false,

        /// Certificates of the authorities that the service's certificate must come from, in place of the system's.
        pub ca: Option<NamedFile> => OptionalFile = None,
    }
}

impl Latch {
    /// Whether a running gateway can change from this to `other`: pairings belong to one application, and whether there
    /// is one is settled at the start.
    pub(super) fn is_same_application(&self, other: &Latch) -> bool {
        self.application_id.is_some() && self.application_id == other.application_id
    }

    /// Notes what is missing; `place` is that of the section.
    pub(super) fn check(&self, place: Option<Range<usize>>, reader: &mut Reader<'_>) {
        let Some(place) = place else { return };
        match (&self.application_id, &self.secret_file) {
            (Some(_), None) => reader.wrong(
                place,
                "`latch.application_id` needs `latch.secret_file`",
                "name the file that holds the application's secret; `latchgate latch setup` writes it",
            ),
            (None, Some(_)) => reader.wrong(
                place,
                "`latch.secret_file` needs `latch.application_id`",
                "both stand on the developers' page of the service",
            ),
            _ => {}
        }
    }
}

fn text<'v>(value: &'v DeValue<'_>, help: &str) -> Result<&'v str, Fault> {
    value.as_str().ok_or_else(|| Fault::wrong_type("a string", value, help))
}

/// An identifier of the service, which may be left out.
enum OptionalId {}

impl Scalar for OptionalId {
    type Value = Option<String>;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<Option<String>, Fault> {
        const HELP: &str = "20 letters and digits, as the developers' page shows it";
        let id = text(value, HELP)?;
        match id.len() <= 128 && !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            true => Ok(Some(id.to_owned())),
            false => Err(Fault::new(format!("is not an identifier of the service: {}", quoted(id)), HELP)),
        }
    }

    fn show(value: &Option<String>) -> String {
        format!("\"{}\"", value.as_deref().unwrap_or_default())
    }

    const EXAMPLE: Option<&'static str> = Some("WqfhYgvjdVUiPtmWTQyr");
}

/// Scheme, host and perhaps a port.
enum Host {}

impl Scalar for Host {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        const HELP: &str = "https://HOST or https://HOST:PORT, as \"https://latch.tu.com\"";
        let written = text(value, HELP)?;
        let wrong = || Fault::new(format!("is not the address of a service: {}", quoted(written)), HELP);
        let place = written.strip_suffix('/').unwrap_or(written);
        let place = place.strip_prefix("https://").ok_or_else(wrong)?;
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let named = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)),
        };
        let counted = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if named && counted { Ok(format!("https://{place}")) } else { Err(wrong()) }
    }

    fn show(value: &String) -> String {
        format!("\"{value}\"")
    }
}

/// A version in an address.
enum Version {}

impl Scalar for Version {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        const HELP: &str = "digits and points in quotes, as \"3.0\"";
        let version = text(value, HELP)?;
        let plain = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match plain && (1..=16).contains(&version.len()) && !version.contains("..") {
            true => Ok(version.to_owned()),
            false => Err(Fault::new(format!("is not a version: {}", quoted(version)), HELP)),
        }
    }

    fn show(value: &String) -> String {
        format!("\"{value}\"")
    }
}

/// A time to wait: at least 100 ms, at most an hour.
enum Pause {}

impl Scalar for Pause {
    type Value = Duration;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<Duration, Fault> {
        match Span::parse(value, folder)? {
            span if span < Duration::from_millis(100) => {
                Err(Fault::new("is too short", "at least \"100ms\""))
            }
            span if span > Duration::from_secs(3600) => Err(Fault::new("is too long", "at most \"1h\"")),
            span => Ok(span),
        }
    }

    fn show(value: &Duration) -> String {
        Span::show(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scalar::parse as scalar;
    use super::super::{Config, ConfigError};
    use super::*;

    fn parse(latch: &str) -> Result<Config, ConfigError> {
        Config::parse(&format!("[latch]\n{latch}"), Path::new("/etc/gate/gate.toml"))
    }

    #[test]
    fn every_key_is_read() {
        let latch = parse(
            "application_id = 'APP'\nsecret_file = 'latch.secret'\nhost = 'https://localhost:8443/'\napi_version = '1.0'\n\
             publish_operation = 'PUB'\nsubscribe_operation = 'SUB'\npoll = '1s'\ntimeout = '2s'\non_error = 'closed'\n\
             grace = '1h'\nmust_be_paired = true\nlegacy_topics = true\nca = 'ca.crt'\n",
        )
        .unwrap()
        .latch;
        assert_eq!(latch.secret_file.unwrap().path, Path::new("/etc/gate/latch.secret"));
        assert_eq!(
            (latch.application_id.as_deref(), latch.host.as_str(), latch.api_version.as_str()),
            (Some("APP"), "https://localhost:8443", "1.0")
        );
        assert_eq!((latch.poll.as_secs(), latch.timeout.as_secs(), latch.grace.as_secs()), (1, 2, 3600));
        assert_eq!(
            (latch.on_error, latch.must_be_paired, latch.legacy_topics),
            (LatchOnError::Closed, true, true)
        );
    }

    #[test]
    fn an_application_without_a_secret_is_missed_and_the_other_way_round() {
        for (text, what) in [
            ("application_id = 'APP'", "`latch.application_id` needs `latch.secret_file`"),
            ("secret_file = 'x'", "`latch.secret_file` needs `latch.application_id`"),
        ] {
            assert_eq!(parse(text).unwrap_err().problems()[0].what, what);
        }
    }

    #[test]
    fn what_stands_in_an_address_is_checked() {
        for wrong in [
            "''",
            "'latch.tu.com'",
            "'http://h'",
            "'https://'",
            "'https://h/x'",
            "'https://u@h'",
            "'https://h:0'",
            "'https://h h'",
        ] {
            assert!(scalar::<Host>(wrong).is_err(), "{wrong}");
        }
        for right in ["'https://h'", "'https://h.example:1'", "'https://[::1]:1'", "'https://127.0.0.1:1'"] {
            assert!(scalar::<Host>(right).is_ok(), "{right}");
        }
        for wrong in ["''", "'3.0/x'", "'..'", "'v3'", "3.0"] {
            assert!(scalar::<Version>(wrong).is_err(), "{wrong}");
        }
        for wrong in ["''", "'a/b'", "'a b'", "'ä'", "7"] {
            assert!(scalar::<OptionalId>(wrong).is_err(), "{wrong}");
        }
        for wrong in ["'0s'", "'99ms'", "'2h'", "5"] {
            assert!(scalar::<Pause>(wrong).is_err(), "{wrong}");
        }
    }
}
