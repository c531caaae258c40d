//! QoS 2 cut short at each of its steps, on both sides: once, and not twice.

use crate::receiver::Receiver;
use crate::support::packet::{PUBACK, PUBCOMP, PUBREC, PUBREL, ack};
use crate::support::property;
use crate::support::{Connect, Packet, Publish, Version, skip_for_mosquitto};
use crate::world::{Ending, World, stories};

stories! {
    a_publisher_that_repeats_a_message_after_its_pubrec_is_not_heard_twice;
    pubrel_frees_the_identifier_for_good;
    a_subscriber_gets_a_message_once_wherever_its_exchange_was_cut;
    an_unacknowledged_qos1_message_is_sent_again;
    a_full_window_is_sent_again_in_its_order;
}

fn a_publisher_that_repeats_a_message_after_its_pubrec_is_not_heard_twice(ending: Ending) {
    let world = World::start(ending);
    let away = Connect::v5("away").keep_session();
    world.leave_session(&away, &[("a", 2)]);
    for version in [Version::V311, Version::V5] {
        let keep = Connect::new(version, &format!("publisher {version:?}")).keep_session();
        let first = Publish::to("a").qos(2).id(7).payload("first");
        let mut publisher = world.subject.accept(&keep);
        publisher.send(&first.encode(version));
        assert_eq!(publisher.await_pubrec(7), 0);
        world.crash();
        let mut publisher = world.resume(&keep);
        publisher.send(&first.dup().encode(version));
        assert_eq!(publisher.await_pubrec(7), 0);
        world.crash();
        let mut publisher = world.resume(&keep);
        publisher.send(&ack(PUBREL, 7));
        assert_eq!(publisher.await_pubcomp(7), 0, "the identifier is known");
        // A new message, of the same identifier.
        publisher.publish(Publish::to("a").qos(2).id(7).payload("second"));
        publisher.disconnect();
        let mut receiver = Receiver::default();
        let mut client = world.resume(&away);
        receiver.receive(&mut client, 2);
        assert_eq!(receiver.texts(), ["first", "second"], "{version:?}");
        client.nothing_arrives();
        client.disconnect();
    }
}

fn pubrel_frees_the_identifier_for_good(ending: Ending) {
    let world = World::start(ending);
    let away = Connect::v5("away").keep_session();
    world.leave_session(&away, &[("a", 2)]);
    let keep = Connect::v5("publisher").keep_session();
    let mut publisher = world.subject.accept(&keep);
    publisher.publish(Publish::to("a").qos(2).id(7).payload("first"));
    world.crash();
    let mut publisher = world.resume(&keep);
    publisher.publish(Publish::to("a").qos(2).id(7).payload("second"));
    // PUBCOMP was lost, say: the client repeats PUBREL, and must get an answer.
    publisher.send(&ack(PUBREL, 7));
    publisher.await_pubcomp(7);
    world.crash();
    let mut client = world.resume(&away);
    assert_eq!(client.receive_texts(2), ["first", "second"]);
    client.nothing_arrives();
}

/// The step after which the server ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    Publish,
    PubRec,
    PubRel,
    PubComp,
}

fn a_subscriber_gets_a_message_once_wherever_its_exchange_was_cut(ending: Ending) {
    let world = World::start(ending);
    for version in [Version::V311, Version::V5] {
        for cut in [Cut::Publish, Cut::PubRec, Cut::PubRel, Cut::PubComp] {
            subscriber_cut(&world, version, cut);
        }
    }
}

fn subscriber_cut(world: &World, version: Version, cut: Cut) {
    let keep = Connect::new(version, &format!("{version:?} {cut:?}")).keep_session();
    let topic = format!("{version:?}/{cut:?}");
    let mut client = world.subject.accept(&keep);
    client.subscribe(&topic, 2);
    let mut publisher = world.subject.v5("publisher");
    for text in ["first", "second", "third"] {
        assert_eq!(publisher.publish(Publish::to(&topic).qos(2).payload(text)), 0);
    }
    let mut receiver = Receiver::default();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let publish = client.expect_publish();
        ids.push(publish.id.expect("it is of QoS 2"));
        receiver.take(&Packet::Publish(publish));
    }
    if cut != Cut::Publish {
        client.send(&ack(PUBREC, ids[0]));
    }
    if cut == Cut::PubRel || cut == Cut::PubComp {
        client.await_pubrel(ids[0]);
    }
    if cut == Cut::PubComp {
        receiver.take(&Packet::PubRel { id: ids[0], code: 0, properties: Vec::new() });
        client.send(&ack(PUBCOMP, ids[0]));
        // PUBCOMP has no answer; SUBACK is a promise and comes after it.
        client.subscribe(&format!("{topic}/other"), 0);
    }
    world.crash();
    let mut client = world.resume(&keep);
    // What is sent again comes first, in its order, each under its identifier.
    for (n, id) in ids.into_iter().enumerate() {
        if n == 0 && cut == Cut::PubComp {
            continue;
        }
        let packet = client.read();
        let answer = receiver.take(&packet);
        match &packet {
            Packet::Publish(publish) => {
                assert!(publish.dup, "{cut:?}: {publish:?}");
                assert_eq!(publish.id, Some(id), "{cut:?}: another identifier");
                assert!(n > 0 || cut != Cut::PubRel, "{cut:?}: {publish:?} was released already");
            }
            Packet::PubRel { id: of, .. } => {
                assert_eq!(*of, id, "{cut:?}");
                assert!(n == 0 && cut != Cut::Publish, "{cut:?}: {packet:?}");
            }
            other => panic!("{cut:?}: expected what was sent before, got {other:?}"),
        }
        client.send(&answer.expect("both are answered"));
    }
    receiver.receive(&mut client, 3);
    assert_eq!(receiver.texts(), ["first", "second", "third"], "{cut:?}");
    client.nothing_arrives();
    // And the server forgets it all.
    client.disconnect();
    world.crash();
    let mut client = world.resume(&keep);
    client.nothing_arrives();
    client.disconnect();
}

fn an_unacknowledged_qos1_message_is_sent_again(ending: Ending) {
    let world = World::start(ending);
    let keep = Connect::v311("keeper").keep_session();
    let mut client = world.subject.accept(&keep);
    client.subscribe("a", 1);
    let mut publisher = world.subject.v5("publisher");
    publisher.say("a", "first");
    publisher.say("a", "second");
    let sent: Vec<_> = (0..2).map(|_| client.expect_publish()).collect();
    client.send(&ack(PUBACK, sent[0].id.expect("it is of QoS 1")));
    client.subscribe("other", 0);
    world.crash();
    let mut client = world.resume(&keep);
    let again = client.receive();
    // [MQTT-4.4.0-1], [MQTT-3.3.1-1]
    assert_eq!((again.text(), again.id, again.dup), ("second", sent[1].id, true));
    client.nothing_arrives();
}

fn a_full_window_is_sent_again_in_its_order(ending: Ending) {
    let world = World::start(ending);
    let keep = Connect::v5("keeper").keep_session().with(property::receive_maximum(10));
    let mut client = world.subject.accept(&keep);
    client.subscribe("a", 2);
    let mut publisher = world.subject.v5("publisher");
    for n in 0..30u8 {
        publisher.publish(Publish::to("a").qos(2).payload(n.to_string()));
    }
    let mut receiver = Receiver::default();
    // Ten are under way; the seventh and the third are answered, out of order.
    let window: Vec<_> = (0..10).map(|_| client.expect_publish()).collect();
    for publish in &window {
        receiver.take(&Packet::Publish(publish.clone()));
    }
    for n in [6, 2] {
        let id = window[n].id.expect("it is of QoS 2");
        client.send(&ack(PUBREC, id));
        client.await_pubrel(id);
    }
    world.crash();
    let mut client = world.resume(&keep);
    receiver.receive(&mut client, 30);
    let expected: Vec<_> = (0..30).map(|n| n.to_string()).collect();
    assert_eq!(receiver.texts(), expected);
    client.nothing_arrives();
}

/// Two messages whose numbers lie so far apart that the same identifier goes with both: a restart goes on at any number.
#[test]
fn an_identifier_that_a_restart_gave_is_the_message_s_over_the_next_one_too() {
    skip_for_mosquitto!("its state is another");
    let world = World::start(Ending::Killed);
    let keep = Connect::v5("keeper").keep_session();
    world.leave_session(&keep, &[("a", 2)]);
    let mut publisher = world.subject.v5("publisher");
    for text in ["first", "second"] {
        assert_eq!(publisher.publish(Publish::to("a").qos(2).payload(text)), 0);
    }
    world.end();
    let file =
        rusqlite::Connection::open(world.subject.directory().join("state/state.db")).expect("the state");
    file.execute_batch(
        "UPDATE delivery SET seq = seq + 65534 WHERE seq = (SELECT max(seq) FROM delivery);
         UPDATE session SET sent = (SELECT max(seq) FROM delivery)",
    )
    .expect("it is written");
    drop(file);
    world.begin();
    let mut client = world.resume(&keep);
    let ids = ["first", "second"].map(|text| {
        let publish = client.expect_publish();
        assert_eq!(publish.text(), text);
        publish.id.expect("it is of QoS 2")
    });
    assert_ne!(ids[0], ids[1]);
    client.send(&ack(PUBREC, ids[0]));
    client.await_pubrel(ids[0]);
    client.send(&ack(PUBCOMP, ids[0]));
    // PUBCOMP has no answer; SUBACK is a promise and comes after it.
    client.subscribe("other", 0);
    world.crash();
    let mut client = world.resume(&keep);
    let again = client.expect_publish();
    assert_eq!((again.text(), again.id, again.dup), ("second", Some(ids[1]), true));
}
