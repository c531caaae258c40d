//! Strings: well-formed UTF-8 without U+0000, and nothing in them is changed.

use crate::raw::{self, BOTH, ends, is_refused};
use crate::support::property::{self, block};
use crate::support::{Connect, Publish, Subject, Version};

/// Bytes that are not UTF-8: a broken sequence, halves of surrogates, overlong forms, beyond U+10FFFF, cut short.
const ILL_FORMED: [&[u8]; 7] = [
    b"a\xC3\x28",
    b"\xED\xA0\x80",
    b"\xED\xBF\xBFa",
    b"\xC0\xAF",
    b"\xF4\x90\x80\x80",
    b"a\xE2\x82",
    b"\xFF",
];

/// [v5: MQTT-1.5.4-1, MQTT-3.3.2-1, MQTT-3.8.3-1, MQTT-3.10.3-1]
/// [v3.1.1: MQTT-1.4.0-1, MQTT-3.3.2-1, MQTT-3.8.3-1, MQTT-3.10.3-1]
#[test]
fn a_topic_or_filter_that_is_not_utf8_ends_the_connection() {
    let subject = Subject::start();
    for version in BOTH {
        for text in ILL_FORMED {
            ends(&subject, version, "PUBLISH", &raw::publish(version, text, &[0]), 0x81);
            ends(&subject, version, "SUBSCRIBE", &raw::subscribe(version, text, 0), 0x81);
            ends(&subject, version, "UNSUBSCRIBE", &raw::unsubscribe(version, text), 0x81);
        }
    }
    subject.still_serves();
}

/// [v5: MQTT-1.5.4-2, MQTT-4.7.3-2] [v3.1.1: MQTT-1.4.0-2, MQTT-4.7.3-2]
#[test]
fn a_string_with_nul_ends_the_connection() {
    let subject = Subject::start();
    for version in BOTH {
        for text in [&b"a\0b"[..], b"\0"] {
            ends(&subject, version, "PUBLISH", &raw::publish(version, text, &[0]), 0x81);
            ends(&subject, version, "SUBSCRIBE", &raw::subscribe(version, text, 0), 0x81);
        }
        let bytes = raw::connect(version, 0x02, &[&block(b"a\0b")]);
        is_refused(&subject, version, "client identifier", &bytes, 0x81);
    }
    subject.still_serves();
}

/// [v5: MQTT-3.1.3-4, MQTT-3.1.3-11, MQTT-3.1.3-12] [v3.1.1: MQTT-3.1.3-4, MQTT-3.1.3-10, MQTT-3.1.3-11]
#[test]
fn a_connect_with_a_string_that_is_not_utf8_is_refused() {
    let subject = Subject::start();
    for version in BOTH {
        for text in ILL_FORMED {
            let bytes = raw::connect(version, 0x02, &[&block(text)]);
            is_refused(&subject, version, "client identifier", &bytes, 0x81);
            let will = [&block(b"id")[..], raw::no_properties(version), &block(text), &block(b"")];
            is_refused(&subject, version, "will topic", &raw::connect(version, 0x06, &will), 0x81);
            let bytes = raw::connect(version, 0x82, &[&block(b"id"), &block(text)]);
            is_refused(&subject, version, "user name", &bytes, 0x81);
        }
    }
    subject.still_serves();
}

/// [v5: MQTT-1.5.4-3] [v3.1.1: MQTT-1.4.0-3]
#[test]
fn a_zero_width_no_break_space_stays_where_it_stands() {
    let subject = Subject::start();
    for version in BOTH {
        let mut client = subject.accept(&Connect::new(version, "bom"));
        client.subscribe("\u{FEFF}a/+", 1);
        client.say("a/b", "another topic");
        let topic = "\u{FEFF}a/b\u{FEFF}";
        client.say(topic, "\u{FEFF}text");
        let message = client.receive();
        assert_eq!((message.topic.as_str(), message.text()), (topic, "\u{FEFF}text"));
    }
    let mut client = subject.v5("bom");
    client.subscribe("a", 1);
    let user = property::user_property("\u{FEFF}name", "\u{FEFF}");
    client.publish(Publish::to("a").qos(1).with(user.clone()));
    assert_eq!(client.receive().properties, [user]);
}

/// A property list of one property, with its length in front.
fn one_property(id: u8, value: &[&[u8]]) -> Vec<u8> {
    let list = [&[id][..], &value.concat()].concat();
    [&[list.len() as u8][..], &list].concat()
}

/// [v5: MQTT-1.5.7-1]
#[test]
fn both_strings_of_a_user_property_must_be_utf8() {
    let subject = Subject::start();
    for text in ILL_FORMED.into_iter().chain([&b"a\0"[..]]) {
        for pair in [[&block(text)[..], &block(b"value")], [&block(b"name"), &block(text)]] {
            let bytes = raw::publish(Version::V5, b"a", &one_property(property::USER_PROPERTY, &pair));
            ends(&subject, Version::V5, "user property", &bytes, 0x81);
        }
    }
    subject.still_serves();
}

/// [v5: MQTT-3.3.2-13, MQTT-3.3.2-19]
#[test]
fn response_topic_and_content_type_must_be_utf8() {
    let subject = Subject::start();
    for id in [property::RESPONSE_TOPIC, property::CONTENT_TYPE] {
        for text in ILL_FORMED {
            let bytes = raw::publish(Version::V5, b"a", &one_property(id, &[&block(text)]));
            ends(&subject, Version::V5, "property", &bytes, 0x81);
        }
    }
    subject.still_serves();
}
