//! A password that works once: for whoever must get in again, or in for the first time.
//!
//! Its stored form wraps another: `$once$UNTIL$pbkdf2-…`, with the end of its life in seconds since 1970. It is no form
//! that [`super::StoredPassword`] reads, so that only a login that can use it up lets it in; any other source of
//! accounts refuses it as unknown.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{PasswordError, hash};

const PREFIX: &str = "$once$";
/// What is stored in place of one that was used.
pub const SPENT: &str = "$once$spent";
/// Characters of a one-time password: without I, L, O and U, which are read wrongly from a screen.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// How many of them, five bits each: 100 bits, which nobody guesses.
const LENGTH: usize = 20;
/// Characters between two hyphens.
const GROUP: usize = 5;

/// A new one-time password.
pub struct OneTime {
    /// What is typed. A secret: whoever made it shows it, and nobody else.
    pub password: String,
    /// What is stored.
    pub stored: String,
    /// When it stops working, used or not; whole seconds.
    pub until: SystemTime,
}

impl OneTime {
    /// Makes one that works for `lifetime` from now. Slow, as [`hash`] is.
    ///
    /// # Errors
    /// No random bytes from the operating system.
    pub fn make(lifetime: Duration) -> Result<Self, PasswordError> {
        let mut random = [0; LENGTH];
        getrandom::fill(&mut random).map_err(|_| PasswordError::System("random bytes"))?;
        let characters: Vec<u8> = random.iter().map(|byte| ALPHABET[usize::from(byte % 32)]).collect();
        let groups: Vec<_> = characters.chunks(GROUP).map(String::from_utf8_lossy).collect();
        let password = groups.join("-");
        let end = seconds(SystemTime::now()).saturating_add(lifetime.as_secs());
        let stored = format!("{PREFIX}{end}{}", hash(password.as_bytes())?);
        Ok(OneTime { password, stored, until: UNIX_EPOCH + Duration::from_secs(end) })
    }
}

/// How a stored password may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage<'s> {
    /// Again and again, as long as it is stored.
    Always(&'s str),
    /// Once; then [`SPENT`] must have been put in its place before anybody is let in.
    Once(&'s str),
    /// Not any more.
    Never,
}

/// How `stored` may be used at this time, and the form inside that is verified.
pub fn usage(stored: &str, now: SystemTime) -> Usage<'_> {
    let Some(rest) = stored.strip_prefix(PREFIX) else { return Usage::Always(stored) };
    let Some(form) = rest.find('$') else { return Usage::Never };
    let (until, form) = rest.split_at(form);
    match until.parse::<u64>() {
        Ok(until) if seconds(now) < until => Usage::Once(form),
        _ => Usage::Never,
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::super::StoredPassword;
    use super::*;

    #[test]
    fn a_one_time_password_verifies_until_its_end_and_not_when_it_was_used() {
        let OneTime { password, stored, until } = OneTime::make(Duration::from_secs(900)).unwrap();
        let before = until - Duration::from_secs(1);
        let Usage::Once(form) = usage(&stored, before) else { panic!("{stored}") };
        assert!(StoredPassword::parse(form).unwrap().verify(password.as_bytes()));
        assert_eq!(usage(&stored, until), Usage::Never);
        assert_eq!(usage(SPENT, before), Usage::Never);
        assert!(password.len() == 23 && password.split('-').all(|group| group.len() == 5), "{password}");
        assert_ne!(password, OneTime::make(Duration::ZERO).unwrap().password);
    }

    #[test]
    fn whoever_cannot_use_it_up_does_not_take_it_for_a_password() {
        let OneTime { stored, .. } = OneTime::make(Duration::from_secs(900)).unwrap();
        assert!(StoredPassword::parse(&stored).is_err());
        assert!(StoredPassword::parse(SPENT).is_err());
    }

    #[test]
    fn others_are_used_as_ever_and_nonsense_never() {
        let now = SystemTime::now();
        assert_eq!(usage("$7$1$a$b", now), Usage::Always("$7$1$a$b"));
        assert_eq!(usage("", now), Usage::Always(""));
        for nonsense in
            ["$once$", "$once$$7$1$a$b", "$once$x$7$1$a$b", "$once$-1$7$", "$once$9999999999999999999999$7$"]
        {
            assert_eq!(usage(nonsense, now), Usage::Never, "{nonsense}");
        }
    }
}
