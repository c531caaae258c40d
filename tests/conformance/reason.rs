//! What a server says of a refusal in version 5: the code, the reason string, and both within what the client
//! can take.

use crate::support::packet::{PUBCOMP, PUBREC, PUBREL, ack, unsubscribe};
use crate::support::{Client, Connect, Gone, Packet, Property, Publish, Subject, Subscribe, Version};
use crate::support::{property, skip_for_mosquitto};

/// Too small for any reason string, and large enough for everything else here.
const SMALL: u32 = 20;

/// A gateway that permits `ok/#` to everyone, and nothing else.
fn refusing() -> Subject {
    let subject = Subject::with().without_rules().prepare();
    for filter in ["ok/#", "fence/#"] {
        subject.command(&["acl", "allow", "*", "all", filter]).exits(0);
    }
    subject
}

fn small() -> Connect {
    Connect::v5("small").with(property::maximum_packet_size(SMALL))
}

/// Whether a reason string or a user property is among these.
fn explains(properties: &[Property]) -> bool {
    properties.iter().any(|p| matches!(p.id, property::REASON_STRING | property::USER_PROPERTY))
}

/// Publishes what is refused at QoS 1 and 2; whether PUBACK and PUBREC gave a reason.
fn refused_publishes(client: &mut Client) -> [bool; 2] {
    [1, 2].map(|qos| {
        client.send(&Publish::to("secret").qos(qos).id(5).encode(Version::V5));
        match client.read() {
            Packet::PubAck { id: 5, code: 0x87, properties } if qos == 1 => explains(&properties),
            Packet::PubRec { id: 5, code: 0x87, properties } if qos == 2 => explains(&properties),
            other => panic!("{other:?}"),
        }
    })
}

/// [v5: MQTT-3.4.2-1, MQTT-3.4.2-2, MQTT-3.4.2-3, MQTT-3.5.2-1, MQTT-3.5.2-2, MQTT-3.5.2-3]
#[test]
fn puback_and_pubrec_give_a_reason_unless_it_is_too_large_for_the_client() {
    skip_for_mosquitto!("gives no reasons");
    let subject = refusing();
    assert_eq!(refused_publishes(&mut subject.v5("large")), [true, true]);
    let mut client = subject.accept(&small());
    client.largest_packet = 0;
    assert_eq!(refused_publishes(&mut client), [false, false]);
    assert!(client.largest_packet <= SMALL as usize);
}

/// [v5: MQTT-3.1.2-29]
#[test]
fn a_client_that_asks_for_no_problem_information_is_given_no_reasons() {
    skip_for_mosquitto!("gives no reasons");
    let subject = refusing();
    let mut client = subject.accept(&Connect::v5("quiet").with(property::request_problem_information(0)));
    assert_eq!(refused_publishes(&mut client), [false, false]);
    client.send(&Subscribe::to("secret", 0).encode(Version::V5, 6));
    match client.read() {
        Packet::SubAck { id: 6, codes, properties } => {
            assert_eq!((codes, explains(&properties)), (vec![0x87], false));
        }
        other => panic!("{other:?}"),
    }
    client.send(&unsubscribe(Version::V5, 7, &["unknown"]));
    match client.read() {
        Packet::UnsubAck { id: 7, properties, .. } => assert!(!explains(&properties)),
        other => panic!("{other:?}"),
    }
    client.send(&ack(PUBREL, 99));
    match client.read() {
        Packet::PubComp { id: 99, properties, .. } => assert!(!explains(&properties)),
        other => panic!("{other:?}"),
    }
}

/// [v5: MQTT-3.6.2-2, MQTT-3.6.2-3, MQTT-3.7.2-1, MQTT-3.7.2-2, MQTT-3.7.2-3, MQTT-3.11.2-1, MQTT-3.11.2-2]
#[test]
fn pubrel_pubcomp_and_unsuback_stay_within_the_clients_maximum_packet_size() {
    let subject = Subject::start();
    let mut client = subject.accept(&small());
    client.largest_packet = 0;
    client.subscribe("ok/x", 2);
    client.publish(Publish::to("ok/x").qos(2).payload("x"));
    let id = client.expect_publish().id.unwrap();
    client.send(&ack(PUBREC, id));
    assert_eq!(client.await_pubrel(id), 0);
    client.send(&ack(PUBCOMP, id));
    // An identifier that the server does not know is told, or answered as ever.
    client.send(&ack(PUBREL, 999));
    assert!(matches!(client.await_pubcomp(999), 0 | 0x92));
    client.send(&ack(PUBREC, 998));
    match client.try_read() {
        Ok(Packet::PubRel { id: 998, code, .. }) => assert!(matches!(code, 0 | 0x92)),
        other => panic!("{other:?}"),
    }
    client.unsubscribe(&["ok/x", "unknown", "a"]);
    assert!(client.largest_packet <= SMALL as usize, "{} bytes", client.largest_packet);
}

/// [v5: MQTT-3.14.2-1, MQTT-3.14.2-2, MQTT-3.14.2-3, MQTT-3.14.2-4, MQTT-3.14.4-1, MQTT-3.14.4-2]
#[test]
fn disconnect_gives_a_reason_unless_it_is_too_large_and_nothing_follows_it() {
    let subject = Subject::start();
    for (connect, fits) in [(Connect::v5("large"), true), (small(), false)] {
        let connect = connect.with(property::session_expiry(100));
        let mut old = subject.accept(&connect);
        old.subscribe("a", 0);
        old.largest_packet = 0;
        let mut new = subject.accept(&connect.clean(false));
        // `expect_disconnect` fails if anything but the end follows.
        let properties = old.expect_disconnect(0x8E);
        if !crate::support::subject::is_mosquitto() {
            assert_eq!(explains(&properties), fits);
        }
        assert!(fits || old.largest_packet <= SMALL as usize, "{} bytes", old.largest_packet);
        new.ping();
    }
}

/// [v5: MQTT-4.3.3-9]
#[test]
fn after_a_refusing_pubrec_the_identifier_means_a_new_message() {
    skip_for_mosquitto!("is not configured with rules");
    let subject = refusing();
    let mut client = subject.v5("both");
    client.subscribe("ok/x", 0);
    client.send(&Publish::to("secret").qos(2).id(5).payload("refused").encode(Version::V5));
    assert_eq!(client.await_pubrec(5), 0x87);
    client.send(&Publish::to("ok/x").qos(2).id(5).payload("new").encode(Version::V5));
    assert_eq!(client.await_pubrec(5), 0);
    client.send(&ack(PUBREL, 5));
    assert_eq!(client.await_pubcomp(5), 0);
    assert_eq!(client.receive().text(), "new");
    client.nothing_arrives();
}

/// [v3.1.1: MQTT-3.3.5-2]
#[test]
fn a_publish_that_is_not_permitted_is_acknowledged_or_ends_the_connection_in_3_1_1() {
    skip_for_mosquitto!("is not configured with rules");
    let subject = refusing();
    for qos in 1..=2 {
        let mut client = subject.v311("older");
        client.send(&Publish::to("secret").qos(qos).id(5).encode(Version::V311));
        match client.try_read() {
            Ok(Packet::PubAck { id: 5, .. }) if qos == 1 => {}
            Ok(Packet::PubRec { id: 5, .. }) if qos == 2 => {}
            other => assert_eq!(other, Err(Gone::Closed)),
        }
    }
}

/// [v5: MQTT-3.2.2-19, MQTT-3.2.2-20]
#[test]
fn a_refusing_connack_gives_no_reason_that_is_too_large_for_the_client() {
    let subject = Subject::start();
    let sasl = property::authentication_method("SCRAM-SHA-256");
    for (connect, fits) in [(Connect::v5("large"), true), (small(), false)] {
        let (client, connack) = Client::connect(subject.port(), &connect.with(sasl.clone()));
        assert_eq!(connack.code, 0x8C);
        if !crate::support::subject::is_mosquitto() {
            assert_eq!(explains(&connack.properties), fits);
        }
        assert!(fits || client.largest_packet <= SMALL as usize, "{} bytes", client.largest_packet);
    }
}

/// [v5: MQTT-3.9.2-1, MQTT-3.9.2-2]
#[test]
fn suback_gives_no_reason_that_is_too_large_for_the_client() {
    skip_for_mosquitto!("gives no reasons");
    let subject = refusing();
    for (connect, fits) in [(Connect::v5("large"), true), (small(), false)] {
        let mut client = subject.accept(&connect);
        client.largest_packet = 0;
        client.send(&Subscribe::to("secret", 0).encode(Version::V5, 6));
        match client.read() {
            Packet::SubAck { id: 6, codes, properties } => {
                assert_eq!((codes, explains(&properties)), (vec![0x87], fits));
            }
            other => panic!("{other:?}"),
        }
        assert!(fits || client.largest_packet <= SMALL as usize, "{} bytes", client.largest_packet);
    }
}
