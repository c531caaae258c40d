//! Wills: when they are sent, when not, and whose.

use std::time::{Duration, Instant};

use crate::support::packet::{VERSIONS, disconnect_v5};
use crate::support::{Client, Connect, Subject, Version, Will, property, skip_for_mosquitto};

fn watcher(subject: &Subject) -> Client {
    let mut watcher = subject.v5("watcher");
    watcher.subscribe("will/#", 2);
    watcher
}

/// [v5: MQTT-3.1.2-7, MQTT-3.1.2-8, MQTT-3.1.2-14] [v3.1.1: MQTT-3.1.2-8, MQTT-3.1.2-16]
#[test]
fn a_cut_connection_sends_the_will() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    for version in VERSIONS {
        for qos in 0..=2 {
            let will = Will::new("will/x", "gone").qos(qos);
            subject.accept(&Connect::new(version, "mortal").will(will)).drop_connection();
            let message = watcher.receive();
            assert_eq!((message.topic.as_str(), message.text(), message.qos), ("will/x", "gone", qos));
            assert!(!message.retain);
        }
    }
    watcher.nothing_arrives();
}

/// [v5: MQTT-3.14.4-3] [v3.1.1: MQTT-3.14.4-3]
#[test]
fn a_disconnect_deletes_the_will() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    for version in VERSIONS {
        subject.accept(&Connect::new(version, "polite").will(Will::new("will/x", "gone"))).disconnect();
    }
    watcher.nothing_arrives();
}

#[test]
fn a_v5_disconnect_with_0x04_sends_the_will() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    for bytes in [vec![0xE0, 1, 4], disconnect_v5(4, &[])] {
        let mut client = subject.accept(&Connect::v5("leaver").will(Will::new("will/x", "gone")));
        client.send(&bytes);
        client.drain();
        assert_eq!(watcher.receive().text(), "gone");
    }
    watcher.nothing_arrives();
}

#[test]
fn a_protocol_error_sends_the_will() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    let mut client = subject.accept(&Connect::v311("broken").will(Will::new("will/x", "gone")));
    client.send(&[0xF0, 0]);
    client.drain();
    assert_eq!(watcher.receive().text(), "gone");
}

#[test]
fn an_expired_keep_alive_sends_the_will() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    let will = Will::new("will/x", "gone");
    let _silent = subject.accept(&Connect::v311("silent").keep_alive(1).will(will));
    assert_eq!(watcher.receive().text(), "gone");
}

/// [v5: MQTT-3.1.2-14, MQTT-3.1.2-15] [v3.1.1: MQTT-3.1.2-16, MQTT-3.1.2-17]
#[test]
fn a_will_with_will_retain_is_retained_and_one_without_is_not() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    for version in VERSIONS {
        for (topic, retain) in [("will/not", false), (&format!("will/{version:?}"), true)] {
            let mut will = Will::new(topic, "gone").qos(1);
            will.retain = retain;
            subject.accept(&Connect::new(version, "mortal").will(will)).drop_connection();
            assert!(!watcher.receive().retain);
            let mut late = subject.v311("late");
            late.subscribe(topic, 0);
            if retain {
                let message = late.receive();
                assert_eq!((message.text(), message.retain), ("gone", true));
            }
            late.nothing_arrives();
        }
    }
}

#[test]
fn a_takeover_publishes_the_will_of_the_old_connection() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    let mut old = subject.accept(&Connect::v311("twin").will(Will::new("will/twin", "old")));
    let new = subject.accept(&Connect::v311("twin").will(Will::new("will/twin", "new")));
    old.expect_closed();
    assert_eq!(watcher.receive().text(), "old");
    watcher.nothing_arrives();
    new.drop_connection();
    assert_eq!(watcher.receive().text(), "new");
}

/// [v5: MQTT-3.1.2-10] [v3.1.1: MQTT-3.1.2-10, MQTT-3.1.2-12]
#[test]
fn a_successor_without_will_inherits_none() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    for version in VERSIONS {
        for heir in [Connect::new(version, "heir"), Connect::new(version, "keeper").keep_session()] {
            subject.accept(&heir.clone().will(Will::new("will/heir", "first"))).drop_connection();
            assert_eq!(watcher.receive().text(), "first");
            let willless = subject.accept(&heir);
            willless.drop_connection();
            // A third connection of the name begins after the second has ended for the server.
            subject.accept(&heir).disconnect();
            watcher.nothing_arrives();
            subject.accept(&Connect::new(version, &heir.client_id)).disconnect();
        }
    }
}

/// [v3.1.1: MQTT-3.1.2-10]
#[test]
fn a_will_that_was_discarded_by_disconnect_does_not_come_back_with_the_session() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    let connect = Connect::v311("keeper").keep_session();
    subject.accept(&connect.clone().will(Will::new("will/x", "old"))).disconnect();
    subject.accept(&connect).drop_connection();
    subject.accept(&connect).disconnect();
    watcher.nothing_arrives();
}

/// [v5: MQTT-3.1.3-9]
#[test]
fn a_delayed_will_is_not_sent_when_the_client_comes_back_in_time() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    let will = Will::new("will/x", "gone").with(property::will_delay(300));
    let connect = Connect::v5("returner").keep_session();
    subject.accept(&connect.clone().will(will)).drop_connection();
    let (client, connack) = subject.accept_with_connack(&connect);
    assert!(connack.session_present);
    client.disconnect();
    watcher.nothing_arrives();
}

/// [v5: MQTT-3.1.2-8]
#[test]
fn a_delayed_will_is_sent_when_its_delay_has_passed() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    let will = Will::new("will/x", "gone").with(property::will_delay(1));
    let since = Instant::now();
    subject.accept(&Connect::v5("late").keep_session().will(will)).drop_connection();
    assert_eq!(watcher.receive().text(), "gone");
    assert!(since.elapsed() >= Duration::from_millis(900), "{:?}", since.elapsed());
}

#[test]
fn a_delayed_will_is_sent_no_later_than_the_end_of_the_session() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    let will = Will::new("will/x", "gone").with(property::will_delay(300));
    let connect = Connect::v5("short").will(will).with(property::session_expiry(1));
    subject.accept(&connect).drop_connection();
    assert_eq!(watcher.receive().text(), "gone");
}

/// [v5: MQTT-3.1.2-8]
#[test]
fn a_clean_start_ends_the_old_session_and_with_it_sends_the_delayed_will() {
    skip_for_mosquitto!("drops the delayed will");
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    let will = Will::new("will/x", "gone").with(property::will_delay(300));
    subject.accept(&Connect::v5("restart").keep_session().will(will)).drop_connection();
    let _new = subject.accept(&Connect::v5("restart"));
    assert_eq!(watcher.receive().text(), "gone");
}

/// [v5: MQTT-3.1.3-10]
#[test]
fn the_properties_of_a_will_are_delivered() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    let will = Will::new("will/x", "{}")
        .with(property::content_type("application/json"))
        .with(property::user_property("a", "1"))
        .with(property::user_property("a", "2"));
    subject.accept(&Connect::v5("mortal").will(will)).drop_connection();
    let message = watcher.receive();
    assert_eq!(
        message.properties,
        [
            property::content_type("application/json"),
            property::user_property("a", "1"),
            property::user_property("a", "2")
        ]
    );
}

#[test]
fn the_will_of_a_subscriber_of_its_own_topic_reaches_the_others_only_once() {
    let subject = Subject::start();
    let mut watcher = watcher(&subject);
    let mut mortal = subject.accept(&Connect::v311("mortal").will(Will::new("will/self", "gone").qos(1)));
    mortal.subscribe("will/#", 1);
    mortal.drop_connection();
    assert_eq!(watcher.receive().text(), "gone");
    watcher.nothing_arrives();
}

#[test]
fn a_will_to_a_topic_with_wildcards_is_refused_at_connect() {
    let subject = Subject::start();
    for version in [Version::V311, Version::V5] {
        let mut client = Client::open(subject.port(), version);
        client.send(&Connect::new(version, "hostile").will(Will::new("will/#", "x")).encode());
        match client.try_read() {
            Ok(crate::support::Packet::ConnAck { code, .. }) => assert_ne!(code, 0),
            Ok(other) => panic!("expected CONNACK or close, got {other:?}"),
            Err(gone) => assert_eq!(gone, crate::support::Gone::Closed),
        }
    }
    subject.still_serves();
}
