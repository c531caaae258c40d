//! `explain` and the number of a refusal, which the client and the log both have.

use serde_json::Value;

use super::{acl, add_user, closed};
use crate::support::property::{self, REASON_STRING, one};
use crate::support::{Client, Connect, Packet, Publish, Subject, Subscribe, Version, eventually};

fn alice(subject: &Subject) -> Client {
    subject.accept(&Connect::v5("sensor-7").login("alice", super::PASSWORD))
}

fn explain(subject: &Subject, line: &str, code: i32) -> Value {
    let words: Vec<&str> = ["explain", "--json"].into_iter().chain(line.split(' ')).collect();
    serde_json::from_str(&subject.command(&words).exits(code).out).expect("--json prints JSON")
}

/// `stage verdict` of every stage of the first answer.
fn stages(answer: &Value) -> Vec<String> {
    let stages = answer["answers"][0]["stages"].as_array().expect("stages").iter();
    let text = |value: &Value| value.as_str().expect("a word").to_owned();
    stages.map(|stage| format!("{} {}", text(&stage["stage"]), text(&stage["verdict"]))).collect()
}

/// Publishes at QoS 1; the reason string of the refusal.
fn refused(client: &mut Client, topic: &str) -> String {
    let id = client.fresh_id();
    client.send(&Publish::to(topic).qos(1).id(id).payload("x").encode(Version::V5));
    match client.read() {
        Packet::PubAck { code: 0x87, properties, .. } => match one(&properties, REASON_STRING) {
            Some(crate::support::Value::Text(why)) => why.clone(),
            other => panic!("no reason string: {other:?}"),
        },
        other => panic!("not refused: {other:?}"),
    }
}

fn number_in(reason: &str) -> String {
    let (_, number) = reason.split_once("audit ").unwrap_or_else(|| panic!("no number in {reason:?}"));
    let number = number.trim_end_matches(')').to_owned();
    assert!(number.len() == 8 && number.bytes().all(|b| b.is_ascii_hexdigit()), "{reason:?}");
    number
}

#[test]
fn a_refusal_at_the_door_has_a_number_too() {
    let subject = closed(Subject::with());
    let connect = Connect::v5("sensor-8").with(property::authentication_method("SCRAM-SHA-1"));
    let (_, connack) = Client::connect(subject.port(), &connect);
    assert_eq!(connack.code, 0x8C);
    let Some(crate::support::Value::Text(why)) = one(&connack.properties, REASON_STRING) else {
        panic!("no reason string: {connack:?}")
    };
    assert!(why.starts_with("enhanced authentication is not offered (audit "), "{why}");
    let number = number_in(why);
    eventually("the record is in the log", || subject.log().contains(&number).then_some(()));
}

#[test]
fn the_number_a_client_sees_finds_the_one_audit_record() {
    let subject = closed(Subject::with());
    add_user(&subject, "alice");
    acl(&subject, "deny alice write plant/secret");
    let mut client = alice(&subject);
    let reason = refused(&mut client, "plant/valve");
    assert!(reason.starts_with("no rule allows it (audit "), "{reason}");
    let number = number_in(&reason);
    assert_eq!(number_in(&refused(&mut client, "plant/valve")), number, "a repetition keeps it");
    let other = refused(&mut client, "plant/secret");
    assert!(other.starts_with("a rule denies it (deny write plant/secret for alice; audit "), "{other}");
    assert_ne!(number_in(&other), number);
    let line = eventually("the record is in the log", || {
        subject.log().lines().find(|line| line.contains(&number)).map(str::to_owned)
    });
    for word in ["alice", "sensor-7", "plant/valve", "no rule allows it"] {
        assert!(line.contains(word), "{line}");
    }
    assert_eq!(subject.log().lines().filter(|line| line.contains(&number)).count(), 1);
    let answer = explain(&subject, "--client sensor-7 publish plant/valve", 3);
    assert_eq!(answer["answers"][0]["audit"], *number, "{answer}");
}

#[test]
fn a_refused_subscription_login_and_will_have_numbers_too() {
    let subject = closed(Subject::with());
    add_user(&subject, "alice");
    let mut client = alice(&subject);
    client.send(&Subscribe::to("plant/#", 0).encode(Version::V5, 9));
    let Packet::SubAck { properties, .. } = client.read() else { panic!("no SUBACK") };
    let Some(crate::support::Value::Text(why)) = one(&properties, REASON_STRING) else { panic!("no reason") };
    let mut numbers = vec![number_in(why)];
    for connect in [
        Connect::v5("x").login("alice", "wrong"),
        Connect::v5("y").will(crate::support::Will::new("forbidden", "x")),
    ] {
        let connack = subject.refuse(&connect);
        let Some(crate::support::Value::Text(why)) = one(&connack.properties, REASON_STRING) else {
            panic!("no reason: {connack:?}")
        };
        numbers.push(number_in(why));
    }
    for number in numbers {
        eventually("the record is in the log", || subject.log().contains(&number).then_some(()));
    }
}

#[test]
fn the_gateway_answers_as_it_acts_for_a_user_and_for_a_connected_client() {
    let subject = closed(Subject::with());
    add_user(&subject, "alice");
    acl(&subject, "allow alice write plant/valve");
    acl(&subject, "allow alice read plant/%c/#");
    acl(&subject, "deny alice write plant/secret");
    let mut client = alice(&subject);
    for (access, topic, code) in [
        ("publish", "plant/valve", 0),
        ("publish", "plant/secret", 3),
        ("publish", "plant/other", 3),
        ("publish", "$SYS/broker/version", 3),
        ("subscribe", "plant/sensor-7/#", 0),
        ("read", "plant/sensor-7/x", 0),
        ("subscribe", "plant/#", 3),
        ("all", "plant/valve", 3),
    ] {
        if access == "publish" {
            let answered = client.say(topic, "x");
            assert_eq!(answered == 0, code == 0, "{topic}: {answered:#04x}");
        }
        let live = explain(&subject, &format!("--client sensor-7 {access} {topic}"), code);
        let asked = explain(&subject, &format!("alice {access} {topic} --client-id sensor-7"), code);
        let tested = subject.command(&["acl", "test", "alice", access, topic, "--client-id", "sensor-7"]);
        assert_eq!(tested.code, code, "{access} {topic}");
        assert_eq!((&live["live"], &asked["live"]), (&Value::Bool(true), &Value::Bool(false)));
        assert_eq!(live["user"], "alice");
        assert_eq!(stages(&live)[1..], stages(&asked)[1..], "{access} {topic}");
    }
    let answer = explain(&subject, "--client sensor-7 publish plant/secret", 3);
    assert_eq!(
        stages(&answer),
        [
            "listener pass",
            "login pass",
            "reserved pass",
            "lock pass",
            "superuser pass",
            "deny deny",
            "allow not-asked",
            "source not-asked",
        ]
    );
    assert_eq!(answer["answers"][0]["rule"], "deny write plant/secret for alice");
    let why = answer["answers"][0]["stages"][0]["why"].as_str().expect("words");
    assert!(why.contains("plain") && why.contains("127.0.0.1"), "{why}");
}

#[test]
fn it_tells_what_the_gate_has_in_memory() {
    let subject = closed(Subject::with());
    add_user(&subject, "alice");
    acl(&subject, "allow alice all plant/#");
    let mut client = alice(&subject);
    let cache = |access: &str| {
        let answer = explain(&subject, &format!("--client sensor-7 {access} plant/valve"), 0);
        answer["answers"][0]["cache"].as_str().map(str::to_owned)
    };
    assert_eq!(cache("publish").as_deref(), Some("not remembered"));
    assert_eq!(client.say("plant/valve", "x"), 0);
    assert_eq!(cache("publish").as_deref(), Some("remembered"));
    assert_eq!(cache("receive").as_deref(), Some("not remembered"));
    client.subscribe("plant/valve", 1);
    client.say("plant/valve", "x");
    client.receive();
    assert_eq!(cache("receive").as_deref(), Some("remembered"));
    assert_eq!(cache("subscribe").as_deref(), Some("never remembered"));
    acl(&subject, "deny alice write plant/other");
    subject.command(&["reload"]).exits(0);
    assert_eq!(cache("publish").as_deref(), Some("not remembered"), "the rules changed");
}

#[test]
fn a_disabled_account_is_denied_at_login_and_a_superuser_passes_there() {
    let subject = closed(Subject::with());
    add_user(&subject, "alice");
    subject.command(&["user", "add", "root", "--superuser", "--hash", super::HASH]).exits(0);
    subject.command(&["user", "disable", "alice"]).exits(0);
    subject.port();
    let answer = explain(&subject, "alice publish a", 3);
    assert!(stages(&answer).contains(&"login deny".to_owned()), "{answer}");
    let answer = explain(&subject, "root publish a", 0);
    assert!(stages(&answer).contains(&"superuser allow".to_owned()), "{answer}");
    explain(&subject, "root publish LATCH/lock", 3);
}

#[test]
fn it_prints_for_people_and_says_what_is_wrong() {
    let subject = closed(Subject::with());
    acl(&subject, "allow bob write plant/valve");
    subject.port();
    let answer = subject.command(&["explain", "bob", "publish", "plant/valve"]).exits(0);
    assert!(answer.out.starts_with("allow: allow write plant/valve for bob\n"), "{}", answer.out);
    let answer = subject.command(&["explain", "bob", "publish", "other"]).exits(3);
    assert!(answer.out.starts_with("deny: no rule allows it\npublish other by bob:\n"), "{}", answer.out);
    subject.command(&["explain", "bob", "publish"]).exits(2);
    subject.command(&["explain", "bob", "fly", "a"]).exits(2);
    let answer = subject.command(&["explain", "--client", "nobody", "publish", "a"]).exits(1);
    assert!(answer.err.contains("nobody"), "{}", answer.err);
    let place = tempfile::tempdir().expect("a temporary directory");
    let alone =
        crate::support::subject::latchgate(place.path(), &["explain", "bob", "publish", "a"], "").exits(1);
    assert!(alone.err.contains("no gateway is running"), "{}", alone.err);
}
