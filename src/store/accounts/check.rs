//! What names and filters may look like, checked when they are written and again when they are read: other
//! programs edit the database too.

use crate::mqtt::TopicFilter;
use crate::policy::accounts::Subject;

/// Longest name of a user, role or bridge, in bytes.
pub const MAX_NAME: usize = 256;

/// Checks the name of an account.
pub fn user_name(name: &str) -> Result<(), String> {
    some_name("a user name", name)?;
    if name == "*" || name.starts_with("role:") || name.starts_with("bridge:") {
        return Err(format!("{name:?} cannot be a user name: in rules it means something else"));
    }
    Ok(())
}

/// Checks the name of a role, given without `role:`.
pub fn role_name(name: &str) -> Result<(), String> {
    some_name("a role name", name)?;
    match name.split_once(':') {
        Some(("role", rest)) => Err(format!("give the name of the role without `role:`: {rest:?}")),
        _ => Ok(()),
    }
}

/// Checks whom a rule is for.
pub fn subject(subject: &Subject) -> Result<(), String> {
    match subject {
        Subject::User(name) => user_name(name),
        Subject::Role(name) => role_name(name),
        Subject::Bridge(name) => some_name("a bridge name", name),
        Subject::Everyone => Ok(()),
    }
}

/// Checks the filter of a rule: a topic filter in which a whole level may be `%u` (user name) or `%c` (client
/// identifier).
pub fn filter(filter: &str) -> Result<(), String> {
    let mut stand_in = String::with_capacity(filter.len());
    for (index, level) in filter.split('/').enumerate() {
        if index > 0 {
            stand_in.push('/');
        }
        match level {
            "%u" | "%c" => stand_in.push('x'),
            _ if level.contains("%u") || level.contains("%c") => {
                return Err(format!(
                    "{filter:?} is not a filter: %u and %c must be the whole of their level"
                ));
            }
            _ => stand_in.push_str(level),
        }
    }
    if let Some((_, rest)) = filter.strip_prefix("$share/").and_then(|group| group.split_once('/')) {
        return Err(format!("a rule speaks of what is shared, not of the share group: {rest:?}"));
    }
    TopicFilter::new(&stand_in).map(drop).map_err(|error| format!("{filter:?} is not a filter: {error}"))
}

fn some_name(what: &str, name: &str) -> Result<(), String> {
    match name {
        "" => Err(format!("{what} cannot be empty")),
        name if name.len() > MAX_NAME => Err(format!("{what} has at most {MAX_NAME} bytes")),
        name if name.contains('\0') => Err(format!("{what} cannot hold the null character")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_mean_something_else_are_refused() {
        for name in ["", "*", "role:x", "bridge:x", "a\0b", &"x".repeat(257)] {
            assert!(user_name(name).is_err(), "{name:?}");
        }
        for name in ["jjolie", "role", "S*", "a/b", "ä ö", "role.x", "x:role:y", &"x".repeat(256)] {
            assert!(user_name(name).is_ok(), "{name:?}");
        }
        assert!(role_name("role:x").is_err());
        assert!(subject(&Subject::User("role:x".into())).is_err());
    }

    #[test]
    fn placeholders_stand_only_for_whole_levels() {
        for good in ["a", "#", "+/a/#", "$SYS/#", "%u", "a/%u/%c/#", "100%", "%", "/", "a//b", "%x/b"] {
            assert_eq!(filter(good), Ok(()), "{good}");
        }
        for bad in ["", "a%u", "%u%c/x", "a/b%c", "a/#/b", "a+", "#a", "x\0", "$share/g/a"] {
            assert!(filter(bad).is_err(), "{bad:?}");
        }
        assert!(filter(&"a/".repeat(40_000)).is_err());
    }
}
