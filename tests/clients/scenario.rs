//! What every foreign client must be able to do here: one test for each scenario, client and version.

use super::foreign::{Foreign, Kind};
use super::subject_with_alice;
use crate::support::{Subject, Version};

/// One test for each scenario with this client and version.
macro_rules! tests {
    ($kind:ident, $version:ident: $($scenario:ident)*) => {
        $(#[test]
        fn $scenario() {
            super::super::$scenario(super::super::Kind::$kind, super::super::Version::$version);
        })*
    };
}

/// The modules `CLIENT::VERSION` of tests.
macro_rules! clients {
    ($($client:ident $kind:ident,)*) => {
        $(mod $client {
            mod v311 {
                clients!(@both $kind V311);
            }
            mod v5 {
                clients!(@both $kind V5);
                tests!($kind, V5:
                    properties_arrive_as_they_were_sent
                    an_alias_stands_for_its_topic
                );
            }
        })*
    };
    (@both $kind:ident $version:ident) => {
        tests!($kind, $version:
            the_right_password_is_accepted_and_a_wrong_one_is_refused_with_its_code
            every_qos_arrives_as_it_was_sent
            a_retained_message_waits_for_a_new_subscriber_until_it_is_cleared
            a_will_is_sent_when_the_connection_is_cut
            a_session_keeps_its_messages_until_the_client_returns
            a_shared_subscription_gives_each_message_to_one_member
            a_megabyte_arrives_whole
            a_denied_publish_is_not_routed_and_told_0x87_in_version_5
            a_denied_subscription_is_told
            an_ended_subscription_gets_nothing_more
        );
    };
}

clients! {
    gmqtt Gmqtt,
    mqttjs MqttJs,
    paho_c PahoC,
    paho_python PahoPython,
}

fn the_right_password_is_accepted_and_a_wrong_one_is_refused_with_its_code(kind: Kind, version: Version) {
    let subject = subject_with_alice();
    let mut client = kind.connect_with(&subject, version, "id=a clean=1 user=alice password=secret");
    client.subscribe("a", 1);
    let refused = kind.start(&subject, version).tell("connect id=b clean=1 user=alice password=wrong");
    assert_eq!(refused, format!("refused code={}", kind.wrong_password(version)));
}

fn every_qos_arrives_as_it_was_sent(kind: Kind, version: Version) {
    let subject = Subject::start();
    let mut subscriber = kind.connect(&subject, version, "subscriber");
    let mut publisher = kind.connect(&subject, version, "publisher");
    for qos in 0..3 {
        subscriber.subscribe(&format!("live/{qos}/+"), qos);
        for sent in 0..3 {
            let topic = format!("live/{qos}/{sent}");
            publisher.publish(&topic, sent, "hello");
            // At the lower of both.
            subscriber.expect(&topic, qos.min(sent), "hello");
        }
    }
}

fn a_retained_message_waits_for_a_new_subscriber_until_it_is_cleared(kind: Kind, version: Version) {
    let subject = Subject::start();
    let mut publisher = kind.connect(&subject, version, "publisher");
    for qos in 0..3 {
        let topic = format!("kept/{qos}");
        publisher.retain(&topic, qos, "kept");
        // QoS 0 is not acknowledged; what follows it is.
        publisher.publish("fence", 1, "up");
        let mut subscriber = kind.connect(&subject, version, "subscriber");
        subscriber.subscribe(&topic, qos);
        let expected = format!("message topic={topic} qos={qos} retain=1 payload=kept");
        assert_eq!(subscriber.tell("receive"), expected);

        publisher.retain(&topic, qos, "");
        publisher.publish("fence", 1, "up");
        let mut late = kind.connect(&subject, version, "late");
        late.subscribe(&topic, qos);
        late.subscribe("fence", 1);
        publisher.publish("fence", 1, "first");
        late.expect("fence", 1, "first");
    }
}

fn a_will_is_sent_when_the_connection_is_cut(kind: Kind, version: Version) {
    let subject = Subject::start();
    let mut watcher = kind.connect(&subject, version, "watcher");
    watcher.subscribe("will/#", 1);
    // One that takes its leave has no will.
    kind.connect_with(&subject, version, "id=polite clean=1 will=will/polite").disconnect();
    drop(kind.connect_with(&subject, version, "id=mortal clean=1 will=will/mortal"));
    watcher.expect("will/mortal", 1, "gone");
}

fn a_session_keeps_its_messages_until_the_client_returns(kind: Kind, version: Version) {
    let subject = Subject::start();
    let mut publisher = kind.connect(&subject, version, "publisher");
    let words = "id=keeper clean=0 expiry=600";
    let mut keeper = kind.connect_with(&subject, version, words);
    keeper.subscribe("queue/1", 1);
    keeper.subscribe("queue/2", 2);
    keeper.disconnect();
    for number in 0..10 {
        publisher.publish("queue/1", 1, &format!("one-{number}"));
        publisher.publish("queue/2", 2, &format!("two-{number}"));
    }
    let mut keeper = kind.start(&subject, version);
    assert_eq!(keeper.tell(&format!("connect {words}")), kind.connected_again(version));
    // Many clients hand a message of QoS 2 over when it is released, after one of QoS 1 that came later.
    let got: Vec<_> = (0..20).map(|_| keeper.tell("receive")).collect();
    for (qos, name) in [(1, "one"), (2, "two")] {
        let expected = |n| format!("message topic=queue/{qos} qos={qos} retain=0 payload={name}-{n}");
        let found: Vec<_> = got.iter().filter(|line| line.contains(name)).cloned().collect();
        assert_eq!(found, (0..10).map(expected).collect::<Vec<_>>());
    }
    // Without subscribing again.
    publisher.publish("queue/2", 2, "live");
    keeper.expect("queue/2", 2, "live");
}

fn a_shared_subscription_gives_each_message_to_one_member(kind: Kind, version: Version) {
    const MESSAGES: usize = 20;
    let subject = Subject::start();
    let mut members = ["one", "two"].map(|id| {
        let mut member = kind.connect(&subject, version, id);
        member.subscribe("$share/group/work", 1);
        member.subscribe("end", 1);
        member
    });
    let mut publisher = kind.connect(&subject, version, "publisher");
    for number in 0..MESSAGES {
        publisher.publish("work", 1, &format!("{number}"));
    }
    publisher.publish("end", 1, "x");
    let mut got: Vec<String> = Vec::new();
    for member in &mut members {
        let before = got.len();
        got.extend(until_the_end(member));
        assert!(got.len() > before, "a member without work");
    }
    let number = |line: &String| line.rsplit_once('=').and_then(|(_, number)| number.parse::<usize>().ok());
    let mut numbers: Vec<_> = got.iter().filter_map(number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>(), "{got:?}");
}

/// The messages before the one on the topic `end`.
fn until_the_end(member: &mut Foreign) -> Vec<String> {
    let next = || Some(member.tell("receive"));
    std::iter::from_fn(next).take_while(|line| !line.starts_with("message topic=end ")).collect()
}

fn a_megabyte_arrives_whole(kind: Kind, version: Version) {
    let subject = Subject::start();
    let mut client = kind.connect(&subject, version, "both");
    client.subscribe("large", 2);
    // No two places alike, so that nothing can be moved or repeated unseen.
    let mut payload: String = (0..150_000).map(|number| format!("{number:07}")).collect();
    payload.truncate(1 << 20);
    client.publish("large", 2, &payload);
    let message = client.tell("receive");
    let arrived = message.strip_prefix("message topic=large qos=2 retain=0 payload=");
    // Not by assert_eq, which would print both.
    assert!(arrived == Some(&payload), "{} bytes became {:?}", payload.len(), arrived.map(str::len));
}

fn a_denied_publish_is_not_routed_and_told_0x87_in_version_5(kind: Kind, version: Version) {
    let subject = Subject::with().prepare();
    subject.command(&["acl", "deny", "*", "write", "denied/#"]).exits(0);
    let mut client = kind.connect(&subject, version, "both");
    client.subscribe("#", 2);
    for qos in 1..3 {
        // Version 3 knows no refusal: it is acknowledged, and goes nowhere.
        let expected = if version == Version::V5 { kind.denied(qos) } else { 0 };
        assert_eq!(client.ask_to_publish("denied/topic", qos, "x", ""), expected, "QoS {qos}");
    }
    // The client is still there, and its packet identifiers are free again.
    client.publish("allowed", 2, "y");
    client.expect("allowed", 2, "y");
}

fn a_denied_subscription_is_told(kind: Kind, version: Version) {
    let subject = Subject::with().prepare();
    subject.command(&["acl", "deny", "*", "subscribe", "secret/#"]).exits(0);
    let mut client = kind.connect(&subject, version, "both");
    let expected = if version == Version::V5 { 0x87 } else { 0x80 };
    assert_eq!(client.ask_to_subscribe("secret/#", 1), expected);
    client.subscribe("open", 1);
}

fn an_ended_subscription_gets_nothing_more(kind: Kind, version: Version) {
    let subject = Subject::start();
    let mut client = kind.connect(&subject, version, "both");
    client.subscribe("ended", 1);
    client.subscribe("fence", 1);
    client.publish("ended", 1, "before");
    client.expect("ended", 1, "before");
    client.unsubscribe("ended");
    client.publish("ended", 1, "after");
    client.publish("fence", 1, "up");
    client.expect("fence", 1, "up");
}

fn properties_arrive_as_they_were_sent(kind: Kind, version: Version) {
    let subject = Subject::start();
    let mut client = kind.connect(&subject, version, "both");
    client.subscribe("questions", 1);
    let words = "user=room:kitchen type=text/plain response=answers/both correlation=42";
    assert_eq!(client.ask_to_publish("questions", 1, "6*7", &format!("{words} expiry=3600")), 0);
    let message = client.tell("receive");
    let (rest, left) = message.rsplit_once(" expiry=").expect("a message with an expiry");
    assert_eq!(rest, format!("message topic=questions qos=1 retain=0 payload=6*7 {words}"));
    // What is left of it [MQTT-3.3.2-6].
    assert!((3500..=3600).contains(&left.parse::<u32>().expect("seconds")), "{left}");
}

fn an_alias_stands_for_its_topic(kind: Kind, version: Version) {
    let subject = Subject::start();
    let aliases = if kind.resolves_aliases() { "aliases=10" } else { "" };
    let mut subscriber = kind.connect_with(&subject, version, &format!("id=subscriber clean=1 {aliases}"));
    subscriber.subscribe("long/topic", 1);
    let mut publisher = kind.connect(&subject, version, "publisher");
    assert_eq!(publisher.ask_to_publish("long/topic", 1, "first", "alias=1"), 0);
    for payload in ["second", "third"] {
        assert_eq!(publisher.ask_to_publish("", 1, payload, "alias=1"), 0);
    }
    for payload in ["first", "second", "third"] {
        subscriber.expect("long/topic", 1, payload);
    }
}
