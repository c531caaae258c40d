//! Topic aliases of version 5, from clients and to them.

use crate::raw::ends;
use crate::support::property::{self, Value};
use crate::support::{Connect, Publish, Subject, Version};

/// [v5: MQTT-3.3.2-12]
#[test]
fn a_topic_alias_of_the_client_stands_for_its_topic() {
    let subject = Subject::start();
    let (mut client, connack) = subject.accept_with_connack(&Connect::v5("aliases"));
    let maximum = match property::one(&connack.properties, property::TOPIC_ALIAS_MAXIMUM) {
        Some(Value::Two(maximum)) => *maximum,
        _ => panic!("topic aliases from clients are not offered: {connack:?}"),
    };
    client.subscribe("w/+", 1);
    for (topic, alias, expected) in [
        ("w/a", 1, "w/a"),
        ("w/b", maximum, "w/b"),
        ("", 1, "w/a"),
        ("", maximum, "w/b"),
        ("w/c", 1, "w/c"),
        ("", 1, "w/c"),
    ] {
        let message = Publish::to(topic).qos(1).payload("x").with(property::topic_alias(alias));
        assert_eq!(client.publish(message), 0);
        let message = client.receive();
        assert_eq!(message.topic, expected);
        assert_eq!(message.properties, [], "an alias is never passed on");
    }
}

/// [v5: MQTT-3.3.2-7]
#[test]
fn an_alias_dies_with_its_connection() {
    let subject = Subject::start();
    let connect = Connect::v5("aliases").keep_session();
    let mut client = subject.accept(&connect);
    client.publish(Publish::to("a").qos(1).with(property::topic_alias(1)));
    client.disconnect();
    let mut client = subject.accept(&connect);
    client.send(&Publish::to("").qos(1).id(9).with(property::topic_alias(1)).encode(Version::V5));
    client.expect_disconnect(0x82);
}

/// [v5: MQTT-3.2.2-17, MQTT-3.3.2-9]
#[test]
fn an_alias_over_the_maximum_or_without_topic_ends_the_connection() {
    let subject = Subject::start();
    let connect = Connect::v5("aliases");
    let (_client, connack) = subject.accept_with_connack(&connect);
    let maximum = match property::one(&connack.properties, property::TOPIC_ALIAS_MAXIMUM) {
        Some(Value::Two(maximum)) => *maximum,
        _ => 0,
    };
    for (topic, alias, code) in [("a", maximum.saturating_add(1), 0x94), ("", 1, 0x82)] {
        if alias == 65535 && maximum == 65535 {
            continue;
        }
        let mut client = subject.accept(&connect);
        client.send(&Publish::to(topic).with(property::topic_alias(alias)).encode(Version::V5));
        client.expect_disconnect(code);
    }
}

/// [v5: MQTT-3.1.2-26, MQTT-3.3.2-11]
#[test]
fn topic_aliases_offered_by_a_subscriber_never_name_the_wrong_topic() {
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v5("aliased").with(property::topic_alias_maximum(3)));
    client.subscribe("w/#", 1);
    let mut publisher = subject.v311("pub");
    let mut known = std::collections::HashMap::new();
    for n in [0, 1, 2, 0, 3, 4, 1, 0, 5, 0] {
        let sent = format!("w/{n}");
        publisher.say(&sent, &sent);
        let message = client.receive();
        let alias = match property::one(&message.properties, property::TOPIC_ALIAS) {
            Some(Value::Two(alias)) => {
                assert!((1..=3).contains(alias), "alias {alias} is over the client's maximum");
                Some(*alias)
            }
            _ => None,
        };
        let topic = match (message.topic.as_str(), alias) {
            ("", Some(alias)) => known[&alias],
            (_, Some(alias)) => {
                known.insert(alias, n);
                n
            }
            (topic, None) => {
                assert_eq!(topic, sent);
                n
            }
        };
        assert_eq!(topic, n);
        assert_eq!(message.text(), sent);
    }
}

/// [v5: MQTT-3.3.2-8]
#[test]
fn a_topic_alias_of_0_ends_the_connection() {
    let subject = Subject::start();
    // A protocol error: 0x94 is for those above the maximum.
    let message = Publish::to("a").with(property::topic_alias(0));
    ends(&subject, Version::V5, "alias", &message.encode(Version::V5), 0x82);
}

/// [v5: MQTT-3.1.2-27]
#[test]
fn a_subscriber_that_allows_no_topic_aliases_gets_none() {
    let subject = Subject::start();
    let mut publisher = subject.v5("pub");
    for connect in [Connect::v5("sub"), Connect::v5("sub").with(property::topic_alias_maximum(0))] {
        let mut client = subject.accept(&connect);
        client.subscribe("long/+", 1);
        for _ in 0..5 {
            publisher.publish(Publish::to("long/topic").qos(1).payload("x").with(property::topic_alias(1)));
            let message = client.receive();
            assert_eq!((message.topic.as_str(), &message.properties[..]), ("long/topic", &[][..]));
        }
    }
}
