//! Retained messages.

use crate::support::property::{self, MESSAGE_EXPIRY, Value};
use crate::support::subject::is_mosquitto;
use crate::support::{Client, Connect, Publish, Subject, skip_for_mosquitto};
use crate::world::{Ending, World, stories};

stories! {
    retained_messages_are_there_with_all_they_carry;
    a_cleared_retained_message_stays_cleared;
    a_replaced_retained_message_is_the_last_one;
    a_retained_message_of_qos0_is_there_once_it_was_written;
    retained_messages_under_dollar_topics_stay_apart;
    a_retained_message_is_still_judged_by_its_authors_rights;
    a_retained_message_expires_by_the_clock;
}

/// Topics and payloads of what is retained under a filter.
fn retained(client: &mut Client, filter: &str) -> Vec<(String, String)> {
    client.subscribe(filter, 2);
    client.subscribe("the end", 2);
    client.publish(Publish::to("the end").qos(2));
    let mut found = Vec::new();
    loop {
        let message = client.receive();
        if message.topic == "the end" {
            break;
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
