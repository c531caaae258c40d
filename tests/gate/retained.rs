//! Retained and queued messages: asked with the rights of the moment of delivery.

use super::{acl, add_user, gateway, gateway_with, login, v5, within_a_second};
use crate::support::{Publish, Subject, Subscribe, Version};

#[test]
fn a_retained_message_is_not_delivered_without_the_right_to_receive_it() {
    let subject = gateway();
    add_user(&subject, "bob");
    acl(&subject, "allow guest write #");
    acl(&subject, "allow bob read a/#");
    acl(&subject, "deny bob receive a/secret");
    let mut guest = subject.v5("guest");
    for topic in ["a/open", "a/secret"] {
        guest.publish(Publish::to(topic).qos(1).retain().payload(topic));
    }
    let mut bob = v5(&subject, "bob");
    bob.subscribe("a/#", 1);
    assert_eq!(bob.receive().text(), "a/open");
    bob.nothing_arrives();
}

/// alice leaves a retained message and loses the right to have published it.
fn author_without_right(subject: &Subject) {
    add_user(subject, "alice");
    acl(subject, "allow alice write a/x");
    acl(subject, "allow guest read a/#");
    let mut alice = v5(subject, "alice");
    assert_eq!(alice.publish(Publish::to("a/x").qos(1).retain().payload("from alice")), 0);
    acl(subject, "remove alice write a/x");
    within_a_second("alice lost the right", || (alice.say("a/x", "x") == 0x87).then_some(()));
}

#[test]
fn a_retained_message_whose_author_lost_the_right_is_not_delivered() {
    let subject = gateway();
    author_without_right(&subject);
    let mut guest = subject.v5("guest");
    guest.subscribe("a/#", 1);
    guest.nothing_arrives();
}

#[test]
fn where_the_source_is_unchecked_it_is_delivered() {
    let subject = gateway_with(Subject::with().section("[acl]\nretained_source = \"unchecked\""));
    author_without_right(&subject);
    let mut guest = subject.v5("guest");
    guest.subscribe("a/#", 1);
    assert!(guest.receive().retain);
}

#[test]
fn a_queued_message_is_asked_with_the_rights_of_the_moment_of_delivery() {
    let subject = gateway();
    add_user(&subject, "bob");
    acl(&subject, "allow bob read a/#");
    acl(&subject, "allow guest write #");
    let keep = login(Version::V5, "bob").keep_session();
    let mut bob = subject.accept(&keep);
    bob.subscribe("a/#", 1);
    bob.disconnect();
    let mut guest = subject.v5("guest");
    for topic in ["a/1", "a/secret", "a/2"] {
        guest.say(topic, topic);
    }
    acl(&subject, "deny bob receive a/secret");
    rules_are_read(&subject, "first");
    let mut bob = subject.accept(&keep);
    assert_eq!(bob.receive_texts(2), ["a/1", "a/2"]);
    bob.nothing_arrives();
}

/// Returns when the gateway obeys a rule made after all others, and so has read those too.
fn rules_are_read(subject: &Subject, marker: &str) {
    acl(subject, &format!("allow guest read {marker}"));
    let mut guest = subject.v5("marker");
    within_a_second("the rules are read", || {
        let codes = guest.subscribe_all(&Subscribe::to(marker, 0));
        (codes == [0]).then_some(())
    });
}

#[test]
fn a_message_queued_before_the_right_was_granted_again_is_delivered() {
    let subject = gateway();
    add_user(&subject, "bob");
    acl(&subject, "allow bob read a/#");
    acl(&subject, "allow guest write #");
    let keep = login(Version::V5, "bob").keep_session();
    let mut bob = subject.accept(&keep);
    bob.subscribe("a/#", 1);
    bob.disconnect();
    acl(&subject, "deny bob receive a/x");
    rules_are_read(&subject, "first");
    subject.v5("guest").say("a/x", "patience");
    acl(&subject, "remove bob receive a/x --deny");
    rules_are_read(&subject, "second");
    let mut bob = subject.accept(&keep);
    assert_eq!(bob.receive().text(), "patience");
}
