//! Numbers and durations.

use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;

use super::error::quoted;
use super::scalar::{Fault, Scalar};

/// Reads a whole number of at most `max`.
fn number(value: &DeValue<'_>, max: u64) -> Result<u64, Fault> {
    let help = format!("a whole number from 0 to {max}, without quotes or unit");
    let DeValue::Integer(integer) = value else {
        return Err(Fault::wrong_type("a whole number", value, help));
    };
    if integer.as_str().starts_with('-') {
        return Err(Fault::new("cannot be negative", help));
    }
    match u64::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(number) if number <= max => Ok(number),
        _ => Err(Fault::new("is too large", help)),
    }
}

/// Defines a kind of number: its Rust type, and how 0 in the file is kept.
macro_rules! number_kind {
    ($(#[$about:meta])* $Kind:ident, $Value:ty, $zero:expr) => {
        $(#[$about])*
        pub(super) enum $Kind {}

        impl Scalar for $Kind {
            type Value = $Value;

            fn parse(value: &DeValue<'_>, _: &Path) -> Result<Self::Value, Fault> {
                // TOML's numbers are signed; what the kind can hold may be less.
                let max = (<$Value>::MAX as u64).min(i64::MAX as u64);
                match number(value, max)? {
                    0 => Ok($zero),
                    number => <$Value>::try_from(number).map_err(|_| Fault::new("is too large", "")),
                }
            }

            fn show(value: &Self::Value) -> String {
                if *value == $zero { "0".to_owned() } else { value.to_string() }
            }
        }
    };
}

number_kind!(
    /// A bound on a count or a size; 0 is no limit, kept as `usize::MAX`.
    Bound, usize, usize::MAX
);
number_kind!(
    /// A bound on a count; 0 is no limit, kept as 65535, the most the protocol can say.
    Bound16, u16, u16::MAX
);
number_kind!(
    /// A number of seconds; 0 means none and is kept as 0.
    Seconds16, u16, 0
);
number_kind!(
    /// A number of seconds; 0 means none and is kept as 0.
    Seconds32, u32, 0
);
number_kind!(
    /// The number of a GPIO line; 0 is a line like any other.
    Line, u16, 0
);

/// Defines a kind of number that is never 0 and at most `$most`.
macro_rules! natural {
    ($(#[$about:meta])* $Kind:ident, $most:expr, $help:literal) => {
        $(#[$about])*
        pub(super) enum $Kind {}

        impl Scalar for $Kind {
            type Value = u16;

            fn parse(value: &DeValue<'_>, _: &Path) -> Result<u16, Fault> {
                match number(value, $most)? {
                    0 => Err(Fault::new("cannot be 0", $help)),
                    number => u16::try_from(number).map_err(|_| Fault::new("is too large", $help)),
                }
            }

            fn show(value: &u16) -> String {
                value.to_string()
            }
        }
    };
}

natural!(
    /// A TCP port.
    Port, 65535, "a port from 1 to 65535"
);
natural!(
    /// How many of something at a time.
    Count, 64, "a whole number from 1 to 64"
);

/// A time limit in whole seconds; 0 is no limit.
pub(super) enum Timeout {}

impl Timeout {
    /// No limit: over a century, which can still be added to an `Instant`.
    pub const NONE: Duration = Duration::from_secs(u32::MAX as u64);
}

impl Scalar for Timeout {
    type Value = Duration;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<Duration, Fault> {
        Ok(match number(value, u64::from(u32::MAX))? {
            0 => Timeout::NONE,
            seconds => Duration::from_secs(seconds),
        })
    }

    fn show(value: &Duration) -> String {
        if *value == Timeout::NONE { "0".to_owned() } else { value.as_secs().to_string() }
    }
}

/// A duration with its unit, such as `"5m"`.
pub(super) enum Span {}

/// Units in milliseconds, largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Scalar for Span {
    type Value = Duration;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<Duration, Fault> {
        const HELP: &str = "a number and its unit, ms, s, m, h or d, as \"30s\" or \"5m\"";
        const LONGEST: u64 = 3650 * 86_400_000;
        let Some(written) = value.as_str() else {
            return Err(Fault::wrong_type("a duration", value, HELP));
        };
        let digits = written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len());
        let (number, unit) = written.split_at(digits);
        let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| *factor);
        let (Some(unit), false) = (unit, number.is_empty()) else {
            return Err(Fault::new(format!("is not a duration: {}", quoted(written)), HELP));
        };
        match number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
            Some(milliseconds @ ..=LONGEST) => Ok(Duration::from_millis(milliseconds)),
            _ => Err(Fault::new("is too long", "at most \"3650d\"")),
        }
    }

    fn show(value: &Duration) -> String {
        let milliseconds = value.as_millis() as u64;
        let exact = |(_, factor): &&(&str, u64)| milliseconds != 0 && milliseconds.is_multiple_of(*factor);
        match UNITS.iter().find(exact) {
            Some((name, factor)) => format!("\"{}{name}\"", milliseconds / factor),
            None => "\"0s\"".to_owned(),
        }
    }
}

/// How long something is waited for: a [`Span`] that is not nothing.
pub(super) enum Wait {}

impl Scalar for Wait {
    type Value = Duration;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<Duration, Fault> {
        match Span::parse(value, folder)? {
            Duration::ZERO => Err(Fault::new("is no time at all", "give some, as \"5s\"")),
            wait => Ok(wait),
        }
    }

    fn show(value: &Duration) -> String {
        Span::show(value)
    }
}

/// A duration with its unit, or a whole number of seconds; at least a second.
pub(super) enum SecondsOrSpan {}

impl Scalar for SecondsOrSpan {
    type Value = Duration;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<Duration, Fault> {
        let duration = match value {
            DeValue::Integer(_) => Duration::from_secs(number(value, 3650 * 86_400)?),
            _ => Span::parse(value, folder)?,
        };
        match duration >= Duration::from_secs(1) {
            true => Ok(duration),
            false => Err(Fault::new("is too short", "at least one second, 1 or \"1s\"")),
        }
    }

    fn show(value: &Duration) -> String {
        Span::show(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scalar::parse;
    use super::*;

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(parse::<Bound>("0"), Ok(usize::MAX));
        assert_eq!(parse::<Bound16>("0"), Ok(65535));
        assert_eq!(parse::<Seconds16>("0"), Ok(0));
        assert_eq!(parse::<Timeout>("0"), Ok(Timeout::NONE));
        assert!(std::time::Instant::now().checked_add(Timeout::NONE).is_some());
        assert_eq!((Bound::show(&usize::MAX), Timeout::show(&Timeout::NONE)), ("0".into(), "0".into()));
    }

    #[test]
    fn a_bare_number_is_in_seconds_where_that_is_said() {
        for (written, seconds) in [("60", 60), ("\"60s\"", 60), ("\"5m\"", 300)] {
            assert_eq!(parse::<SecondsOrSpan>(written), Ok(Duration::from_secs(seconds)), "{written}");
        }
        for wrong in ["0", "\"0s\"", "\"10ms\"", "-1", "true", "999999999999"] {
            assert!(parse::<SecondsOrSpan>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_whole_in_range_and_in_any_notation_of_toml() {
        assert_eq!(parse::<Bound>("10_485_760"), Ok(10 << 20));
        assert_eq!(parse::<Bound>("0x10"), Ok(16));
        assert_eq!(parse::<Bound16>("65535"), Ok(65535));
        for wrong in ["65536", "-1", "1.5", "\"1\"", "true", "[1]", "99999999999999999999999999"] {
            assert!(parse::<Bound16>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_port_and_a_number_of_connections_are_never_zero() {
        assert_eq!((parse::<Port>("65535"), parse::<Count>("64")), (Ok(65535), Ok(64)));
        assert!(parse::<Port>("0").is_err() && parse::<Port>("65536").is_err());
        assert!(parse::<Count>("0").is_err() && parse::<Count>("65").is_err());
    }

    #[test]
    fn durations_carry_their_unit_and_print_as_they_read() {
        for (written, milliseconds) in
            [("5m", 300_000), ("90s", 90_000), ("250ms", 250), ("0s", 0), ("2d", 172_800_000)]
        {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse::<Span>(&format!("\"{written}\"")), Ok(duration), "{written}");
            assert_eq!(parse::<Span>(&Span::show(&duration)), Ok(duration), "{written}");
        }
        for wrong in ["5", "m", "", "-5m", "5 weeks", "99999999999999999999d", "4000d", "5µs"] {
            assert!(parse::<Span>(&format!("\"{wrong}\"")).is_err(), "{wrong}");
        }
        assert!(parse::<Span>("300").is_err());
    }

    /// Bug: `timeout = "0s"` passed, and nobody was let in.
    #[test]
    fn what_is_waited_for_is_waited_for_some_time() {
        assert_eq!(parse::<Wait>("\"1ms\""), Ok(Duration::from_millis(1)));
        assert!(parse::<Wait>("\"0s\"").is_err() && parse::<Wait>("\"0ms\"").is_err());
    }
}
