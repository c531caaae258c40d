//! Topic names and filters: where wildcards may stand, and what is no topic at all.

use crate::raw::{self, BOTH, ends};
use crate::support::property;
use crate::support::subject::is_mosquitto;
use crate::support::{Connect, Packet, Publish, Subject, Subscribe, Version, skip_for_mosquitto};

/// [v5: MQTT-3.3.2-2, MQTT-4.7.0-1] [v3.1.1: MQTT-3.3.2-2, MQTT-4.7.1-1]
#[test]
fn a_publish_to_a_topic_with_wildcards_ends_the_connection() {
    let subject = Subject::start();
    let mut watcher = subject.v5("watcher");
    watcher.subscribe("a/#", 1);
    for version in BOTH {
        for topic in ["#", "+", "a/#", "a/+/b", "a+", "a#b", "+a"] {
            let bytes = raw::publish(version, topic.as_bytes(), &[0]);
            ends(&subject, version, topic, &bytes, 0x90);
        }
    }
    watcher.nothing_arrives();
}

/// [v5: MQTT-4.7.3-1] [v3.1.1: MQTT-4.7.3-1]
#[test]
fn an_empty_topic_or_filter_ends_the_connection() {
    let subject = Subject::start();
    for version in BOTH {
        ends(&subject, version, "PUBLISH", &raw::publish(version, b"", &[0]), 0x82);
        let mut client = subject.accept(&Connect::new(version, "empty"));
        client.send(&raw::subscribe(version, b"", 0));
        refuses_the_filter(&mut client, "");
    }
}

/// SUBACK with a failure, or the end of the connection.
fn refuses_the_filter(client: &mut crate::support::Client, filter: &str) {
    match client.try_read() {
        Ok(Packet::SubAck { codes, .. }) => {
            assert!(matches!(codes[..], [0x80 | 0x8F]), "{filter:?} was granted: {codes:02x?}");
        }
        Ok(Packet::Disconnect { code, .. }) => {
            assert!(matches!(code, 0x81 | 0x82 | 0x8F), "{filter:?}: {code:#04x}");
            client.expect_closed();
        }
        Ok(other) => panic!("{filter:?}: {other:?}"),
        Err(gone) => assert_eq!(gone, crate::support::Gone::Closed, "{filter:?}"),
    }
}

/// [v5: MQTT-4.7.1-1, MQTT-4.7.1-2] [v3.1.1: MQTT-4.7.1-2, MQTT-4.7.1-3]
#[test]
fn wildcards_stand_alone_in_their_level_and_the_last_level_is_for_the_number_sign() {
    let subject = Subject::start();
    for version in BOTH {
        for filter in ["a#", "#a", "a/#/b", "#/a", "a/b#", "##", "+a", "a+", "a/+b/c", "++", "a/b+", "+#"] {
            let mut client = subject.accept(&Connect::new(version, "wild"));
            client.send(&Subscribe::to(filter, 0).encode(version, 3));
            refuses_the_filter(&mut client, filter);
        }
        let mut client = subject.accept(&Connect::new(version, "wild"));
        for filter in ["#", "a/#", "+", "+/a", "a/+", "+/+/#", "/+", "/#", "+/"] {
            client.subscribe(filter, 0);
        }
    }
}

/// [v5: MQTT-4.8.2-1, MQTT-4.8.2-2]
#[test]
fn a_share_name_has_a_character_no_wildcards_and_a_filter_after_it() {
    skip_for_mosquitto!("grants some of them as filters like any other");
    let subject = Subject::start();
    for filter in
        ["$share/", "$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/#/a", "$share/a+b/c"]
    {
        let mut client = subject.v5("sharing");
        client.send(&Subscribe::to(filter, 0).encode(Version::V5, 3));
        refuses_the_filter(&mut client, filter);
    }
    let mut client = subject.v5("sharing");
    for filter in ["$share/g/a", "$share/g//", "$share/g/#", "$share/ /+"] {
        client.subscribe(filter, 0);
    }
}

/// [v5: MQTT-3.8.3-5] [v3.1.1: MQTT-3.8.3-4]
#[test]
fn reserved_subscription_options_and_qos_3_are_malformed() {
    let subject = Subject::start();
    for options in [0x40, 0x80, 0xC1] {
        ends(&subject, Version::V5, "options", &raw::subscribe(Version::V5, b"a", options), 0x81);
    }
    // What is no reserved bit is a protocol error in version 5.
    ends(&subject, Version::V5, "options", &raw::subscribe(Version::V5, b"a", 0x03), 0x82);
    for options in [0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x03, 0xFF] {
        ends(&subject, Version::V311, "options", &raw::subscribe(Version::V311, b"a", options), 0x81);
    }
}

/// [v5: MQTT-3.3.2-14]
#[test]
fn a_response_topic_with_wildcards_ends_the_connection() {
    skip_for_mosquitto!("passes it on");
    let subject = Subject::start();
    for topic in ["#", "a/+", "a/#/b"] {
        let message = Publish::to("a").with(property::response_topic(topic));
        ends(&subject, Version::V5, topic, &message.encode(Version::V5), 0x82);
    }
}

/// [v5: MQTT-3.3.4-6]
#[test]
fn a_publish_with_a_subscription_identifier_ends_the_connection() {
    skip_for_mosquitto!("takes it");
    let subject = Subject::start();
    let message = Publish::to("a").with(property::subscription_identifier(1));
    ends(&subject, Version::V5, "identifier", &message.encode(Version::V5), 0x82);
}

/// [v5: MQTT-3.9.3-2] [v3.1.1: MQTT-3.9.3-2]
#[test]
fn the_codes_of_suback_are_those_of_the_table() {
    let subject = Subject::start();
    for version in BOTH {
        let mut client = subject.accept(&Connect::new(version, "sub"));
        // A filter too deep for either server is refused or granted; the reader knows the codes for both.
        let deep = "a/".repeat(150) + "a";
        let codes = client.subscribe_all(&Subscribe::to("a", 2).and(&deep, 1).and("b", 0));
        assert_eq!((codes.len(), codes[0], codes[2]), (3, 2, 0), "{codes:02x?}");
        if !is_mosquitto() {
            assert!(codes[1] >= 0x80, "{codes:02x?}");
        }
    }
}
