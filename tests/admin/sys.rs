//! `$SYS/broker/…`.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use crate::support::{BOUND, Publish, Subject, eventually};

fn gateway() -> Subject {
    Subject::with().gateway("sys_interval = 1").start()
}

/// How many topics there are at least.
const TOPICS: usize = 51;

/// The present values below `$SYS/`, as far as a stock client gets them within a second.
fn values(subject: &Subject) -> HashMap<String, String> {
    let port = subject.port().to_string();
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-t", "$SYS/#", "-v", "--retained-only", "-W", "1"];
    let output = Command::new("mosquitto_sub")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("mosquitto_sub starts: tests/run installs it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // `retained messages/count` has a space in its topic: the value is behind the last one, but for two of them.
    text.lines()
        .filter_map(|line| {
            let at = match line {
                line if line.starts_with("$SYS/broker/version") => line.find(' '),
                line if line.starts_with("$SYS/broker/uptime") => line.find(' '),
                line => line.rfind(' '),
            }?;
            Some((line[..at].to_owned(), line[at + 1..].to_owned()))
        })
        .collect()
}

fn number(values: &HashMap<String, String>, name: &str) -> f64 {
    let value =
        values.get(&format!("$SYS/broker/{name}")).unwrap_or_else(|| panic!("no {name} in {values:?}"));
    value.parse().unwrap_or_else(|_| panic!("{name} is {value:?}"))
}

#[test]
fn mosquitto_sub_sees_every_value_and_they_move() {
    let subject = gateway();
    let mut listener = subject.v5("listener");
    listener.subscribe("traffic", 1);
    listener.subscribe("$share/group/jobs", 1);
    let mut speaker = subject.v311("speaker");
    speaker.publish(Publish::to("kept").qos(1).retain().payload("x"));
    for _ in 0..20 {
        speaker.publish(Publish::to("traffic").qos(1).payload(vec![b'x'; 100]));
        let message = listener.receive();
        listener.acknowledge(&message);
    }
    let values = eventually("the totals are published", || {
        let values = values(&subject);
        (values.len() >= TOPICS && number(&values, "publish/messages/received") >= 21.0).then_some(values)
    });
    assert!(values["$SYS/broker/version"].starts_with("latchgate version "), "{values:?}");
    assert!(values["$SYS/broker/uptime"].ends_with(" seconds"), "{values:?}");
    for (name, least) in [
        ("clients/total", 2.0),
        ("clients/connected", 2.0),
        ("clients/active", 2.0),
        ("clients/maximum", 2.0),
        ("messages/received", 45.0),
        ("messages/sent", 45.0),
        ("publish/messages/sent", 20.0),
        ("publish/bytes/received", 2001.0),
        ("publish/bytes/sent", 2000.0),
        ("bytes/received", 2500.0),
        ("bytes/sent", 2200.0),
        ("retained messages/count", 1.0),
        ("messages/stored", 1.0),
        ("store/messages/count", 1.0),
        ("store/messages/bytes", 1.0),
        ("subscriptions/count", 1.0),
        ("shared_subscriptions/count", 1.0),
        ("load/messages/received/1min", 1.0),
        ("load/publish/received/5min", 1.0),
        ("load/bytes/sent/15min", 1.0),
        ("load/connections/1min", 0.1),
        ("load/sockets/1min", 0.1),
    ] {
        assert!(number(&values, name) >= least, "{name}: {values:?}");
    }
    for name in
        ["clients/disconnected", "clients/expired", "publish/messages/dropped", "load/publish/dropped/1min"]
    {
        assert_eq!(number(&values, name), 0.0, "{name}");
    }
}

#[test]
fn a_hash_does_not_match_them_and_they_take_no_place_of_retained_messages() {
    let subject = Subject::with().gateway("sys_interval = 1").limit("retained_messages", 2).start();
    let mut client = subject.v5("client");
    let mut watcher = subject.v5("watcher");
    watcher.subscribe("$SYS/broker/uptime", 0);
    // Two values of it: they were published while `client` was there.
    watcher.receive_texts(2);
    client.subscribe("#", 0);
    client.subscribe("+/broker/uptime", 0);
    client.nothing_arrives();
    for topic in ["a", "b"] {
        assert_eq!(client.publish(Publish::to(topic).qos(1).retain().payload("x")), 0);
    }
    watcher.set_read_timeout(BOUND);
    watcher.receive_texts(1);
}

#[test]
fn whoever_may_not_read_them_does_not_get_them() {
    let subject = Subject::with().gateway("sys_interval = 1").without_rules().prepare();
    subject.command(&["acl", "allow", "*", "all", "fence/#"]).exits(0);
    subject.command(&["acl", "allow", "*", "subscribe", "$SYS/#"]).exits(0);
    subject.command(&["acl", "allow", "*", "receive", "$SYS/broker/version"]).exits(0);
    let mut client = subject.v5("client");
    client.subscribe("$SYS/#", 0);
    assert!(client.receive().text().starts_with("latchgate version "));
    client.nothing_arrives();
}

#[test]
fn an_interval_of_0_turns_them_off() {
    let subject = Subject::with().gateway("sys_interval = 0").start();
    let mut client = subject.v5("client");
    client.subscribe("$SYS/#", 0);
    client.nothing_arrives();
}
