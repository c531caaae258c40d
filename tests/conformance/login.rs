//! The payload of CONNECT: its fields, the flags that announce them, and what follows a refusal.

use crate::raw::{self, BOTH, is_refused};
use crate::support::packet::frame;
use crate::support::property::{self, Property, Value, block};
use crate::support::subject::is_mosquitto;
use crate::support::{Client, Connect, Gone, Packet, Publish, Subject, Version, Will, skip_for_mosquitto};

/// The password of the account `anna`.
const PASSWORD: &str = "correct horse battery staple";

/// Adds the account, with few rounds, because a strong stored password takes seconds in a debug build.
fn add_anna(subject: &Subject) {
    let stored =
        "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$31ltvuXrbs8POP2F4tw9851NSNQCQpm0sCwu2eEvId8";
    subject.command(&["user", "add", "anna", "--hash", stored]).exits(0);
}

/// [v5: MQTT-3.1.2-3, MQTT-3.1.4-1] [v3.1.1: MQTT-3.1.2-3]
#[test]
fn the_reserved_connect_flag_is_refused() {
    let subject = Subject::start();
    for version in BOTH {
        is_refused(&subject, version, "flags", &raw::connect(version, 0x03, &[&block(b"id")]), 0x81);
    }
    subject.still_serves();
}

/// The fields of a will to the topic "w", whose payload is empty.
fn will_fields(version: Version) -> Vec<u8> {
    [raw::no_properties(version), &block(b"w"), &block(b"")].concat()
}

/// [v5: MQTT-3.1.2-12] [v3.1.1: MQTT-3.1.2-14]
#[test]
fn a_will_of_qos_3_is_refused() {
    let subject = Subject::start();
    for version in BOTH {
        let bytes = raw::connect(version, 0x1E, &[&block(b"id"), &will_fields(version)]);
        is_refused(&subject, version, "will", &bytes, 0x81);
    }
    subject.still_serves();
}

/// [v5: MQTT-3.1.2-11, MQTT-3.1.2-13] [v3.1.1: MQTT-3.1.2-11, MQTT-3.1.2-13, MQTT-3.1.2-15]
#[test]
fn will_qos_and_will_retain_without_the_will_flag_are_refused() {
    let subject = Subject::start();
    for version in BOTH {
        for flags in [0x0A, 0x12, 0x22, 0x32] {
            let bytes = raw::connect(version, flags, &[&block(b"id")]);
            is_refused(&subject, version, "flags", &bytes, 0x81);
        }
    }
    subject.still_serves();
}

/// [v5: MQTT-3.1.2-9, MQTT-3.1.2-17, MQTT-3.1.2-19] [v3.1.1: MQTT-3.1.2-9, MQTT-3.1.2-19, MQTT-3.1.2-21]
/// [v3.1.1: MQTT-3.1.4-1, MQTT-3.2.2-6]
#[test]
fn a_field_that_its_flag_announces_must_be_there() {
    let subject = Subject::start();
    for version in BOTH {
        let id = block(b"id");
        let half_will = [raw::no_properties(version), &block(b"w")].concat();
        for (what, flags, fields) in [
            ("no will", 0x06, vec![&id[..]]),
            ("no will payload", 0x06, vec![&id[..], &half_will]),
            ("no user name", 0x82, vec![&id[..]]),
            ("no password", 0xC2, vec![&id[..], &block(b"user")]),
        ] {
            is_refused(&subject, version, what, &raw::connect(version, flags, &fields), 0x81);
        }
    }
    subject.still_serves();
}

/// [v5: MQTT-3.1.2-16, MQTT-3.1.2-18] [v3.1.1: MQTT-3.1.2-11, MQTT-3.1.2-18, MQTT-3.1.2-20]
#[test]
fn a_field_without_its_flag_is_refused() {
    skip_for_mosquitto!("does not look at what follows the fields it reads");
    let subject = Subject::start();
    for version in BOTH {
        let (id, user, password) = (block(b"id"), block(b"user"), block(b"password"));
        for (what, flags, fields) in [
            ("a will", 0x02, vec![&id[..], &will_fields(version)]),
            ("a user name", 0x02, vec![&id[..], &user]),
            ("a password", 0x82, vec![&id[..], &user, &password]),
        ] {
            is_refused(&subject, version, what, &raw::connect(version, flags, &fields), 0x81);
        }
    }
    subject.still_serves();
}

/// [v5: MQTT-3.1.3-3] [v3.1.1: MQTT-3.1.3-3]
#[test]
fn a_connect_without_a_client_identifier_field_is_refused() {
    let subject = Subject::start();
    for version in BOTH {
        is_refused(&subject, version, "no payload", &raw::connect(version, 0x02, &[]), 0x81);
        is_refused(&subject, version, "half a length", &raw::connect(version, 0x02, &[&[0]]), 0x81);
    }
    subject.still_serves();
}

/// [v5: MQTT-3.1.3-1] [v3.1.1: MQTT-3.1.3-1]
#[test]
fn the_fields_of_connect_are_read_in_their_order() {
    let subject = Subject::with().prepare();
    if !is_mosquitto() {
        add_anna(&subject);
    }
    let mut watcher = subject.v5("watcher");
    watcher.subscribe("will/+", 1);
    for version in BOTH {
        let will = Will::new("will/topic", "will payload").qos(1);
        let connect = Connect::new(version, "will/id").will(will).login("anna", PASSWORD);
        subject.accept(&connect).drop_connection();
        let message = watcher.receive();
        assert_eq!((message.topic.as_str(), message.text()), ("will/topic", "will payload"));
    }
}

/// [v5: MQTT-3.1.3-5] [v3.1.1: MQTT-3.1.3-5]
#[test]
fn identifiers_of_1_to_23_letters_and_digits_are_served() {
    let subject = Subject::start();
    for version in BOTH {
        for id in ["0", "z", "0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ"] {
            subject.accept(&Connect::new(version, id)).ping();
        }
    }
}

/// [v5: MQTT-3.1.2-1]
#[test]
fn another_protocol_name_of_version_5_is_refused() {
    let subject = Subject::start();
    for name in [&b"MQTt"[..], b"MQIsdp", b"HTTP", b""] {
        let head = [&block(name)[..], &[5, 2, 0, 60, 0], &block(b"id")].concat();
        is_refused(&subject, Version::V5, "name", &frame(0x10, &head), 0x84);
    }
    subject.still_serves();
}

/// [v5: MQTT-3.1.4-2, MQTT-3.2.2-6, MQTT-3.2.2-7, MQTT-3.2.2-8, MQTT-3.14.0-1]
/// [v3.1.1: MQTT-3.2.2-4, MQTT-3.2.2-5]
#[test]
fn a_login_that_fails_is_told_its_code_and_closed() {
    skip_for_mosquitto!("has no accounts");
    let subject = Subject::with().listener(" ").prepare();
    add_anna(&subject);
    for (version, codes) in [(Version::V311, [4, 5]), (Version::V5, [0x86, 0x87])] {
        let anna = Connect::new(version, "anna");
        for connect in [anna.clone(), anna.login("anna", "a guess")] {
            let code = subject.refuse(&connect).code;
            assert!(codes.contains(&code), "{version:?}: {code:#04x}");
        }
    }
}

/// [v5: MQTT-3.1.4-6] [v3.1.1: MQTT-3.1.4-5]
#[test]
fn nothing_after_a_refused_connect_is_acted_upon() {
    let subject = Subject::start();
    let mut watcher = subject.v5("watcher");
    watcher.subscribe("early", 1);
    let refused = [
        Connect::v311("").clean(false),
        Connect::v5("sasl").with(property::authentication_method("SCRAM-SHA-256")),
    ];
    for connect in refused {
        let mut bytes = connect.encode();
        bytes.extend(Publish::to("early").payload("from nobody").encode(connect.version));
        bytes.extend(Publish::to("early").qos(1).id(1).payload("from nobody").encode(connect.version));
        let mut client = Client::open(subject.port(), connect.version);
        client.send(&bytes);
        assert!(matches!(client.read(), Packet::ConnAck { code: 1.., .. }));
        client.expect_closed();
    }
    watcher.nothing_arrives();
}

/// [v5: MQTT-3.2.0-1, MQTT-3.2.0-2] [v3.1.1: MQTT-3.2.0-1]
#[test]
fn connack_comes_first_and_only_once_though_messages_wait() {
    let subject = Subject::start();
    let mut publisher = subject.v311("pub");
    for version in BOTH {
        let keep = Connect::new(version, "away").keep_session();
        let mut client = subject.accept(&keep);
        client.subscribe("a", 1);
        client.disconnect();
        for n in 0..20 {
            publisher.say("a", &n.to_string());
        }
        // `accept` fails if anything stands before CONNACK, `receive_texts` if anything but PUBLISH follows.
        let mut client = subject.accept(&keep);
        assert_eq!(client.receive_texts(20).len(), 20);
        client.nothing_arrives();
        client.disconnect();
        subject.accept(&Connect::new(version, "away")).disconnect();
    }
}

/// [v5: MQTT-3.1.2-28]
#[test]
fn no_response_information_is_returned_unless_it_was_asked_for() {
    let subject = Subject::start();
    let not_asked = Property { id: 0x19, value: Value::Byte(0) };
    for connect in [Connect::v5("x"), Connect::v5("x").with(not_asked)] {
        let (_, connack) = subject.accept_with_connack(&connect);
        assert_eq!(property::one(&connack.properties, 0x1A), None);
    }
}

/// [v5: MQTT-4.12.0-6]
#[test]
fn without_an_authentication_method_the_server_names_none_and_sends_no_auth() {
    let subject = Subject::start();
    let (mut client, connack) = subject.accept_with_connack(&Connect::v5("x"));
    assert_eq!(property::one(&connack.properties, property::AUTHENTICATION_METHOD), None);
    assert_eq!(property::one(&connack.properties, 0x16), None);
    // An AUTH would be an unexpected packet here.
    client.send(&crate::support::packet::PINGREQ);
    assert_eq!(client.try_read(), Ok(Packet::PingResp));
    client.nothing_arrives();
}

/// [v5: MQTT-3.14.0-1]
#[test]
fn a_connect_that_breaks_the_format_is_never_answered_with_disconnect() {
    let subject = Subject::start();
    let bad: [Vec<u8>; 3] = [
        raw::connect(Version::V5, 0x03, &[&block(b"id")]),
        Connect::v5("x").with(property::receive_maximum(0)).encode(),
        frame(0x30, &[0, 1, b'a', 0]),
    ];
    for bytes in bad {
        let mut client = Client::open(subject.port(), Version::V5);
        client.send(&bytes);
        match client.try_read() {
            Ok(Packet::ConnAck { code, .. }) => assert!(code >= 0x80),
            other => assert_eq!(other, Err(Gone::Closed)),
        }
    }
}
