//! The values of bridges: names, texts with `{gateway.id}`, bounds.

use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::error::quoted;
use crate::config::number::Span;
use crate::config::scalar::{Fault, Scalar};

/// What stands for `gateway.id`.
pub(super) const GATEWAY_ID: &str = "{gateway.id}";

/// What is wrong with a text in braces that is not `{gateway.id}`.
pub(super) fn braces(text: &str) -> Option<Fault> {
    text.replace(GATEWAY_ID, "").contains("{gateway").then(|| {
        Fault::new(format!("holds a placeholder that is not known: {}", quoted(text)), "known: {gateway.id}")
    })
}

pub(super) fn text<'v>(value: &'v DeValue<'_>, example: &str) -> Result<&'v str, Fault> {
    let text = value
        .as_str()
        .ok_or_else(|| Fault::wrong_type("a string", value, format!("in quotes, as \"{example}\"")))?;
    if text.len() > 1024 || text.contains('\0') {
        return Err(Fault::new("is too long, or holds the null character", "at most 1024 bytes"));
    }
    braces(text).map_or(Ok(text), Err)
}

pub(super) fn show_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The name of a bridge, as rules have it.
pub(super) enum BridgeName {}

impl Scalar for BridgeName {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        let name = text(value, "cloud")?;
        let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        match (1..=64).contains(&name.len()) && name.chars().all(plain) {
            true => Ok(name.to_owned()),
            false => {
                Err(Fault::new(format!("cannot be {}", quoted(name)), "1 to 64 letters, digits, -, _ and ."))
            }
        }
    }

    fn show(value: &String) -> String {
        show_text(value)
    }
}

/// A client identifier; empty where it is the default.
pub(super) enum ClientId {}

impl Scalar for ClientId {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        match text(value, "{gateway.id}_broker")? {
            "" => Err(Fault::new("is empty", "give one, or leave the key out")),
            id if id.chars().any(char::is_control) => {
                Err(Fault::new("holds a control character", "take it out"))
            }
            id => Ok(id.to_owned()),
        }
    }

    fn show(value: &String) -> String {
        show_text(value)
    }

    const EXAMPLE: Option<&'static str> = Some("{gateway.id}_broker");
}

/// Any text, which may be left out.
pub(super) enum OptionalText {}

impl Scalar for OptionalText {
    type Value = Option<String>;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<Option<String>, Fault> {
        text(value, "{gateway.id}").map(|text| Some(text.to_owned()))
    }

    fn show(value: &Option<String>) -> String {
        show_text(value.as_deref().unwrap_or_default())
    }

    const EXAMPLE: Option<&'static str> = Some("{gateway.id}");
}

/// A name for ALPN.
pub(super) enum Alpn {}

impl Scalar for Alpn {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        match text(value, "mqtt")? {
            name if (1..=255).contains(&name.len()) => Ok(name.to_owned()),
            _ => Err(Fault::new("holds a name that is empty or too long", "1 to 255 bytes")),
        }
    }

    fn show(value: &String) -> String {
        show_text(value)
    }
}

/// Defines a number within bounds.
macro_rules! bounded {
    ($(#[$about:meta])* $Kind:ident, $least:literal to $most:literal) => {
        $(#[$about])*
        pub(super) enum $Kind {}

        impl Scalar for $Kind {
            type Value = u16;

            fn parse(value: &DeValue<'_>, _: &Path) -> Result<u16, Fault> {
                const HELP: &str = concat!("a whole number from ", $least, " to ", $most);
                let DeValue::Integer(written) = value else {
                    return Err(Fault::wrong_type("a whole number", value, HELP));
                };
                match u16::from_str_radix(written.as_str(), written.radix()) {
                    Ok(number @ $least..=$most) => Ok(number),
                    _ => Err(Fault::new("is out of range", HELP)),
                }
            }

            fn show(value: &u16) -> String {
                value.to_string()
            }
        }
    };
}

bounded!(
    /// Seconds; without a keep alive nothing could be said of the connection.
    KeepAlive, 1 to 65535
);
bounded!(
    /// Messages on their way at a time.
    Inflight, 1 to 4096
);

/// A time of at least 50 ms and at most a day.
pub(super) enum Pause {}

impl Scalar for Pause {
    type Value = Duration;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<Duration, Fault> {
        match Span::parse(value, folder)? {
            span if (Duration::from_millis(50)..=Duration::from_secs(86_400)).contains(&span) => Ok(span),
            _ => Err(Fault::new("is out of range", "from \"50ms\" to \"1d\"")),
        }
    }

    fn show(value: &Duration) -> String {
        Span::show(value)
    }
}
