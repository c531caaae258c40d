//! What a bridge may do: exactly what its routes name.

use std::sync::Arc;

use ahash::AHashMap;

use crate::mqtt::TopicFilter;

use super::{Access, Rule, RuleSet};

/// What user names of bridges begin with; no account's can.
pub const BRIDGE: &str = "bridge:";

/// The topics that the routes of one bridge name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeRoutes {
    /// The bridge's name.
    pub name: String,
    /// What it may publish here.
    pub publish: Vec<TopicFilter>,
    /// What it may be given to take away.
    pub receive: Vec<TopicFilter>,
}

/// The rules of every bridge.
#[derive(Debug, Default)]
pub(super) struct BridgeRules {
    /// What the routes allow.
    routes: AHashMap<String, Arc<RuleSet>>,
    /// What rules deny.
    denied: AHashMap<String, Arc<RuleSet>>,
}

impl BridgeRules {
    /// `rules` are those for bridges; allowing ones among them mean nothing, since routes allow.
    pub fn new(routes: &[BridgeRoutes], rules: AHashMap<String, RuleSet>) -> Self {
        let denied = rules.into_iter().map(|(name, set)| (name, Arc::new(set.only_denying()))).collect();
        let routes = routes.iter().map(|routes| (routes.name.clone(), Arc::new(rules_of(routes)))).collect();
        BridgeRules { routes, denied }
    }

    /// Everything that speaks about the bridge; of `everyone` what denies.
    pub fn of(&self, name: &str, everyone: &RuleSet) -> Vec<Arc<RuleSet>> {
        let sets = [&self.denied, &self.routes].into_iter().filter_map(|sets| sets.get(name)).cloned();
        sets.chain([Arc::new(everyone.only_denying())]).collect()
    }

    /// Whether the bridge fares alike under both.
    pub fn same_for(&self, other: &Self, name: &str) -> bool {
        self.routes.get(name) == other.routes.get(name) && self.denied.get(name) == other.denied.get(name)
    }
}

fn rules_of(routes: &BridgeRoutes) -> RuleSet {
    let rule = |access, filter: &TopicFilter| Rule {
        access,
        filter: filter.clone(),
        text: format!("route {access} {} of bridge:{}", filter.as_str(), routes.name).into(),
    };
    let publish = routes.publish.iter().map(|filter| rule(Access::PUBLISH, filter));
    let receive = routes.receive.iter().map(|filter| rule(Access::RECEIVE, filter));
    let mut set = RuleSet::default();
    set.allow = publish.chain(receive).collect();
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::accounts::{Accounts, RuleRecord, Subject};
    use crate::policy::acl::Book;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::new(text).unwrap()
    }

    #[test]
    fn a_bridge_may_do_what_its_routes_say_and_denying_rules_narrow_it() {
        let rule = |subject, access: &str, filter: &str, deny| RuleRecord {
            subject,
            access: access.parse().unwrap(),
            filter: filter.into(),
            deny,
        };
        let bridge = || Subject::Bridge("cloud".into());
        let rules = vec![
            rule(bridge(), "all", "more/#", false),
            rule(bridge(), "receive", "up/secret", true),
            rule(Subject::Everyone, "all", "#", false),
            rule(Subject::Everyone, "write", "down/wall", true),
            rule(Subject::Bridge("other".into()), "all", "#", true),
        ];
        let routes = BridgeRoutes {
            name: "cloud".into(),
            publish: vec![filter("down/#")],
            receive: vec![filter("up/#")],
        };
        let everything = ["*".to_owned()];
        let book = Book::compile(&Accounts { accounts: Vec::new(), rules }, &everything, &[routes]);
        let may = |user: &str, access: &str, topic: &str| {
            book.rights(user, "").on_topic(access.parse().unwrap(), topic).is_ok()
        };
        let cloud = |access, topic| may("bridge:cloud", access, topic);
        assert!(cloud("publish", "down/a") && cloud("receive", "up/a"));
        assert!(!cloud("publish", "up/a") && !cloud("receive", "down/a"), "a route has a direction");
        assert!(!cloud("receive", "up/secret") && !cloud("publish", "down/wall"), "denied");
        assert!(!cloud("publish", "more/a") && !cloud("publish", "x"), "only routes allow");
        assert!(!may("bridge:gone", "publish", "down/a"), "no routes, no rights");
    }
}
