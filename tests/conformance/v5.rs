//! What version 5 adds: flow control, sizes, aliases, expiry, properties, reason codes.

use crate::support::packet::{PUBACK, PUBCOMP, PUBREC, ack, frame};
use crate::support::property::{self, Value};
use crate::support::{Client, Connect, Packet, Publish, Subject, Version, skip_for_mosquitto};

/// [v5: MQTT-3.3.4-9, MQTT-3.3.4-10, MQTT-4.9.0-1, MQTT-4.9.0-2]
#[test]
fn receive_maximum_2_means_two_in_flight() {
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v5("narrow").with(property::receive_maximum(2)));
    client.subscribe("a", 1);
    let mut publisher = subject.v311("pub");
    for n in 0..10 {
        publisher.say("a", &n.to_string());
    }
    assert_eq!((client.expect_publish().text(), client.expect_publish().text()), ("0", "1"));
    client.send(&crate::support::packet::PINGREQ);
    assert_eq!(client.read(), Packet::PingResp, "no third before an acknowledgement");
}

/// [v5: MQTT-3.3.4-9, MQTT-4.9.0-2, MQTT-4.9.0-3]
#[test]
fn each_acknowledgement_lets_one_more_out_of_the_window() {
    skip_for_mosquitto!("has three in flight after the first acknowledgement");
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v5("narrow").with(property::receive_maximum(2)));
    client.subscribe("a", 1);
    let mut publisher = subject.v311("pub");
    for n in 0..6 {
        publisher.say("a", &n.to_string());
    }
    let mut window: Vec<_> = (0..2).map(|_| client.expect_publish()).collect();
    for expected in 2..6 {
        // PINGRESP is not held up by the window.
        client.send(&crate::support::packet::PINGREQ);
        assert_eq!(client.read(), Packet::PingResp);
        client.send(&ack(PUBACK, window.remove(0).id.unwrap()));
        let message = client.expect_publish();
        assert_eq!(message.text(), expected.to_string());
        window.push(message);
    }
}

/// [v5: MQTT-3.3.4-9, MQTT-4.9.0-2]
#[test]
fn receive_maximum_counts_qos_2_until_pubcomp() {
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v5("narrow").with(property::receive_maximum(1)));
    client.subscribe("a", 2);
    let mut publisher = subject.v311("pub");
    for n in 0..3 {
        publisher.publish(Publish::to("a").qos(2).payload(n.to_string()));
    }
    for n in 0..3 {
        let message = client.expect_publish();
        assert_eq!(message.text(), n.to_string());
        let id = message.id.unwrap();
        client.send(&ack(PUBREC, id));
        assert!(matches!(client.read(), Packet::PubRel { id: of, .. } if of == id));
        client.send(&crate::support::packet::PINGREQ);
        assert_eq!(client.read(), Packet::PingResp, "nothing new before PUBCOMP");
        client.send(&ack(PUBCOMP, id));
    }
    client.nothing_arrives();
}

#[test]
fn receive_maximum_0_is_a_protocol_error() {
    let subject = Subject::start();
    let mut client = Client::open(subject.port(), Version::V5);
    client.send(&Connect::v5("zero").with(property::receive_maximum(0)).encode());
    match client.try_read() {
        Ok(Packet::ConnAck { code, .. }) => assert!(matches!(code, 0x81 | 0x82), "{code:#04x}"),
        Ok(other) => panic!("{other:?}"),
        Err(gone) => assert_eq!(gone, crate::support::Gone::Closed),
    }
}

/// [v5: MQTT-3.3.4-7]
#[test]
fn a_publisher_over_the_servers_receive_maximum_is_disconnected_with_0x93() {
    skip_for_mosquitto!("does not count");
    let subject = Subject::start();
    let (mut client, connack) = subject.accept_with_connack(&Connect::v5("greedy"));
    let maximum = match property::one(&connack.properties, property::RECEIVE_MAXIMUM) {
        Some(Value::Two(maximum)) => *maximum,
        _ => 65535,
    };
    if maximum == 65535 {
        return;
    }
    let mut bytes = Vec::new();
    for id in 1..=maximum + 1 {
        bytes.extend(Publish::to("a").qos(2).id(id).encode(Version::V5));
    }
    client.send(&bytes);
    for _ in 0..maximum {
        assert!(matches!(client.read(), Packet::PubRec { .. }));
    }
    client.expect_disconnect(0x93);
}

/// [v5: MQTT-3.1.2-24, MQTT-3.1.2-25]
#[test]
fn a_message_over_the_clients_maximum_packet_size_is_not_sent_and_does_not_block() {
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v5("small").with(property::maximum_packet_size(100)));
    client.subscribe("a", 1);
    let mut publisher = subject.v311("pub");
    publisher.say("a", "before");
    publisher.say("a", &"x".repeat(200));
    publisher.say("a", "after");
    assert_eq!(client.receive_texts(2), ["before", "after"]);
    client.nothing_arrives();
    assert!(client.largest_packet <= 100, "a packet of {} bytes", client.largest_packet);
}

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

/// [v5: MQTT-3.3.2-5, MQTT-3.3.2-6]
#[test]
fn an_expired_message_is_not_delivered_and_one_that_waited_counts_down() {
    let subject = Subject::start();
    let keep = Connect::v5("away").keep_session();
    let mut client = subject.accept(&keep);
    client.subscribe("a", 1);
    client.disconnect();
    let mut publisher = subject.v5("pub");
    for (text, seconds) in [("short", 1), ("long", 1000)] {
        publisher.publish(Publish::to("a").qos(1).payload(text).with(property::message_expiry(seconds)));
    }
    publisher.say("a", "for ever");
    expired(&subject, 2);
    let mut client = subject.accept(&keep);
    let message = client.receive();
    assert_eq!(message.text(), "long");
    match property::one(&message.properties, property::MESSAGE_EXPIRY) {
        Some(Value::Four(left)) => assert!((900..1000).contains(left), "{left} s left of 1000"),
        other => panic!("no message expiry: {other:?}"),
    }
    let message = client.receive();
    assert_eq!((message.text(), &message.properties[..]), ("for ever", &[][..]));
    client.nothing_arrives();
}

#[test]
fn an_expired_retained_message_is_not_delivered() {
    let subject = Subject::start();
    let mut publisher = subject.v5("pub");
    for (topic, seconds) in [("r/short", 1), ("r/long", 1000)] {
        publisher
            .publish(Publish::to(topic).qos(1).retain().payload("x").with(property::message_expiry(seconds)));
    }
    expired(&subject, 2);
    let mut client = subject.v5("sub");
    client.subscribe("r/+", 1);
    let message = client.receive();
    assert_eq!(message.topic, "r/long");
    match property::one(&message.properties, property::MESSAGE_EXPIRY) {
        Some(Value::Four(left)) => assert!((900..1000).contains(left), "{left} s left of 1000"),
        other => panic!("no message expiry: {other:?}"),
    }
    client.nothing_arrives();
}

/// Returns when so many seconds have passed for the server: a will with that delay has come.
pub fn expired(subject: &Subject, seconds: u32) {
    let mut clock = subject.v5("clock");
    clock.subscribe("clock", 0);
    let will = crate::support::Will::new("clock", "").with(property::will_delay(seconds));
    subject.accept(&Connect::v5("hand").with(property::session_expiry(600)).will(will)).drop_connection();
    clock.receive();
}

#[test]
fn a_live_message_with_an_expiry_carries_it_on() {
    let subject = Subject::start();
    let mut client = subject.v5("both");
    client.subscribe("a", 1);
    client.publish(Publish::to("a").qos(1).with(property::message_expiry(1000)));
    match property::one(&client.receive().properties, property::MESSAGE_EXPIRY) {
        Some(Value::Four(left)) => assert!((990..=1000).contains(left)),
        other => panic!("no message expiry: {other:?}"),
    }
}

/// [v5: MQTT-3.3.2-4, MQTT-3.3.2-15, MQTT-3.3.2-16, MQTT-3.3.2-17, MQTT-3.3.2-18, MQTT-3.3.2-20]
#[test]
fn the_properties_of_a_message_pass_through_unchanged_and_in_order() {
    let subject = Subject::start();
    let mut client = subject.v5("both");
    client.subscribe("a", 2);
    let user: Vec<_> = [("b", "1"), ("a", "2"), ("b", "3"), ("", ""), ("é", "温度")]
        .iter()
        .map(|(name, value)| property::user_property(name, value))
        .collect();
    let others = [
        property::payload_format(1),
        property::content_type("text/plain"),
        property::response_topic("answers/1"),
        property::correlation_data(&[0, 255, 7]),
    ];
    for (qos, retain) in [(0, false), (1, false), (2, false), (1, true)] {
        let mut message = Publish::to("a").qos(qos).payload("x");
        message.retain = retain;
        message.properties = others.iter().chain(&user).cloned().collect();
        client.publish(message);
        check_properties(&client.receive().properties, &others, &user);
    }
    let mut late = subject.v5("late");
    late.subscribe("a", 0);
    check_properties(&late.receive().properties, &others, &user);
}

/// User properties keep their order among themselves; the others may stand anywhere.
fn check_properties(
    found: &[property::Property],
    others: &[property::Property],
    user: &[property::Property],
) {
    let (of_user, rest): (Vec<_>, Vec<_>) =
        found.iter().cloned().partition(|p| p.id == property::USER_PROPERTY);
    assert_eq!(of_user, user);
    assert_eq!(rest.len(), others.len(), "{rest:?}");
    assert!(others.iter().all(|p| rest.contains(p)), "{rest:?}");
}

#[test]
fn v5_properties_never_reach_a_3_1_1_subscriber() {
    let subject = Subject::start();
    let mut old = subject.v311("old");
    let mut older = subject.accept(&Connect::new(Version::V31, "older"));
    let mut publisher = subject.v5("new");
    old.subscribe("a", 2);
    older.subscribe("a", 2);
    for qos in 0..=2 {
        let message = Publish::to("a")
            .qos(qos)
            .payload("plain")
            .with(property::user_property("k", "v"))
            .with(property::message_expiry(100))
            .with(property::response_topic("r"));
        publisher.publish(message);
        for client in [&mut old, &mut older] {
            assert_eq!(client.receive().payload, b"plain");
        }
    }
    old.nothing_arrives();
    older.nothing_arrives();
}

#[test]
fn a_request_is_answered_over_its_response_topic() {
    let subject = Subject::start();
    let mut requester = subject.v5("requester");
    let mut responder = subject.v5("responder");
    requester.subscribe("answers/requester", 1);
    responder.subscribe("questions", 1);
    let question = Publish::to("questions")
        .qos(1)
        .payload("6*7")
        .with(property::response_topic("answers/requester"))
        .with(property::correlation_data(b"q1"));
    requester.publish(question);
    let question = responder.receive();
    let Some(Value::Text(topic)) = property::one(&question.properties, property::RESPONSE_TOPIC) else {
        panic!("no response topic: {question:?}");
    };
    responder.publish(Publish::to(topic).qos(1).payload("42").with(property::correlation_data(b"q1")));
    let answer = requester.receive();
    assert_eq!(answer.text(), "42");
    assert_eq!(answer.properties, [property::correlation_data(b"q1")]);
}

/// [v5: MQTT-4.12.0-7]
#[test]
fn an_unsolicited_auth_is_answered_0x82() {
    let subject = Subject::start();
    for body in [&[][..], &[0x18], &[0x18, 0], &[0x19, 0]] {
        let mut client = subject.v5("auth");
        client.send(&frame(0xF0, body));
        client.expect_disconnect(0x82);
    }
}

#[test]
fn a_disconnect_of_every_length_is_understood() {
    let subject = Subject::start();
    for bytes in [vec![0xE0, 0], vec![0xE0, 1, 0], vec![0xE0, 2, 0, 0], vec![0xE0, 1, 0x80]] {
        let mut client = subject.v5("leaver");
        client.send(&bytes);
        client.expect_closed();
    }
}

#[test]
fn a_connect_with_every_property_is_accepted() {
    let subject = Subject::start();
    let connect = Connect::v5("full")
        .with(property::session_expiry(10))
        .with(property::receive_maximum(100))
        .with(property::maximum_packet_size(100_000))
        .with(property::topic_alias_maximum(5))
        .with(property::Property { id: 0x19, value: Value::Byte(1) })
        .with(property::request_problem_information(1))
        .with(property::user_property("a", "b"))
        .with(property::user_property("a", "b"));
    subject.accept(&connect).nothing_arrives();
}

#[test]
fn a_message_to_nobody_says_so_or_success() {
    let subject = Subject::start();
    let mut client = subject.v5("lonely");
    client.send(&Publish::to("nobody").qos(1).id(1).encode(Version::V5));
    let code = client.await_puback(1);
    assert!(matches!(code, 0 | 0x10), "{code:#04x}");
    client.subscribe("nobody", 0);
    client.send(&Publish::to("nobody").qos(1).id(1).encode(Version::V5));
    assert_eq!(client.await_puback(1), 0);
}

#[test]
fn server_keep_alive_is_only_told_when_it_differs() {
    let subject = Subject::start();
    let (_, connack) = subject.accept_with_connack(&Connect::v5("x").keep_alive(30));
    match property::one(&connack.properties, property::SERVER_KEEP_ALIVE) {
        None => {}
        Some(Value::Two(seconds)) => assert_ne!(*seconds, 30),
        other => panic!("{other:?}"),
    }
}
