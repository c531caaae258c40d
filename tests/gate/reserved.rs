//! Topics under which only the gateway publishes.

use super::{acl, add_user_with, gateway, login, v5};
use crate::support::{Publish, Version, Will};

const RESERVED: [&str; 6] =
    ["$SYS/broker/version", "$SYS/x", "$SYS", "LATCH/lock", "LATCH/status", "LATCH/anything/else"];

#[test]
fn nobody_publishes_to_a_reserved_topic_not_even_a_superuser() {
    let subject = gateway();
    add_user_with(&subject, "root", &["--superuser"]);
    add_user_with(&subject, "alice", &[]);
    for filter in ["#", "$SYS/#", "LATCH/#"] {
        acl(&subject, &format!("allow alice all {filter}"));
    }
    let mut watcher = v5(&subject, "root");
    watcher.subscribe("LATCH/#", 1);
    watcher.subscribe("$SYS/x", 1);
    for user in ["root", "alice"] {
        let mut client = subject.accept(&login(Version::V5, user).clean(true));
        client.client_id = format!("{user}-fence");
        for topic in RESERVED {
            for qos in 1..=2 {
                let code = client.publish(Publish::to(topic).qos(qos).retain().payload("forged"));
                assert_eq!(code, 0x87, "{user} to {topic}");
            }
        }
    }
}

#[test]
fn a_forged_message_reaches_nobody() {
    let subject = gateway();
    add_user_with(&subject, "root", &["--superuser"]);
    add_user_with(&subject, "watcher", &["--superuser"]);
    let mut watcher = v5(&subject, "watcher");
    watcher.subscribe("LATCH/anything/#", 1);
    watcher.subscribe("$SYS/x", 1);
    let mut root = v5(&subject, "root");
    for topic in ["LATCH/anything/else", "$SYS/x"] {
        assert_eq!(root.publish(Publish::to(topic).qos(1).retain().payload("forged")), 0x87);
    }
    watcher.nothing_arrives();
}

#[test]
fn a_will_to_a_reserved_topic_is_refused_at_connect() {
    let subject = gateway();
    add_user_with(&subject, "root", &["--superuser"]);
    for topic in RESERVED {
        let connack = subject.refuse(&login(Version::V5, "root").will(Will::new(topic, "forged")));
        assert_eq!(connack.code, 0x87, "{topic}");
    }
}

#[test]
fn names_that_only_look_reserved_are_free() {
    let subject = gateway();
    add_user_with(&subject, "root", &["--superuser"]);
    let mut root = v5(&subject, "root");
    for topic in ["LATCHGATE/x", "latch/x", "x/LATCH/y", "SYS/x", "x/$SYS/y", "/LATCH"] {
        assert_eq!(root.say(topic, "x"), 0, "{topic}");
    }
}
