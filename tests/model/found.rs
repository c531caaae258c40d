//! What the model found once, told again.

use latchgate::mqtt::{QoS, RetainHandling, SubscriptionOptions, Version};

use crate::{
    operation::{Hello, Operation, Publish, Will},
    try_case,
};

const A: usize = 0;
const B: usize = 1;

/// A session that never expires, taken up if there is one, with a window of one message.
fn connect(client: usize) -> Operation {
    connect_with(client, None)
}

fn connect_with(client: usize, will: Option<Will>) -> Operation {
    let hello = Hello {
        version: Version::V5,
        clean: false,
        expiry: u32::MAX,
        receive_maximum: Some(1),
        keep_alive: 0,
        will,
    };
    Operation::Connect { client, stranger: None, hello }
}

fn subscribe(client: usize, filter: &'static str, retain_handling: RetainHandling) -> Operation {
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, retain_handling, ..Default::default() };
    Operation::Subscribe { client, filters: vec![(filter, options)], identifier: None }
}

fn publish(client: usize, topic: &'static str, qos: QoS, retain: bool) -> Operation {
    Operation::Publish { client, publish: Publish { topic, qos, retain, empty: false, expiry: None } }
}

fn tell(operations: &[Operation]) {
    if let Err(story) = try_case(operations) {
        panic!("{story}");
    }
}

#[test]
fn a_queued_share_message_stays_with_the_only_member_when_its_connection_ends() {
    tell(&[
        connect(A),
        subscribe(A, "$share/g/b", RetainHandling::Always),
        publish(A, "b", QoS::AtLeastOnce, false),
        // This one waits for the first to be acknowledged.
        publish(A, "b", QoS::AtLeastOnce, false),
        Operation::Drop { client: A },
    ]);
}

#[test]
fn a_will_to_the_share_group_of_its_own_client_is_not_lost() {
    let will = Will { topic: "b", qos: QoS::AtLeastOnce, retain: false, delay: 0 };
    tell(&[
        connect_with(A, Some(will)),
        subscribe(A, "$share/g/b", RetainHandling::Always),
        Operation::Drop { client: A },
    ]);
}

#[test]
fn a_share_member_that_was_away_is_given_what_another_leaves_behind() {
    let always = RetainHandling::Always;
    tell(&[
        connect(A),
        connect(B),
        subscribe(A, "$share/g/b", always),
        subscribe(B, "$share/g/b", always),
        // One open and one waiting for each of them.
        publish(A, "b", QoS::AtLeastOnce, false),
        publish(A, "b", QoS::AtLeastOnce, false),
        publish(A, "b", QoS::AtLeastOnce, false),
        publish(A, "b", QoS::AtLeastOnce, false),
        Operation::Drop { client: A },
        connect(A),
        // What A left is B's now, and B's session ends.
        Operation::Disconnect { client: B, will: false, expiry: Some(0) },
    ]);
}

#[test]
fn a_repeated_subscribe_that_brings_no_retained_messages_loses_none_either() {
    tell(&[
        connect(A),
        publish(A, "b", QoS::AtLeastOnce, true),
        publish(A, "area/b", QoS::AtLeastOnce, true),
        subscribe(A, "#", RetainHandling::Always),
        subscribe(A, "#", RetainHandling::Never),
        Operation::AcknowledgeAll { client: A },
    ]);
}

#[test]
fn ending_a_subscription_leaves_the_retained_messages_of_another_that_overlaps() {
    tell(&[
        connect(A),
        publish(A, "b", QoS::AtLeastOnce, true),
        publish(A, "area/b", QoS::AtLeastOnce, true),
        subscribe(A, "area/+", RetainHandling::Never),
        subscribe(A, "#", RetainHandling::Always),
        Operation::Unsubscribe { client: A, filter: "area/+" },
        Operation::AcknowledgeAll { client: A },
    ]);
}

#[test]
fn a_retained_message_kept_over_a_lost_connection_does_not_follow_a_newer_one() {
    let always = RetainHandling::Always;
    tell(&[
        connect(A),
        connect(B),
        subscribe(A, "b", always),
        publish(A, "b", QoS::AtLeastOnce, false),
        // This one waits, and with it the retained copy that the second subscription asks for.
        publish(B, "b", QoS::AtLeastOnce, true),
        subscribe(A, "#", always),
        Operation::Drop { client: A },
        publish(B, "b", QoS::AtLeastOnce, true),
        connect(A),
        subscribe(A, "+", always),
        Operation::AcknowledgeAll { client: A },
    ]);
}
