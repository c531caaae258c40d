//! A certificate that a client proved to have, as the policy sees it: whose it is, and whether it still holds.

use std::{fmt, sync::Arc};

/// Longest user name of an account, in bytes; a longer one in a certificate is refused too.
const LONGEST: usize = 256;

/// A verified certificate. How it is verified is the listener's business.
#[derive(Clone)]
pub struct Certificate {
    user: Option<Arc<str>>,
    shown: Option<Arc<Shown>>,
    check: Check,
}

/// What a certificate says of itself, for backends that want to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The whole subject (RFC 4514).
    pub subject: String,
    /// The one common name; empty if there is none, or two.
    pub common_name: String,
    /// The serial number in hexadecimal digits.
    pub serial: String,
    /// SHA-256 of the certificate in hexadecimal digits.
    pub fingerprint: String,
}

/// Why the certificate does not hold any more, if so.
type Check = Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

impl Certificate {
    /// `user` is the user name that the certificate stands for, whatever it may look like; `None` if it is no login.
    /// `check` tells why the certificate no longer holds. It is called on the client's task after each change that was
    /// announced by [`crate::policy::Policy::certificates_changed`]: it must not block.
    pub fn new(
        user: Option<Arc<str>>,
        check: impl Fn() -> Result<(), &'static str> + Send + Sync + 'static,
    ) -> Self {
        Certificate { user, shown: None, check: Arc::new(check) }
    }

    /// The same, with what it says of itself.
    pub fn showing(self, shown: Shown) -> Self {
        Certificate { shown: Some(Arc::new(shown)), ..self }
    }

    /// What it says of itself.
    pub(super) fn shown(&self) -> Option<&Arc<Shown>> {
        self.shown.as_ref()
    }

    /// The user name, if the certificate is a login.
    pub(super) fn user(&self) -> Option<&Arc<str>> {
        self.user.as_ref()
    }

    /// Why the certificate does not hold any more, if so.
    pub(super) fn lost(&self) -> Option<&'static str> {
        (self.check)().err()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("user", &self.user).finish_non_exhaustive()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.user == other.user && Arc::ptr_eq(&self.check, &other.check)
    }
}

impl Eq for Certificate {}

/// Whether a name out of a certificate can be a user name: not one that means something else in rules.
pub(super) fn is_user_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST
        && name != "*"
        && !name.starts_with("role:")
        && !name.starts_with("bridge:")
        && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_means_something_else_in_rules_is_no_user_name() {
        for name in ["lamp", "CN=lamp,O=Home", "日本", "a/b"] {
            assert!(is_user_name(name), "{name}");
        }
        for name in ["", "*", "role:admin", "bridge:cloud", "a\0b", "a\nb", &"x".repeat(257)] {
            assert!(!is_user_name(name), "{name:?}");
        }
    }
}
