//! Sessions: what is kept for a client that is away, and for how long.

use crate::support::packet::{PUBACK, PUBCOMP, PUBREC, VERSIONS, ack, disconnect_v5};
use crate::support::{Connect, Packet, Publish, Subject, Version, property};

/// [v5: MQTT-3.1.2-4, MQTT-3.1.2-6, MQTT-3.1.4-4, MQTT-3.2.2-1, MQTT-3.2.2-2, MQTT-3.2.2-3]
/// [v3.1.1: MQTT-3.1.2-6, MQTT-3.1.4-3, MQTT-3.2.2-1, MQTT-3.2.2-2, MQTT-3.2.2-3]
#[test]
fn session_present_tells_whether_the_session_was_kept() {
    let subject = Subject::start();
    for version in [Version::V311, Version::V5] {
        let keep = Connect::new(version, "keeper").keep_session();
        for expected in [false, true, true] {
            let (client, connack) = subject.accept_with_connack(&keep);
            assert_eq!(connack.session_present, expected, "{version:?}");
            client.disconnect();
        }
        let (client, connack) = subject.accept_with_connack(&Connect::new(version, "keeper"));
        assert!(!connack.session_present, "a clean start discards the session");
        client.disconnect();
        let (client, connack) = subject.accept_with_connack(&keep);
        assert!(!connack.session_present, "and nothing of it comes back");
        client.disconnect();
        subject.accept(&Connect::new(version, "keeper")).disconnect();
    }
}

/// [v5: MQTT-3.1.2-5, MQTT-3.1.2-23, MQTT-3.1.3-2] [v3.1.1: MQTT-3.1.2-4, MQTT-3.1.3-2, MQTT-4.1.0-1]
#[test]
fn a_kept_session_keeps_its_subscriptions() {
    let subject = Subject::start();
    for version in VERSIONS {
        let keep = Connect::new(version, "keeper").keep_session();
        let mut client = subject.accept(&keep);
        client.subscribe("kept/#", 1);
        client.disconnect();
        let mut client = subject.accept(&keep);
        client.say("kept/x", "still");
        assert_eq!(client.receive().text(), "still");
        client.disconnect();
        let mut clean = subject.accept(&Connect::new(version, "keeper"));
        clean.say("kept/x", "nobody");
        clean.nothing_arrives();
        clean.disconnect();
    }
}

/// [v5: MQTT-3.1.2-23, MQTT-4.5.0-1]
#[test]
fn v5_clean_start_with_an_expiry_keeps_the_session() {
    let subject = Subject::start();
    let (mut client, connack) =
        subject.accept_with_connack(&Connect::v5("x").with(property::session_expiry(600)));
    assert!(!connack.session_present);
    client.subscribe("a", 1);
    client.disconnect();
    subject.v311("pub").say("a", "waiting");
    let (mut client, connack) = subject.accept_with_connack(&Connect::v5("x").keep_session());
    assert!(connack.session_present);
    assert_eq!(client.receive().text(), "waiting");
}

#[test]
fn v5_clean_start_0_without_an_expiry_keeps_nothing() {
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v5("x").clean(false));
    client.subscribe("a", 1);
    client.disconnect();
    subject.v311("pub").say("a", "lost");
    let (mut client, connack) = subject.accept_with_connack(&Connect::v5("x").clean(false));
    assert!(!connack.session_present);
    client.nothing_arrives();
}

/// [v5: MQTT-4.1.0-1] [v3.1.1: MQTT-4.1.0-2]
#[test]
fn a_session_lasts_as_long_as_its_connection_whatever_its_expiry() {
    let subject = Subject::start();
    let mut clients = [
        subject.accept(&Connect::v5("none")),
        subject.accept(&Connect::v5("short").with(property::session_expiry(1))),
        subject.v311("older"),
    ];
    for client in &mut clients {
        client.subscribe("a", 1);
    }
    super::v5::expired(&subject, 2);
    subject.v311("pub").say("a", "still");
    for client in &mut clients {
        assert_eq!(client.receive().text(), "still");
        client.nothing_arrives();
    }
}

/// [v5: MQTT-4.1.0-2]
#[test]
fn a_v5_session_ends_when_its_expiry_has_passed() {
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v5("x").clean(false).with(property::session_expiry(1)));
    client.subscribe("a", 1);
    client.disconnect();
    // Looking would resume it: watch instead for the end of a session that carries a delayed will.
    let mut watcher = subject.v5("watcher");
    watcher.subscribe("will", 0);
    let will = crate::support::Will::new("will", "y ended").with(property::will_delay(600));
    let other = Connect::v5("y").clean(false).with(property::session_expiry(2)).will(will);
    subject.accept(&other).drop_connection();
    assert_eq!(watcher.receive().text(), "y ended");
    let (mut client, connack) = subject.accept_with_connack(&Connect::v5("x").keep_session());
    assert!(!connack.session_present);
    client.nothing_arrives();
}

#[test]
fn the_expiry_can_be_changed_by_disconnect_but_not_raised_from_0() {
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v5("x").with(property::session_expiry(600)));
    client.send(&disconnect_v5(0, &[property::session_expiry(0)]));
    client.drain();
    let (client, connack) = subject.accept_with_connack(&Connect::v5("x").clean(false));
    assert!(!connack.session_present, "ended at the disconnect");
    let mut client = client;
    client.send(&disconnect_v5(0, &[property::session_expiry(600)]));
    // [MQTT-3.14.2.2.2]: a protocol error.
    client.drain();
    let (_, connack) = subject.accept_with_connack(&Connect::v5("x").clean(false));
    assert!(!connack.session_present);
}

/// [v5: MQTT-4.5.0-1] [v3.1.1: MQTT-3.1.2-5, MQTT-4.5.0-1]
#[test]
fn a_client_that_is_away_gets_its_qos_1_and_2_messages_in_order() {
    let subject = Subject::start();
    for version in VERSIONS {
        let keep = Connect::new(version, "away").keep_session();
        let mut client = subject.accept(&keep);
        client.subscribe("a", 2);
        client.disconnect();
        let mut publisher = subject.v311("pub");
        for n in 0..50u8 {
            publisher.publish(Publish::to("a").qos(1 + n % 2).payload(n.to_string()));
        }
        let mut client = subject.accept(&keep);
        let expected: Vec<_> = (0..50).map(|n| n.to_string()).collect();
        assert_eq!(client.receive_texts(50), expected);
        client.nothing_arrives();
        client.disconnect();
        subject.accept(&Connect::new(version, "away")).disconnect();
    }
}

#[test]
fn five_thousand_qos_1_messages_wait_for_a_client_that_is_away() {
    let subject = Subject::start();
    let keep = Connect::v311("away").keep_session();
    let mut client = subject.accept(&keep);
    client.subscribe("a", 1);
    client.disconnect();
    let mut publisher = subject.v311("pub");
    for batch in 0..50u16 {
        let mut bytes = Vec::new();
        for n in batch * 100..batch * 100 + 100 {
            bytes.extend(Publish::to("a").qos(1).id(n + 1).payload(n.to_string()).encode(Version::V311));
        }
        publisher.send(&bytes);
        for n in batch * 100..batch * 100 + 100 {
            publisher.await_puback(n + 1);
        }
    }
    let mut client = subject.accept(&keep);
    let received = client.receive_texts(5000);
    assert!(received.iter().enumerate().all(|(n, text)| *text == n.to_string()));
    client.nothing_arrives();
}

/// [v5: MQTT-3.3.1-1, MQTT-4.3.2-3, MQTT-4.4.0-1]
/// [v3.1.1: MQTT-2.3.1-4, MQTT-3.3.1-1, MQTT-4.3.2-1, MQTT-4.4.0-1, MQTT-4.6.0-1]
#[test]
fn unacknowledged_messages_come_again_with_dup_in_their_order() {
    let subject = Subject::start();
    for version in VERSIONS {
        let keep = Connect::new(version, "again").keep_session();
        let mut client = subject.accept(&keep);
        client.subscribe("a", 1);
        let mut publisher = subject.v311("pub");
        for n in 0..5 {
            publisher.say("a", &n.to_string());
        }
        let first: Vec<_> = (0..5).map(|_| client.expect_publish()).collect();
        client.send(&ack(PUBACK, first[2].id.unwrap()));
        client.ping();
        client.drop_connection();
        publisher.say("a", "5");
        let mut client = subject.accept(&keep);
        for n in [0, 1, 3, 4] {
            let message = client.expect_publish();
            assert_eq!((message.text(), message.id), (n.to_string().as_str(), first[n].id));
            assert!(message.dup, "{version:?} {message:?}");
            client.acknowledge(&message);
        }
        let message = client.receive();
        assert_eq!(message.text(), "5");
        client.nothing_arrives();
        client.disconnect();
        subject.accept(&Connect::new(version, "again")).disconnect();
    }
}

/// [v5: MQTT-4.3.3-3, MQTT-4.3.3-5, MQTT-4.3.3-6, MQTT-4.4.0-1] [v3.1.1: MQTT-4.3.3-1, MQTT-4.4.0-1]
#[test]
fn an_outgoing_qos_2_exchange_is_resumed_where_it_stood() {
    let subject = Subject::start();
    for version in VERSIONS {
        let keep = Connect::new(version, "again").keep_session();
        let mut client = subject.accept(&keep);
        client.subscribe("a", 2);
        let mut publisher = subject.v311("pub");
        publisher.publish(Publish::to("a").qos(2).payload("unanswered"));
        publisher.publish(Publish::to("a").qos(2).payload("received"));
        let unanswered = client.expect_publish();
        let received = client.expect_publish();
        client.send(&ack(PUBREC, received.id.unwrap()));
        client.await_pubrel(received.id.unwrap());
        client.drop_connection();
        let mut client = subject.accept(&keep);
        let (mut publishes, mut releases) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            match client.read() {
                Packet::Publish(message) => publishes.push(message),
                Packet::PubRel { id, .. } => releases.push(id),
                other => panic!("expected PUBLISH or PUBREL, got {other:?}"),
            }
        }
        assert_eq!(releases, [received.id.unwrap()], "only PUBREL for the one that was received");
        client.send(&ack(PUBCOMP, releases[0]));
        assert_eq!((publishes[0].text(), publishes[0].id), ("unanswered", unanswered.id));
        assert!(publishes[0].dup);
        client.acknowledge(&publishes[0]);
        client.nothing_arrives();
        client.disconnect();
        subject.accept(&Connect::new(version, "again")).disconnect();
    }
}

#[test]
fn a_session_can_be_resumed_in_another_protocol_version() {
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v311("traveller").keep_session());
    client.subscribe("a", 1);
    client.disconnect();
    let with_properties = Publish::to("a").qos(1).payload("x").with(property::user_property("k", "v"));
    subject.v5("pub").publish(with_properties.clone());
    let (mut client, connack) = subject.accept_with_connack(&Connect::v5("traveller").keep_session());
    assert!(connack.session_present);
    assert_eq!(client.receive().text(), "x");
    client.disconnect();
    subject.v5("pub").publish(with_properties);
    let mut client = subject.accept(&Connect::v311("traveller").keep_session());
    assert_eq!(client.receive().text(), "x");
}
