//! Routes: which topics travel, and what they are called on either side.

use std::sync::Arc;

use crate::mqtt::{QoS, TopicFilter, valid_topic_name};

/// Which way a route goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the remote broker to this gateway.
    In,
    /// From this gateway to the remote broker.
    Out,
    /// Both ways.
    Both,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// The filter here, which names it in the ledger.
    pub label: Arc<str>,
    /// The filter here.
    pub local: TopicFilter,
    /// The filter on the remote broker.
    pub remote: TopicFilter,
    /// What stands before the topic here.
    pub local_prefix: String,
    /// What stands before the topic there.
    pub remote_prefix: String,
    /// Which way.
    pub way: Way,
    /// The highest QoS.
    pub qos: QoS,
    /// Whether the retain flag stays.
    pub retain: bool,
}

impl Route {
    /// Whether messages leave by it.
    pub fn goes_out(&self) -> bool {
        self.way != Way::In
    }

    /// Whether messages arrive by it.
    pub fn comes_in(&self) -> bool {
        self.way != Way::Out
    }
}

/// The route that a message takes to the remote broker, and its topic there.
pub fn outward<'r>(routes: &'r [Route], topic: &str) -> Option<(&'r Route, String)> {
    let route = routes.iter().find(|route| route.goes_out() && route.local.matches(topic))?;
    renamed(topic, &route.local_prefix, &route.remote_prefix).map(|topic| (route, topic))
}

/// The route that a message takes from the remote broker, and its topic here.
pub fn inward<'r>(routes: &'r [Route], topic: &str) -> Option<(&'r Route, String)> {
    let route = routes.iter().find(|route| route.comes_in() && route.remote.matches(topic))?;
    renamed(topic, &route.remote_prefix, &route.local_prefix).map(|topic| (route, topic))
}

fn renamed(topic: &str, from: &str, to: &str) -> Option<String> {
    let topic = format!("{to}{}", topic.strip_prefix(from)?);
    valid_topic_name(&topic).is_ok().then_some(topic)
}

#[cfg(test)]
pub(super) fn for_tests(topic: &str, way: Way, qos: QoS, local: &str, remote: &str) -> Route {
    let filter = |prefix: &str| TopicFilter::new(&format!("{prefix}{topic}")).unwrap();
    Route {
        label: filter(local).as_str().into(),
        local: filter(local),
        remote: filter(remote),
        local_prefix: local.into(),
        remote_prefix: remote.into(),
        way,
        qos,
        retain: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(topic: &str, local: &str, remote: &str, name: &str) -> Option<String> {
        let route = for_tests(topic, Way::Both, QoS::AtLeastOnce, local, remote);
        let there = outward(std::slice::from_ref(&route), name).map(|(_, topic)| topic);
        if let Some(there) = &there {
            let back = inward(&[route], there).map(|(_, topic)| topic);
            assert_eq!(back.as_deref(), Some(name), "there and back");
        }
        there
    }

    #[test]
    fn prefixes_are_exchanged_on_the_way() {
        assert_eq!(out("p/#", "L/", "R/", "L/p/x").as_deref(), Some("R/p/x"));
        assert_eq!(out("p", "L/", "", "L/p").as_deref(), Some("p"));
        assert_eq!(out("p", "", "R/", "p").as_deref(), Some("R/p"));
        assert_eq!(out("", "l", "r", "l").as_deref(), Some("r"));
        assert_eq!(out("p", "L/", "R/", "p"), None);
        assert_eq!(out("#", "L/", "R/", "L/p/q").as_deref(), Some("R/p/q"));
    }

    #[test]
    fn what_has_no_name_on_the_other_side_does_not_travel() {
        // `L/#` matches the topic `L` too, which has no prefix to take off.
        assert_eq!(out("#", "L/", "R/", "L"), None);
        assert_eq!(out("#", "L/", "", "L/"), None, "an empty name");
    }

    #[test]
    fn the_first_route_that_goes_that_way_counts() {
        let routes = [
            for_tests("a", Way::In, QoS::AtLeastOnce, "", "1/"),
            for_tests("a", Way::Out, QoS::AtLeastOnce, "", "2/"),
            for_tests("#", Way::Out, QoS::AtLeastOnce, "", "3/"),
        ];
        let there = |topic| outward(&routes, topic).map(|(_, topic)| topic);
        assert_eq!(there("a").as_deref(), Some("2/a"));
        assert_eq!(there("b").as_deref(), Some("3/b"));
        assert_eq!(inward(&routes, "1/a").map(|(_, topic)| topic).as_deref(), Some("a"));
        assert!(inward(&routes, "2/a").is_none());
    }
}
