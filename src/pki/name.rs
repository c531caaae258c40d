//! The name a certificate is issued to: it is the common name, the user name of a client that logs in with it,
//! and part of a file's name.

use std::fmt;
use std::str::FromStr;

/// 1 to 64 bytes (RFC 5280's bound for a common name) of printable UTF-8 that are safe as a file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or more than 64 bytes.
    #[error("a name has 1 to 64 bytes")]
    Length,
    /// It could leave the directory, or hide in it.
    #[error(
        "a name holds no \"/\" and no \"..\", and begins with neither \".\" nor \"-\": it is a file's name too"
    )]
    File,
    /// A character that cannot be seen, or a space at an end.
    #[error("a name holds only characters that can be seen, and spaces between them")]
    Invisible,
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if !(1..=64).contains(&text.len()) {
            return Err(NameError::Length);
        }
        if text.contains('/') || text.contains("..") || text.starts_with(['.', '-']) {
            return Err(NameError::File);
        }
        if text.chars().any(invisible) || text.trim() != text {
            return Err(NameError::Invisible);
        }
        Ok(Name(text.to_owned()))
    }
}

/// Controls, spaces other than the plain one, and marks that reorder or hide text: two names must not look the
/// same for want of a visible character.
fn invisible(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_and_hosts_are_names() {
        for text in ["lamp", "gateway.example", "Küche links", "b827eb08451e_broker", &"x".repeat(64)] {
            assert_eq!(text.parse::<Name>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_name_cannot_leave_its_directory_or_deceive_the_eye() {
        for (text, why) in [
            ("", NameError::Length),
            (&"x".repeat(65), NameError::Length),
            (&"ü".repeat(33), NameError::Length),
            ("a/b", NameError::File),
            ("..", NameError::File),
            ("a..b", NameError::File),
            (".hidden", NameError::File),
            ("-rf", NameError::File),
            ("a\0b", NameError::Invisible),
            ("a\nb", NameError::Invisible),
            ("a\u{202e}b", NameError::Invisible),
            ("a\u{200b}", NameError::Invisible),
            ("a\u{a0}b", NameError::Invisible),
            (" a", NameError::Invisible),
            ("a ", NameError::Invisible),
        ] {
            assert_eq!(text.parse::<Name>(), Err(why), "{text:?}");
        }
    }
}
