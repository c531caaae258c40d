//! One compiled rule, and the rules of one subject.

use std::sync::Arc;

use crate::mqtt::{TopicError, TopicFilter};
use crate::policy::accounts::RuleRecord;

use super::Access;

/// A rule ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it speaks about.
    pub access: Access,
    /// Which topics.
    pub filter: TopicFilter,
    /// As a person would write it, for explanations.
    pub text: Arc<str>,
}

/// A rule whose filter holds `%u` or `%c`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    access: Access,
    deny: bool,
    filter: Arc<str>,
    text: Arc<str>,
}

/// The rules of one subject: a user, a role or everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    /// Denying rules.
    pub deny: Vec<Rule>,
    /// Allowing rules.
    pub allow: Vec<Rule>,
    patterns: Vec<Pattern>,
    /// Denies everything: a denying rule of the subject could not be read.
    pub closed: bool,
}

impl RuleSet {
    /// Compiles a rule into the set.
    pub fn add(&mut self, record: &RuleRecord) -> Result<(), TopicError> {
        let word = if record.deny { "deny" } else { "allow" };
        let text: Arc<str> =
            format!("{word} {} {} for {}", record.access, record.filter, record.subject).into();
        if record.filter.split('/').any(|level| level == "%u" || level == "%c") {
            // Checked with stand-ins; the real filter is made for each client.
            substitute(&record.filter, "u", "c").map_or(Err(TopicError::Empty), |f| TopicFilter::new(&f))?;
            let filter = record.filter.as_str().into();
            self.patterns.push(Pattern { access: record.access, deny: record.deny, filter, text });
        } else {
            let rule = Rule { access: record.access, filter: TopicFilter::new(&record.filter)?, text };
            if record.deny { self.deny.push(rule) } else { self.allow.push(rule) }
        }
        Ok(())
    }

    /// What of it denies.
    pub(super) fn only_denying(&self) -> RuleSet {
        let patterns = self.patterns.iter().filter(|pattern| pattern.deny).cloned().collect();
        RuleSet { deny: self.deny.clone(), allow: Vec::new(), patterns, closed: self.closed }
    }

    /// Adds to `own` what the patterns of this set mean for one client.
    pub fn resolve(&self, user: &str, client_id: &str, own: &mut RuleSet) {
        for pattern in &self.patterns {
            let Some(filter) = substitute(&pattern.filter, user, client_id) else { continue };
            // A name can make a filter too long: then it matches nothing.
            let Ok(filter) = TopicFilter::new(&filter) else { continue };
            let rule = Rule { access: pattern.access, filter, text: pattern.text.clone() };
            if pattern.deny { own.deny.push(rule) } else { own.allow.push(rule) }
        }
    }
}

/// Puts names in place of `%u` and `%c`; `None` if a name that is needed could reach beyond its level
/// (CVE-2017-7650) or is empty.
fn substitute(filter: &str, user: &str, client_id: &str) -> Option<String> {
    let mut levels = Vec::new();
    for level in filter.split('/') {
        levels.push(match level {
            "%u" => whole_level(user)?,
            "%c" => whole_level(client_id)?,
            level => level,
        });
    }
    Some(levels.join("/"))
}

fn whole_level(name: &str) -> Option<&str> {
    (!name.is_empty() && !name.contains(['+', '#', '/', '\0'])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_reach_beyond_their_level_match_no_pattern() {
        assert_eq!(substitute("home/%u/%c", "ann", "lamp").as_deref(), Some("home/ann/lamp"));
        for hostile in ["+", "#", "a/b", "a\0b", "", "a+"] {
            assert_eq!(substitute("home/%u", hostile, "lamp"), None);
            assert_eq!(substitute("home/%c", "ann", hostile), None);
            assert!(substitute("home/%u", "ann", hostile).is_some(), "%c is not in the pattern");
        }
    }

    #[test]
    fn only_whole_levels_are_replaced() {
        assert_eq!(substitute("home/x%u", "ann", "lamp").as_deref(), Some("home/x%u"));
    }
}
