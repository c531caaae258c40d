//! What is refused while it is closed, to whom, and how it is told.

use super::{add_user, gateway, gateway_with, lock, login};
use crate::support::property::{REASON_STRING, Value, one};
use crate::support::{Client, Connect, Packet, Publish, Subscribe, Version, Will, eventually};

/// The reason string of a refused publish.
fn reason(client: &mut Client, topic: &str) -> String {
    let id = client.fresh_id();
    client.send(&Publish::to(topic).qos(1).id(id).payload("x").encode(Version::V5));
    match client.read() {
        Packet::PubAck { code: 0x87, properties, .. } => match one(&properties, REASON_STRING) {
            Some(Value::Text(why)) => why.clone(),
            other => panic!("no reason string: {other:?}"),
        },
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn each_scope_refuses_what_it_is_about_and_says_so() {
    let subject = gateway();
    let mut client = subject.v5("a");
    for (scope, publishes, subscribes, doors) in [
        ("gateway", false, false, false),
        ("publish", false, true, false),
        ("subscribe", true, false, true),
        ("topic:doors/#", true, true, false),
    ] {
        lock(&subject, &format!("close {scope}"));
        assert_eq!(client.say("lamps", "x") == 0, publishes, "{scope}");
        assert_eq!(client.publish(Publish::to("lamps").qos(2).payload("x")) == 0, publishes, "{scope}");
        assert_eq!(client.say("doors/1", "x") == 0, doors, "{scope}");
        assert_eq!(client.subscribe_all(&Subscribe::to("lamps/x", 1)) == [1], subscribes, "{scope}");
        let door = client.subscribe_all(&Subscribe::to("doors/x", 1)) == [1];
        assert_eq!(door, subscribes && scope != "topic:doors/#", "{scope}");
        if !doors {
            assert_eq!(reason(&mut client, "doors/1"), format!("locked: {scope}"));
        }
        lock(&subject, &format!("open {scope}"));
        assert_eq!(client.say("doors/1", "x"), 0, "{scope} is open again");
    }
}

#[test]
fn what_is_closed_for_one_user_is_open_for_the_others() {
    let subject = gateway();
    for user in ["ann", "bob"] {
        add_user(&subject, user, &[]);
    }
    let [mut ann, mut bob] = ["ann", "bob"].map(|user| subject.accept(&login(user)));
    lock(&subject, "close publish --user ann");
    assert_eq!((ann.say("a", "x"), bob.say("a", "x")), (0x87, 0));
    lock(&subject, "open publish --user ann");
    assert_eq!(ann.say("a", "x"), 0);
}

#[test]
fn no_superuser_is_above_the_lock_and_whoever_is_exempt_is() {
    let subject = gateway_with("exempt = [\"operator\"]");
    add_user(&subject, "root", &["--superuser"]);
    add_user(&subject, "operator", &[]);
    let [mut root, mut operator] = ["root", "operator"].map(|user| subject.accept(&login(user)));
    lock(&subject, "close");
    assert_eq!((root.say("a", "x"), operator.say("a", "x")), (0x87, 0));
    assert_eq!(root.subscribe_all(&Subscribe::to("a", 1)), [0x87]);
    operator.subscribe("a", 1);
}

#[test]
fn a_3_1_1_client_keeps_its_message_by_being_disconnected_unless_told_otherwise() {
    let subject = gateway();
    let mut client = subject.v311("a");
    lock(&subject, "close");
    client.publish(Publish::to("a").qos(0).payload("lost"));
    client.ping();
    assert_eq!(client.subscribe_all(&Subscribe::to("a", 1)), [0x80]);
    let id = client.fresh_id();
    client.send(&Publish::to("a").qos(1).id(id).payload("x").encode(Version::V311));
    client.expect_closed();
    // The same gateway told otherwise, while it runs.
    let text = std::fs::read_to_string(subject.config()).expect("read the configuration");
    let text = text.replace("[lock]", "[lock]\nrefused_publish_v3 = \"acknowledge\"");
    std::fs::write(subject.config(), text).expect("write the configuration");
    let said = subject.command(&["reload"]).exits(0).out;
    assert!(said.contains("lock.refused_publish_v3"), "{said}");
    let mut client = subject.v311("a");
    assert_eq!((client.say("a", "x"), client.publish(Publish::to("a").qos(2).payload("x"))), (0, 0));
    lock(&subject, "open");
    client.subscribe("a", 1);
    client.nothing_arrives();
}

#[test]
fn a_client_may_log_in_while_it_is_closed_with_a_will_too_unless_that_is_refused() {
    let subject = gateway();
    subject.port();
    lock(&subject, "close");
    let mut client = subject.accept(&Connect::v5("a").will(Will::new("wills/a", "gone")));
    assert_eq!(client.say("a", "x"), 0x87);
    let subject = gateway_with("logins = \"refuse\"");
    let mut inside = subject.v5("inside");
    lock(&subject, "close");
    inside.ping();
    let connack = subject.refuse(&Connect::v5("b"));
    assert_eq!(connack.code, 0x87);
    assert_eq!(one(&connack.properties, REASON_STRING), Some(&Value::Text("locked: gateway".into())));
    assert_eq!(subject.refuse(&Connect::v311("b")).code, 3);
    lock(&subject, "open");
    subject.v311("b").ping();
}

#[test]
fn a_will_that_fires_while_it_is_closed_is_refused() {
    let subject = gateway();
    let mut watcher = subject.v5("watcher");
    watcher.subscribe("wills/#", 1);
    let leaver = subject.accept(&Connect::v5("a").will(Will::new("wills/a", "gone")));
    lock(&subject, "close publish");
    leaver.drop_connection();
    eventually("the refusal is on record", || subject.log().contains("operation=will").then_some(()));
    lock(&subject, "open publish");
    watcher.nothing_arrives();
}

#[test]
fn explain_and_the_metrics_know_the_stage() {
    let subject = gateway();
    let mut client = subject.v5("a");
    lock(&subject, "close topic:doors/#");
    assert_eq!(client.say("doors/1", "x"), 0x87);
    for line in ["--client a publish doors/1", "guest publish doors/1", "guest receive doors/1"] {
        let words: Vec<&str> = ["explain", "--json"].into_iter().chain(line.split(' ')).collect();
        let answer: serde_json::Value =
            serde_json::from_str(&subject.command(&words).exits(3).out).expect("JSON");
        assert_eq!(answer["answers"][0]["reason"], "locked: topic:doors/#", "{answer}");
        assert_eq!(answer["answers"][0]["stages"][3]["stage"], "lock", "{answer}");
        assert_eq!(answer["answers"][0]["stages"][3]["verdict"], "deny", "{answer}");
    }
    subject.command(&["acl", "test", "guest", "publish", "doors/1"]).exits(0);
}
