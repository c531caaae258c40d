//! Commands that clients publish.

use crate::service::{Service, account};
use crate::support::{Publish, Version, Will, eventually};
use crate::{gateway, gateway_with, latch, logged, login, status_of, v5};

#[test]
fn a_client_pairs_its_user_makes_an_instance_and_unpairs() {
    let service = Service::start();
    let subject = gateway(&service.section());
    let mut lamp = v5(&subject, "lamp");
    let mut phone = v5(&subject, "phone");
    phone.subscribe("LATCH/answer/#", 1);
    phone.subscribe("LATCH/pairing", 1);
    phone.subscribe("LATCH/create_instance", 1);
    phone.subscribe("LATCH/unpairing", 1);
    assert_eq!(lamp.say("LATCH/pairing", "pair01"), 0);
    eventually("it is paired", || (!status_of(&subject, "lamp").is_null()).then_some(()));
    assert_eq!(lamp.publish(Publish::to("LATCH/create_instance").qos(2).payload("door/+")), 0);
    let topic = || status_of(&subject, "lamp")["instances"][0]["topic"].clone();
    eventually("it has an instance", || (topic() == "door/+").then_some(()));
    assert_eq!(service.state()["accounts"][account('a')]["instances"].as_object().unwrap().len(), 1);
    assert_eq!(lamp.publish(Publish::to("LATCH/unpairing").qos(0)), 0);
    eventually("it is unpaired", || status_of(&subject, "lamp").is_null().then_some(()));
    assert_eq!(service.state()["accounts"][account('a')]["paired"], false);
    // Nobody receives a command; everybody who may read them receives the answers.
    for _ in 0..3 {
        let answer = phone.receive();
        assert_eq!((answer.topic.as_str(), answer.retain), ("LATCH/answer/lamp", false));
        let said: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!(said["done"], true, "{said}");
    }
    phone.nothing_arrives();
    for command in ["LATCH/pairing", "LATCH/create_instance", "LATCH/unpairing"] {
        logged(&subject, &["command obeyed", command, "user=\"lamp\"", "address=127.0.0.1"]);
    }
    assert!(!subject.log().contains("pair01"), "{}", subject.log());
}

#[test]
fn a_command_needs_a_rule_and_a_denying_one_wins() {
    let service = Service::start();
    let subject = gateway(&service.section());
    subject.command(&["acl", "deny", "lamp", "write", "LATCH/pairing"]).exits(0);
    subject.command(&["acl", "test", "phone", "write", "LATCH/pairing"]).exits(0);
    subject.command(&["acl", "test", "lamp", "write", "LATCH/pairing"]).exits(3);
    let mut lamp = v5(&subject, "lamp");
    assert_eq!(lamp.say("LATCH/pairing", "pair01"), 0x87);
    assert_eq!(lamp.say("LATCH/status", "forged"), 0x87);
    assert_eq!(lamp.say("LATCH/lock", "forged"), 0x87);
    assert_eq!(lamp.say("LATCH/pairing/x", "pair01"), 0x87);
    assert_eq!(service.requests(), [""; 0]);
    let will = Will::new("LATCH/unpairing", "");
    assert_eq!(subject.refuse(&login(Version::V5, "phone").will(will)).code, 0x87);
}

#[test]
fn without_latch_there_are_no_commands() {
    let subject = gateway("");
    let mut lamp = v5(&subject, "lamp");
    assert_eq!(lamp.say("LATCH/pairing", "pair01"), 0x87);
    assert_eq!(lamp.say("LATCH/unpairing=hunter2", ""), 0x87);
    logged(&subject, &["refused", "topic=\"LATCH/unpairing\""]);
    assert!(!subject.log().contains("hunter2"), "{}", subject.log());
}

#[test]
fn a_value_in_the_topic_is_refused_and_not_logged_unless_it_is_switched_on() {
    let service = Service::start();
    let subject = gateway(&service.section());
    let mut lamp = v5(&subject, "lamp");
    assert_eq!(lamp.say("LATCH/pairing=pair01", ""), 0x87);
    assert_eq!(lamp.say("LATCH/unpairing=hunter2", ""), 0x87);
    logged(&subject, &["refused", "topic=\"LATCH/unpairing\""]);
    assert_eq!(service.requests(), [""; 0]);

    let legacy = gateway(&format!("{}legacy_topics = true\n", service.section()));
    let mut lamp = v5(&legacy, "lamp");
    assert_eq!(lamp.say("LATCH/pairing=pair01", "not looked at"), 0);
    eventually("it is paired", || (!status_of(&legacy, "lamp").is_null()).then_some(()));
    assert_eq!(lamp.say("LATCH/create_instance=home/floor1", ""), 0);
    let topic = || status_of(&legacy, "lamp")["instances"][0]["topic"].clone();
    eventually("it has an instance", || (topic() == "home/floor1").then_some(()));
    assert_eq!(lamp.say("LATCH/unpairing=hunter2", ""), 0);
    eventually("it is unpaired", || status_of(&legacy, "lamp").is_null().then_some(()));
    for log in [subject.log(), legacy.log()] {
        assert!(!log.contains("pair01") && !log.contains("hunter2"), "{log}");
    }
}

#[test]
fn one_user_is_slowed_down_and_another_is_not() {
    let service = Service::start();
    let subject = gateway(&service.section());
    let (mut lamp, mut phone) = (v5(&subject, "lamp"), v5(&subject, "phone"));
    lamp.subscribe("LATCH/answer/lamp", 0);
    for guess in 0..20 {
        assert_eq!(lamp.say("LATCH/pairing", &format!("guess{guess}")), 0);
    }
    logged(&subject, &["command not obeyed", "too many commands"]);
    let answers = lamp.receive_texts(20);
    let with = |words: &str| answers.iter().filter(|answer| answer.contains(words)).count();
    assert_eq!((with("the token is wrong"), with("wait a minute")), (5, 15), "{answers:?}");
    assert_eq!(phone.say("LATCH/pairing", "pair02"), 0);
    eventually("the other is paired", || (!status_of(&subject, "phone").is_null()).then_some(()));
    let guesses = service.requests().iter().filter(|request| request.contains("/pair/guess")).count();
    assert_eq!(guesses, 5);
}

#[test]
fn a_user_cannot_get_rid_of_the_second_factor_while_it_is_off() {
    let service = Service::start();
    let slow = service.section().replace("poll = \"250ms\"", "poll = \"1h\"");
    let subject = gateway_with(crate::support::Subject::with().section(&slow));
    latch(&subject, "pair lamp pair01").exits(0);
    let mut lamp = v5(&subject, "lamp");
    eventually("it was asked about", || (status_of(&subject, "lamp")["application"] == "open").then_some(()));
    // Switched off, and not polled since: the command asks by itself.
    service.switch(&account('a'), "app", "off");
    assert_eq!(lamp.say("LATCH/unpairing", ""), 0);
    logged(&subject, &["command not obeyed", "open it on the phone first"]);
    assert_eq!(service.state()["accounts"][account('a')]["paired"], true);
}

#[test]
fn values_that_mean_nothing_reach_nobody() {
    let service = Service::start();
    let subject = gateway(&service.section());
    let mut lamp = v5(&subject, "lamp");
    for (topic, value) in [
        ("LATCH/pairing", "../unpair/x"),
        ("LATCH/pairing", ""),
        ("LATCH/create_instance", "a/#/b"),
        ("LATCH/pairing", &"x".repeat(100_000)),
    ] {
        assert_eq!(lamp.say(topic, value), 0);
    }
    let log = || subject.log();
    eventually("all are refused", || (log().matches("command not obeyed").count() == 4).then_some(()));
    assert_eq!(service.requests(), [""; 0]);
    assert!(!log().contains("../unpair"));
}
