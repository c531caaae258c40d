//! Retained messages.

use std::collections::BTreeSet;

use crate::receiver::Receiver;
use crate::support::packet::{PUBREL, ack};
use crate::support::property::{self, MESSAGE_EXPIRY, SUBSCRIPTION_IDENTIFIER, Value};
use crate::support::subject::is_mosquitto;
use crate::support::{Client, Connect, Packet, Publish, Subject, Subscribe, Version, skip_for_mosquitto};
use crate::world::{Ending, World, stories};

stories! {
    retained_messages_are_there_with_all_they_carry;
    a_cleared_retained_message_stays_cleared;
    a_replaced_retained_message_is_the_last_one;
    a_retained_message_of_qos0_is_there_once_it_was_written;
    retained_messages_under_dollar_topics_stay_apart;
    a_retained_message_is_still_judged_by_its_authors_rights;
    a_retained_message_expires_by_the_clock;
    retained_messages_on_their_way_to_a_new_subscriber_are_not_lost;
    a_subscription_that_waits_its_turn_for_retained_messages_goes_on_waiting;
    what_a_new_subscriber_was_not_sent_yet_is_still_judged_by_its_authors_rights;
}

/// Topics and payloads of what is retained under a filter.
fn retained(client: &mut Client, filter: &str) -> Vec<(String, String)> {
    client.subscribe(filter, 2);
    client.subscribe("the end", 2);
    client.publish(Publish::to("the end").qos(2).payload(filter));
    let mut found = Vec::new();
    loop {
        let message = client.receive();
        match (message.topic.as_str(), message.text()) {
            ("the end", text) if text == filter => break,
            // Where filters overlap, the end of an earlier question may come twice.
            ("the end", _) => continue,
            _ => {}
        }
        assert!(message.retain, "{message:?}");
        found.push((message.topic.clone(), message.text().to_owned()));
    }
    client.unsubscribe(&[filter, "the end"]);
    found.sort();
    found
}

fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    expected.map(|(topic, text)| (topic.to_owned(), text.to_owned())).into()
}

fn retained_messages_are_there_with_all_they_carry(ending: Ending) {
    let world = World::start(ending);
    let mut publisher = world.subject.v5("publisher");
    for (topic, qos) in [("r/1", 1), ("r/2", 2)] {
        let publish = Publish::to(topic).qos(qos).retain().payload(topic);
        publisher.publish(publish.with(property::user_property("for", topic)));
    }
    world.crash();
    world.crash();
    let mut client = world.subject.v5("reader");
    client.subscribe("r/#", 2);
    let mut found = [client.receive(), client.receive()];
    found.sort_by_key(|message| message.qos);
    for (message, (topic, qos)) in found.iter().zip([("r/1", 1), ("r/2", 2)]) {
        assert_eq!((message.topic.as_str(), message.text(), message.qos), (topic, topic, qos));
        assert!(message.retain);
        assert_eq!(message.properties, [property::user_property("for", topic)]);
    }
    client.nothing_arrives();
}

fn a_cleared_retained_message_stays_cleared(ending: Ending) {
    let world = World::start(ending);
    let mut publisher = world.subject.v5("publisher");
    for topic in ["r/stays", "r/1", "r/2"] {
        publisher.publish(Publish::to(topic).qos(1).retain().payload("x"));
    }
    publisher.publish(Publish::to("r/1").qos(1).retain());
    publisher.publish(Publish::to("r/2").qos(2).retain());
    world.crash();
    assert_eq!(retained(&mut world.subject.v5("reader"), "r/#"), pairs([("r/stays", "x")]));
    world.crash();
    assert_eq!(retained(&mut world.subject.v5("reader"), "r/#"), pairs([("r/stays", "x")]));
}

fn a_replaced_retained_message_is_the_last_one(ending: Ending) {
    let world = World::start(ending);
    let mut publisher = world.subject.v5("publisher");
    for n in 0..50u8 {
        publisher.publish(Publish::to("r").qos(1 + n % 2).retain().payload(n.to_string()));
    }
    world.crash();
    assert_eq!(retained(&mut world.subject.v5("reader"), "r"), pairs([("r", "49")]));
    world.subject.v5("publisher").publish(Publish::to("r").qos(1).retain().payload("after"));
    world.crash();
    assert_eq!(retained(&mut world.subject.v5("reader"), "r"), pairs([("r", "after")]));
}

fn a_retained_message_of_qos0_is_there_once_it_was_written(ending: Ending) {
    let world = World::start(ending);
    let mut publisher = world.subject.v5("publisher");
    publisher.publish(Publish::to("r").retain().payload("retained at QoS 0"));
    publisher.ping();
    world.until_written("retained at QoS 0");
    world.crash();
    assert_eq!(retained(&mut world.subject.v5("reader"), "r"), pairs([("r", "retained at QoS 0")]));
    let mut publisher = world.subject.v5("publisher");
    publisher.publish(Publish::to("r").retain());
    // Whatever is acknowledged later was written later.
    publisher.publish(Publish::to("later").qos(1).retain().payload("x"));
    world.crash();
    assert_eq!(retained(&mut world.subject.v5("reader"), "r"), pairs([]));
}

fn retained_messages_under_dollar_topics_stay_apart(ending: Ending) {
    let world = World::start(ending);
    let mut publisher = world.subject.v5("publisher");
    for topic in ["$own/x", "own/x"] {
        publisher.publish(Publish::to(topic).qos(1).retain().payload(topic));
    }
    world.crash();
    let mut client = world.subject.v5("reader");
    assert_eq!(retained(&mut client, "#"), pairs([("own/x", "own/x")]));
    assert_eq!(retained(&mut client, "+/x"), pairs([("own/x", "own/x")]));
    assert_eq!(retained(&mut client, "$own/#"), pairs([("$own/x", "$own/x")]));
    if !is_mosquitto() {
        // What the last life of the gateway said of itself is not kept.
        let uptime = retained(&mut client, "$SYS/broker/uptime");
        assert!(uptime.len() <= 1, "{uptime:?}");
    }
}

fn a_retained_message_is_still_judged_by_its_authors_rights(ending: Ending) {
    skip_for_mosquitto!("it judges by the user as well, but has other rules");
    let world = World::prepare(Subject::with().without_rules(), ending);
    let acl = |words: &str| {
        let words: Vec<_> = ["acl"].into_iter().chain(words.split(' ')).collect();
        world.subject.command(&words).exits(0);
    };
    world.subject.command_with_input(&["user", "add", "alice", "--password-stdin"], "a password of alice\n");
    world.subject.command_with_input(&["user", "add", "bob", "--password-stdin"], "a password of bobby\n");
    for rule in ["alice write r/#", "bob write r/#", "guest read r/#", "guest all +"] {
        acl(&format!("allow {rule}"));
    }
    for (user, password) in [("alice", "a password of alice"), ("bob", "a password of bobby")] {
        let mut client = world.subject.accept(&Connect::v5(user).login(user, password));
        let topic = format!("r/{user}");
        assert_eq!(client.publish(Publish::to(&topic).qos(1).retain().payload(user)), 0);
    }
    world.end();
    acl("remove alice write r/#");
    world.begin();
    assert_eq!(retained(&mut world.subject.v5("reader"), "r/#"), pairs([("r/bob", "bob")]));
}

fn a_retained_message_expires_by_the_clock(ending: Ending) {
    let world = World::start(ending);
    let mut publisher = world.subject.v5("publisher");
    let published = std::time::Instant::now();
    for (topic, seconds) in [("r/short", 1), ("r/long", 600)] {
        let publish = Publish::to(topic).qos(1).retain().payload("x");
        publisher.publish(publish.with(property::message_expiry(seconds)));
    }
    world.end();
    crate::support::eventually("two seconds pass", || {
        (published.elapsed() > std::time::Duration::from_millis(2200)).then_some(())
    });
    world.begin();
    let mut client = world.subject.v5("reader");
    client.subscribe("r/#", 1);
    let message = client.receive();
    assert_eq!(message.topic, "r/long");
    match property::one(&message.properties, MESSAGE_EXPIRY) {
        Some(Value::Four(left)) => assert!((500..=599).contains(left), "{left} s are left of 600"),
        other => panic!("the message has no expiry any more: {other:?}"),
    }
    client.nothing_arrives();
}

/// Retains messages under these topics, at once.
fn retain_all(world: &World, qos: u8, topics: &[String]) {
    let mut publisher = world.subject.v311("many");
    for batch in topics.chunks(50) {
        let ids = || 1..=batch.len() as u16;
        let publish = |(id, topic): (u16, &String)| {
            Publish::to(topic).qos(qos).retain().id(id).payload(topic).encode(Version::V311)
        };
        publisher.send(&ids().zip(batch).flat_map(publish).collect::<Vec<_>>());
        for id in ids() {
            if qos == 1 {
                publisher.await_puback(id);
                continue;
            }
            publisher.await_pubrec(id);
            publisher.send(&ack(PUBREL, id));
            publisher.await_pubcomp(id);
        }
    }
    publisher.disconnect();
}

fn retained_messages_on_their_way_to_a_new_subscriber_are_not_lost(ending: Ending) {
    skip_for_mosquitto!("it keeps them in its queue, and no file of it is written before the kill");
    let world = World::start(ending);
    let topics: Vec<Vec<String>> =
        (1..=2).map(|qos| (0..40).map(|n| format!("r/{qos}/{n}")).collect()).collect();
    retain_all(&world, 1, &topics[0]);
    retain_all(&world, 2, &topics[1]);
    let keep = Connect::v5("keeper").keep_session().with(property::receive_maximum(10));
    let mut client = world.subject.accept(&keep);
    let subscribe = Subscribe::to("r/#", 2).with(property::subscription_identifier(7));
    assert_eq!(client.subscribe_all(&subscribe), [2]);
    let mut receiver = Receiver::default();
    // Of the ten that are under way, some are answered and some are not; in its next life it comes no further.
    for answered in [25, 5, 0] {
        for n in 0..answered + 5 {
            let packet = client.read();
            let Some(answer) = receiver.take(&packet) else { continue };
            if n < answered {
                client.send(&answer);
            }
        }
        world.crash();
        client = world.resume(&keep);
    }
    let of = |taken: &[Publish], qos: usize| -> Vec<String> {
        let of_qos = taken.iter().filter(|publish| publish.qos == qos as u8);
        of_qos.map(|publish| publish.topic.clone()).collect()
    };
    let whole = |taken: &[Publish]| {
        let all =
            |qos: usize| of(taken, qos).into_iter().collect::<BTreeSet<_>>().len() == topics[qos - 1].len();
        all(1) && all(2)
    };
    while !whole(&receiver.taken) || !receiver.is_idle() {
        let packet = client.read();
        if let Some(answer) = receiver.take(&packet) {
            client.send(&answer);
        }
    }
    for publish in &receiver.taken {
        assert!(publish.retain && publish.text() == publish.topic, "{publish:?}");
        let identifier = property::one(&publish.properties, SUBSCRIPTION_IDENTIFIER);
        assert_eq!(identifier, Some(&Value::Variable(7)));
    }
    assert_eq!(of(&receiver.taken, 2).len(), 40, "at QoS 2 each comes once");
    // At QoS 1 some may still come again. Then all is done, for good.
    client.subscribe("the end", 1);
    client.publish(Publish::to("the end").qos(1).payload("end"));
    while client.receive().topic != "the end" {}
    client.subscribe("settled", 0);
    world.crash();
    world.resume(&keep).nothing_arrives();
}

fn a_subscription_that_waits_its_turn_for_retained_messages_goes_on_waiting(ending: Ending) {
    skip_for_mosquitto!("it has no such bound");
    let world = World::with(Subject::with().limit("retained_bytes", 0), ending);
    let many: Vec<String> = (0..10_001).map(|n| format!("many/{n}")).collect();
    retain_all(&world, 1, &many);
    retain_all(&world, 2, &["few/a".into(), "few/b".into()]);
    let keep = Connect::v5("keeper").keep_session().with(property::receive_maximum(5));
    let mut client = world.subject.accept(&keep);
    assert_eq!(client.subscribe_all(&Subscribe::to("many/#", 1).and("few/#", 2)), [1, 2]);
    world.crash();
    // The first of them is not wanted any more.
    let mut client = world.resume(&keep);
    client.unsubscribe(&["many/#"]);
    world.crash();
    let mut client = world.resume(&keep);
    client.subscribe("the end", 1);
    client.publish(Publish::to("the end").qos(1).payload("end"));
    let mut found = Vec::new();
    loop {
        match client.receive().topic {
            topic if topic == "the end" => break,
            topic => found.push(topic),
        }
    }
    // Of the others only what was under way comes again.
    found.sort_unstable();
    let many = found.iter().filter(|topic| topic.starts_with("many/")).count();
    assert!(many <= 2 * 5, "{found:?}");
    assert_eq!(found[..found.len() - many], ["few/a", "few/b"]);
}

fn what_a_new_subscriber_was_not_sent_yet_is_still_judged_by_its_authors_rights(ending: Ending) {
    skip_for_mosquitto!("it has other rules");
    let world = World::prepare(Subject::with().without_rules(), ending);
    let acl = |words: &str| {
        let words: Vec<_> = ["acl"].into_iter().chain(words.split(' ')).collect();
        world.subject.command(&words).exits(0);
    };
    let authors = [("alice", 1), ("bob", 2), ("carol", 2)];
    for (user, _) in authors {
        world.subject.command_with_input(&["user", "add", user, "--password-stdin"], "a long password\n");
        acl(&format!("allow {user} write r/#"));
    }
    acl("allow guest read r/#");
    acl("allow guest all +");
    for (user, qos) in authors {
        let mut client = world.subject.accept(&Connect::v5(user).login(user, "a long password"));
        let topic = format!("r/{user}");
        assert_eq!(client.publish(Publish::to(&topic).qos(qos).retain().payload(user)), 0);
    }
    let keep = Connect::v5("keeper").keep_session().with(property::receive_maximum(1));
    let mut client = world.subject.accept(&keep);
    client.subscribe("r/#", 2);
    let first = client.expect_publish();
    world.end();
    acl("remove alice write r/#");
    acl("remove bob write r/#");
    world.begin();
    let mut client = world.resume(&keep);
    let mut receiver = Receiver::default();
    receiver.take(&Packet::Publish(first));
    client.subscribe("the end", 2);
    world.subject.v5("ender").publish(Publish::to("the end").qos(2).payload("end"));
    while receiver.texts().last() != Some(&"end") {
        let packet = client.read();
        if let Some(answer) = receiver.take(&packet) {
            client.send(&answer);
        }
    }
    // Whichever came first was sent while its author had the right.
    let expected = match receiver.texts()[0] {
        "carol" => vec!["carol", "end"],
        other => vec![other, "carol", "end"],
    };
    assert_eq!(receiver.texts(), expected);
}
