//! `%u` and `%c` in rules, and names that try to widen them.

use super::{PASSWORD, acl, add_user, gateway, v5};
use crate::support::{Connect, Subscribe};

#[test]
fn u_and_c_stand_for_the_user_name_and_the_client_identifier() {
    let subject = gateway();
    add_user(&subject, "alice");
    acl(&subject, "allow * all user/%u/#");
    acl(&subject, "allow * all client/%c/x");
    acl(&subject, "allow * all both/%u/%c");
    let mut client = subject.accept(&Connect::v5("dev1").login("alice", PASSWORD));
    for (topic, code) in [
        ("user/alice", 0),
        ("user/alice/x/y", 0),
        ("user/bob/x", 0x87),
        ("user/dev1/x", 0x87),
        ("client/dev1/x", 0),
        ("client/alice/x", 0x87),
        ("both/alice/dev1", 0),
        ("both/dev1/alice", 0x87),
        ("user/%u/x", 0x87),
    ] {
        assert_eq!(client.say(topic, "x"), code, "{topic}");
    }
    let subscribe = Subscribe::to("user/alice/#", 0).and("user/+/x", 0).and("user/%u/x", 0);
    assert_eq!(client.subscribe_all(&subscribe), [0, 0x87, 0x87]);
}

#[test]
fn a_client_identifier_with_wildcards_or_slashes_never_matches_a_pattern() {
    let subject = gateway();
    add_user(&subject, "alice");
    acl(&subject, "allow alice all c/%c/x");
    for id in ["+", "#", "a/b", "a/+", "a#", "/", "bob/x"] {
        let mut client = subject.accept(&Connect::v5(id).login("alice", PASSWORD));
        for topic in ["c/bob/x", "c/a/b/x", "c//x", "c/a/x", "c/x"] {
            assert_eq!(client.say(topic, "x"), 0x87, "{id:?} to {topic}");
        }
        let subscribe = Subscribe::to("c/+/x", 0).and("c/#", 0).and("c/bob/x", 0).and("c/a/b/x", 0);
        assert_eq!(client.subscribe_all(&subscribe), [0x87; 4], "{id:?}");
    }
}

#[test]
fn a_user_name_with_wildcards_or_slashes_never_matches_a_pattern() {
    let subject = gateway();
    acl(&subject, "allow * all u/%u/x");
    let names = ["+", "#", "a/b", "a+"];
    for name in names {
        add_user(&subject, name);
    }
    for name in names {
        let mut client = subject.accept(&Connect::v5("c").login(name, PASSWORD));
        for topic in ["u/bob/x", "u/a/b/x", "u/a/x", "u/x"] {
            assert_eq!(client.say(topic, "x"), 0x87, "{name:?} to {topic}");
        }
        assert_eq!(client.subscribe_all(&Subscribe::to("u/+/x", 0).and("u/#", 0)), [0x87, 0x87], "{name:?}");
    }
}

#[test]
fn a_name_that_is_itself_a_pattern_is_taken_literally() {
    let subject = gateway();
    add_user(&subject, "%c");
    acl(&subject, "allow * all u/%u/x");
    let mut client = subject.accept(&Connect::v5("bob").login("%c", PASSWORD));
    assert_eq!(client.say("u/bob/x", "x"), 0x87, "no second substitution");
}

#[test]
fn a_percent_inside_a_level_is_no_pattern() {
    let subject = gateway();
    add_user(&subject, "alice");
    let answer = subject.command(&["acl", "allow", "alice", "all", "dev-%u/x"]);
    if answer.code == 0 {
        assert_eq!(v5(&subject, "alice").say("dev-alice/x", "x"), 0x87);
    } else {
        assert!(matches!(answer.code, 1 | 2), "{answer:?}");
    }
}
