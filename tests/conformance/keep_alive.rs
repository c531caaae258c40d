//! Keep alive [MQTT-3.1.2-22]: one and a half times the interval, counted from what the client sends.

use std::time::{Duration, Instant};

use crate::support::{BOUND, Connect, Publish, Subject, Version};

#[test]
fn keep_alive_0_is_served() {
    let subject = Subject::start();
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut client = subject.accept(&Connect::new(version, "tireless").keep_alive(0));
        client.ping();
        client.nothing_arrives();
    }
}

/// [v5: MQTT-3.1.2-22, MQTT-3.2.2-22] [v3.1.1: MQTT-3.1.2-24]
#[test]
fn a_silent_client_is_disconnected_after_one_and_a_half_keep_alives() {
    let subject = Subject::start();
    for version in [Version::V311, Version::V5] {
        let mut client = subject.accept(&Connect::new(version, "silent").keep_alive(1));
        let since = Instant::now();
        client.expect_disconnect(0x8D);
        let took = since.elapsed();
        assert!(took > Duration::from_millis(1200) && took < BOUND, "{took:?}");
    }
}

#[test]
fn a_client_that_only_receives_is_silent_too() {
    // The timer may not start again because the server sends something.
    let subject = Subject::start();
    let mut publisher = subject.v311("talker");
    let mut client = subject.accept(&Connect::v5("listener").keep_alive(1));
    client.subscribe("a", 0);
    let deadline = Instant::now() + BOUND;
    loop {
        publisher.publish(Publish::to("a").qos(1).payload("x"));
        match client.try_read() {
            Ok(crate::support::Packet::Publish(_)) => {}
            Ok(crate::support::Packet::Disconnect { code, .. }) => return assert_eq!(code, 0x8D),
            Ok(other) => panic!("expected PUBLISH or DISCONNECT, got {other:?}"),
            Err(_) => return,
        }
        assert!(Instant::now() < deadline, "still connected after {BOUND:?} of silence");
    }
}

#[test]
fn pings_keep_a_client_connected_past_its_keep_alive() {
    let subject = Subject::start();
    let mut client = subject.accept(&Connect::v311("pinger").keep_alive(1));
    let until = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < until {
        client.ping();
    }
    client.nothing_arrives();
}
