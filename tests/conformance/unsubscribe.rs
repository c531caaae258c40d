//! UNSUBSCRIBE: what it ends, what it leaves, and how it is answered.

use crate::support::packet::{VERSIONS, unsubscribe};
use crate::support::{Connect, Packet, Publish, Subject, Version};

/// [v5: MQTT-2.2.1-6, MQTT-3.10.4-4, MQTT-3.10.4-5, MQTT-3.10.4-6, MQTT-3.11.3-1, MQTT-3.11.3-2]
/// [v3.1.1: MQTT-2.3.1-7, MQTT-3.10.4-4, MQTT-3.10.4-5, MQTT-3.10.4-6]
#[test]
fn unsuback_is_one_packet_with_a_code_per_filter() {
    let subject = Subject::start();
    let mut client = subject.v5("leaver");
    client.subscribe("a", 0);
    client.subscribe("b", 0);
    assert_eq!(client.unsubscribe(&["a", "unknown", "b"]), [0, 0x11, 0]);
    client.nothing_arrives();
    for version in [Version::V31, Version::V311] {
        let mut client = subject.accept(&Connect::new(version, "leaver"));
        client.subscribe("a", 0);
        client.send(&unsubscribe(version, 41, &["unknown"]));
        assert!(matches!(client.read(), Packet::UnsubAck { id: 41, .. }));
        client.send(&unsubscribe(version, 42, &["a", "b"]));
        assert!(matches!(client.read(), Packet::UnsubAck { id: 42, .. }));
        client.nothing_arrives();
    }
}

/// [v5: MQTT-3.10.4-1, MQTT-3.10.4-2] [v3.1.1: MQTT-3.10.4-1, MQTT-3.10.4-2]
#[test]
fn unsubscribing_ends_the_equal_filter_and_no_other() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "leaver"));
        client.subscribe("a/+", 1);
        client.subscribe("a/b", 1);
        client.unsubscribe(&["a/+"]);
        client.say("a/c", "unwanted");
        client.say("a/b", "wanted");
        assert_eq!(client.receive().text(), "wanted");
        // They match the filter or look like it, but are not equal to it.
        client.unsubscribe(&["#", "a/#", "+/b", "a/B", "a/b/", "/a/b"]);
        client.say("a/b", "still wanted");
        assert_eq!(client.receive().text(), "still wanted");
        client.nothing_arrives();
    }
}

/// [v5: MQTT-3.10.4-3] [v3.1.1: MQTT-3.10.4-3]
#[test]
fn a_delivery_that_has_begun_is_completed_after_unsubscribe() {
    let subject = Subject::start();
    for version in VERSIONS {
        let keep = Connect::new(version, "leaver").keep_session();
        let mut client = subject.accept(&keep);
        client.subscribe("a", 2);
        for qos in 1..=2 {
            client.publish(Publish::to("a").qos(qos).payload(qos.to_string()));
        }
        let begun = [client.expect_publish(), client.expect_publish()];
        client.unsubscribe(&["a"]);
        client.acknowledge(&begun[1]);
        client.ping();
        client.drop_connection();
        // The one without PUBACK is still owed to the session.
        let mut client = subject.accept(&keep);
        let again = client.receive();
        assert_eq!((again.id, again.text(), again.dup), (begun[0].id, "1", true));
        client.nothing_arrives();
        client.disconnect();
        subject.accept(&Connect::new(version, "leaver")).disconnect();
    }
}
