//! PUBLISH in both directions: quality of service, duplicates, acknowledgements in any order.

use crate::support::packet::{PUBACK, PUBCOMP, PUBREC, PUBREL, VERSIONS, ack};
use crate::support::{Connect, Packet, Publish, Subject, Version};

/// [v5: MQTT-3.8.4-8, MQTT-4.3.1-1, MQTT-4.3.2-2, MQTT-4.3.3-2] [v3.1.1: MQTT-3.8.4-6, MQTT-4.3.1-1]
#[test]
fn every_quality_of_service_arrives_at_the_lower_of_publish_and_subscription() {
    let subject = Subject::start();
    for version in VERSIONS {
        for granted in 0..=2 {
            let mut subscriber = subject.accept(&Connect::new(version, "sub"));
            let mut publisher = subject.accept(&Connect::new(version, "pub"));
            subscriber.subscribe("q/+", granted);
            for published in 0..=2 {
                let text = format!("{published}->{granted}");
                publisher.publish(Publish::to("q/x").qos(published).payload(&text));
                let message = subscriber.receive();
                assert_eq!(message.text(), text);
                assert_eq!(message.qos, published.min(granted), "{version:?} {text}");
                assert!(!message.dup && !message.retain);
            }
            subscriber.nothing_arrives();
        }
    }
}

#[test]
fn a_qos0_publish_to_a_qos2_subscriber_is_delivered_at_qos_0() {
    let subject = Subject::start();
    let mut client = subject.v311("both");
    client.subscribe("a", 2);
    client.publish(Publish::to("a").payload("low"));
    assert_eq!(client.expect_publish().qos, 0);
}

#[test]
fn an_empty_payload_and_a_large_payload_arrive_unchanged() {
    let subject = Subject::start();
    let mut client = subject.v5("both");
    client.subscribe("a", 1);
    let large: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    for payload in [&b""[..], b"\0\xff\xfe", &large] {
        client.publish(Publish::to("a").qos(1).payload(payload));
        assert_eq!(client.receive().payload, payload);
    }
}

/// [v3.1.1: MQTT-4.6.0-5, MQTT-4.6.0-6]
#[test]
fn messages_of_one_publisher_arrive_in_their_order() {
    let subject = Subject::start();
    for qos in 0..=2 {
        let mut subscriber = subject.v311("sub");
        let mut publisher = subject.v311("pub");
        subscriber.subscribe("order", qos);
        let sent: Vec<_> = (0..200).map(|n| n.to_string()).collect();
        for text in &sent {
            publisher.publish(Publish::to("order").qos(qos).payload(text));
        }
        assert_eq!(subscriber.receive_texts(200), sent);
    }
}

/// [v3.1.1: MQTT-4.3.3-2]
#[test]
fn a_qos2_duplicate_before_pubrel_is_delivered_once() {
    let subject = Subject::start();
    let mut subscriber = subject.v311("sub");
    subscriber.subscribe("a", 2);
    let mut publisher = subject.v311("pub");
    let message = Publish::to("a").qos(2).id(7).payload("once");
    publisher.send(&message.encode(Version::V311));
    publisher.await_pubrec(7);
    publisher.send(&message.dup().encode(Version::V311));
    publisher.await_pubrec(7);
    publisher.send(&ack(PUBREL, 7));
    publisher.await_pubcomp(7);
    publisher.publish(Publish::to("a").qos(2).id(7).payload("next"));
    assert_eq!(subscriber.receive_texts(2), ["once", "next"]);
    subscriber.nothing_arrives();
}

/// [v5: MQTT-3.1.2-5]
#[test]
fn a_qos2_exchange_is_resumed_after_pubrec_in_a_new_connection() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut subscriber = subject.accept(&Connect::new(version, "sub"));
        subscriber.subscribe("a", 2);
        let connect = Connect::new(version, "pub").keep_session();
        let mut publisher = subject.accept(&connect);
        let message = Publish::to("a").qos(2).id(5).payload("promised");
        publisher.send(&message.encode(version));
        publisher.await_pubrec(5);
        publisher.drop_connection();
        let (mut publisher, connack) = subject.accept_with_connack(&connect);
        // CONNACK of 3.1 has no such flag.
        assert!(connack.session_present || version == Version::V31);
        publisher.send(&ack(PUBREL, 5));
        assert_eq!(publisher.await_pubcomp(5), 0, "the server knows the packet identifier");
        assert_eq!(subscriber.receive().text(), "promised");
        subscriber.nothing_arrives();
    }
}

#[test]
fn a_qos2_duplicate_in_a_resumed_session_is_still_a_duplicate() {
    let subject = Subject::start();
    let mut subscriber = subject.v311("sub");
    subscriber.subscribe("a", 2);
    let connect = Connect::v311("pub").keep_session();
    let mut publisher = subject.accept(&connect);
    let message = Publish::to("a").qos(2).id(5).payload("once");
    publisher.send(&message.encode(Version::V311));
    publisher.await_pubrec(5);
    publisher.drop_connection();
    let mut publisher = subject.accept(&connect);
    publisher.send(&message.dup().encode(Version::V311));
    publisher.await_pubrec(5);
    publisher.send(&ack(PUBREL, 5));
    publisher.await_pubcomp(5);
    assert_eq!(subscriber.receive().text(), "once");
    subscriber.nothing_arrives();
}

#[test]
fn a_pubrel_for_an_unknown_identifier_is_answered_with_pubcomp() {
    let subject = Subject::start();
    let mut old = subject.v311("v311");
    old.send(&ack(PUBREL, 77));
    old.await_pubcomp(77);
    old.ping();
    let mut new = subject.v5("v5");
    new.send(&ack(PUBREL, 77));
    let code = new.await_pubcomp(77);
    assert!(matches!(code, 0 | 0x92), "Packet Identifier not found or success, not {code:#04x}");
    new.ping();
}

#[test]
fn pubacks_out_of_order_are_taken_and_nothing_is_lost() {
    let subject = Subject::start();
    let mut subscriber = subject.v311("sub");
    subscriber.subscribe("a", 1);
    let mut publisher = subject.v311("pub");
    for n in 0..10 {
        publisher.say("a", &n.to_string());
    }
    let received: Vec<_> = (0..10).map(|_| subscriber.expect_publish()).collect();
    for message in received.iter().rev() {
        subscriber.send(&ack(PUBACK, message.id.unwrap()));
    }
    for n in 10..20 {
        publisher.say("a", &n.to_string());
    }
    let rest = subscriber.receive_texts(10);
    assert_eq!(rest, (10..20).map(|n| n.to_string()).collect::<Vec<_>>());
    subscriber.nothing_arrives();
}

#[test]
fn qos2_acknowledgements_out_of_order_are_taken() {
    let subject = Subject::start();
    let mut subscriber = subject.v311("sub");
    subscriber.subscribe("a", 2);
    let mut publisher = subject.v311("pub");
    for text in ["one", "two", "three"] {
        publisher.publish(Publish::to("a").qos(2).payload(text));
    }
    let ids: Vec<_> = (0..3).map(|_| subscriber.expect_publish().id.unwrap()).collect();
    for id in ids.iter().rev() {
        subscriber.send(&ack(PUBREC, *id));
    }
    for id in &ids {
        subscriber.await_pubrel(*id);
    }
    for id in [ids[1], ids[2], ids[0]] {
        subscriber.send(&ack(PUBCOMP, id));
    }
    subscriber.nothing_arrives();
}

#[test]
fn acknowledgements_that_nobody_waits_for_do_no_harm() {
    let subject = Subject::start();
    let mut client = subject.v311("confused");
    for kind in [PUBACK, PUBCOMP] {
        client.send(&ack(kind, 999));
    }
    client.ping();
    client.nothing_arrives();
}

#[test]
fn a_packet_identifier_is_used_again_after_its_exchange() {
    let subject = Subject::start();
    let mut client = subject.v311("reuse");
    client.subscribe("a", 0);
    for qos in [1, 2, 1, 2] {
        client.publish(Publish::to("a").qos(qos).id(1).payload("again"));
        assert_eq!(client.receive().text(), "again");
    }
    client.nothing_arrives();
}

/// [v5: MQTT-2.2.1-4, MQTT-4.3.2-1]
#[test]
fn the_server_never_uses_a_packet_identifier_that_is_in_flight() {
    let subject = Subject::start();
    let mut subscriber = subject.accept(&Connect::v5("sub"));
    subscriber.subscribe("a", 1);
    let mut publisher = subject.v311("pub");
    for _ in 0..15 {
        publisher.say("a", "x");
    }
    let mut ids: Vec<_> = (0..15).map(|_| subscriber.expect_publish().id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 15);
}

#[test]
fn puback_comes_whether_or_not_anybody_subscribed() {
    let subject = Subject::start();
    let mut client = subject.v5("lonely");
    for qos in 1..=2 {
        let code = client.publish(Publish::to("nobody/listens").qos(qos));
        assert!(matches!(code, 0 | 0x10), "{code:#04x}");
    }
}

#[test]
fn long_forms_of_the_v5_acknowledgements_are_understood() {
    let subject = Subject::start();
    let mut client = subject.v5("verbose");
    client.subscribe("a", 2);
    let long = |kind: u8, id: u16| {
        let mut body = id.to_be_bytes().to_vec();
        body.push(0);
        let reason =
            crate::support::Property { id: 0x1F, value: crate::support::Value::Text("all is well".into()) };
        body.extend(crate::support::property::encode(&[reason]));
        crate::support::packet::frame(kind << 4 | if kind == PUBREL { 2 } else { 0 }, &body)
    };
    client.send(&Publish::to("a").qos(2).id(3).payload("x").encode(Version::V5));
    client.await_pubrec(3);
    client.send(&long(PUBREL, 3));
    assert_eq!(client.await_pubcomp(3), 0);
    let message = client.expect_publish();
    client.send(&long(PUBREC, message.id.unwrap()));
    client.await_pubrel(message.id.unwrap());
    client.send(&long(PUBCOMP, message.id.unwrap()));
    client.say("a", "y");
    let message = client.expect_publish();
    assert_eq!((message.qos, message.text()), (1, "y"));
    client.send(&long(PUBACK, message.id.unwrap()));
    client.nothing_arrives();
}

#[test]
fn a_subscriber_that_refuses_with_pubrec_0x80_is_not_sent_pubrel() {
    let subject = Subject::start();
    let mut client = subject.v5("refuser");
    client.subscribe("a", 2);
    client.publish(Publish::to("a").qos(2).payload("x"));
    let id = client.expect_publish().id.unwrap();
    let mut body = id.to_be_bytes().to_vec();
    body.push(0x80);
    client.send(&crate::support::packet::frame(0x50, &body));
    client.ping();
    client.nothing_arrives();
}

#[test]
fn a_publisher_that_subscribed_receives_its_own_messages() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "echo"));
        client.subscribe("echo/#", 1);
        client.say("echo/x", "hello");
        let message = client.receive();
        assert_eq!((message.topic.as_str(), message.text()), ("echo/x", "hello"));
    }
}

/// [v3.1.1: MQTT-4.6.0-2]
#[test]
fn a_pipelined_run_of_publishes_is_acknowledged_completely() {
    let subject = Subject::start();
    let mut client = subject.v311("pipeline");
    let mut bytes = Vec::new();
    for id in 1..=500 {
        bytes.extend(Publish::to("p").qos(1).id(id).payload("x").encode(Version::V311));
    }
    client.send(&bytes);
    let mut ids: Vec<_> = (0..500)
        .map(|_| match client.read() {
            Packet::PubAck { id, .. } => id,
            other => panic!("expected PUBACK, got {other:?}"),
        })
        .collect();
    // [MQTT-4.6.0-2]: in the order of the publishes.
    assert!(ids.is_sorted());
    ids.dedup();
    assert_eq!(ids.len(), 500);
}
