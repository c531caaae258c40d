//! Rules for publish, subscribe and receive, and how a refusal is told in each version.

use super::{acl, add_user, add_user_with, gateway, gateway_with, login, v5, v311};
use crate::support::packet::{PUBREL, ack};
use crate::support::property::{self};
use crate::support::{Connect, Packet, Publish, Subject, Subscribe, Version};

/// alice may publish to `ok/#`, bob may read everything.
fn two_users() -> Subject {
    let subject = gateway();
    add_user(&subject, "alice");
    add_user(&subject, "bob");
    acl(&subject, "allow alice write ok/#");
    acl(&subject, "allow bob read #");
    subject
}

#[test]
fn a_denied_qos1_publish_is_answered_0x87_and_never_routed() {
    let subject = two_users();
    let mut bob = v5(&subject, "bob");
    bob.subscribe("#", 2);
    let mut alice = v5(&subject, "alice");
    alice.send(&Publish::to("secret").qos(1).id(5).payload("x").encode(Version::V5));
    match alice.read() {
        Packet::PubAck { id: 5, code: 0x87, .. } => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(alice.publish(Publish::to("ok/x").qos(1).payload("fine")), 0);
    assert_eq!(bob.receive().text(), "fine");
    bob.nothing_arrives();
}

#[test]
fn a_denied_qos2_publish_is_answered_0x87_in_pubrec_and_never_routed() {
    let subject = two_users();
    let mut bob = v5(&subject, "bob");
    bob.subscribe("#", 2);
    let mut alice = v5(&subject, "alice");
    assert_eq!(alice.publish(Publish::to("secret").qos(2).id(5).payload("x")), 0x87);
    // The identifier is free again: the refusal ended the exchange.
    assert_eq!(alice.publish(Publish::to("ok/x").qos(2).id(5).payload("fine")), 0);
    assert_eq!(bob.receive().text(), "fine");
    bob.nothing_arrives();
}

#[test]
fn a_denied_qos0_publish_is_dropped_in_silence() {
    let subject = two_users();
    let mut bob = v5(&subject, "bob");
    bob.subscribe("#", 2);
    for version in [Version::V311, Version::V5] {
        let mut alice = subject.accept(&login(version, "alice"));
        alice.publish(Publish::to("secret").payload("x"));
        alice.ping();
    }
    bob.nothing_arrives();
}

#[test]
fn a_denied_publish_of_3_1_1_is_acknowledged_and_not_routed() {
    let subject = two_users();
    let mut bob = v5(&subject, "bob");
    bob.subscribe("#", 2);
    for version in [Version::V31, Version::V311] {
        let mut alice = subject.accept(&login(version, "alice"));
        for qos in 1..=2 {
            assert_eq!(alice.publish(Publish::to("secret").qos(qos).id(9).payload("x")), 0);
        }
        alice.publish(Publish::to("ok/x").qos(2).payload("fine"));
        assert_eq!(bob.receive().text(), "fine");
    }
    bob.nothing_arrives();
}

#[test]
fn a_denied_publish_of_3_1_1_disconnects_where_that_is_configured() {
    let subject = gateway_with(Subject::with().section("[acl]\nrefused_publish_v3 = \"disconnect\""));
    add_user(&subject, "alice");
    for qos in 0..=2 {
        let mut alice = v311(&subject, "alice");
        alice.send(&Publish::to("secret").qos(qos).id(1).encode(Version::V311));
        alice.expect_closed();
    }
    let mut alice = v5(&subject, "alice");
    assert_eq!(alice.say("secret", "x"), 0x87);
    alice.ping();
}

#[test]
fn a_denied_retained_publish_is_not_kept() {
    let subject = two_users();
    let mut alice = v5(&subject, "alice");
    assert_eq!(alice.publish(Publish::to("secret").qos(1).retain().payload("x")), 0x87);
    let mut bob = v5(&subject, "bob");
    bob.subscribe("secret", 1);
    bob.nothing_arrives();
}

#[test]
fn a_pubrel_after_a_refused_qos2_publish_routes_nothing() {
    let subject = two_users();
    let mut bob = v5(&subject, "bob");
    bob.subscribe("#", 2);
    for version in [Version::V311, Version::V5] {
        let mut alice = subject.accept(&login(version, "alice"));
        alice.send(&Publish::to("secret").qos(2).id(5).payload("x").encode(version));
        alice.await_pubrec(5);
        alice.send(&ack(PUBREL, 5));
        alice.await_pubcomp(5);
    }
    bob.nothing_arrives();
}

#[test]
fn a_topic_alias_does_not_lead_past_the_rules() {
    let subject = two_users();
    let mut bob = v5(&subject, "bob");
    bob.subscribe("#", 2);
    let mut alice = v5(&subject, "alice");
    let secret = Publish::to("secret").qos(1).payload("x").with(property::topic_alias(1));
    assert_eq!(alice.publish(secret), 0x87);
    let again = Publish::to("").qos(1).payload("x").with(property::topic_alias(1));
    assert_eq!(alice.publish(again), 0x87);
    bob.nothing_arrives();
}

#[test]
fn a_refused_filter_does_not_harm_its_neighbours() {
    let subject = gateway();
    add_user(&subject, "bob");
    acl(&subject, "allow bob read ok/#");
    add_user_with(&subject, "root", &["--superuser"]);
    let mut root = v5(&subject, "root");
    for (version, refused) in [(Version::V31, 0x80), (Version::V311, 0x80), (Version::V5, 0x87)] {
        let mut bob = subject.accept(&login(version, "bob"));
        let subscribe = Subscribe::to("ok/a", 0).and("secret", 1).and("ok/b", 2).and("#", 0);
        assert_eq!(bob.subscribe_all(&subscribe), [0, refused, 2, refused], "{version:?}");
        for topic in ["secret", "ok/b", "other", "ok/a"] {
            root.say(topic, topic);
        }
        assert_eq!(bob.receive_texts(2), ["ok/b", "ok/a"]);
        bob.nothing_arrives();
    }
}

#[test]
fn nothing_is_permitted_without_a_rule() {
    let subject = gateway();
    add_user(&subject, "alice");
    let mut alice = v5(&subject, "alice");
    assert_eq!(alice.say("a", "x"), 0x87);
    assert_eq!(alice.subscribe_all(&Subscribe::to("a", 0)), [0x87]);
}

#[test]
fn subscribe_without_receive_is_granted_and_delivers_nothing() {
    let subject = gateway();
    add_user(&subject, "bob");
    acl(&subject, "allow bob subscribe a");
    acl(&subject, "allow bob write a");
    let mut bob = v5(&subject, "bob");
    bob.subscribe("a", 1);
    assert_eq!(bob.say("a", "x"), 0);
    bob.nothing_arrives();
}

#[test]
fn receive_without_subscribe_cannot_be_used() {
    let subject = gateway();
    add_user(&subject, "bob");
    acl(&subject, "allow bob receive a");
    let mut bob = v5(&subject, "bob");
    assert_eq!(bob.subscribe_all(&Subscribe::to("a", 0)), [0x87]);
}

#[test]
fn a_deny_rule_wins_over_every_allow_rule() {
    let subject = gateway();
    add_user(&subject, "alice");
    acl(&subject, "allow alice all #");
    acl(&subject, "allow alice all a/secret");
    acl(&subject, "deny alice write a/secret");
    let mut alice = v5(&subject, "alice");
    assert_eq!(alice.say("a/secret", "x"), 0x87);
    assert_eq!(alice.say("a/open", "x"), 0);
    acl(&subject, "deny * write a/open");
    super::within_a_second("the rule for everyone counts too", || {
        (alice.say("a/open", "x") == 0x87).then_some(())
    });
}

#[test]
fn under_covered_a_filter_wider_than_the_rules_is_refused() {
    let subject = gateway();
    add_user(&subject, "bob");
    acl(&subject, "allow bob read a/+");
    let mut bob = v5(&subject, "bob");
    let wide = Subscribe::to("a/#", 0).and("#", 0).and("+/b", 0).and("a/+/c", 0).and("a/+", 0).and("a/b", 0);
    assert_eq!(bob.subscribe_all(&wide), [0x87, 0x87, 0x87, 0x87, 0, 0]);
}

#[test]
fn under_covered_a_deny_narrower_than_the_filter_acts_at_delivery() {
    let subject = gateway();
    add_user(&subject, "bob");
    acl(&subject, "allow bob all a/#");
    acl(&subject, "deny bob read a/secret/#");
    acl(&subject, "allow guest write a/#");
    let mut guest = subject.v5("guest");
    guest.publish(Publish::to("a/secret/kept").qos(1).retain().payload("kept"));
    let mut bob = v5(&subject, "bob");
    assert_eq!(bob.subscribe_all(&Subscribe::to("a/#", 1).and("a/secret/x", 1)), [1, 0x87]);
    for topic in ["a/1", "a/secret", "a/secret/x", "a/2"] {
        guest.say(topic, topic);
    }
    assert_eq!(bob.receive_texts(2), ["a/1", "a/2"]);
    bob.nothing_arrives();
}

#[test]
fn under_overlap_a_wide_filter_is_granted_and_delivery_filters() {
    let subject = gateway_with(Subject::with().section("[acl]\nsubscribe = \"overlap\""));
    add_user(&subject, "bob");
    acl(&subject, "allow bob read a/+/temp");
    acl(&subject, "deny bob read a/9/temp");
    acl(&subject, "allow guest write #");
    let mut bob = v5(&subject, "bob");
    assert_eq!(bob.subscribe_all(&Subscribe::to("#", 1).and("b/#", 1).and("a/1/#", 1)), [1, 0x87, 1]);
    let mut guest = subject.v5("guest");
    for topic in ["b/x", "a/1/temp", "a/1/other", "a/9/temp", "a/2/temp"] {
        guest.say(topic, topic);
    }
    assert_eq!(bob.receive_texts(2), ["a/1/temp", "a/2/temp"]);
    bob.nothing_arrives();
}

#[test]
fn a_shared_subscription_is_asked_without_its_prefix() {
    let subject = gateway();
    add_user(&subject, "bob");
    acl(&subject, "allow bob read ok/#");
    let mut bob = v5(&subject, "bob");
    let subscribe = Subscribe::to("$share/g/ok/x", 1).and("$share/g/secret", 1).and("$share/ok/#", 1);
    assert_eq!(bob.subscribe_all(&subscribe)[..2], [1, 0x87]);
}

#[test]
fn a_member_that_may_not_receive_a_message_is_passed_over() {
    let subject = gateway();
    add_user(&subject, "may");
    add_user(&subject, "maynot");
    acl(&subject, "allow * read work/#");
    acl(&subject, "deny maynot read work/secret");
    acl(&subject, "allow guest write work/#");
    let mut may = v5(&subject, "may");
    let mut may_not = v5(&subject, "maynot");
    may.subscribe("$share/g/work/#", 1);
    may_not.subscribe("$share/g/work/#", 1);
    let mut guest = subject.v5("guest");
    for n in 0..10 {
        guest.say("work/secret", &n.to_string());
    }
    // One that was passed on may come after one that was not: a share group promises no order.
    let mut received = may.receive_texts(10);
    received.sort();
    assert_eq!(received, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    may_not.nothing_arrives();
}

#[test]
fn a_superuser_passes_every_rule_even_a_denying_one() {
    let subject = gateway();
    add_user_with(&subject, "root", &["--superuser"]);
    acl(&subject, "deny root all secret");
    let mut root = v5(&subject, "root");
    root.subscribe("#", 1);
    assert_eq!(root.say("secret", "x"), 0);
    assert_eq!(root.receive().text(), "x");
}

#[test]
fn names_of_the_superusers_glob_are_superusers() {
    let subject = gateway_with(Subject::with().section("[acl]\nsuperusers = [\"S*\", \"ops-??\"]"));
    for name in ["S", "Sam", "ops-01", "sam", "xS", "ops-1", "ops-001"] {
        add_user(&subject, name);
    }
    for (name, code) in
        [("S", 0), ("Sam", 0), ("ops-01", 0), ("sam", 0x87), ("xS", 0x87), ("ops-1", 0x87), ("ops-001", 0x87)]
    {
        assert_eq!(v5(&subject, name).say("anything", "x"), code, "{name}");
    }
}

#[test]
fn each_refusal_leaves_an_audit_record_and_repetitions_do_not_flood_the_log() {
    let subject = gateway();
    add_user(&subject, "alice");
    let mut alice = subject.accept(&Connect::v5("sensor-7").login("alice", super::PASSWORD));
    for _ in 0..500 {
        assert_eq!(alice.say("plant/valve", "open"), 0x87);
    }
    crate::support::eventually("the refusal is in the log", || {
        let log = subject.log();
        ["alice", "sensor-7", "plant/valve", "127.0.0.1"].iter().all(|word| log.contains(word)).then_some(())
    });
    let lines = subject.log().lines().filter(|line| line.contains("plant/valve")).count();
    assert!(lines < 50, "{lines} lines for one refusal 500 times");
    assert!(!subject.log().contains(super::PASSWORD));
}
