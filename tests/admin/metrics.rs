//! Metrics, over the admin socket and over TCP.

use std::collections::HashMap;
use std::net::TcpStream;

use super::{acl, add_user, admin, closed, http};
use crate::support::property::session_expiry;
use crate::support::subject::free_port;
use crate::support::{Connect, Publish, Subject};

/// Every sample, by name with labels. Fails on a line that is no OpenMetrics text.
fn parse(text: &str) -> HashMap<String, f64> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut samples = HashMap::new();
    let mut described = String::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.split(' ');
            match words.next() {
                Some("HELP" | "TYPE") => described = words.next().expect("a name").to_owned(),
                word => assert!(matches!(word, Some("EOF" | "UNIT")), "{line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        assert!(name.starts_with(&described), "{line} is not described before it");
        assert!(name.starts_with("latchgate_"), "{line}");
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(samples.insert(name.to_owned(), value).is_none(), "twice: {line}");
    }
    samples
}

fn scrape(subject: &Subject) -> HashMap<String, f64> {
    let (code, text) = admin(subject, "GET", "/metrics", "");
    assert_eq!(code, 200);
    parse(&text)
}

#[test]
fn counts_move_with_what_happens_and_name_no_client() {
    let subject = closed(Subject::with());
    add_user(&subject, "alice");
    acl(&subject, "allow alice all plant/#");
    let before = scrape(&subject);
    assert_eq!(before["latchgate_broker_connections"], 0.0);
    let mut alice = subject.accept(&Connect::v5("sensor-7").login("alice", super::PASSWORD));
    alice.subscribe("plant/#", 1);
    for _ in 0..10 {
        assert_eq!(alice.publish(Publish::to("plant/valve").qos(1).payload("x")), 0);
        let message = alice.receive();
        alice.acknowledge(&message);
    }
    for _ in 0..3 {
        assert_eq!(alice.say("elsewhere", "x"), 0x87);
    }
    assert_eq!(alice.publish(Publish::to("plant/kept").qos(1).retain().payload("x")), 0);
    subject.refuse(&Connect::v5("x").login("alice", "wrong"));
    alice.ping();
    let now = scrape(&subject);
    for (name, value) in [
        ("latchgate_broker_connections", 1.0),
        ("latchgate_broker_connections_maximum", 1.0),
        ("latchgate_broker_sessions", 1.0),
        ("latchgate_broker_messages_received_total", 14.0),
        ("latchgate_broker_messages_delivered_total", 11.0),
        ("latchgate_broker_messages_refused_total", 3.0),
        ("latchgate_broker_messages_dropped_total{reason=\"queue_full\"}", 0.0),
        ("latchgate_broker_retained_messages", 1.0),
        ("latchgate_broker_subscriptions", 1.0),
        ("latchgate_broker_queued_messages", 0.0),
        ("latchgate_policy_permits_total{operation=\"publish\"}", 11.0),
        ("latchgate_policy_permits_total{operation=\"receive\"}", 11.0),
        ("latchgate_policy_permits_total{operation=\"connect\"}", 1.0),
        ("latchgate_policy_denials_total{operation=\"publish\",stage=\"allow\"}", 3.0),
        ("latchgate_policy_denials_total{operation=\"connect\",stage=\"login\"}", 1.0),
        // Topics asked about for the first time: three published to, two received.
        ("latchgate_policy_cache_misses_total", 5.0),
        ("latchgate_policy_cache_hits_total", 20.0),
        ("latchgate_policy_password_verification_seconds_count", 2.0),
        ("latchgate_policy_password_verification_seconds_bucket{le=\"+Inf\"}", 2.0),
    ] {
        assert_eq!(now.get(name), Some(&value), "{name}: {now:?}");
    }
    assert!(now["latchgate_policy_password_verification_seconds_sum"] > 0.0);
    assert!(now["latchgate_broker_received_bytes_total"] > 300.0);
    assert!(now["latchgate_broker_retained_bytes"] > 0.0);
    let (_, text) = admin(&subject, "GET", "/metrics", "");
    assert!(!text.contains("sensor-7") && !text.contains("alice"), "{text}");
}

#[test]
fn what_waits_for_a_session_is_counted() {
    let subject = Subject::start();
    let mut away = subject.accept(&Connect::v5("away").with(session_expiry(600)));
    away.subscribe("later", 1);
    away.drop_connection();
    let mut speaker = subject.v5("speaker");
    crate::support::eventually("the session is parked", || {
        (scrape(&subject)["latchgate_broker_connections"] == 1.0).then_some(())
    });
    for _ in 0..5 {
        speaker.publish(Publish::to("later").qos(1).payload("x"));
    }
    let now = scrape(&subject);
    assert_eq!(now["latchgate_broker_queued_messages"], 5.0);
    assert!(now["latchgate_broker_queued_bytes"] >= 5.0);
    assert_eq!(now["latchgate_broker_sessions"], 2.0);
}

#[test]
fn a_shared_message_that_no_member_may_have_is_offered_to_each_of_them_once() {
    let subject = closed(Subject::with());
    for line in ["allow * all plant/#", "deny ann receive plant/secret", "deny bob receive plant/secret"] {
        acl(&subject, line);
    }
    add_user(&subject, "ann");
    add_user(&subject, "bob");
    let mut members = ["ann", "bob"].map(|user| {
        let mut member = subject.accept(&Connect::v5(user).login(user, super::PASSWORD));
        member.subscribe("$share/g/plant/#", 1);
        member
    });
    assert_eq!(members[0].publish(Publish::to("plant/secret").qos(1).payload("x")), 0);
    let refused = || scrape(&subject)["latchgate_broker_messages_dropped_total{reason=\"not_permitted\"}"];
    crate::support::eventually("both were asked", || (refused() >= 2.0).then_some(()));
    for _ in 0..20 {
        members.iter_mut().for_each(|member| member.ping());
    }
    assert_eq!(refused(), 2.0);
}

#[test]
fn over_tcp_only_metrics_and_health_are_answered_and_only_if_configured() {
    let port = free_port();
    let subject = Subject::with().section(&format!("[admin]\nhttp = \"127.0.0.1:{port}\"")).start();
    let get = |method, path| {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(crate::support::BOUND)).expect("set the bound");
        http(stream, method, path, "")
    };
    let (head, text) = get("GET", "/metrics");
    assert!(head.contains(" 200 ") && head.contains("openmetrics-text"), "{head}");
    assert_eq!(parse(&text)["latchgate_broker_connections"], 0.0);
    assert_eq!(get("GET", "/healthz").1, "ok\n");
    for (method, path) in [("GET", "/status"), ("POST", "/explain"), ("POST", "/reload")] {
        assert!(get(method, path).0.contains(" 404 "), "{method} {path}");
    }
    subject.still_serves();
}

#[test]
fn an_address_other_machines_reach_is_warned_about() {
    let subject = Subject::with().section("[admin]\nhttp = \"0.0.0.0:0\"").prepare();
    let answer = subject.command(&["check"]).exits(0);
    assert!(answer.out.contains("warning: admin.http: 0.0.0.0:0"), "{}", answer.out);
    let subject = Subject::with().section("[admin]\nhttp = \"localhost\"").without_rules().prepare();
    assert_eq!(subject.command(&["check"]).code, 2);
}

#[test]
fn bans_and_delays_after_failed_logins_are_counted() {
    let throttle = "[auth.throttle]\nfailures = 3\nexempt_loopback = false";
    let subject = closed(Subject::with().section(throttle));
    add_user(&subject, "alice");
    for code in [0x86, 0x86, 0x86, 0x8A, 0x8A] {
        assert_eq!(subject.refuse(&Connect::v5("x").login("alice", "wrong")).code, code);
    }
    let now = scrape(&subject);
    for (name, value) in [
        ("latchgate_policy_login_bans_total", 1.0),
        ("latchgate_policy_bans", 1.0),
        ("latchgate_policy_logins_banned_total", 2.0),
        ("latchgate_policy_logins_delayed_total", 2.0),
        ("latchgate_policy_password_verification_seconds_count", 3.0),
    ] {
        assert_eq!(now.get(name), Some(&value), "{name}: {now:?}");
    }
}
