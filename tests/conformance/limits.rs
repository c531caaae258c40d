//! Bounds: what a client may not have more of, and that one client at its bound harms no other.

use std::time::{Duration, Instant};

use crate::support::packet::frame;
use crate::support::{
    BOUND, Client, Connect, Gone, Packet, Publish, Subject, Subscribe, Version, eventually,
};
use crate::support::{property, skip_for_mosquitto};

#[test]
fn a_socket_that_never_connects_is_closed_in_time() {
    skip_for_mosquitto!("waits for its keep alive of 60 s");
    let subject = Subject::with().limit("connect_timeout", 1).start();
    let since = Instant::now();
    let mut silent = Client::open(subject.port(), Version::V5);
    let mut halting = Client::open(subject.port(), Version::V5);
    halting.send(&Connect::v5("halting").encode()[..7]);
    for client in [&mut silent, &mut halting] {
        client.expect_closed();
    }
    let took = since.elapsed();
    assert!(took > Duration::from_millis(700) && took < BOUND, "{took:?}");
}

#[test]
fn a_client_that_connects_in_time_is_not_bound_by_the_connect_timeout() {
    let subject = Subject::with().limit("connect_timeout", 1).start();
    let mut client = subject.v311("patient");
    let until = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < until {
        client.ping();
    }
    client.nothing_arrives();
}

#[test]
fn three_hundred_silent_sockets_keep_nobody_out() {
    let subject = Subject::start();
    let silent: Vec<_> = (0..300).map(|_| Client::open(subject.port(), Version::V5)).collect();
    let since = Instant::now();
    for n in 0..20 {
        subject.v311(&format!("visitor{n}")).nothing_arrives();
    }
    assert!(since.elapsed() < BOUND, "{:?}", since.elapsed());
    drop(silent);
}

/// [v5: MQTT-3.2.2-15]
#[test]
fn a_packet_over_the_limit_is_answered_0x95_before_its_body_is_read() {
    let subject = Subject::with().limit("packet_size", 2000).start();
    for version in [Version::V311, Version::V5] {
        let mut client = subject.accept(&Connect::new(version, "large"));
        // Only the header of a packet of 256 MiB: the answer may not wait for the rest.
        client.send(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
        client.expect_disconnect(0x95);
    }
    let mut client = subject.v311("small");
    client.subscribe("a", 1);
    client.publish(Publish::to("a").qos(1).payload(vec![b'x'; 1900]));
    assert_eq!(client.receive().payload.len(), 1900);
}

#[test]
fn the_packet_size_limit_is_told_in_connack() {
    let subject = Subject::with().limit("packet_size", 2000).start();
    let (_, connack) = subject.accept_with_connack(&Connect::v5("asks"));
    assert_eq!(
        property::one(&connack.properties, property::MAXIMUM_PACKET_SIZE),
        Some(&crate::support::Value::Four(2000))
    );
}

#[test]
fn a_connect_over_the_packet_size_is_closed_at_once() {
    let subject = Subject::with().limit("packet_size", 2000).start();
    let mut client = Client::open(subject.port(), Version::V5);
    client.send(&[0x10, 0xFF, 0xFF, 0xFF, 0x7F]);
    match client.try_read() {
        Ok(Packet::ConnAck { code, .. }) => assert_eq!(code, 0x95),
        Ok(other) => panic!("{other:?}"),
        Err(gone) => assert_eq!(gone, Gone::Closed),
    }
}

#[test]
fn the_connections_limit_refuses_the_next_and_frees_its_place() {
    skip_for_mosquitto!("closes without CONNACK");
    let subject = Subject::with().limit("connections", 3).start();
    // The probe for readiness was a connection too; it may not be counted for ever.
    let clients: Vec<_> = (0..3)
        .map(|n| {
            eventually("a place is free", || {
                let (client, connack) = Client::connect(subject.port(), &Connect::v5(&format!("c{n}")));
                (connack.code == 0).then_some(client)
            })
        })
        .collect();
    let mut fourth = Client::open(subject.port(), Version::V5);
    fourth.send_anyway(&Connect::v5("fourth").encode());
    match fourth.try_read() {
        Ok(Packet::ConnAck { code, .. }) => assert!(matches!(code, 0x88 | 0x89 | 0x97 | 0x9F), "{code:#04x}"),
        Ok(other) => panic!("{other:?}"),
        Err(gone) => assert_eq!(gone, Gone::Closed),
    }
    for mut client in clients {
        client.ping();
        client.disconnect();
    }
    eventually("a place is free again", || {
        let mut client = Client::open(subject.port(), Version::V5);
        client.send_anyway(&Connect::v5("fourth").encode());
        matches!(client.try_read(), Ok(Packet::ConnAck { code: 0, .. })).then_some(())
    });
}

#[test]
fn subscriptions_over_the_limit_are_refused_with_0x97_and_the_others_stay() {
    skip_for_mosquitto!("has no such limit");
    let subject = Subject::with().limit("subscriptions", 3).start();
    for (version, refused) in [(Version::V5, 0x97), (Version::V311, 0x80)] {
        let mut client = subject.accept(&Connect::new(version, "glutton"));
        let subscribe = Subscribe::to("a", 0).and("b", 1).and("c", 2).and("d", 0).and("a", 1);
        assert_eq!(
            client.subscribe_all(&subscribe),
            [0, 1, 2, refused, 1],
            "subscribing again is not one more"
        );
        client.say("d", "unheard");
        client.say("b", "heard");
        assert_eq!(client.receive().text(), "heard");
        client.unsubscribe(&["a"]);
        client.subscribe("d", 0);
    }
}

#[test]
fn topics_and_filters_deeper_than_the_limit_are_refused() {
    skip_for_mosquitto!("has a fixed limit of 200 levels");
    let subject = Subject::with().limit("topic_levels", 5).start();
    let mut client = subject.v5("deep");
    let codes = client.subscribe_all(&Subscribe::to("1/2/3/4/5", 0).and("1/2/3/4/5/6", 0));
    assert_eq!(codes[0], 0);
    assert!(matches!(codes[1], 0x8F | 0x97), "{codes:02x?}");
    assert_eq!(client.say("1/2/3/4/5", "x"), 0);
    assert_eq!(client.receive().text(), "x");
    client.send(&Publish::to("1/2/3/4/5/6").qos(1).id(9).encode(Version::V5));
    match client.try_read() {
        Ok(Packet::PubAck { id: 9, code, .. } | Packet::Disconnect { code, .. }) => {
            assert!(matches!(code, 0x90 | 0x97), "{code:#04x}");
        }
        other => panic!("{other:?}"),
    }
    subject.still_serves();
}

#[test]
fn a_topic_of_65535_bytes_and_one_of_thousands_of_levels_harm_nobody() {
    let subject = Subject::start();
    for topic in ["x".repeat(65_535), "/".repeat(65_535), "a/".repeat(30_000)] {
        for version in [Version::V311, Version::V5] {
            let mut client = subject.accept(&Connect::new(version, "deep"));
            client.send(&Publish::to(&topic).encode(version));
            client.send_anyway(&Subscribe::to(&topic, 0).encode(version, 4));
            client.send_anyway(&frame(0xC0, &[]));
            // An answer or an end; both within the bound.
            assert_ne!(client.try_read(), Err(Gone::TimedOut));
        }
    }
    subject.still_serves();
}

#[test]
fn a_keep_alive_over_the_limit_is_lowered_and_told() {
    skip_for_mosquitto!("is not configured for it");
    let subject = Subject::with().limit("keep_alive", 30).start();
    for asked in [0, 600] {
        let (_, connack) = subject.accept_with_connack(&Connect::v5("slow").keep_alive(asked));
        assert_eq!(
            property::one(&connack.properties, property::SERVER_KEEP_ALIVE),
            Some(&crate::support::Value::Two(30))
        );
    }
}

#[test]
fn the_queue_of_a_client_that_is_away_is_bounded_in_messages() {
    let subject = Subject::with().limit("queued_messages", 10).start();
    let keep = Connect::v311("away").keep_session();
    let mut client = subject.accept(&keep);
    client.subscribe("a", 1);
    client.disconnect();
    let mut publisher = subject.v311("pub");
    for n in 0..30 {
        assert_eq!(publisher.say("a", &n.to_string()), 0);
    }
    publisher.disconnect();
    let mut client = subject.accept(&keep);
    client.subscribe("end", 1);
    client.say("end", "");
    let mut count = 0;
    while client.receive().topic == "a" {
        count += 1;
    }
    assert!((10..30).contains(&count), "{count} of 30 with a queue of 10");
}

#[test]
fn the_queue_of_a_client_that_is_away_is_bounded_in_bytes() {
    skip_for_mosquitto!("is not configured for it");
    let subject = Subject::with().limit("queued_bytes", 100_000).start();
    let keep = Connect::v311("away").keep_session();
    let mut client = subject.accept(&keep);
    client.subscribe("a", 1);
    client.disconnect();
    let mut publisher = subject.v311("pub");
    for _ in 0..30 {
        assert_eq!(publisher.publish(Publish::to("a").qos(1).payload(vec![b'x'; 10_000])), 0);
    }
    let mut client = subject.accept(&keep);
    client.subscribe("end", 1);
    client.say("end", "");
    let mut count = 0;
    while client.receive().topic == "a" {
        count += 1;
    }
    assert!((5..=10).contains(&count), "{count} messages of 10 kB in 100 kB");
}

/// [v3.1.1: MQTT-4.8.0-2]
#[test]
fn beyond_the_memory_of_the_gateway_publishes_are_refused_until_there_is_room_again() {
    skip_for_mosquitto!("it closes the connection of the one that publishes");
    let subject = Subject::with().limit("memory", 2_000_000).start();
    let keeper = Connect::v5("keeper").keep_session();
    let (mut absent, _) = Client::connect(subject.port(), &keeper);
    absent.subscribe("big", 1);
    absent.drop_connection();
    let mut publisher = subject.v5("pub");
    let big = vec![b'x'; 100_000];
    let codes: Vec<u8> =
        (0..12).map(|_| publisher.publish(Publish::to("big").qos(1).payload(&big))).collect();
    assert_eq!(codes[..9], [0; 9]);
    assert_eq!(codes[11], 0x97, "{codes:?}");
    // A 3.1.1 client cannot be told: it is closed, so that it keeps its message.
    let mut older = subject.v311("older");
    older.send(&Publish::to("big").qos(1).id(1).payload(&big).encode(Version::V311));
    older.expect_closed();
    let (mut back, _) = Client::connect(subject.port(), &keeper);
    for _ in 0..9 {
        let publish = back.expect_publish();
        back.acknowledge(&publish);
    }
    back.ping();
    assert_eq!(publisher.publish(Publish::to("big").qos(1).payload(&big)), 0);
}

#[test]
fn one_user_keeps_at_most_half_of_the_sessions_and_clean_clients_need_none() {
    skip_for_mosquitto!("it has no such limit");
    let subject = Subject::with().limit("sessions", 4).start();
    for id in ["one", "two"] {
        subject.accept(&Connect::v5(id).keep_session()).drop_connection();
    }
    assert_eq!(subject.refuse(&Connect::v5("three").keep_session()).code, 0x97);
    subject.accept(&Connect::v5("three")).ping();
    subject.accept(&Connect::v5("two").keep_session()).ping();
}

#[test]
fn large_packets_that_are_never_finished_do_not_fill_the_memory() {
    skip_for_mosquitto!("it has no such limit");
    let subject = Subject::with().limit("memory", 4_000_000).start();
    let mut clients: Vec<_> = (0..8)
        .map(|n| {
            let mut client = subject.v5(&format!("halting{n}"));
            // A PUBLISH of 5 MB, of which 1 MB comes.
            let mut bytes = vec![0x30, 0xC0, 0x96, 0xB1, 0x02, 0, 1, b'a', 0];
            bytes.resize(1_000_000, b'x');
            client.send_anyway(&bytes);
            client
        })
        .collect();
    clients.pop().expect("there are eight").expect_disconnect(0x97);
    subject.still_serves();
}
