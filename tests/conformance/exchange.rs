//! The exchanges of QoS 1 and 2, packet by packet, in both directions.

use crate::raw::BOTH;
use crate::support::packet::{PINGREQ, PUBACK, PUBCOMP, PUBREC, PUBREL, ack, frame};
use crate::support::{Connect, Packet, Publish, Subject, Version, property, skip_for_mosquitto};

/// The identifier of an acknowledgement with success in it.
fn identifier(packet: &Packet) -> Option<(u8, u16)> {
    match packet {
        Packet::PubAck { id, code: 0 | 0x10, .. } => Some((PUBACK, *id)),
        Packet::PubRec { id, code: 0 | 0x10, .. } => Some((PUBREC, *id)),
        Packet::PubRel { id, code: 0, .. } => Some((PUBREL, *id)),
        Packet::PubComp { id, code: 0, .. } => Some((PUBCOMP, *id)),
        _ => None,
    }
}

/// [v5: MQTT-2.2.1-5, MQTT-3.3.4-1, MQTT-4.3.2-4, MQTT-4.3.3-8, MQTT-4.3.3-11, MQTT-3.4.2-1, MQTT-3.5.2-1]
/// [v3.1.1: MQTT-2.3.1-6, MQTT-3.3.4-1, MQTT-4.3.2-2, MQTT-4.3.3-2]
#[test]
fn a_publish_is_answered_as_its_qos_asks_with_its_identifier() {
    let subject = Subject::start();
    for version in BOTH {
        let mut client = subject.accept(&Connect::new(version, "pub"));
        client.send(&Publish::to("a").encode(version));
        client.send(&PINGREQ);
        assert_eq!(client.read(), Packet::PingResp, "QoS 0 is not answered");
        for id in [1, 0x0102, 65_535] {
            client.send(&Publish::to("a").qos(1).id(id).encode(version));
            assert_eq!(identifier(&client.read()), Some((PUBACK, id)));
            client.send(&Publish::to("a").qos(2).id(id).encode(version));
            assert_eq!(identifier(&client.read()), Some((PUBREC, id)));
            client.send(&ack(PUBREL, id));
            assert_eq!(identifier(&client.read()), Some((PUBCOMP, id)));
        }
    }
}

/// [v5: MQTT-4.3.2-5] [v3.1.1: MQTT-4.3.2-2]
#[test]
fn after_puback_the_identifier_means_a_new_message_whatever_dup_says() {
    let subject = Subject::start();
    for version in BOTH {
        let mut client = subject.accept(&Connect::new(version, "both"));
        client.subscribe("a", 1);
        for (dup, text) in [(false, "one"), (true, "two"), (false, "three")] {
            let mut message = Publish::to("a").qos(1).id(7).payload(text);
            message.dup = dup;
            client.publish(message);
            assert_eq!(client.receive().text(), text);
        }
        client.nothing_arrives();
    }
}

/// [v5: MQTT-4.3.3-10, MQTT-4.3.3-12] [v3.1.1: MQTT-4.3.3-2]
#[test]
fn a_qos_2_identifier_means_one_message_until_pubrel_and_a_new_one_after_pubcomp() {
    let subject = Subject::start();
    for version in BOTH {
        let mut client = subject.accept(&Connect::new(version, "both"));
        client.subscribe("a", 0);
        for text in ["one", "two"] {
            let message = Publish::to("a").qos(2).id(7).payload(text);
            for message in [message.clone(), message.dup()] {
                client.send(&message.encode(version));
                client.await_pubrec(7);
            }
            client.send(&ack(PUBREL, 7));
            assert_eq!(client.await_pubcomp(7), 0);
            assert_eq!(client.receive().text(), text);
            client.nothing_arrives();
        }
    }
}

/// [v5: MQTT-4.3.3-1, MQTT-4.3.3-2, MQTT-4.3.3-4, MQTT-3.6.2-1]
/// [v3.1.1: MQTT-4.3.3-1, MQTT-4.6.0-4, MQTT-4.6.0-6]
#[test]
fn pubrecs_are_answered_with_pubrel_of_their_identifiers_in_their_order() {
    let subject = Subject::start();
    for version in BOTH {
        let mut client = subject.accept(&Connect::new(version, "sub"));
        client.subscribe("a", 2);
        let mut publisher = subject.v311("pub");
        for n in 0..8 {
            publisher.publish(Publish::to("a").qos(2).payload(n.to_string()));
        }
        let messages: Vec<_> = (0..8).map(|_| client.expect_publish()).collect();
        assert!(messages.iter().all(|m| m.qos == 2 && !m.dup), "{messages:?}");
        let ids: Vec<_> = messages.iter().filter_map(|m| m.id).collect();
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), 8, "an identifier in use was used again: {ids:?}");
        let order: Vec<_> = [3, 0, 7, 1, 2, 6, 5, 4].map(|n| ids[n]).into();
        for id in &order {
            client.send(&ack(PUBREC, *id));
        }
        for id in &order {
            assert_eq!(identifier(&client.read()), Some((PUBREL, *id)));
        }
        for id in &order {
            client.send(&ack(PUBCOMP, *id));
        }
        client.nothing_arrives();
    }
}

/// [v5: MQTT-4.3.3-8] [v3.1.1: MQTT-4.6.0-2, MQTT-4.6.0-3, MQTT-4.6.0-6]
#[test]
fn acknowledgements_come_in_the_order_of_the_publishes() {
    let subject = Subject::start();
    for version in BOTH {
        for (qos, kind) in [(1, PUBACK), (2, PUBREC)] {
            // Fewer than any server takes at once.
            let mut client = subject.accept(&Connect::new(version, "pipeline"));
            let order = [12, 3, 900, 1, 65_535, 2, 77, 4];
            let bytes: Vec<u8> =
                order.iter().flat_map(|id| Publish::to("a").qos(qos).id(*id).encode(version)).collect();
            client.send(&bytes);
            for id in order {
                assert_eq!(identifier(&client.read()), Some((kind, id)));
            }
        }
    }
}

/// [v5: MQTT-3.3.1-2, MQTT-3.3.1-3, MQTT-4.3.1-1] [v3.1.1: MQTT-3.3.1-2, MQTT-3.3.1-3, MQTT-4.3.1-1]
#[test]
fn dup_of_a_publish_is_not_passed_on() {
    let subject = Subject::start();
    for version in BOTH {
        for granted in 0..=2 {
            let mut client = subject.accept(&Connect::new(version, "both"));
            client.subscribe("a", granted);
            for published in 1..=2 {
                client.publish(Publish::to("a").qos(published).dup().payload("x"));
                let message = client.receive();
                assert_eq!((message.qos, message.dup), (granted.min(published), false));
            }
        }
    }
}

/// [v5: MQTT-4.4.0-2]
#[test]
fn what_was_answered_with_0x80_does_not_come_again() {
    let subject = Subject::start();
    let keep = Connect::v5("refuser").keep_session();
    let mut client = subject.accept(&keep);
    client.subscribe("a", 2);
    let mut publisher = subject.v311("pub");
    for (qos, kind) in [(1, PUBACK), (2, PUBREC)] {
        publisher.publish(Publish::to("a").qos(qos).payload("unwanted"));
        let [high, low] = client.expect_publish().id.unwrap().to_be_bytes();
        client.send(&frame(kind << 4, &[high, low, 0x80]));
    }
    client.ping();
    client.drop_connection();
    let mut client = subject.accept(&keep);
    client.nothing_arrives();
}

/// [v5: MQTT-4.4.0-1]
#[test]
fn an_unacknowledged_message_is_not_sent_again_on_the_same_connection() {
    let subject = Subject::start();
    let mut client = subject.v5("slow");
    client.subscribe("a", 2);
    for qos in 1..=2 {
        client.publish(Publish::to("a").qos(qos).payload("once"));
        assert_eq!(client.expect_publish().text(), "once");
    }
    client.nothing_arrives();
}

/// [v5: MQTT-4.3.3-7]
#[test]
fn a_qos_2_message_does_not_expire_once_it_was_sent() {
    skip_for_mosquitto!("lets it expire");
    let subject = Subject::start();
    let keep = Connect::v5("late").keep_session();
    let mut client = subject.accept(&keep);
    client.subscribe("a", 2);
    subject.v5("pub").publish(Publish::to("a").qos(2).payload("x").with(property::message_expiry(1)));
    let sent = client.expect_publish();
    client.drop_connection();
    super::v5::expired(&subject, 2);
    let mut client = subject.accept(&keep);
    let again = client.expect_publish();
    assert_eq!((again.id, again.text(), again.dup), (sent.id, "x", true));
    client.acknowledge(&again);
    client.nothing_arrives();
}

/// [v5: MQTT-4.3.3-13]
#[test]
fn a_qos_2_exchange_is_completed_though_the_message_has_expired() {
    let subject = Subject::start();
    let mut client = subject.v5("pub");
    client.send(
        &Publish::to("a").qos(2).id(4).payload("x").with(property::message_expiry(1)).encode(Version::V5),
    );
    client.await_pubrec(4);
    super::v5::expired(&subject, 2);
    client.send(&ack(PUBREL, 4));
    assert_eq!(client.await_pubcomp(4), 0);
}

/// [v5: MQTT-4.6.0-5, MQTT-4.6.0-6] [v3.1.1: MQTT-4.6.0-5, MQTT-4.6.0-6]
#[test]
fn messages_of_each_publisher_arrive_in_their_order_at_every_qos() {
    let subject = Subject::start();
    for version in BOTH {
        for qos in 0..=2 {
            let mut client = subject.accept(&Connect::new(version, "sub"));
            client.subscribe("order", qos);
            let mut publishers = [subject.v311("p0"), subject.v5("p1")];
            for n in 0..60 {
                for (p, publisher) in publishers.iter_mut().enumerate() {
                    publisher.publish(Publish::to("order").qos(qos).payload(format!("{p} {n:02}")));
                }
            }
            let texts = client.receive_texts(120);
            for p in ["0 ", "1 "] {
                let of_one: Vec<_> = texts.iter().filter(|text| text.starts_with(p)).collect();
                assert!(of_one.len() == 60 && of_one.is_sorted(), "{version:?} QoS {qos}: {of_one:?}");
            }
        }
    }
}

/// [v5: MQTT-3.12.4-1] [v3.1.1: MQTT-3.12.4-1]
#[test]
fn every_pingreq_is_answered_with_one_pingresp() {
    let subject = Subject::start();
    for version in BOTH {
        let mut client = subject.accept(&Connect::new(version, "pinger"));
        client.send(&PINGREQ.repeat(5));
        for _ in 0..5 {
            assert_eq!(client.read(), Packet::PingResp);
        }
        client.nothing_arrives();
    }
}
