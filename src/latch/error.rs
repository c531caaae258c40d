//! Why the service did not do what it was asked, told apart by what can be done about it.

use std::{fmt, time::Duration};

/// Characters of the service's own words that are repeated.
const LONGEST: usize = 200;

/// Why there is no answer, or a no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection: no network, no name, a certificate that is not right.
    #[error("the Latch service cannot be reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("the Latch service did not answer within {0:?}")]
    Timeout(Duration),
    /// It answers otherwise than a Latch service does.
    #[error("what answers is no Latch service: {0}")]
    Nonsense(String),
    /// It says no.
    #[error("{0}")]
    Refused(Refusal),
}

/// The service's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its number.
    pub code: u64,
    /// Its words, shortened, without control characters.
    pub message: String,
}

/// What kind of a failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The service does not answer, or not as one.
    NotAnswering,
    /// It does not accept the application's identifier or signature (102 and the like).
    BadSignature,
    /// Its clock and ours differ too much (109).
    ClockSkew,
    /// The account is not paired: it was unpaired from the phone (201).
    Unpaired,
    /// An application, operation or instance that does not exist there (301).
    Unknown,
    /// Any other no.
    Refused,
}

impl Error {
    /// What kind of a failure it is.
    pub fn fault(&self) -> Fault {
        match self {
            Error::Unreachable(_) | Error::Timeout(_) | Error::Nonsense(_) => Fault::NotAnswering,
            Error::Refused(refusal) => match refusal.code {
                101..=103 | 105 => Fault::BadSignature,
                104 | 108 | 109 => Fault::ClockSkew,
                201 => Fault::Unpaired,
                301 => Fault::Unknown,
                _ => Fault::Refused,
            },
        }
    }

    /// The number of the service's no, if it is one.
    pub fn code(&self) -> Option<u64> {
        match self {
            Error::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }
}

impl Refusal {
    pub(super) fn new(code: u64, message: &str) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        Refusal { code, message: message.chars().take(LONGEST).map(plain).collect() }
    }

    /// What to do about it.
    fn advice(&self) -> Option<&'static str> {
        Some(match self.code {
            101..=103 | 105 => {
                "the application's identifier or secret is wrong: compare `latch.application_id` and the secret file with the \
                 developers' page, or run `latchgate latch setup`"
            }
            104 | 108 | 109 => {
                "this machine's clock is wrong: set it (timedatectl), the rest follows by itself"
            }
            106 | 107 => "the service no longer speaks this version: see `latch.api_version`",
            201 => {
                "the account is not paired: it was unpaired from the phone; pair it anew (`latchgate latch pair`) or give it up \
                 (`latchgate latch unpair`)"
            }
            206 => "the token is wrong or its time has passed: let the app show a new one",
            207 => "the account is disabled at the service",
            301 => "the application, operation or instance does not exist there (any more)",
            _ => return None,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Latch service says no ({}", self.code)?;
        if !self.message.is_empty() {
            write!(f, " {:?}", self.message)?;
        }
        f.write_str(")")?;
        self.advice().map_or(Ok(()), |advice| write!(f, ": {advice}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::NotAnswering => "not-answering",
            Fault::BadSignature => "bad-signature",
            Fault::ClockSkew => "clock-skew",
            Fault::Unpaired => "unpaired",
            Fault::Unknown => "unknown",
            Fault::Refused => "refused",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart_by_what_to_do() {
        for (code, fault, word) in [
            (102, Fault::BadSignature, "secret"),
            (109, Fault::ClockSkew, "clock"),
            (201, Fault::Unpaired, "phone"),
            (206, Fault::Refused, "token"),
            (301, Fault::Unknown, "exist"),
            (999, Fault::Refused, "999"),
        ] {
            let error = Error::Refused(Refusal::new(code, "x"));
            assert_eq!(error.fault(), fault, "{code}");
            assert!(error.to_string().contains(word), "{error}");
        }
        assert_eq!(Error::Timeout(Duration::from_secs(1)).fault(), Fault::NotAnswering);
    }

    #[test]
    fn foreign_words_are_short_and_drive_no_terminal() {
        let refusal = Refusal::new(1, &"\x1b[2J\n".repeat(1000));
        assert!(!refusal.to_string().contains('\x1b') && refusal.to_string().len() < 300);
    }
}
