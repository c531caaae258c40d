//! `LATCH/lock` and `LATCH/status`: what the gateway says of its lock, and to whom.

use serde_json::Value;

use super::{add_user, gateway, lock, login};
use crate::support::{Client, Publish};

fn read(client: &mut Client) -> Value {
    let message = client.receive();
    assert_eq!(message.topic, "LATCH/lock");
    serde_json::from_str(message.text()).expect("JSON")
}

#[test]
fn the_state_is_retained_and_told_to_live_subscribers_while_everything_is_closed() {
    let subject = gateway();
    let mut client = subject.v5("device");
    client.subscribe("LATCH/lock", 1);
    assert_eq!(read(&mut client)["gateway"], "open");
    lock(&subject, "close");
    let closed = read(&mut client);
    assert_eq!((&closed["gateway"], &closed["holders"]), (&"closed".into(), &serde_json::json!(["command"])));
    assert!(closed["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{closed}");
    lock(&subject, "close topic:doors/# --user bob");
    let more = read(&mut client);
    assert_eq!(more["scopes"][1]["scope"], "topic:doors/#");
    assert_eq!(more["scopes"][1]["user"], "bob");
    // The command tells besides whether it is stored.
    let mut told = super::state(&subject);
    let told = told.as_object_mut().expect("an object");
    assert_eq!(
        (told.remove("stored"), told.remove("not_kept")),
        (Some(true.into()), Some(serde_json::Value::Null))
    );
    assert_eq!(more.as_object(), Some(&*told));
    lock(&subject, "open");
    assert_eq!(read(&mut client)["gateway"], "open");
    // What changes nothing is not announced.
    lock(&subject, "open");
    client.nothing_arrives();
}

#[test]
fn it_comes_only_to_filters_that_begin_with_latch_and_only_where_a_rule_permits() {
    let subject = gateway();
    let mut client = subject.v5("everything");
    for filter in ["#", "+/lock", "+/#", "$share/g/#"] {
        client.subscribe(filter, 0);
    }
    lock(&subject, "close publish");
    lock(&subject, "open publish");
    client.say("a", "end");
    // One for the plain subscriptions, one for the shared one.
    assert_eq!([client.receive().topic, client.receive().topic], ["a", "a"]);
    subject.command(&["acl", "deny", "*", "read", "LATCH/#"]).exits(0);
    subject.command(&["reload"]).exits(0);
    assert_eq!(client.subscribe_all(&crate::support::Subscribe::to("LATCH/#", 0)), [0x87]);
}

#[test]
fn nobody_else_publishes_there_not_even_a_superuser() {
    let subject = gateway();
    add_user(&subject, "root", &["--superuser"]);
    let mut root = subject.accept(&login("root"));
    for topic in ["LATCH/lock", "LATCH/status", "LATCH/x"] {
        assert_eq!(root.publish(Publish::to(topic).qos(1).retain().payload("open")), 0x87, "{topic}");
    }
}

#[test]
fn a_refusal_is_told_once_a_second_for_each_topic_and_user() {
    let subject = gateway();
    add_user(&subject, "bob", &[]);
    let mut watcher = subject.v5("watcher");
    watcher.subscribe("LATCH/status", 0);
    let mut client = subject.v5("client");
    let mut bob = subject.accept(&login("bob"));
    lock(&subject, "close");
    for _ in 0..5 {
        client.say("doors/1", "x");
    }
    client.say("doors/2", "x");
    client.subscribe_all(&crate::support::Subscribe::to("lamps/#", 0));
    bob.say("doors/1", "x");
    let told: Vec<String> = watcher.receive_texts(4);
    assert_eq!(told, ["doors/1,ND=2", "doors/2,ND=2", "lamps/#,ND=2", "doors/1,ND=2"]);
    lock(&subject, "open");
    watcher.nothing_arrives();
    // A second later it is told again.
    lock(&subject, "close");
    crate::support::eventually("it is told again", || {
        client.say("doors/1", "x");
        watcher.set_read_timeout(std::time::Duration::from_millis(50));
        watcher.try_read().ok()
    });
}
