//! Identifiers of the service, and pairing tokens: they become parts of paths, so only what cannot mean anything else
//! there is one.

use std::fmt;

/// Longest identifier: an account's has 64 characters.
const LONGEST: usize = 128;
/// Longest pairing token: the service gives out 6 characters.
const LONGEST_TOKEN: usize = 32;

/// The identifier of an application, account, operation or instance: ASCII letters and digits only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(Box<str>);

impl Id {
    /// Takes an identifier from wherever it was written.
    ///
    /// # Errors
    /// If it is empty, longer than 128 bytes, or holds anything but ASCII letters and digits.
    pub fn new(text: &str) -> Result<Self, NotAnId> {
        match is_plain(text, LONGEST) {
            true => Ok(Id(text.into())),
            false => Err(NotAnId),
        }
    }

    /// The identifier as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// It cannot be an identifier of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of the Latch service: it has 1 to 128 ASCII letters and digits")]
pub struct NotAnId;

impl TryFrom<String> for Id {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        Id::new(&text)
    }
}

impl From<Id> for String {
    fn from(id: Id) -> String {
        id.0.into()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pairing token, as the phone shows it: good once and for a short time, and not printed while it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    /// Takes a token that somebody typed or published; space around it is dropped.
    ///
    /// # Errors
    /// If it is empty, longer than 32 bytes, or holds anything but ASCII letters and digits.
    pub fn new(text: &str) -> Result<Self, NotAToken> {
        match text.trim() {
            text if is_plain(text, LONGEST_TOKEN) => Ok(Token(text.into())),
            _ => Err(NotAToken),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// It cannot be a pairing token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a pairing token: the Latch app shows six letters and digits")]
pub struct NotAToken;

fn is_plain(text: &str, longest: usize) -> bool {
    !text.is_empty() && text.len() <= longest && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_lead_a_path_elsewhere_is_no_identifier_and_no_token() {
        for wrong in ["", "a/b", "../x", "a?b", "a b", "a%2fb", "a\r\nX: y", "ä", "a\0", "a#b", "a&b=c"] {
            assert!(Id::new(wrong).is_err() && Token::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(Id::new(&"x".repeat(129)).is_err() && Token::new(&"x".repeat(33)).is_err());
        assert_eq!(Id::new(&"x".repeat(64)).unwrap().as_str(), "x".repeat(64));
        assert_eq!(Token::new(" fP9zpf\n").unwrap().as_str(), "fP9zpf");
    }

    #[test]
    fn a_token_is_not_printed() {
        assert_eq!(format!("{:?}", Token::new("fP9zpf")), "Ok(***)");
    }
}
