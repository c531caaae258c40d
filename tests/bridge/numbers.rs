//! What an operator sees of a bridge: metrics and `bridge status`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::cloud::Cloud;
use crate::support::{Publish, Subject, eventually};
use crate::{route, settings, status, until_connected, until_drained};

/// The value of a sample; fails if there is none.
fn sample(subject: &Subject, name: &str) -> f64 {
    let mut stream =
        UnixStream::connect(subject.directory().join("state/admin.sock")).expect("the socket is there");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("ask");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
}

#[test]
fn the_metrics_and_the_status_of_a_bridge_say_the_same_and_follow_what_happens() {
    let mut cloud = Cloud::prepare("max_packet_size 2000");
    let keys = "spool = { max_messages = 4, when_full = 'drop-newest' }";
    let routes = route("t/#", "out", 1) + &route("cmd", "in", 1);
    let subject = settings(cloud.port, keys, &routes).prepare();
    subject.command(&["acl", "deny", "bridge:cloud", "receive", "t/secret"]).exits(0);
    let mut here = subject.v5("sensor");
    here.subscribe("cmd", 1);
    here.publish(Publish::to("t/secret").qos(1).payload("denied"));
    here.publish(Publish::to("t/a").qos(1).payload(vec![b'x'; 3000]));
    here.publish(Publish::to("t/a").qos(1).payload("goes"));
    let expiring = crate::support::property::message_expiry(1);
    here.publish(Publish::to("t/a").qos(1).payload("expires").with(expiring));
    here.publish(Publish::to("t/a").qos(1).payload("too many"));
    here.publish(Publish::to("t/a").qos(0).payload("nobody there"));
    let bridge = |name: &str| sample(&subject, &format!("latchgate_bridge_{name}{{bridge=\"cloud\"}}"));
    assert_eq!((bridge("connected"), bridge("backlog_messages")), (0.0, 4.0));
    assert!(bridge("backlog_bytes") > 3000.0);
    eventually("the oldest has waited for two seconds", || {
        (bridge("backlog_age_seconds") >= 2.0).then_some(())
    });
    cloud.begin();
    until_drained(&subject);
    let mut there = cloud.client("app");
    eventually("something came in", || {
        there.publish(Publish::to("devices/b8/cmd").qos(1).payload("x"));
        (status(&subject)["in_published"].as_u64() > Some(0)).then_some(())
    });
    assert_eq!(here.receive().text(), "x");
    here.publish(Publish::to("t/a").qos(0).payload("there now"));
    eventually("QoS 0 is sent", || (status(&subject)["qos0_sent"] == 1).then_some(()));

    let told = status(&subject);
    let by = |name: &str, labels: &str| {
        sample(&subject, &format!("latchgate_bridge_{name}{{bridge=\"cloud\",{labels}}}"))
    };
    assert_eq!(
        (bridge("connected"), bridge("backlog_messages"), bridge("backlog_age_seconds")),
        (1.0, 0.0, 0.0)
    );
    let ledger = &told["routes"][0];
    let route = |fate: &str| by("messages_left_total", &format!("route=\"t/#\",fate=\"{fate}\""));
    assert_eq!(by("messages_accepted_total", "route=\"t/#\""), 5.0);
    for (fate, count) in [("delivered", 1.0), ("expired", 1.0)] {
        assert_eq!((route(fate), ledger[fate].as_f64()), (count, Some(count)), "{fate}: {told}");
    }
    for (reason, count) in [
        ("full", 1.0),
        ("not_permitted", 1.0),
        ("too_large", 1.0),
        ("refused", 0.0),
        ("no_route", 0.0),
        ("unreadable", 0.0),
    ] {
        assert_eq!(
            (route(reason), ledger["dropped"][reason].as_f64()),
            (count, Some(count)),
            "{reason}: {told}"
        );
    }
    assert_eq!(
        (by("qos0_messages_total", "fate=\"sent\""), by("qos0_messages_total", "fate=\"dropped\"")),
        (1.0, 1.0)
    );
    for (fate, key) in
        [("published", "in_published"), ("held", "in_held"), ("refused", "in_refused"), ("echo", "in_echoes")]
    {
        assert_eq!(
            told[key].as_f64(),
            Some(by("messages_arrived_total", &format!("fate=\"{fate}\""))),
            "{fate}"
        );
    }
    let came = &told["routes_in"][0];
    assert_eq!(came["topic"], "devices/b8/cmd", "{told}");
    assert_eq!(
        came["published"].as_f64(),
        Some(by("messages_taken_total", "route=\"devices/b8/cmd\",fate=\"published\""))
    );
    // The rest of what scripts may rely on.
    assert_eq!(told["name"], "cloud");
    assert_eq!(told["client_id"], "b8_broker");
    assert_eq!(told["address"], format!("mqtt://127.0.0.1:{}", cloud.port));
    assert_eq!(
        (&told["error"], &told["refused_filters"]),
        (&serde_json::Value::Null, &serde_json::json!([]))
    );
    assert_eq!((&told["oldest_seconds"], &told["drained_in_seconds"]), (&serde_json::Value::Null, &0.into()));
    let text = subject.command(&["bridge", "status"]).exits(0).out;
    let line = "t/#: accepted 5 = delivered 1 + queued 0 + expired 1 + dropped 3 (1 full, 1 not_permitted, 1 too_large)";
    assert!(text.contains(line), "{text}");
}

#[test]
fn what_comes_in_is_counted_once_by_what_became_of_it() {
    let cloud = Cloud::start("");
    let subject = settings(cloud.port, "protocol = '3.1.1'", &route("x/#", "both", 2)).prepare();
    subject.command(&["acl", "deny", "bridge:cloud", "publish", "x/no"]).exits(0);
    subject.port();
    until_connected(&subject);
    let mut there = cloud.client("app");
    eventually("the subscription is there", || {
        there.publish(Publish::to("devices/b8/x/yes").qos(1).payload("probe"));
        (status(&subject)["in_published"].as_u64() > Some(0)).then_some(())
    });
    // One client throughout: a second one of that name would end the first, perhaps before its QoS 0 was read.
    let mut sensor = subject.v5("sensor");
    for qos in [0, 1, 2] {
        there.publish(Publish::to("devices/b8/x/yes").qos(qos).payload("y"));
        there.publish(Publish::to("devices/b8/x/no").qos(qos).payload("n"));
        sensor.publish(Publish::to("x/own").qos(qos).payload(format!("{qos}")));
    }
    let mut probes = 0;
    let counts = |told: &serde_json::Value| {
        ["in_published", "in_refused", "in_echoes", "in_held"].map(|key| told[key].as_u64().unwrap_or(0))
    };
    eventually("all are counted", || {
        let [published, refused, echoes, held] = counts(&status(&subject));
        probes = published.checked_sub(3)?;
        ([refused, echoes, held] == [3, 3, 0]).then_some(())
    });
    assert!(probes >= 1);
    until_drained(&subject);
}
