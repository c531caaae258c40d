//! Retained messages: kept, replaced, deleted, delivered to new subscriptions.

use crate::support::packet::{RETAIN_AS_PUBLISHED, RETAINED_IF_NEW, RETAINED_NEVER, VERSIONS};
use crate::support::{Connect, Publish, Subject, Version};

/// [v5: MQTT-3.3.1-9] [v3.1.1: MQTT-3.3.1-5, MQTT-3.3.1-6, MQTT-3.3.1-8]
#[test]
fn a_retained_message_reaches_later_subscribers_with_the_retain_flag() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut publisher = subject.accept(&Connect::new(version, "pub"));
        for qos in 0..=2 {
            let topic = format!("state/{qos}");
            publisher.publish(Publish::to(&topic).qos(qos).retain().payload("on"));
            publisher.ping();
            let mut subscriber = subject.accept(&Connect::new(version, "sub"));
            subscriber.subscribe(&topic, 2);
            let message = subscriber.receive();
            assert_eq!((message.text(), message.retain, message.qos), ("on", true, qos));
            subscriber.nothing_arrives();
        }
    }
}

/// [v5: MQTT-3.3.1-12] [v3.1.1: MQTT-3.3.1-9]
#[test]
fn an_established_subscription_gets_it_without_the_retain_flag() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "both"));
        let options = if version == Version::V5 { RETAINED_NEVER } else { 0 };
        client.subscribe("a", 1 | options);
        client.publish(Publish::to("a").qos(1).retain().payload("x"));
        assert!(!client.receive().retain);
        client.publish(Publish::to("a").qos(1).retain());
        assert!(!client.receive().retain);
    }
}

/// [v5: MQTT-3.3.1-5] [v3.1.1: MQTT-3.3.1-5, MQTT-3.3.1-6, MQTT-3.3.1-7]
#[test]
fn only_the_last_retained_message_is_kept_with_its_qos() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "both"));
        for (text, qos) in [("one", 1), ("none", 0), ("two", 2)] {
            client.publish(Publish::to("a").qos(qos).retain().payload(text));
            client.subscribe("a", 2);
            let message = client.receive();
            assert_eq!((message.text(), message.qos, message.retain), (text, qos, true));
            client.nothing_arrives();
            client.unsubscribe(&["a"]);
        }
    }
}

/// [v5: MQTT-3.3.1-6, MQTT-3.3.1-7] [v3.1.1: MQTT-3.3.1-10, MQTT-3.3.1-11]
#[test]
fn an_empty_retained_message_deletes_and_is_itself_delivered() {
    for version in VERSIONS {
        an_empty_retained_message_deletes(version);
    }
}

fn an_empty_retained_message_deletes(version: Version) {
    let subject = Subject::start();
    let mut publisher = subject.accept(&Connect::new(version, "pub"));
    let mut live = subject.accept(&Connect::new(version, "live"));
    publisher.publish(Publish::to("a").qos(1).retain().payload("x"));
    live.subscribe("a", 1);
    assert_eq!(live.receive().text(), "x");
    publisher.publish(Publish::to("a").qos(1).retain());
    let message = live.receive();
    assert!(message.payload.is_empty() && !message.retain);
    let mut late = subject.accept(&Connect::new(version, "late"));
    late.subscribe("a", 1);
    late.nothing_arrives();
}

#[test]
fn an_empty_payload_without_retain_deletes_nothing() {
    let subject = Subject::start();
    let mut client = subject.v311("both");
    client.publish(Publish::to("a").qos(1).retain().payload("kept"));
    client.publish(Publish::to("a").qos(1));
    client.subscribe("a", 1);
    assert_eq!(client.receive().text(), "kept");
}

/// [v5: MQTT-3.3.1-8] [v3.1.1: MQTT-3.3.1-12]
#[test]
fn a_message_without_retain_neither_replaces_nor_is_kept() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "both"));
        client.publish(Publish::to("a").qos(1).retain().payload("kept"));
        for topic in ["a", "b"] {
            client.publish(Publish::to(topic).qos(1).payload("passing"));
        }
        client.subscribe("+", 1);
        assert_eq!(client.receive().text(), "kept");
        client.nothing_arrives();
    }
}

/// [v3.1.1: MQTT-3.1.2-7]
#[test]
fn the_retained_message_outlives_its_publisher() {
    let subject = Subject::start();
    let mut publisher = subject.v311("pub");
    publisher.publish(Publish::to("a").qos(1).retain().payload("legacy"));
    publisher.disconnect();
    let mut client = subject.v311("sub");
    client.subscribe("#", 0);
    assert_eq!(client.receive().text(), "legacy");
}

#[test]
fn five_hundred_retained_messages_all_reach_a_wildcard_subscription() {
    let subject = Subject::start();
    let mut publisher = subject.v311("pub");
    for n in 0..500 {
        publisher.publish(Publish::to(&format!("r/{n}")).qos(1).retain().payload(n.to_string()));
    }
    for qos in 0..=2 {
        let mut subscriber = subject.v311("sub");
        subscriber.subscribe("r/+", qos);
        let mut numbers: Vec<usize> =
            subscriber.receive_texts(500).iter().map(|text| text.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>(), "QoS {qos}");
        subscriber.nothing_arrives();
    }
}

/// [v5: MQTT-3.8.4-4] [v3.1.1: MQTT-3.8.4-3]
#[test]
fn subscribing_again_sends_the_retained_message_again() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "again"));
        client.publish(Publish::to("a").qos(1).retain().payload("x"));
        for _ in 0..3 {
            client.subscribe("a", 1);
            assert!(client.receive().retain);
            client.nothing_arrives();
        }
    }
}

/// [v5: MQTT-3.3.1-10]
#[test]
fn retain_handling_1_sends_it_only_for_a_new_subscription() {
    let subject = Subject::start();
    let mut client = subject.v5("handling");
    client.publish(Publish::to("a").qos(1).retain().payload("x"));
    client.subscribe("a", 1 | RETAINED_IF_NEW);
    assert_eq!(client.receive().text(), "x");
    client.subscribe("a", 1 | RETAINED_IF_NEW);
    client.nothing_arrives();
    client.unsubscribe(&["a"]);
    client.subscribe("a", 1 | RETAINED_IF_NEW);
    assert_eq!(client.receive().text(), "x");
}

/// [v5: MQTT-3.3.1-11]
#[test]
fn retain_handling_2_never_sends_it() {
    let subject = Subject::start();
    let mut client = subject.v5("handling");
    client.publish(Publish::to("a").qos(1).retain().payload("x"));
    client.subscribe("a", 1 | RETAINED_NEVER);
    client.nothing_arrives();
}

/// [v5: MQTT-3.3.1-13]
#[test]
fn retain_as_published_keeps_the_flag_of_live_messages() {
    let subject = Subject::start();
    let mut client = subject.v5("as-published");
    client.subscribe("a", 1 | RETAIN_AS_PUBLISHED);
    client.publish(Publish::to("a").qos(1).retain().payload("x"));
    assert!(client.receive().retain);
    client.publish(Publish::to("a").qos(1).payload("y"));
    assert!(!client.receive().retain);
}

#[test]
fn retained_messages_of_dollar_topics_do_not_reach_a_leading_wildcard() {
    let subject = Subject::start();
    let mut client = subject.v311("root");
    client.subscribe("#", 0);
    client.subscribe("+/broker/#", 0);
    client.nothing_arrives();
}

#[test]
fn overlapping_filters_in_one_subscribe_each_bring_the_retained_message() {
    let subject = Subject::start();
    let mut client = subject.v311("overlap");
    client.publish(Publish::to("a/b").qos(1).retain().payload("x"));
    let subscribe = crate::support::Subscribe::to("a/b", 0).and("a/+", 0);
    assert_eq!(client.subscribe_all(&subscribe), [0, 0]);
    assert_eq!(client.receive_texts(2), ["x", "x"]);
    client.nothing_arrives();
}

/// Bug: whoever subscribed at that moment had it twice, as one that was kept and as a new one.
#[test]
fn a_message_that_is_retained_while_somebody_subscribes_comes_once() {
    let subject = Subject::start();
    for round in 0..200 {
        let topic = format!("meeting/{round}");
        let (mut subscriber, mut publisher) = (subject.v5("subscriber"), subject.v5("publisher"));
        let both = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                both.wait();
                publisher.publish(Publish::to(&topic).qos(2).retain().payload("on"));
            });
            both.wait();
            subscriber.subscribe(&topic, 2);
        });
        assert_eq!(subscriber.receive().text(), "on");
        subscriber.nothing_arrives();
    }
}
