//! What a version 5 client announces in CONNECT binds the server: topic aliases and the largest packet.

use crate::support::packet::unsubscribe;
use crate::support::property::{self, Value};
use crate::support::{
    Client, Connect, Gone, Packet, Property, Publish, Subject, Subscribe, Version, skip_for_mosquitto,
};

fn narrow(client_id: &str, bytes: u32) -> Connect {
    Connect::v5(client_id).with(property::maximum_packet_size(bytes))
}

fn alias(properties: &[Property]) -> Option<u16> {
    match property::one(properties, property::TOPIC_ALIAS) {
        Some(Value::Two(alias)) => Some(*alias),
        _ => None,
    }
}

#[test]
fn a_repeated_topic_is_sent_by_its_alias_alone_while_there_are_aliases() {
    skip_for_mosquitto!("gives no aliases");
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v5("aliased").with(property::topic_alias_maximum(2)));
    client.subscribe("plant/#", 1);
    let mut publisher = subject.v311("pub");
    for (topic, name, number) in [
        ("plant/a/temperature", "plant/a/temperature", Some(1)),
        ("plant/a/temperature", "", Some(1)),
        ("plant/b/temperature", "plant/b/temperature", Some(2)),
        ("plant/c/temperature", "plant/c/temperature", None),
        ("plant/b/temperature", "", Some(2)),
        ("plant/a/temperature", "", Some(1)),
        ("plant/c/temperature", "plant/c/temperature", None),
    ] {
        publisher.say(topic, "x");
        let message = client.receive();
        assert_eq!((&*message.topic, alias(&message.properties)), (name, number), "{topic}");
    }
}

#[test]
fn aliases_end_with_their_connection_and_a_redelivery_names_its_topic() {
    skip_for_mosquitto!("gives no aliases");
    let subject = Subject::start();
    let connect = Connect::v5("aliased").keep_session().with(property::topic_alias_maximum(2));
    let mut client = subject.accept(&connect);
    client.subscribe("plant/#", 1);
    let mut publisher = subject.v311("pub");
    publisher.say("plant/temperature", "1");
    publisher.say("plant/temperature", "2");
    assert_eq!(client.expect_publish().topic, "plant/temperature");
    assert_eq!(client.expect_publish().topic, "", "by its alias");
    client.drop_connection();
    let mut client = subject.accept(&connect);
    assert_eq!(
        client.expect_publish().topic,
        "plant/temperature",
        "the alias is not known on this connection"
    );
    assert_eq!(client.expect_publish().topic, "");
}

#[test]
fn an_alias_is_left_out_where_it_would_make_the_packet_too_large() {
    let subject = Subject::start();
    // 1 + 1 + 2 + 10 + 1 + 10 bytes, and three more with an alias.
    let mut client = subject.accept(&narrow("narrow", 25).with(property::topic_alias_maximum(2)));
    client.subscribe("0123456789", 0);
    for _ in 0..2 {
        subject.v5("pub").publish(Publish::to("0123456789").payload("abcdefghij"));
        let message = client.receive();
        assert_eq!((&*message.topic, alias(&message.properties)), ("0123456789", None));
    }
}

#[test]
fn a_client_that_cannot_take_connack_is_told_so_in_one_without_properties_or_closed() {
    skip_for_mosquitto!("sends CONNACK whatever the client takes");
    let subject = Subject::start();
    for (bytes, answer) in [(5, true), (4, false), (1, false)] {
        let mut client = Client::open(subject.port(), Version::V5);
        client.send(&narrow("tiny", bytes).encode());
        match client.try_read() {
            Ok(Packet::ConnAck { code, properties, .. }) => {
                assert!(answer, "CONNACK has 5 bytes, the client takes {bytes}");
                assert_eq!((code, &properties[..]), (0x95, &[][..]));
                client.expect_closed();
            }
            other => assert!(!answer && matches!(other, Err(Gone::Closed)), "{bytes}: {other:?}"),
        }
    }
    subject.still_serves();
}

#[test]
fn a_client_that_cannot_take_suback_or_unsuback_is_disconnected_with_0x95_and_not_subscribed() {
    skip_for_mosquitto!("sends SUBACK whatever the client takes");
    let subject = Subject::start();
    let connect = narrow("narrow", 30).keep_session();
    let wide = (0..40).map(|n| format!("w/{n}")).collect::<Vec<_>>();
    let many = wide[1..].iter().fold(Subscribe::to(&wide[0], 0), |all, filter| all.and(filter, 0));
    let mut client = subject.accept(&connect);
    client.send(&many.encode(Version::V5, 1));
    client.expect_disconnect(0x95);

    let mut client = subject.accept(&connect);
    client.send(&unsubscribe(Version::V5, 1, &wide.iter().map(String::as_str).collect::<Vec<_>>()));
    client.expect_disconnect(0x95);

    let mut client = subject.accept(&connect);
    subject.v5("pub").publish(Publish::to("w/1").qos(1).payload("x"));
    client.nothing_arrives();
}
