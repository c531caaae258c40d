//! What waits while it is closed: nothing is lost, nothing overtakes, and what is always received flows on.

use super::{add_user, gateway, gateway_with, lock, login};
use crate::support::packet::{PUBCOMP, PUBREC, VERSIONS, ack};
use crate::support::{Connect, Packet, Publish, Subject, Subscribe, Version, eventually, property};

#[test]
fn deliveries_wait_in_their_order_and_the_subscription_stays() {
    let subject = gateway();
    let mut publisher = subject.v5("publisher");
    for version in VERSIONS {
        for qos in [0, 1, 2] {
            let mut subscriber = subject.accept(&Connect::new(version, "subscriber"));
            subscriber.subscribe("a/#", qos);
            lock(&subject, "close subscribe");
            let sent: Vec<String> = (0..20).map(|n| n.to_string()).collect();
            for text in &sent {
                let publish = Publish::to("a/x").qos(1.max(qos)).payload(text);
                assert_eq!(publisher.publish(publish), 0, "the publisher need not wait");
            }
            // What is answered after a delivery would have come: nothing but the answer.
            subscriber.send(&crate::support::packet::PINGREQ);
            assert_eq!(subscriber.read(), Packet::PingResp, "{version:?} {qos}");
            lock(&subject, "open subscribe");
            assert_eq!(subscriber.receive_texts(20), sent, "{version:?} {qos}");
            subscriber.nothing_arrives();
            subscriber.disconnect();
        }
    }
}

#[test]
fn what_waits_on_a_closed_topic_stops_no_other_topic_and_is_not_overtaken() {
    let subject = gateway();
    add_user(&subject, "bob", &[]);
    let mut bob = subject.accept(&login("bob"));
    bob.subscribe("#", 1);
    let mut publisher = subject.v5("publisher");
    lock(&subject, "close topic:doors/# --user bob");
    for n in 0..5 {
        publisher.say("doors/1", &n.to_string());
        publisher.say("lamps", &n.to_string());
    }
    assert_eq!(bob.receive_texts(5), ["0", "1", "2", "3", "4"]);
    // Another change while something waits.
    lock(&subject, "close topic:windows/#");
    publisher.say("doors/1", "5");
    publisher.say("lamps", "again");
    assert_eq!(bob.receive().text(), "again");
    lock(&subject, "open topic:doors/# --user bob");
    publisher.say("doors/1", "6");
    let doors: Vec<_> = (0..7).map(|_| bob.receive()).collect();
    assert!(doors.iter().all(|message| message.topic == "doors/1"));
    assert_eq!(doors.iter().map(|m| m.text()).collect::<Vec<_>>(), ["0", "1", "2", "3", "4", "5", "6"]);
    bob.nothing_arrives();
}

#[test]
fn what_an_earlier_connection_left_open_keeps_its_identifier_until_it_is_opened() {
    let subject = gateway();
    let mut publisher = subject.v5("publisher");
    for version in [Version::V311, Version::V5] {
        let keep = Connect::new(version, "keeper").keep_session();
        let mut keeper = subject.accept(&keep);
        keeper.subscribe("a", 2);
        publisher.publish(Publish::to("a").qos(2).payload("first"));
        let first = keeper.expect_publish();
        keeper.drop_connection();
        lock(&subject, "close");
        let mut keeper = subject.accept(&keep);
        keeper.ping();
        keeper.send(&crate::support::packet::PINGREQ);
        assert_eq!(keeper.read(), Packet::PingResp, "nothing is sent again");
        lock(&subject, "open");
        publisher.publish(Publish::to("a").qos(2).payload("second"));
        let again = keeper.expect_publish();
        assert_eq!((again.id, again.dup, again.text()), (first.id, true, "first"));
        keeper.acknowledge(&again);
        assert_eq!(keeper.receive().text(), "second");
        // The second half of an exchange is not held: the client has the message.
        publisher.publish(Publish::to("a").qos(2).payload("third"));
        let third = keeper.expect_publish();
        let id = third.id.expect("QoS 2 has an identifier");
        lock(&subject, "close");
        keeper.send(&ack(PUBREC, id));
        keeper.await_pubrel(id);
        keeper.send(&ack(PUBCOMP, id));
        lock(&subject, "open");
        keeper.nothing_arrives();
        subject.accept(&Connect::new(version, "keeper")).disconnect();
    }
}

#[test]
fn what_waits_survives_a_crash_and_comes_when_it_is_opened() {
    let subject = gateway();
    add_user(&subject, "bob", &[]);
    let keep = login("bob").keep_session();
    let mut bob = subject.accept(&keep);
    bob.subscribe("#", 1);
    let mut publisher = subject.v5("publisher");
    lock(&subject, "close topic:doors/# --user bob");
    for n in 0..300 {
        publisher.say("doors/1", &n.to_string());
    }
    publisher.say("lamps", "on");
    assert_eq!(bob.receive().text(), "on");
    subject.kill();
    subject.start_again();
    let mut publisher = subject.v5("publisher");
    let mut bob = subject.accept(&keep);
    // More than a window's worth of what waits does not stop the others.
    publisher.publish(Publish::to("lamps").qos(2).payload("off"));
    let mut lamps = bob.receive();
    if lamps.text() == "on" {
        lamps = bob.receive(); // Its acknowledgement may not have been kept.
    }
    assert_eq!(lamps.text(), "off");
    lock(&subject, "open topic:doors/# --user bob");
    let expected: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    assert_eq!(bob.receive_texts(300), expected);
    bob.nothing_arrives();
}

#[test]
fn what_waits_expires() {
    let subject = gateway();
    let mut subscriber = subject.v5("subscriber");
    subscriber.subscribe("a", 1);
    let mut publisher = subject.v5("publisher");
    lock(&subject, "close subscribe");
    publisher.publish(Publish::to("a").qos(1).payload("brief").with(property::message_expiry(1)));
    publisher.publish(Publish::to("a").qos(1).payload("lasting").with(property::message_expiry(600)));
    let since = std::time::Instant::now();
    eventually("the brief one is over", || (since.elapsed().as_millis() > 1100).then_some(()));
    lock(&subject, "open subscribe");
    assert_eq!(subscriber.receive().text(), "lasting");
    subscriber.nothing_arrives();
}

#[test]
fn if_told_so_what_waits_is_dropped_and_counted() {
    let subject = gateway_with("queued = \"drop\"");
    let mut subscriber = subject.v5("subscriber");
    subscriber.subscribe("a", 1);
    let mut publisher = subject.v5("publisher");
    lock(&subject, "close subscribe");
    for n in 0..10 {
        publisher.say("a", &n.to_string());
    }
    eventually("they are counted", || {
        metrics(&subject).contains("messages_dropped_total{reason=\"locked\"} 10").then_some(())
    });
    lock(&subject, "open subscribe");
    subscriber.nothing_arrives();
}

fn metrics(subject: &Subject) -> String {
    use std::io::{Read, Write};
    let socket = subject.directory().join("state/admin.sock");
    let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("the admin socket is there");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("ask");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

#[test]
fn what_waits_and_what_changes_cost_are_metrics() {
    let subject = gateway();
    let mut subscriber = subject.v5("subscriber");
    subscriber.subscribe("a", 1);
    lock(&subject, "close subscribe");
    lock(&subject, "close topic:doors/#");
    subject.v5("publisher").say("a", "x");
    let text = metrics(&subject);
    for line in [
        "latchgate_lock_closed{area=\"subscribe\"} 1",
        "latchgate_lock_closed{area=\"topic\"} 1",
        "latchgate_lock_closed{area=\"gateway\"} 0",
        "latchgate_lock_changes_total 2",
        "latchgate_lock_held_messages 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_change_of_rules_while_it_is_closed_ends_no_subscription() {
    let subject = gateway();
    let mut subscriber = subject.v5("subscriber");
    subscriber.subscribe("a", 1);
    lock(&subject, "close");
    subject.command(&["acl", "allow", "*", "write", "other"]).exits(0);
    subject.command(&["reload"]).exits(0);
    subscriber.ping();
    lock(&subject, "open");
    subject.v5("publisher").say("a", "x");
    assert_eq!(subscriber.receive().text(), "x");
}

#[test]
fn retained_messages_at_hand_wait_too() {
    let subject = gateway();
    add_user(&subject, "bob", &[]);
    let mut publisher = subject.v5("publisher");
    for topic in ["doors/1", "lamps"] {
        publisher.publish(Publish::to(topic).qos(1).retain().payload(topic));
    }
    lock(&subject, "close topic:doors/# --user bob");
    let mut bob = subject.accept(&login("bob"));
    bob.subscribe("#", 1);
    assert_eq!(bob.receive().text(), "lamps");
    bob.ping();
    lock(&subject, "open topic:doors/# --user bob");
    let door = bob.receive();
    assert_eq!((door.text(), door.retain), ("doors/1", true));
    bob.nothing_arrives();
}

#[test]
fn a_message_of_a_share_group_goes_to_a_member_that_is_not_locked_and_waits_if_all_are() {
    let subject = gateway();
    for user in ["ann", "bob"] {
        add_user(&subject, user, &[]);
    }
    let [mut ann, mut bob] = ["ann", "bob"].map(|user| {
        let mut client = subject.accept(&login(user));
        client.subscribe("$share/g/doors/#", 1);
        client
    });
    let mut publisher = subject.v5("publisher");
    for scope in ["subscribe", "topic:doors/#"] {
        lock(&subject, &format!("close {scope} --user ann"));
        for n in 0..6 {
            publisher.say("doors/1", &n.to_string());
        }
        let mut got = bob.receive_texts(6);
        // What ann passes on may come after what bob is given directly.
        got.sort_unstable();
        assert_eq!(got, ["0", "1", "2", "3", "4", "5"], "{scope}");
        lock(&subject, &format!("close {scope} --user bob"));
        for n in 0..6 {
            publisher.say("doors/1", &n.to_string());
        }
        for user in ["ann", "bob"] {
            lock(&subject, &format!("open {scope} --user {user}"));
        }
        let mut got = Vec::new();
        for client in [&mut ann, &mut bob] {
            client.subscribe("fence/end", 1);
        }
        publisher.say("fence/end", "end");
        for client in [&mut ann, &mut bob] {
            loop {
                let message = client.receive();
                if message.text() == "end" {
                    break;
                }
                got.push(message.text().to_owned());
            }
            client.unsubscribe(&["fence/end"]);
        }
        got.sort_unstable();
        assert_eq!(got, ["0", "1", "2", "3", "4", "5"], "{scope}");
    }
}

#[test]
fn subscribing_to_what_is_always_received_brings_it_while_it_is_closed() {
    let subject = gateway();
    subject.port();
    lock(&subject, "close");
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "device"));
        assert_eq!(client.subscribe_all(&Subscribe::to("LATCH/#", 0).and("$SYS/broker/version", 0)), [0, 0]);
        let mut topics: Vec<String> = (0..2).map(|_| client.receive().topic).collect();
        topics.sort_unstable();
        assert_eq!(topics, ["$SYS/broker/version", "LATCH/lock"]);
        client.disconnect();
    }
}
