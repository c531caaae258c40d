//! One client identifier, two connections: the later one has it.

use std::thread;

use crate::support::packet::VERSIONS;
use crate::support::{Connect, Publish, Subject, Version, eventually};

/// [v5: MQTT-3.1.4-3] [v3.1.1: MQTT-3.1.4-2]
#[test]
fn a_takeover_disconnects_the_old_connection_and_keeps_the_session() {
    let subject = Subject::start();
    for version in VERSIONS {
        let keep = Connect::new(version, "twin").keep_session();
        let mut old = subject.accept(&keep);
        old.subscribe("twin", 1);
        let mut new = subject.accept(&keep);
        old.expect_disconnect(0x8E);
        new.say("twin", "mine");
        assert_eq!(new.receive().text(), "mine");
        new.disconnect();
        subject.accept(&Connect::new(version, "twin")).disconnect();
    }
}

#[test]
fn sixty_takeovers_under_a_flood_leave_the_server_well_and_the_session_whole() {
    let subject = Subject::start();
    let keep = Connect::v311("contested").keep_session();
    let mut client = subject.accept(&keep);
    client.subscribe("flood", 1);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flood = {
        let (port, stop) = (subject.port(), stop.clone());
        thread::spawn(move || {
            let (mut publisher, _) = crate::support::Client::connect(port, &Connect::v311("flooder"));
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for _ in 0..20 {
                    publisher.publish(Publish::to("flood").payload(vec![b'x'; 100]));
                }
                publisher.say("flood", "x");
            }
        })
    };
    for round in 0..60 {
        let mut next = subject.accept(&keep);
        if round % 2 == 0 {
            // Half of them take something of the flood before they are taken over.
            let message = next.expect_publish();
            next.acknowledge(&message);
        }
        client = next;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    flood.join().expect("the publisher was never disturbed");
    client.disconnect();
    let (client, connack) = subject.accept_with_connack(&keep);
    assert!(connack.session_present);
    client.drop_connection();
    subject.accept(&Connect::v311("contested")).disconnect();
    subject.still_serves();
}

/// [v5: MQTT-3.1.4-3] [v3.1.1: MQTT-3.1.4-2]
#[test]
fn many_connections_of_one_client_identifier_at_once_leave_exactly_one() {
    let subject = Subject::start();
    let port = subject.port();
    let racers: Vec<_> = (0..20)
        .map(|_| {
            thread::spawn(move || {
                let mut client = crate::support::Client::open(port, Version::V311);
                client.client_id = "race".into();
                client.send_anyway(&Connect::v311("race").encode());
                client
            })
        })
        .collect();
    let mut racers: Vec<_> = racers.into_iter().map(|racer| racer.join().expect("it connects")).collect();
    let survivors = eventually("one of twenty is left", || {
        racers.retain_mut(|client| {
            client.set_read_timeout(std::time::Duration::from_millis(20));
            loop {
                match client.try_read() {
                    Ok(_) => {}
                    Err(gone) => return gone == crate::support::Gone::TimedOut,
                }
            }
        });
        (racers.len() <= 1).then_some(racers.len())
    });
    assert_eq!(survivors, 1);
    racers[0].set_read_timeout(crate::support::BOUND);
    racers[0].nothing_arrives();
}
