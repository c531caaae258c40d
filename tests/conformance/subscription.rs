//! SUBSCRIBE: matching, options, identifiers, overlap.

use crate::support::packet::{NO_LOCAL, VERSIONS, frame};
use crate::support::subject::is_mosquitto;
use crate::support::{
    Connect, Packet, Publish, Subject, Subscribe, Value, Version, property, skip_for_mosquitto,
};

/// [v5: MQTT-3.3.2-3, MQTT-4.7.3-4] [v3.1.1: MQTT-3.3.2-3, MQTT-4.7.3-4]
#[test]
fn filters_match_as_the_specification_says() {
    let subject = Subject::start();
    let cases = [
        ("a/b/c", "a/b/c", true),
        ("a/b/c", "a/b", false),
        ("a/+/c", "a/b/c", true),
        ("a/+/c", "a//c", true),
        ("a/+/c", "a/b/b/c", false),
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("a/#", "ab", false),
        ("#", "a/b", true),
        ("+", "a", true),
        ("+", "/a", false),
        ("+/+", "/a", true),
        ("/+", "/a", true),
        ("a/+", "a", false),
        ("a/+", "a/", true),
        ("a/+/#", "a/b", true),
        ("+/b", "é/b", true),
        ("a b/ c", "a b/ c", true),
        ("A", "a", false),
        ("a//b", "a/b", false),
        // One character, composed and decomposed: nothing is normalized.
        ("\u{E9}", "e\u{301}", false),
        ("e\u{301}", "e\u{301}", true),
        ("a/../b", "b", false),
        ("a%2Fb", "a/b", false),
    ];
    let mut clients = VERSIONS.map(|version| subject.accept(&Connect::new(version, &format!("{version:?}"))));
    for (n, (filter, topic, matches)) in cases.into_iter().enumerate() {
        let client = &mut clients[n % 3];
        client.subscribe(filter, 1);
        client.say(topic, "x");
        if matches {
            assert_eq!(client.receive().topic, topic, "{filter} matches {topic}");
        }
        client.unsubscribe(&[filter]);
        client.nothing_arrives();
    }
}

/// [v5: MQTT-4.7.2-1] [v3.1.1: MQTT-4.7.2-1]
#[test]
fn a_leading_wildcard_does_not_match_dollar_topics() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "dollar"));
        client.subscribe("#", 0);
        client.subscribe("+/x", 0);
        client.say("$own/x", "unseen");
        client.say("own/y", "seen");
        assert_eq!(client.receive().text(), "seen");
        // Else Mosquitto would deliver the marker twice.
        client.unsubscribe(&["#"]);
        client.nothing_arrives();
        client.subscribe("$own/x", 0);
        client.say("$own/x", "1");
        assert_eq!(client.receive().topic, "$own/x");
        client.nothing_arrives();
    }
}

#[test]
fn dollar_sys_is_granted() {
    let subject = Subject::start();
    let mut client = subject.v311("operator");
    // It is checked there that the filter is granted.
    client.subscribe("$SYS/#", 0);
}

#[test]
fn invalid_filters_end_the_connection_or_are_refused() {
    let subject = Subject::start();
    for version in VERSIONS {
        for filter in
            ["", "a/#/b", "a#", "a/b#", "+a", "a/b+/c", "#/", "a\0b", "$share/g", "$share//a", "$share/+/a"]
        {
            // $share means something from v5 on; before, a server may take it for a name, and Mosquitto
            // always does when it is incomplete.
            if filter.starts_with("$share") && (version != Version::V5 || is_mosquitto()) {
                continue;
            }
            let mut client = subject.accept(&Connect::new(version, "invalid"));
            client.send(&Subscribe::to(filter, 0).encode(version, 5));
            match client.try_read() {
                Ok(Packet::SubAck { codes, .. }) => {
                    assert!(matches!(codes[..], [0x80 | 0x8F]), "{filter:?} was granted: {codes:02x?}");
                }
                Ok(Packet::Disconnect { code, .. }) => {
                    assert!(matches!(code, 0x81 | 0x82 | 0x8F), "{filter:?}: {code:#04x}");
                }
                Ok(other) => panic!("{filter:?}: {other:?}"),
                Err(gone) => assert_eq!(gone, crate::support::Gone::Closed, "{filter:?}"),
            }
        }
    }
    subject.still_serves();
}

/// [v5: MQTT-2.2.1-6, MQTT-3.8.4-1, MQTT-3.8.4-2, MQTT-3.8.4-5, MQTT-3.8.4-6, MQTT-3.8.4-7, MQTT-3.9.3-1]
/// [v3.1.1: MQTT-2.3.1-7, MQTT-3.8.4-1, MQTT-3.8.4-2, MQTT-3.8.4-4, MQTT-3.8.4-5, MQTT-3.9.3-1]
#[test]
fn a_subscribe_is_answered_with_a_code_per_filter_in_their_order() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "many"));
        // As if each came alone: of the two on "a" the second replaces the first.
        let subscribe = Subscribe::to("a", 0).and("b", 2).and("c", 1).and("d/#", 0).and("a", 1);
        assert_eq!(client.subscribe_all(&subscribe), [0, 2, 1, 0, 1]);
        for (topic, qos) in [("a", 1), ("b", 2), ("c", 1), ("d", 0)] {
            client.publish(Publish::to(topic).qos(2).payload("x"));
            assert_eq!(client.receive().qos, qos, "{topic}");
        }
        client.nothing_arrives();
    }
}

/// [v5: MQTT-3.8.3-2, MQTT-3.10.3-2] [v3.1.1: MQTT-3.8.3-3, MQTT-3.10.3-2]
#[test]
fn an_empty_subscribe_or_unsubscribe_is_a_protocol_error() {
    skip_for_mosquitto!("waits for more");
    let subject = Subject::start();
    for version in VERSIONS {
        for first in [0x82, 0xA2] {
            let mut client = subject.accept(&Connect::new(version, "empty"));
            let body: &[u8] = if version == Version::V5 { &[0, 1, 0] } else { &[0, 1] };
            client.send(&frame(first, body));
            client.expect_disconnect(0x82);
        }
    }
}

/// [v3.1.1: MQTT-3.8.4-3]
#[test]
fn subscribing_again_replaces_the_quality_of_service() {
    let subject = Subject::start();
    let mut client = subject.v311("again");
    for qos in [0, 2, 1] {
        client.subscribe("a", qos);
        client.publish(Publish::to("a").qos(2).payload("x"));
        assert_eq!(client.receive().qos, qos);
        client.nothing_arrives();
    }
}

/// [v5: MQTT-3.3.4-2] [v3.1.1: MQTT-3.3.5-1]
#[test]
fn overlapping_subscriptions_deliver_once_at_the_highest_quality_of_service() {
    skip_for_mosquitto!("delivers at the QoS of one of the subscriptions");
    let subject = Subject::start();
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "overlap"));
        client.subscribe("a/+", 0);
        client.subscribe("a/#", 2);
        client.subscribe("a/b", 1);
        client.publish(Publish::to("a/b").qos(2).payload("x"));
        assert_eq!(client.receive().qos, 2);
        client.nothing_arrives();
    }
}

/// [v5: MQTT-3.8.3-3]
#[test]
fn no_local_keeps_a_clients_own_messages_from_it() {
    let subject = Subject::start();
    let mut client = subject.v5("quiet");
    client.subscribe("a", 1 | NO_LOCAL);
    client.say("a", "mine");
    client.nothing_arrives();
    subject.v5("other").say("a", "theirs");
    assert_eq!(client.receive().text(), "theirs");
}

#[test]
fn a_subscription_identifier_comes_with_every_message() {
    let subject = Subject::start();
    let mut client = subject.v5("numbered");
    for (filter, number) in [("a", 1), ("b", 268_435_455)] {
        let subscribe = Subscribe::to(filter, 1).with(property::subscription_identifier(number));
        assert_eq!(client.subscribe_all(&subscribe), [1]);
    }
    for (topic, number) in [("b", 268_435_455), ("a", 1)] {
        client.say(topic, "x");
        let message = client.receive();
        assert_eq!(message.properties, [property::subscription_identifier(number)]);
    }
}

/// [v5: MQTT-3.3.4-3, MQTT-3.3.4-4, MQTT-3.3.4-5]
#[test]
fn an_overlap_brings_all_identifiers() {
    let subject = Subject::start();
    let mut client = subject.v5("numbered");
    for (filter, number) in [("a/+", 7), ("a/#", 8), ("a/b", 9)] {
        client.subscribe_all(&Subscribe::to(filter, 1).with(property::subscription_identifier(number)));
    }
    client.subscribe("+/b", 1);
    client.say("a/b", "x");
    // One delivery with all identifiers, or one per subscription [MQTT-3.3.4-3]; never one too few.
    let mut numbers = Vec::new();
    while numbers.len() < 3 {
        for value in property::all(&client.receive().properties, property::SUBSCRIPTION_IDENTIFIER) {
            match value {
                Value::Variable(number) => numbers.push(*number),
                other => panic!("{other:?}"),
            }
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [7, 8, 9]);
}

/// [v5: MQTT-3.8.4-3]
#[test]
fn subscribing_again_replaces_the_identifier() {
    let subject = Subject::start();
    let mut client = subject.v5("numbered");
    client.subscribe_all(&Subscribe::to("a", 1).with(property::subscription_identifier(1)));
    client.subscribe_all(&Subscribe::to("a", 1).with(property::subscription_identifier(2)));
    client.say("a", "x");
    assert_eq!(client.receive().properties, [property::subscription_identifier(2)]);
    client.subscribe("a", 1);
    client.say("a", "x");
    assert_eq!(client.receive().properties, []);
}

#[test]
fn a_retained_message_carries_the_identifier_of_the_subscription_that_asked() {
    let subject = Subject::start();
    let mut client = subject.v5("numbered");
    client.publish(Publish::to("a").qos(1).retain().payload("x"));
    client.subscribe_all(&Subscribe::to("a", 1).with(property::subscription_identifier(5)));
    assert_eq!(client.receive().properties, [property::subscription_identifier(5)]);
}

/// [v5: MQTT-3.8.4-4] [v3.1.1: MQTT-3.8.4-3]
#[test]
fn subscribing_again_and_again_loses_no_message() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut publisher = subject.v311("pub");
        let mut client = subject.accept(&Connect::new(version, "again"));
        client.subscribe("a", 1);
        for n in 0..100 {
            publisher.send(&Publish::to("a").qos(1).id(n + 1).payload(n.to_string()).encode(Version::V311));
            client.send(&Subscribe::to("a", 1).encode(version, n + 1000));
        }
        let (mut answers, mut texts) = (0, Vec::new());
        while answers < 100 || texts.len() < 100 {
            match client.read() {
                Packet::SubAck { .. } => answers += 1,
                Packet::Publish(message) => {
                    client.acknowledge(&message);
                    texts.push(message.text().to_owned());
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(texts, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
        client.nothing_arrives();
    }
}

#[test]
fn twenty_thousand_filters_of_one_client_come_and_go() {
    let subject = Subject::with().limit("subscriptions", 0).start();
    let mut client = subject.v311("glutton");
    for batch in 0..200 {
        let mut subscribe = Subscribe::default();
        for n in 0..100 {
            subscribe = subscribe.and(&format!("reply/{batch}/{n}"), 0);
        }
        assert_eq!(client.subscribe_all(&subscribe).len(), 100);
    }
    client.publish(Publish::to("reply/199/99").payload("last"));
    assert_eq!(client.receive().text(), "last");
    for batch in 0..200 {
        let filters: Vec<_> = (0..100).map(|n| format!("reply/{batch}/{n}")).collect();
        client.unsubscribe(&filters.iter().map(String::as_str).collect::<Vec<_>>());
    }
    client.publish(Publish::to("reply/199/99").payload("nobody"));
    client.nothing_arrives();
}
