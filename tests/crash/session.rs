//! Sessions: what a client finds when it comes back to a server that was away too.

use std::time::{Duration, Instant};

use crate::support::packet::{NO_LOCAL, RETAIN_AS_PUBLISHED, RETAINED_NEVER};
use crate::support::property;
use crate::support::{Connect, Publish, Subject, Subscribe, Version, eventually, skip_for_mosquitto};
use crate::world::{Ending, World, stories};

stories! {
    subscriptions_keep_their_options;
    what_was_unsubscribed_stays_gone;
    a_replaced_subscription_is_the_last_one;
    a_session_that_ended_stays_ended;
    a_clean_start_wipes_for_good;
    the_expiry_of_a_session_counts_while_the_server_is_away;
    a_session_still_belongs_to_its_user;
    a_share_group_keeps_its_members_and_their_messages;
    a_session_without_expiry_is_not_kept;
}

fn subscriptions_keep_their_options(ending: Ending) {
    let world = World::start(ending);
    world.subject.v5("publisher").publish(Publish::to("r/kept").qos(1).retain().payload("retained"));
    let keep = Connect::v5("keeper").keep_session();
    let mut client = world.subject.accept(&keep);
    for (filter, options) in [
        ("plain/+", 1),
        ("own/#", 1 | NO_LOCAL),
        ("r/#", 1 | RETAIN_AS_PUBLISHED | RETAINED_NEVER),
        ("low", 0),
    ] {
        client.subscribe(filter, options);
    }
    world.crash();
    let mut client = world.resume(&keep);
    let mut other = world.subject.v5("other");
    client.say("own/x", "from itself");
    other.say("own/x", "from another");
    let message = client.receive();
    assert_eq!(message.text(), "from another");
    other.publish(Publish::to("r/x").qos(1).retain().payload("as published"));
    assert!(client.receive().retain);
    other.publish(Publish::to("plain/x").qos(2).retain().payload("plain"));
    let message = client.receive();
    assert_eq!((message.text(), message.qos, message.retain), ("plain", 1, false));
    other.say("low", "low");
    assert_eq!(client.receive().qos, 0);
    client.nothing_arrives();
}

fn what_was_unsubscribed_stays_gone(ending: Ending) {
    let world = World::start(ending);
    for version in [Version::V311, Version::V5] {
        let keep = Connect::new(version, &format!("keeper {version:?}")).keep_session();
        world.leave_session(&keep, &[("a", 1), ("b", 1)]);
        world.crash();
        let mut client = world.resume(&keep);
        client.unsubscribe(&["a"]);
        world.crash();
        let mut publisher = world.subject.v5("publisher");
        publisher.say("a", "a");
        publisher.say("b", "b");
        let mut client = world.resume(&keep);
        assert_eq!(client.receive().text(), "b");
        client.nothing_arrives();
    }
}

fn a_replaced_subscription_is_the_last_one(ending: Ending) {
    let world = World::start(ending);
    let keep = Connect::v5("keeper").keep_session();
    let mut client = world.subject.accept(&keep);
    client.subscribe_all(&Subscribe::to("a", 2).with(property::subscription_identifier(1)));
    client.subscribe_all(&Subscribe::to("a", 1).with(property::subscription_identifier(2)));
    world.crash();
    world.subject.v5("publisher").publish(Publish::to("a").qos(2).payload("x"));
    let mut client = world.resume(&keep);
    let message = client.receive();
    assert_eq!(message.qos, 1);
    assert_eq!(message.properties, [property::subscription_identifier(2)]);
    client.nothing_arrives();
}

fn a_session_that_ended_stays_ended(ending: Ending) {
    let world = World::start(ending);
    let keep = Connect::v5("keeper").keep_session();
    world.leave_session(&keep, &[("a", 1)]);
    world.subject.v5("publisher").say("a", "lost");
    let mut client = world.resume(&keep);
    client.send(&crate::support::packet::disconnect_v5(0, &[property::session_expiry(0)]));
    client.drain();
    // Its end has no answer; what is acknowledged later was written later.
    world.subject.v5("publisher").publish(Publish::to("later").qos(1).retain().payload("x"));
    world.crash();
    let (mut client, connack) = world.subject.accept_with_connack(&keep);
    assert!(!connack.session_present);
    client.nothing_arrives();
}

fn a_clean_start_wipes_for_good(ending: Ending) {
    let world = World::start(ending);
    for version in [Version::V311, Version::V5] {
        let id = format!("keeper {version:?}");
        let keep = Connect::new(version, &id).keep_session();
        world.leave_session(&keep, &[("a", 1)]);
        world.subject.v5("publisher").say("a", "lost");
        let _clean = world.subject.accept(&Connect::new(version, &id));
        world.crash();
        let (mut client, connack) = world.subject.accept_with_connack(&keep);
        assert!(!connack.session_present, "{version:?}");
        client.say("a", "unsubscribed");
        client.nothing_arrives();
    }
}

fn the_expiry_of_a_session_counts_while_the_server_is_away(ending: Ending) {
    let world = World::start(ending);
    let short = Connect::v5("short").clean(false).with(property::session_expiry(1));
    let long = Connect::v5("long").keep_session();
    world.leave_session(&short, &[("a", 1)]);
    world.leave_session(&long, &[("a", 1)]);
    let left = Instant::now();
    // It has no answer; what is acknowledged later was written later.
    world.subject.v5("publisher").say("a", "x");
    world.end();
    eventually("two seconds pass", || (left.elapsed() > Duration::from_millis(2200)).then_some(()));
    world.begin();
    let (_, connack) = world.subject.accept_with_connack(&short);
    assert!(!connack.session_present, "it had a second");
    let mut client = world.resume(&long);
    assert_eq!(client.receive().text(), "x");
}

fn a_session_still_belongs_to_its_user(ending: Ending) {
    skip_for_mosquitto!("it has no owners of sessions");
    let world = World::prepare(Subject::with(), ending);
    world
        .subject
        .command_with_input(&["user", "add", "alice", "--password-stdin"], "a password of alice\n")
        .exits(0);
    let alice = Connect::v5("shared name").keep_session().login("alice", "a password of alice");
    world.leave_session(&alice, &[("a", 1)]);
    world.subject.v5("publisher").say("a", "for alice");
    world.crash();
    for guest in [Connect::v5("shared name").keep_session(), Connect::v5("shared name")] {
        assert_eq!(world.subject.refuse(&guest).code, 0x87);
    }
    let mut client = world.resume(&alice);
    assert_eq!(client.receive().text(), "for alice");
}

fn a_share_group_keeps_its_members_and_their_messages(ending: Ending) {
    let world = World::start(ending);
    let keeps = ["one", "two"].map(|id| Connect::v5(id).keep_session());
    for keep in &keeps {
        world.leave_session(keep, &[("$share/group/work/#", 1)]);
    }
    let mut publisher = world.subject.v5("publisher");
    for n in 0..20 {
        publisher.say("work/x", &n.to_string());
    }
    world.crash();
    for n in 20..30 {
        world.subject.v5("publisher").say("work/x", &n.to_string());
    }
    // Each message went to one of them.
    let mut clients = keeps.each_ref().map(|keep| world.resume(keep));
    let mut found: Vec<u32> = Vec::new();
    for client in &mut clients {
        client.subscribe("the end", 1);
    }
    world.subject.v5("publisher").say("the end", "end");
    for client in &mut clients {
        loop {
            let message = client.receive();
            if message.topic == "the end" {
                break;
            }
            found.push(message.text().parse().expect("the messages are numbers"));
        }
    }
    found.sort_unstable();
    assert_eq!(found, (0..30).collect::<Vec<_>>());
}

fn a_session_without_expiry_is_not_kept(ending: Ending) {
    let world = World::start(ending);
    for version in [Version::V311, Version::V5] {
        let mut client = world.subject.accept(&Connect::new(version, "passer-by"));
        client.subscribe("a", 1);
        world.crash();
        world.subject.v5("publisher").say("a", "lost");
        let keep = Connect::new(version, "passer-by").clean(false);
        let (mut client, connack) = world.subject.accept_with_connack(&keep);
        assert!(!connack.session_present);
        client.nothing_arrives();
        drop(client);
        world.subject.accept(&Connect::new(version, "passer-by")).disconnect();
    }
}
