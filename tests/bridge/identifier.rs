//! Packet identifiers towards the remote broker: none is used twice at a time, whatever the numbers in the spool.

use std::collections::BTreeSet;

use crate::remote::{PUBREL, Remote, SUBSCRIBE};
use crate::support::{Publish, Subject, eventually};
use crate::{ledger, route, settings};

const V311: &str = "protocol = '3.1.1'";

fn subscribing(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

#[test]
fn a_message_never_has_the_identifier_of_a_subscribe_that_is_not_answered_yet() {
    for qos in [1, 2] {
        let remote = Remote::start();
        let subject = settings(remote.port, V311, &route("t", "both", qos)).start();
        let mut here = subject.v5("sensor");
        here.publish(Publish::to("t").qos(qos).payload("waits for the connection"));
        let mut link = remote.welcome(false);
        let subscribe = subscribing(&link.until(SUBSCRIBE));
        let mut used = BTreeSet::from([subscribe]);
        for n in 0..5 {
            let (id, ..) = link.publish();
            assert!(used.insert(id), "{id} is in use: {used:?}");
            here.publish(Publish::to("t").qos(qos).payload(format!("{n}")));
        }
        // After a restart those under way have theirs again, and SUBSCRIBE takes another.
        subject.kill();
        subject.start_again();
        let mut link = remote.welcome(true);
        let mut again = BTreeSet::from([subscribing(&link.until(SUBSCRIBE))]);
        for _ in 0..5 {
            let (id, ..) = link.publish();
            assert!(again.insert(id), "QoS {qos}: {id} is in use: {again:?}");
        }
    }
}

/// Moves what is in the spool of a gateway that does not run by so many numbers.
fn renumber(subject: &Subject, by: u32) {
    let path = subject.directory().join("state/state.db");
    let file = rusqlite::Connection::open(path).expect("the state is there");
    for table in ["spool", "spool_sent"] {
        let sql = format!("UPDATE {table} SET id = id + {by}");
        assert_eq!(file.execute(&sql, []).expect("it can be written"), 1, "{table}");
    }
}

#[test]
fn an_identifier_still_under_way_is_not_given_again_when_the_numbers_have_gone_round_once() {
    for (qos, released) in [(1, false), (2, false), (1, true), (2, true)] {
        let remote = Remote::start();
        let subject = settings(remote.port, V311, &route("t", "out", 2)).start();
        let mut link = remote.welcome(false);
        subject.v5("sensor").publish(Publish::to("t").qos(2).payload("first"));
        let (first, ..) = link.publish();
        if released {
            link.acknowledge(5, first);
            link.until(PUBREL);
        }
        subject.kill();
        // The next number is the one with which the identifiers begin anew.
        renumber(&subject, u32::from(u16::MAX) - 1);
        subject.start_again();
        let mut here = subject.v5("sensor");
        for n in 0..4 {
            here.publish(Publish::to("t").qos(qos).payload(format!("{n}")));
        }
        let mut link = remote.welcome(true);
        match released {
            true => assert_eq!(subscribing(&link.until(PUBREL)), first),
            false => assert_eq!(link.publish(), (first, "first".into(), true)),
        }
        let mut used = BTreeSet::from([first]);
        for n in 0..4 {
            let (id, text, _) = link.publish();
            assert_eq!(text, n.to_string());
            assert!(used.insert(id), "QoS {qos}, released {released}: {id} is in use: {used:?}");
        }
        if !released {
            link.acknowledge(5, first);
        }
        for id in used {
            if qos == 1 && id != first {
                link.acknowledge(4, id);
                continue;
            }
            link.acknowledge(5, id);
            link.until(PUBREL);
            link.acknowledge(7, id);
        }
        eventually("all are delivered", || (ledger(&subject)["delivered"] == 5).then_some(()));
    }
}

#[test]
fn what_was_half_sent_to_one_address_is_sent_anew_to_the_next_even_if_that_has_a_session() {
    let (first, second) = (Remote::start(), Remote::start());
    let subject = Subject::with()
        .gateway("id = 'b8'")
        .section(&format!(
            "[[bridge]]\nname = 'cloud'\naddress = ['mqtt://127.0.0.1:{}', 'mqtt://127.0.0.1:{}']\nretry_min = '50ms'\n\
             retry_max = '200ms'\n{V311}\n{}",
            first.port,
            second.port,
            route("t", "both", 2)
        ))
        .start();
    let mut here = subject.v5("here");
    here.subscribe("t", 2);
    let mut link = first.welcome(false);
    here.publish(Publish::to("t").qos(2).payload("out"));
    assert_eq!(here.receive().text(), "out");
    let (id, ..) = link.publish();
    link.acknowledge(5, id);
    link.until(PUBREL);
    let coming = Publish::to("devices/b8/t").qos(2).id(7).payload("in from the first");
    link.send(&coming.encode(crate::support::Version::V311));
    link.until(5);
    assert_eq!(here.receive().text(), "in from the first");
    link.cut();
    // The other one knows neither exchange, whatever it says of a session.
    let mut link = second.welcome(true);
    let (id, text, dup) = link.publish();
    assert_eq!((&*text, dup), ("out", false));
    link.acknowledge(5, id);
    link.until(PUBREL);
    link.acknowledge(7, id);
    let coming = Publish::to("devices/b8/t").qos(2).id(7).payload("in from the second");
    link.send(&coming.encode(crate::support::Version::V311));
    assert_eq!(here.receive().text(), "in from the second");
    eventually("delivered", || (ledger(&subject)["delivered"] == 1).then_some(()));
}
