//! Much at once: nothing waits on a slow neighbour, nothing acknowledged is lost.

use std::thread;

use crate::support::packet::{PUBACK, VERSIONS, ack};
use crate::support::property::receive_maximum;
use crate::support::{Client, Connect, Packet, Publish, Subject, Version};

#[test]
fn a_topic_that_begins_with_a_multi_byte_character_is_a_topic_like_any_other() {
    let subject = Subject::start();
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "utf8"));
        for topic in ["é/temp", "温度", "°C/x", "\u{1F512}/lock", "/\u{FEFF}", "\u{10FFFD}"] {
            client.subscribe(topic, 1);
            client.say(topic, "x");
            assert_eq!(client.receive().topic, topic);
            client.unsubscribe(&[topic]);
        }
        client.subscribe("#", 0);
        client.say("é", "x");
        assert_eq!(client.receive().topic, "é");
    }
    subject.still_serves();
}

#[test]
fn a_subscriber_that_does_not_read_holds_up_nobody() {
    let subject = Subject::start();
    let mut stuck = subject.v311("stuck");
    stuck.subscribe("flood", 0);
    let mut lively = subject.v311("lively");
    lively.subscribe("other", 1);
    let mut publisher = subject.v311("pub");
    // 64 MB: far more than the sockets' buffers and any queue hold.
    let payload = vec![b'x'; 64_000];
    for n in 0..1000 {
        publisher.publish(Publish::to("flood").payload(&payload));
        if n % 100 == 0 {
            publisher.say("other", &n.to_string());
            assert_eq!(lively.receive().text(), n.to_string());
        }
    }
    publisher.ping();
    publisher.nothing_arrives();
    lively.nothing_arrives();
    drop(stuck);
    subject.still_serves();
}

#[test]
fn a_qos_1_subscriber_that_does_not_read_holds_up_nobody_for_ever() {
    let subject = Subject::start();
    let mut stuck = subject.v311("stuck");
    stuck.subscribe("flood", 1);
    let mut lively = subject.v311("lively");
    lively.subscribe("other", 1);
    let port = subject.port();
    let flood = thread::spawn(move || {
        let (mut publisher, _) = Client::connect(port, &Connect::v311("flooder"));
        let writer = publisher.writer();
        for n in 1..=300u16 {
            publisher
                .send(&Publish::to("flood").qos(1).id(n).payload(vec![b'x'; 10_000]).encode(Version::V311));
        }
        // It may be slowed down, but the acknowledgements may not stay away.
        publisher.set_read_timeout(std::time::Duration::from_secs(60));
        for n in 1..=300 {
            publisher.await_puback(n);
        }
        drop(writer);
    });
    let mut talker = subject.v311("talker");
    for n in 0..100 {
        talker.say("other", &n.to_string());
        assert_eq!(lively.receive().text(), n.to_string());
    }
    flood.join().expect("the flooder is acknowledged in the end");
    drop(stuck);
}

#[test]
fn twenty_thousand_qos_1_messages_to_a_live_subscriber_all_arrive_in_order() {
    const COUNT: usize = 20_000;
    let subject = Subject::start();
    let mut subscriber = subject.v311("sub");
    subscriber.subscribe("a", 1);
    let port = subject.port();
    let publisher = thread::spawn(move || {
        let (mut publisher, _) = Client::connect(port, &Connect::v311("pub"));
        let (mut sent, mut acknowledged) = (0, 0);
        while acknowledged < COUNT {
            let mut bytes = Vec::new();
            while sent < COUNT && sent - acknowledged < 100 {
                let id = (sent % 60_000) as u16 + 1;
                bytes.extend(Publish::to("a").qos(1).id(id).payload(sent.to_string()).encode(Version::V311));
                sent += 1;
            }
            publisher.send(&bytes);
            match publisher.read() {
                Packet::PubAck { .. } => acknowledged += 1,
                other => panic!("expected PUBACK, got {other:?}"),
            }
        }
    });
    for n in 0..COUNT {
        assert_eq!(subscriber.receive().text(), n.to_string());
    }
    publisher.join().expect("every message is acknowledged");
    subscriber.nothing_arrives();
}

#[test]
fn a_live_qos_1_subscriber_that_pauses_reading_loses_nothing() {
    const COUNT: u16 = 3000;
    let subject = Subject::start();
    let mut subscriber = subject.v311("sub");
    subscriber.subscribe("a", 1);
    let port = subject.port();
    let publisher = thread::spawn(move || {
        let (mut publisher, _) = Client::connect(port, &Connect::v311("pub"));
        publisher.set_read_timeout(std::time::Duration::from_secs(60));
        for batch in 0..30u16 {
            let mut bytes = Vec::new();
            for n in batch * 100..batch * 100 + 100 {
                bytes.extend(Publish::to("a").qos(1).id(n + 1).payload(n.to_string()).encode(Version::V311));
            }
            publisher.send(&bytes);
            for n in batch * 100..batch * 100 + 100 {
                publisher.await_puback(n + 1);
            }
        }
    });
    // It takes one message, then reads nothing until the publisher has been acknowledged everything.
    let first = subscriber.expect_publish();
    publisher.join().expect("every message is acknowledged");
    subscriber.send(&ack(PUBACK, first.id.unwrap()));
    for n in 1..COUNT {
        assert_eq!(subscriber.receive().text(), n.to_string());
    }
    subscriber.nothing_arrives();
}

#[test]
fn a_hundred_subscribers_all_get_every_message() {
    let subject = Subject::start();
    let mut subscribers: Vec<_> = (0..100)
        .map(|n| {
            let mut client = subject.accept(&Connect::new(VERSIONS[n % 3], &format!("sub{n}")));
            client.subscribe("news/#", (n % 3) as u8);
            client
        })
        .collect();
    let mut publisher = subject.v5("pub");
    for n in 0..20 {
        publisher.publish(Publish::to("news/x").qos(2).payload(n.to_string()));
    }
    let expected: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.receive_texts(20), expected);
    }
}

#[test]
fn a_thousand_fresh_client_identifiers_come_and_go() {
    let subject = Subject::start();
    for n in 0..1000 {
        let client = subject.v311(&format!("passer-by-{n}"));
        if n % 2 == 0 { client.drop_connection() } else { client.disconnect() }
    }
    subject.still_serves();
}

#[test]
fn ten_publishers_and_ten_subscribers_lose_nothing() {
    let subject = Subject::start();
    let port = subject.port();
    let subscribers: Vec<_> = (0..10)
        .map(|n| {
            let mut client = subject.v311(&format!("sub{n}"));
            client.subscribe("many/+", 1);
            client
        })
        .collect();
    let publishers: Vec<_> = (0..10)
        .map(|p| {
            thread::spawn(move || {
                let (mut client, _) = Client::connect(port, &Connect::v5(&format!("pub{p}")));
                for n in 0..100 {
                    client.say(&format!("many/{p}"), &n.to_string());
                }
            })
        })
        .collect();
    let readers: Vec<_> = subscribers
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || {
                let mut next = std::collections::HashMap::new();
                for _ in 0..1000 {
                    let message = client.receive();
                    let expected = next.entry(message.topic.clone()).or_insert(0);
                    assert_eq!(message.text(), expected.to_string(), "order of {}", message.topic);
                    *expected += 1;
                }
                client.nothing_arrives();
            })
        })
        .collect();
    for thread in publishers.into_iter().chain(readers) {
        thread.join().expect("nothing is lost and nothing overtakes");
    }
}

#[test]
fn a_publisher_that_waited_goes_on_as_soon_as_its_subscriber_has_caught_up() {
    const BURSTS: usize = 40;
    let subject = Subject::with().limit("queued_messages", 2).start();
    let (mut subscriber, _) = Client::connect(subject.port(), &Connect::v5("sub").with(receive_maximum(1)));
    subscriber.subscribe("burst", 1);
    let port = subject.port();
    let (done, finished) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let (mut publisher, _) = Client::connect(port, &Connect::v5("pub"));
        for _ in 0..BURSTS {
            // The second finds the queue over its mark. So does the fourth, when the gateway goes on, and it is the
            // last packet there is.
            let ids = [1, 2, 3, 4];
            let burst = ids.map(|id| Publish::to("burst").qos(1).id(id).encode(Version::V5));
            publisher.send(&burst.concat());
            ids.into_iter().for_each(|id| assert!(publisher.await_puback(id) < 0x80));
        }
        let _ = done.send(());
    });
    thread::spawn(move || {
        for _ in 0..4 * BURSTS {
            let publish = subscriber.expect_publish();
            subscriber.acknowledge(&publish);
        }
        subscriber.ping();
    });
    // Without the wake-up each burst would cost the whole of the gateway's patience.
    finished.recv_timeout(std::time::Duration::from_secs(30)).expect("the publisher was held up");
}
