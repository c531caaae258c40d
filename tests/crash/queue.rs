//! Messages that wait for a client that is away.

use std::time::{Duration, Instant};

use crate::support::packet::VERSIONS;
use crate::support::property::{self, MESSAGE_EXPIRY, SUBSCRIPTION_IDENTIFIER, Value};
use crate::support::{Connect, Publish, Subscribe, Version, eventually};
use crate::world::{Ending, World, stories};

stories! {
    acknowledged_messages_wait_in_their_order;
    messages_keep_their_properties_and_subscription_identifiers;
    a_message_expires_by_the_clock_and_not_by_the_servers_life;
    what_was_delivered_and_acknowledged_is_not_delivered_again;
    a_queue_outlives_many_ends;
    binary_and_large_payloads_come_back_as_they_were;
    a_qos0_message_does_not_wait;
}

fn acknowledged_messages_wait_in_their_order(ending: Ending) {
    let world = World::start(ending);
    for version in VERSIONS {
        world.leave_session(
            &Connect::new(version, &format!("away {version:?}")).keep_session(),
            &[("a/#", 2)],
        );
    }
    let mut publisher = world.subject.v5("publisher");
    for n in 0..60u8 {
        let topic = ["a/x", "a/y", "a/z"][usize::from(n) % 3];
        assert_eq!(publisher.publish(Publish::to(topic).qos(1 + n % 2).payload(n.to_string())), 0);
    }
    world.crash();
    for version in VERSIONS {
        let keep = Connect::new(version, &format!("away {version:?}")).keep_session();
        let mut client = world.resume(&keep);
        for n in 0..60u8 {
            let message = client.receive();
            let expected = (["a/x", "a/y", "a/z"][usize::from(n) % 3], n.to_string(), 1 + n % 2);
            assert_eq!(
                (message.topic.as_str(), message.text().to_owned(), message.qos),
                expected,
                "{version:?}"
            );
            assert!(!message.dup && !message.retain, "{message:?}");
        }
        client.nothing_arrives();
    }
}

fn messages_keep_their_properties_and_subscription_identifiers(ending: Ending) {
    let world = World::start(ending);
    let keep = Connect::v5("away").keep_session();
    let mut client = world.subject.accept(&keep);
    for (filter, options, identifier) in [("a/#", 2, 7), ("b/+", 1, 268_435_455)] {
        let subscribe = Subscribe::to(filter, options).with(property::subscription_identifier(identifier));
        assert_eq!(client.subscribe_all(&subscribe), [options]);
    }
    client.disconnect();
    let carried = [
        property::payload_format(1),
        property::content_type("text/plain"),
        property::response_topic("answers/x"),
        property::correlation_data(&[0, 1, 255]),
        property::user_property("colour", "red"),
        property::user_property("colour", "blue"),
        property::user_property("", ""),
    ];
    let mut publisher = world.subject.v5("publisher");
    for (topic, qos) in [("a/1", 1), ("a/2", 2), ("b/1", 2)] {
        let mut publish = Publish::to(topic).qos(qos).payload(topic);
        publish.properties = carried.to_vec();
        assert_eq!(publisher.publish(publish), 0);
    }
    // Twice: what was read once must be written as well.
    world.crash();
    world.crash();
    let mut client = world.resume(&keep);
    for (topic, qos, identifier) in [("a/1", 1, 7), ("a/2", 2, 7), ("b/1", 1, 268_435_455)] {
        let mut message = client.receive();
        assert_eq!((message.topic.as_str(), message.qos), (topic, qos));
        assert_eq!(
            property::one(&message.properties, SUBSCRIPTION_IDENTIFIER),
            Some(&Value::Variable(identifier))
        );
        message.properties.retain(|p| p.id != SUBSCRIPTION_IDENTIFIER);
        message.properties.sort_by_key(|p| p.id);
        assert_eq!(message.properties, carried);
    }
    client.nothing_arrives();
}

fn a_message_expires_by_the_clock_and_not_by_the_servers_life(ending: Ending) {
    let world = World::start(ending);
    let keep = Connect::v5("away").keep_session();
    world.leave_session(&keep, &[("a", 1)]);
    let mut publisher = world.subject.v5("publisher");
    for (text, seconds) in [("short", 1), ("long", 600)] {
        publisher.publish(Publish::to("a").qos(1).payload(text).with(property::message_expiry(seconds)));
    }
    let published = Instant::now();
    world.end();
    eventually("two seconds pass", || (published.elapsed() > Duration::from_millis(2200)).then_some(()));
    world.begin();
    let mut client = world.resume(&keep);
    let message = client.receive();
    assert_eq!(message.text(), "long");
    match property::one(&message.properties, MESSAGE_EXPIRY) {
        Some(Value::Four(left)) => assert!((500..=598).contains(left), "{left} s are left of 600"),
        other => panic!("the message has no expiry any more: {other:?}"),
    }
    client.nothing_arrives();
}

fn what_was_delivered_and_acknowledged_is_not_delivered_again(ending: Ending) {
    let world = World::start(ending);
    let keep = Connect::v5("away").keep_session();
    world.leave_session(&keep, &[("a", 2)]);
    let mut publisher = world.subject.v5("publisher");
    for n in 0..20u8 {
        publisher.publish(Publish::to("a").qos(1 + n % 2).payload(n.to_string()));
    }
    let mut client = world.resume(&keep);
    let first: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(client.receive_texts(10), first);
    // The last acknowledgement has no answer. SUBACK is a promise and comes after it.
    client.subscribe("other", 0);
    world.crash();
    let mut client = world.resume(&keep);
    for n in 10..20u8 {
        let message = client.receive();
        // The others may be under way: they are the same messages all the same.
        assert_eq!(message.text(), n.to_string());
    }
    client.nothing_arrives();
}

fn a_queue_outlives_many_ends(ending: Ending) {
    let world = World::start(ending);
    let keep = Connect::v311("away").keep_session();
    world.leave_session(&keep, &[("a", 2)]);
    for n in 0..6 {
        world.subject.v5("publisher").publish(Publish::to("a").qos(1 + n % 2).payload(n.to_string()));
        world.crash();
    }
    let mut client = world.resume(&keep);
    assert_eq!(client.receive_texts(6), ["0", "1", "2", "3", "4", "5"]);
    client.nothing_arrives();
    client.disconnect();
    world.crash();
    world.resume(&keep).nothing_arrives();
}

fn binary_and_large_payloads_come_back_as_they_were(ending: Ending) {
    let world = World::start(ending);
    let keep = Connect::new(Version::V311, "away").keep_session();
    world.leave_session(&keep, &[("a/#", 1)]);
    let payloads: Vec<Vec<u8>> = [0, 1, 4096, 70_000, 1_500_000]
        .map(|length| (0..length).map(|n: u32| (n.wrapping_mul(31) >> 3) as u8).collect())
        .into();
    let mut publisher = world.subject.v311("publisher");
    for payload in &payloads {
        publisher.publish(Publish::to("a/°C/\u{1F512}").qos(1).payload(payload));
    }
    world.crash();
    let mut client = world.resume(&keep);
    for payload in &payloads {
        let message = client.receive();
        assert_eq!(message.topic, "a/°C/\u{1F512}");
        assert!(
            message.payload == *payload,
            "{} bytes came back as {}",
            payload.len(),
            message.payload.len()
        );
    }
    client.nothing_arrives();
}

fn a_qos0_message_does_not_wait(ending: Ending) {
    let world = World::start(ending);
    let keep = Connect::v5("away").keep_session();
    world.leave_session(&keep, &[("a", 2), ("b", 0)]);
    let mut publisher = world.subject.v5("publisher");
    publisher.publish(Publish::to("a").payload("at QoS 0"));
    publisher.publish(Publish::to("b").qos(1).payload("to a subscription at QoS 0"));
    publisher.publish(Publish::to("a").qos(1).payload("at QoS 1"));
    world.crash();
    let mut client = world.resume(&keep);
    assert_eq!(client.receive().text(), "at QoS 1");
    client.nothing_arrives();
}
