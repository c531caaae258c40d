//! Bans after failed logins as an operator sees them, and how they are lifted. The clients come from several
//! addresses of 127.0.0.0/8, which count only since they are told to.

use serde_json::Value;

use super::{PASSWORD, acl, add_user, closed};
use crate::support::{Client, Connect, Subject};

/// A gateway that bans alice at 127.0.0.2 for ten minutes.
fn with_a_ban() -> Subject {
    let throttle = "[auth.throttle]\nfailures = 2\nban = \"10m\"\nexempt_loopback = false";
    let subject = closed(Subject::with().section(throttle));
    add_user(&subject, "alice");
    acl(&subject, "allow alice write plant/valve");
    assert_eq!([0; 3].map(|_| attempt(&subject, 2, "alice", "wrong")), [0x86, 0x86, 0x8A]);
    subject
}

fn attempt(subject: &Subject, host: u8, user: &str, password: &str) -> u8 {
    let connect = Connect::v5(user).login(user, password);
    Client::connect_from([127, 0, 0, host], subject.port(), &connect).1.code
}

fn bans(subject: &Subject) -> Vec<(String, Option<String>)> {
    let out = subject.command(&["ban", "list", "--json"]).exits(0).out;
    let bans: Vec<Value> = serde_json::from_str(&out).expect("--json prints a list");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    bans.iter()
        .map(|ban| {
            assert!((1..=600).contains(&ban["seconds"].as_u64().expect("seconds")), "{ban}");
            (text(&ban["address"]).expect("an address"), text(&ban["user"]))
        })
        .collect()
}

#[test]
fn explain_knows_of_a_ban_and_says_how_long_it_lasts() {
    let subject = with_a_ban();
    let explain = |more: &[&str], code| {
        subject.command(&[&["explain", "alice", "write", "plant/valve"], more].concat()).exits(code).out
    };
    // Where the user comes from was not said: it may, but not from everywhere.
    let out = explain(&[], 0);
    assert!(out.contains("an account without roles; banned at 127.0.0.2 for "), "{out}");
    let out = explain(&["--address", "127.0.0.2"], 3);
    assert!(
        out.starts_with("deny: too many failed logins: banned for a time (a ban at 127.0.0.2 for "),
        "{out}"
    );
    let seconds = out.split(" for ").nth(2).and_then(|rest| rest.split(' ').next());
    assert!((500..=600).contains(&seconds.and_then(|s| s.parse().ok()).unwrap_or(0)), "{out}");
    let out = explain(&["--address", "127.0.0.3"], 0);
    assert!(out.contains("; not banned at 127.0.0.3"), "{out}");
}

#[test]
fn bans_are_listed_and_lifted_by_user_and_by_address() {
    let subject = with_a_ban();
    attempt(&subject, 4, "alice", "wrong");
    attempt(&subject, 4, "alice", "wrong");
    for name in 0..8 {
        attempt(&subject, 3, &format!("user{name}"), "wrong");
    }
    let mut all = bans(&subject);
    all.sort();
    let alice = Some("alice".to_owned());
    let expected = [
        ("127.0.0.2".into(), alice.clone()),
        ("127.0.0.3".into(), None),
        ("127.0.0.4".into(), alice.clone()),
    ];
    assert_eq!(all, expected);
    let table = subject.command(&["ban", "list"]).exits(0).out;
    assert!(table.contains("127.0.0.3  (everybody)") && table.contains("127.0.0.2  \"alice\""), "{table}");

    let lift = |words: &[&str], code| subject.command(&[&["ban", "lift"], words].concat()).exits(code).out;
    assert_eq!(lift(&["--user", "bob"], 1), "0 bans lifted\n");
    assert_eq!(lift(&["--user", "alice", "--address", "127.0.0.2"], 0), "1 ban lifted\n");
    assert_eq!(attempt(&subject, 2, "alice", PASSWORD), 0);
    assert_eq!(attempt(&subject, 4, "alice", PASSWORD), 0x8A);
    assert_eq!(lift(&["--address", "127.0.0.3"], 0), "1 ban lifted\n");
    assert_eq!(attempt(&subject, 3, "alice", PASSWORD), 0);
    assert_eq!(lift(&["--user", "alice"], 0), "1 ban lifted\n");
    assert_eq!(attempt(&subject, 4, "alice", PASSWORD), 0);
    assert_eq!(bans(&subject), []);
    let log = subject.log();
    assert!(log.contains("login bans lifted by an operator user=\"bob\""), "{log}");
    lift(&[], 2);
}
