//! What version 5 adds: sizes, expiry, properties, reason codes. Flow control and aliases have files of their own.

use crate::support::packet::frame;
use crate::support::property::{self, Value};
use crate::support::{Connect, Publish, Subject, Version};

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
