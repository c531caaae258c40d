//! A running gateway obeys a change of accounts and rules within a second, in live sessions.

use super::{PASSWORD, acl, add_user, gateway, login, v5, v311, within_a_second};
use crate::support::packet::NO_LOCAL;
use crate::support::{Client, Connect, Packet, Publish, Subject, Subscribe, Version, eventually};

/// Publishes as `guest` until the answer tells that a message sent later was not delivered to `client`.
fn receives(client: &mut Client, publisher: &mut Client, topic: &str) -> bool {
    publisher.say(topic, "probe");
    let fence = format!("fence/{}", client.client_id);
    client.subscribe(&fence, 1);
    client.say(&fence, "end");
    let mut received = false;
    loop {
        let message = client.receive();
        if message.topic == fence {
            return received;
        }
        received = true;
    }
}

#[test]
fn a_removed_rule_ends_the_subscription_of_a_live_session() {
    let subject = gateway();
    add_user(&subject, "bob");
    acl(&subject, "allow bob read a/#");
    acl(&subject, "allow guest write #");
    let mut bob = v5(&subject, "bob");
    let mut guest = subject.v5("guest");
    bob.subscribe("a/#", 1);
    assert!(receives(&mut bob, &mut guest, "a/x"));
    acl(&subject, "remove bob read a/#");
    within_a_second("nothing is delivered", || (!receives(&mut bob, &mut guest, "a/x")).then_some(()));
    assert_eq!(bob.subscribe_all(&Subscribe::to("a/#", 1)), [0x87]);
    // The connection lives on.
    bob.nothing_arrives();
}

#[test]
fn a_subscription_ended_by_a_lost_right_does_not_come_back_by_itself() {
    let subject = gateway();
    add_user(&subject, "bob");
    acl(&subject, "allow bob read a/#");
    acl(&subject, "allow guest write #");
    let mut bob = v5(&subject, "bob");
    let mut guest = subject.v5("guest");
    bob.subscribe("a/#", 1);
    acl(&subject, "remove bob read a/#");
    within_a_second("nothing is delivered", || (!receives(&mut bob, &mut guest, "a/x")).then_some(()));
    acl(&subject, "allow bob read a/#");
    within_a_second("the right is back", || {
        (bob.subscribe_all(&Subscribe::to("a/other", 1)) == [1]).then_some(())
    });
    assert!(!receives(&mut bob, &mut guest, "a/x"));
}

#[test]
fn a_removed_rule_ends_publishing_of_a_live_session() {
    let subject = gateway();
    add_user(&subject, "alice");
    acl(&subject, "allow alice write a");
    let mut alice = v5(&subject, "alice");
    assert_eq!(alice.say("a", "x"), 0);
    acl(&subject, "remove alice write a");
    within_a_second("the publish is refused", || (alice.say("a", "x") == 0x87).then_some(()));
}

#[test]
fn a_new_right_works_without_reconnecting() {
    let subject = gateway();
    add_user(&subject, "alice");
    let mut alice = v5(&subject, "alice");
    assert_eq!(alice.say("a", "x"), 0x87);
    assert_eq!(alice.subscribe_all(&Subscribe::to("a", 1)), [0x87]);
    acl(&subject, "allow alice all a");
    within_a_second("the publish is accepted", || (alice.say("a", "x") == 0).then_some(()));
    alice.subscribe("a", 1);
    alice.say("a", "heard");
    assert_eq!(alice.receive().text(), "heard");
}

#[test]
fn a_new_deny_rule_acts_on_a_live_subscription() {
    let subject = gateway();
    add_user(&subject, "bob");
    acl(&subject, "allow bob read a/#");
    acl(&subject, "allow guest write #");
    let mut bob = v5(&subject, "bob");
    let mut guest = subject.v5("guest");
    bob.subscribe("a/#", 1);
    acl(&subject, "deny bob read a/secret");
    within_a_second("it is not delivered", || (!receives(&mut bob, &mut guest, "a/secret")).then_some(()));
    assert!(receives(&mut bob, &mut guest, "a/open"), "the rest of the subscription stays");
}

/// Runs the command while alice and bob are connected; alice must be disconnected, bob must not.
fn ends_alice(change: impl FnOnce(&Subject)) {
    let subject = gateway();
    add_user(&subject, "alice");
    add_user(&subject, "bob");
    let mut new = v5(&subject, "alice");
    let mut old = subject.accept(&Connect::v311("alice-old").login("alice", PASSWORD));
    let mut bob = v5(&subject, "bob");
    change(&subject);
    let since = std::time::Instant::now();
    match new.read() {
        Packet::Disconnect { code, .. } => assert!(matches!(code, 0x87 | 0x98), "{code:#04x}"),
        other => panic!("{other:?}"),
    }
    new.expect_closed();
    old.expect_closed();
    assert!(since.elapsed().as_millis() < 2000, "{:?}", since.elapsed());
    bob.nothing_arrives();
}

#[test]
fn a_disabled_user_is_disconnected() {
    ends_alice(|subject| {
        subject.command(&["user", "disable", "alice"]).exits(0);
    });
}

#[test]
fn a_removed_user_is_disconnected() {
    ends_alice(|subject| {
        subject.command(&["user", "remove", "alice"]).exits(0);
    });
}

#[test]
fn a_changed_password_disconnects_the_sessions_of_the_old_one() {
    ends_alice(|subject| {
        subject.command_with_input(&["user", "password", "alice", "--password-stdin"], "another\n").exits(0);
        eventually("the new password works", || {
            let (_, connack) = Client::connect(subject.port(), &Connect::v5("n").login("alice", "another"));
            (connack.code == 0).then_some(())
        });
        assert_eq!(subject.refuse(&Connect::v5("o").login("alice", PASSWORD)).code, 0x86);
    });
}

#[test]
fn a_user_added_while_it_runs_can_log_in_at_once() {
    let subject = gateway();
    add_user(&subject, "late");
    within_a_second("late is welcome", || {
        let (_, connack) = Client::connect(subject.port(), &login(Version::V311, "late"));
        (connack.code == 0).then_some(())
    });
}

#[test]
fn a_role_gives_and_takes_its_rules_in_live_sessions() {
    let subject = gateway();
    add_user(&subject, "alice");
    subject.command(&["role", "add", "operators"]).exits(0);
    acl(&subject, "allow role:operators all plant/#");
    let mut alice = v5(&subject, "alice");
    assert_eq!(alice.say("plant/x", "x"), 0x87);
    subject.command(&["role", "grant", "operators", "alice"]).exits(0);
    within_a_second("the role gives", || (alice.say("plant/x", "x") == 0).then_some(()));
    // Without its own messages, which are answered and echoed while the test waits.
    alice.subscribe("plant/#", 1 | NO_LOCAL);
    acl(&subject, "deny role:operators write plant/valve");
    within_a_second("the role denies", || (alice.say("plant/valve", "x") == 0x87).then_some(()));
    subject.command(&["role", "revoke", "operators", "alice"]).exits(0);
    within_a_second("the role takes", || (alice.say("plant/x", "x") == 0x87).then_some(()));
    acl(&subject, "allow guest write plant/#");
    let mut guest = subject.v5("guest");
    within_a_second("guest may publish", || (guest.say("plant/y", "x") == 0).then_some(()));
    assert!(!receives(&mut alice, &mut guest, "plant/y"));
}

#[test]
fn a_removed_role_takes_its_rules_with_it() {
    let subject = gateway();
    add_user(&subject, "alice");
    subject.command(&["role", "add", "operators"]).exits(0);
    acl(&subject, "allow role:operators write plant/#");
    subject.command(&["role", "grant", "operators", "alice"]).exits(0);
    let mut alice = v5(&subject, "alice");
    within_a_second("the role gives", || (alice.say("plant/x", "x") == 0).then_some(()));
    subject.command(&["role", "remove", "operators"]).exits(0);
    within_a_second("the role is gone", || (alice.say("plant/x", "x") == 0x87).then_some(()));
}

#[test]
fn a_changed_rule_of_one_user_disturbs_no_other_session() {
    let subject = gateway();
    for name in ["alice", "bob"] {
        add_user(&subject, name);
        acl(&subject, &format!("allow {name} all {name}/#"));
    }
    let mut bob = v311(&subject, "bob");
    bob.subscribe("bob/#", 1);
    for n in 0..10 {
        acl(&subject, &format!("allow alice all other/{n}"));
        bob.say("bob/x", &n.to_string());
        assert_eq!(bob.receive().text(), n.to_string());
    }
    let mut alice = v5(&subject, "alice");
    within_a_second("the last rule is obeyed", || {
        (alice.publish(Publish::to("other/9").qos(1)) == 0).then_some(())
    });
}
