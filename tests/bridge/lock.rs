//! What the lock closes for a bridge, out and in: nothing gets through, nothing is lost, nothing overtakes.

use crate::cloud::Cloud;
use crate::remote::Remote;
use crate::support::packet::VERSIONS;
use crate::support::{Connect, Publish, Subject, Version, eventually};
use crate::{ledger, route, settings, status, until_connected, until_drained};

fn lock(subject: &Subject, line: &str) {
    let words: Vec<&str> = ["lock"].into_iter().chain(line.split(' ')).collect();
    subject.command(&words).exits(0);
}

/// A gateway with one bridge to the cloud, these keys, lines of `[lock]` and routes.
fn gateway(cloud: &Cloud, keys: &str, lines: &str, routes: &str) -> Subject {
    let subject = settings(cloud.port, keys, routes).section(&format!("[lock]\n{lines}")).start();
    until_connected(&subject);
    subject
}

fn protocols() -> impl Iterator<Item = &'static str> {
    ["3.1.1", "5"].into_iter()
}

#[test]
fn what_is_closed_to_a_bridge_waits_in_the_spool_also_over_a_crash_and_leaves_in_order() {
    for protocol in protocols() {
        for (qos, scope) in [(1, "subscribe"), (2, "topic:t/#"), (2, "subscribe --user bridge:cloud")] {
            let cloud = Cloud::start("");
            let mut there = cloud.keeper("watcher");
            there.subscribe("devices/#", 2);
            let keys = format!("protocol = '{protocol}'\ninflight = 3");
            // A publisher whom the lock leaves alone, for scopes that close publishing too.
            let lines = "bridge_out = 'closed'\nexempt = ['guest']";
            let subject = gateway(&cloud, &keys, lines, &route("t/#", "out", qos));
            lock(&subject, &format!("close {scope}"));
            let mut here = subject.v5("sensor");
            for n in 0..20 {
                assert_eq!(here.publish(Publish::to("t/a").qos(qos).payload(format!("{n}"))), 0);
            }
            here.publish(Publish::to("t/a").qos(0).payload("QoS 0 does not wait"));
            there.nothing_arrives();
            assert_eq!(ledger(&subject)["queued"], 20, "{protocol} {scope}");
            eventually("QoS 0 is counted", || (status(&subject)["qos0_dropped"] == 1).then_some(()));
            assert_eq!(status(&subject)["qos0_sent"], 0);
            subject.kill();
            subject.start_again();
            until_connected(&subject);
            there.nothing_arrives();
            lock(&subject, &format!("open {scope}"));
            let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
            assert_eq!(there.receive_texts(20), expected, "{protocol} {scope}");
            assert_eq!(until_drained(&subject)["delivered"], 20);
            there.nothing_arrives();
        }
    }
}

#[test]
fn what_is_spooled_still_drains_to_the_cloud_while_the_gateway_is_closed_unless_told_otherwise() {
    let mut cloud = Cloud::prepare("");
    let subject = settings(cloud.port, "", &route("t", "out", 1)).start();
    let mut here = subject.v5("sensor");
    here.say("t", "spooled");
    lock(&subject, "close");
    assert_eq!(here.say("t", "while closed"), 0x87);
    cloud.begin();
    assert_eq!(until_drained(&subject)["delivered"], 1);
}

#[test]
fn what_a_closed_topic_keeps_from_leaving_stops_no_other_topic_and_is_not_overtaken() {
    for protocol in protocols() {
        for qos in [1, 2] {
            let cloud = Cloud::start("");
            let mut there = cloud.keeper("watcher");
            there.subscribe("devices/#", 2);
            let keys = format!("protocol = '{protocol}'\ninflight = 5");
            let subject = gateway(&cloud, &keys, "bridge_out = 'closed'", &route("#", "out", qos));
            lock(&subject, "close topic:doors/# --user bridge:cloud");
            let mut here = subject.v5("sensor");
            for n in 0..30 {
                let topic = if n % 3 == 0 { "lamps" } else { "doors/1" };
                here.publish(Publish::to(topic).qos(qos).payload(format!("{n}")));
            }
            let lamps: Vec<String> = (0..30).step_by(3).map(|n| n.to_string()).collect();
            assert_eq!(there.receive_texts(10), lamps, "{protocol} {qos}");
            eventually("the lamps are acknowledged", || {
                (status(&subject)["queued_messages"] == 20).then_some(())
            });
            lock(&subject, "open topic:doors/# --user bridge:cloud");
            here.publish(Publish::to("doors/1").qos(qos).payload("30"));
            let doors: Vec<String> =
                (0..=30).filter(|n| n % 3 != 0 || *n == 30).map(|n| n.to_string()).collect();
            assert_eq!(there.receive_texts(21), doors, "{protocol} {qos}");
            until_drained(&subject);
            there.nothing_arrives();
        }
    }
}

#[test]
fn what_was_under_way_when_the_lock_closed_is_sent_again_only_once_it_is_opened() {
    let remote = Remote::start();
    let subject = settings(remote.port, "protocol = '3.1.1'", &route("#", "out", 1))
        .section("[lock]\nbridge_out = 'closed'")
        .start();
    let mut link = remote.welcome(false);
    let mut here = subject.v5("sensor");
    here.say("doors/1", "closed");
    let (id, text, _) = link.publish();
    assert_eq!(text, "closed");
    lock(&subject, "close topic:doors/# --user bridge:cloud");
    link.cut();
    let mut link = remote.welcome(true);
    here.say("lamps", "open");
    let (other, text, dup) = link.publish();
    assert_eq!((&*text, dup), ("open", false), "it does not stop the others");
    link.acknowledge(4, other);
    lock(&subject, "open topic:doors/# --user bridge:cloud");
    assert_eq!(link.publish(), (id, "closed".into(), true), "the same exchange goes on");
    link.acknowledge(4, id);
    eventually("both are delivered", || (ledger(&subject)["delivered"] == 2).then_some(()));
}

#[test]
fn what_the_cloud_sends_while_it_is_closed_comes_when_it_is_opened_in_order_and_once() {
    for protocol in protocols() {
        for qos in [1, 2] {
            let cloud = Cloud::start("");
            let keys = format!("protocol = '{protocol}'");
            let subject = gateway(&cloud, &keys, "", &route("cmd/#", "in", 2));
            let mut here = subject.v5("lamp");
            here.subscribe("cmd/#", 2);
            let mut there = cloud.client("app");
            eventually("the subscription is there", || {
                there.publish(Publish::to("devices/b8/cmd/a").qos(1).payload("probe"));
                (status(&subject)["in_published"].as_u64() > Some(0)).then_some(())
            });
            eventually("every probe came", || {
                let came = here.receive();
                (status(&subject)["queued_messages"] == 0 && came.text() == "probe").then_some(())
            });
            lock(&subject, "close");
            there.publish(Publish::to("devices/b8/cmd/a").qos(0).payload("QoS 0 does not wait"));
            for n in 0..15 {
                there.publish(Publish::to("devices/b8/cmd/a").qos(qos).payload(format!("{n}")));
            }
            eventually("it is kept out", || (status(&subject)["in_held"].as_u64() > Some(0)).then_some(()));
            assert_eq!(status(&subject)["in_refused"], 1, "QoS 0");
            // Another change, after which it is asked for again, in vain.
            lock(&subject, "close topic:elsewhere");
            lock(&subject, "open");
            let mut got = Vec::new();
            while got.last().is_none_or(|last| last != "14") {
                got.push(here.receive().text().to_owned());
            }
            got.retain(|text| text != "probe");
            let expected: Vec<String> = (0..15).map(|n| n.to_string()).collect();
            assert_eq!(got, expected, "{protocol} {qos}");
            here.nothing_arrives();
        }
    }
}

#[test]
fn a_closed_topic_keeps_only_itself_from_coming_in() {
    let cloud = Cloud::start("");
    let subject = gateway(&cloud, "", "", &route("#", "in", 1));
    let mut here = subject.accept(&Connect::v5("lamp").keep_session());
    here.subscribe("#", 1);
    lock(&subject, "close topic:doors/#");
    let mut there = cloud.client("app");
    eventually("lamps come", || {
        there.say("devices/b8/lamps", "on");
        (status(&subject)["in_published"].as_u64() > Some(0)).then_some(())
    });
    there.say("devices/b8/doors/1", "unlock");
    there.say("devices/b8/lamps", "off");
    while here.receive().text() != "off" {}
    here.nothing_arrives();
    lock(&subject, "open topic:doors/#");
    assert_eq!(here.receive().text(), "unlock");
}

#[test]
fn what_comes_in_passes_a_closed_gateway_where_that_is_wanted() {
    let cloud = Cloud::start("");
    let subject = gateway(&cloud, "", "bridge_in = 'open'", &route("cmd", "in", 1));
    lock(&subject, "close publish");
    let mut here = subject.v5("lamp");
    here.subscribe("cmd", 1);
    let mut there = cloud.client("app");
    eventually("it comes", || {
        there.say("devices/b8/cmd", "x");
        (status(&subject)["in_published"].as_u64() > Some(0)).then_some(())
    });
    assert_eq!(here.receive().text(), "x");
    lock(&subject, "close publish --user bridge:cloud");
    eventually("it comes no longer", || {
        there.say("devices/b8/cmd", "y");
        (status(&subject)["in_held"].as_u64() > Some(0)).then_some(())
    });
}

#[test]
fn a_remote_that_keeps_no_session_is_refused_what_comes_while_it_is_closed() {
    for (protocol, version) in [("3.1.1", Version::V311), ("5", Version::V5)] {
        assert!(VERSIONS.contains(&version));
        let remote = Remote::start();
        let keys = format!("protocol = '{protocol}'\nsession = 'clean'");
        let subject = settings(remote.port, &keys, &route("cmd", "in", 1)).start();
        let mut link = remote.welcome_as(version, false);
        link.until(crate::remote::SUBSCRIBE);
        lock(&subject, "close");
        link.send(&Publish::to("devices/b8/cmd").qos(1).id(9).payload("x").encode(version));
        let answer = link.until(4);
        assert_eq!(answer.get(4).copied(), (version == Version::V5).then_some(0x87), "{answer:?}");
        eventually("counted", || (status(&subject)["in_refused"] == 1).then_some(()));
    }
}

#[test]
fn denying_rules_for_a_bridge_narrow_both_its_directions() {
    let cloud = Cloud::start("");
    let subject = settings(cloud.port, "", &route("x/#", "both", 1)).prepare();
    subject.command(&["acl", "deny", "bridge:cloud", "publish", "x/down/secret"]).exits(0);
    subject.port();
    until_connected(&subject);
    let (mut here, mut there) = (subject.v5("here"), cloud.client("there"));
    here.subscribe("x/down/#", 1);
    there.subscribe("devices/b8/x/up/#", 1);
    eventually("it comes in", || {
        there.say("devices/b8/x/down/secret", "no");
        there.say("devices/b8/x/down/a", "yes");
        (status(&subject)["in_published"].as_u64() > Some(0)).then_some(())
    });
    assert_eq!(here.receive().text(), "yes");
    here.say("x/up/a", "1");
    assert_eq!(there.receive().text(), "1");
    // A rule that comes while it is connected counts at once.
    subject.command(&["acl", "deny", "bridge:cloud", "receive", "x/up/#"]).exits(0);
    eventually("it goes out no longer", || {
        here.say("x/up/a", "2");
        (ledger(&subject)["dropped"]["not_permitted"].as_u64() > Some(0)).then_some(())
    });
    subject.command(&["acl", "remove", "bridge:cloud", "receive", "x/up/#", "--deny"]).exits(0);
    eventually("it goes out again", || {
        here.say("x/up/a", "3");
        there.set_read_timeout(std::time::Duration::from_millis(200));
        matches!(there.try_read(), Ok(crate::support::Packet::Publish(got)) if got.text() == "3")
            .then_some(())
    });
}
