//! What one client may do: the rules of its user, its roles and everyone, put together.

use std::sync::Arc;

use crate::mqtt::TopicFilter;
use crate::policy::decision::{Denial, Stage};

use super::{Access, Rule, RuleSet};

/// When a subscription with wildcards is granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscribeRule {
    /// Some allowing rule covers the whole filter, and no denying rule does; narrower denying rules act at
    /// each delivery.
    #[default]
    Covered,
    /// The filter meets some allowing rule, and no denying rule covers it; each delivery is filtered.
    Overlap,
}

/// The rights of one client. Denying rules win over allowing ones, and a superuser over both.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// Why everything is allowed, if it is.
    pub superuser: Option<Arc<str>>,
    /// Rules shared by everyone they are for.
    pub shared: Vec<Arc<RuleSet>>,
    /// What patterns mean for this client.
    pub own: RuleSet,
}

impl Rights {
    /// May `access` (one operation) be done on the topic name `topic`? A yes names the rule that decided.
    pub fn on_topic(&self, access: Access, topic: &str) -> Result<Arc<str>, Denial> {
        self.by_rules(access, |rule| rule.filter.matches(topic), |rule| rule.filter.matches(topic))
    }

    /// May `filter` be subscribed to?
    pub fn on_filter(&self, filter: &TopicFilter, how: SubscribeRule) -> Result<Arc<str>, Denial> {
        let allowed = |rule: &Rule| match how {
            SubscribeRule::Covered => rule.filter.covers(filter),
            SubscribeRule::Overlap => rule.filter.overlaps(filter),
        };
        self.by_rules(Access::SUBSCRIBE, |rule| rule.filter.covers(filter), allowed)
    }

    fn by_rules(
        &self,
        access: Access,
        denied: impl Fn(&Rule) -> bool,
        allowed: impl Fn(&Rule) -> bool,
    ) -> Result<Arc<str>, Denial> {
        if let Some(why) = &self.superuser {
            return Ok(why.clone());
        }
        if self.shared.iter().any(|set| set.closed) {
            let reason = "a denying rule cannot be read, so everything is denied";
            return Err(Denial::not_authorized(Stage::Deny, None, reason));
        }
        let sets = || std::iter::once(&self.own).chain(self.shared.iter().map(|set| &**set));
        if let Some(rule) =
            sets().flat_map(|set| &set.deny).find(|rule| rule.access.includes(access) && denied(rule))
        {
            return Err(Denial::not_authorized(Stage::Deny, Some(rule.text.clone()), "a rule denies it"));
        }
        match sets().flat_map(|set| &set.allow).find(|rule| rule.access.includes(access) && allowed(rule)) {
            Some(rule) => Ok(rule.text.clone()),
            None => Err(Denial::not_authorized(Stage::Allow, None, "no rule allows it")),
        }
    }
}

/// Whether only the gateway itself may publish to `topic`: `$SYS/…` and `LATCH/…`, with the one exception
/// that a bridge's peer may announce itself under `$SYS/broker/connection/NAME/state`.
pub fn reserved(topic: &str) -> bool {
    match topic.split_once('/') {
        Some(("$SYS", rest)) => {
            let mut levels = rest.split('/');
            let announces = levels.next() == Some("broker")
                && levels.next() == Some("connection")
                && levels.next().is_some()
                && levels.next() == Some("state")
                && levels.next().is_none();
            !announces
        }
        Some(("LATCH", _)) => true,
        _ => topic == "$SYS" || topic == "LATCH",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::accounts::{RuleRecord, Subject};

    fn rights(rules: &[(&str, &str, bool)]) -> Rights {
        let mut set = RuleSet::default();
        for (access, filter, deny) in rules {
            let access = access.parse().unwrap();
            let record =
                RuleRecord { subject: Subject::Everyone, access, filter: (*filter).into(), deny: *deny };
            set.add(&record).unwrap();
        }
        Rights { superuser: None, shared: vec![Arc::new(set)], own: RuleSet::default() }
    }

    fn subscribes(rights: &Rights, filter: &str, how: SubscribeRule) -> bool {
        rights.on_filter(&TopicFilter::new(filter).unwrap(), how).is_ok()
    }

    #[test]
    fn a_denying_rule_wins_whatever_the_order() {
        let rights = rights(&[("all", "a/#", false), ("write", "a/secret", true)]);
        assert!(rights.on_topic(Access::PUBLISH, "a/b").is_ok());
        assert_eq!(rights.on_topic(Access::PUBLISH, "a/secret").unwrap_err().stage, Stage::Deny);
        assert!(rights.on_topic(Access::RECEIVE, "a/secret").is_ok(), "the rule speaks of writing only");
        assert_eq!(rights.on_topic(Access::PUBLISH, "b").unwrap_err().stage, Stage::Allow);
    }

    #[test]
    fn an_unreadable_denying_rule_denies_everything() {
        let mut set = RuleSet::default();
        set.closed = true;
        let allowed = rights(&[("all", "#", false)]);
        let closed = Rights { shared: vec![Arc::new(set), allowed.shared[0].clone()], ..allowed };
        assert_eq!(closed.on_topic(Access::PUBLISH, "a").unwrap_err().stage, Stage::Deny);
        assert!(!subscribes(&closed, "a", SubscribeRule::Overlap));
    }

    #[test]
    fn covered_wants_one_rule_that_covers_the_whole_filter() {
        let rights = rights(&[("read", "a/#", false), ("read", "b/c", false), ("read", "a/x", true)]);
        let covered = |filter| subscribes(&rights, filter, SubscribeRule::Covered);
        assert!(covered("a/#") && covered("a/+") && covered("a") && covered("b/c"));
        assert!(!covered("b/+") && !covered("#") && !covered("+/c"));
        assert!(!covered("a/x"), "a denying rule covers it");
    }

    #[test]
    fn overlap_wants_one_rule_that_meets_the_filter() {
        let rights = rights(&[("read", "b/c", false), ("read", "b/secret/#", true)]);
        let overlaps = |filter| subscribes(&rights, filter, SubscribeRule::Overlap);
        assert!(overlaps("#") && overlaps("b/+") && overlaps("+/c"));
        assert!(!overlaps("a/#") && !overlaps("b/secret/x"));
    }

    #[test]
    fn the_gateways_own_topics_are_reserved_by_their_first_level() {
        assert!(
            reserved("$SYS/broker/uptime")
                && reserved("$SYS")
                && reserved("LATCH/status")
                && reserved("LATCH")
        );
        assert!(!reserved("LATCHES/a") && !reserved("a/LATCH/b") && !reserved("$SYSTEM/a"));
        assert!(!reserved("$SYS/broker/connection/x/state"));
        assert!(reserved("$SYS/broker/connection/x/y/state") && reserved("$SYS/broker/connection/state"));
    }
}
