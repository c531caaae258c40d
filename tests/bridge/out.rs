//! From the gateway to the cloud.

use crate::cloud::Cloud;
use crate::remote::Remote;
use crate::support::{Publish, eventually};
use crate::{ledger, route, settings, status, until_connected, until_drained};

#[test]
fn messages_of_every_qos_reach_the_cloud_under_their_names_there() {
    for protocol in ["3.1.1", "5"] {
        let cloud = Cloud::start("");
        let keys = format!("protocol = '{protocol}'");
        let subject = settings(cloud.port, &keys, &route("lamp/#", "out", 2)).start();
        until_connected(&subject);
        let mut there = cloud.client("watcher");
        there.subscribe("devices/b8/#", 2);
        let mut here = subject.v5("lamp");
        for qos in [0, 1, 2] {
            here.publish(Publish::to("lamp/changed").qos(qos).payload(format!("{qos}")));
            let got = there.receive();
            assert_eq!(
                (&*got.topic, got.text(), got.qos),
                ("devices/b8/lamp/changed", &*qos.to_string(), qos)
            );
        }
        here.publish(Publish::to("elsewhere").qos(1).payload("no"));
        there.nothing_arrives();
        let ledger = until_drained(&subject);
        assert_eq!((&ledger["accepted"], &ledger["delivered"]), (&2.into(), &2.into()), "{ledger}");
        assert_eq!(status(&subject)["qos0_sent"], 1);
    }
}

#[test]
fn what_waited_while_the_cloud_was_away_arrives_complete_and_in_order() {
    let mut cloud = Cloud::prepare("");
    let subject = settings(cloud.port, "", &route("t/#", "out", 1)).start();
    let mut here = subject.v5("sensor");
    for n in 0..500 {
        assert_eq!(here.publish(Publish::to("t/a").qos(1).payload(format!("{n}"))), 0);
    }
    let waiting = status(&subject);
    assert_eq!((&waiting["connected"], &waiting["queued_messages"]), (&false.into(), &500.into()));
    assert!(waiting["error"].is_string(), "{waiting}");
    ledger(&subject);
    cloud.begin();
    let mut there = cloud.keeper("watcher");
    there.subscribe("devices/b8/t/#", 1);
    // Whatever came before the watcher was there is not its to see; the last one always is.
    until_drained(&subject);
    here.publish(Publish::to("t/a").qos(1).payload("last"));
    let mut seen: Vec<u32> = Vec::new();
    loop {
        let got = there.receive();
        if got.text() == "last" {
            break;
        }
        seen.push(got.text().parse().expect("a number"));
    }
    assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]), "in order, without a gap: {seen:?}");
    assert!(seen.last().is_none_or(|last| *last == 499));
    let ledger = until_drained(&subject);
    assert_eq!(ledger["delivered"], 501);
}

#[test]
fn what_is_retained_here_is_retained_there_and_properties_travel() {
    let cloud = Cloud::start("");
    let clear = route("b/#", "out", 1) + "retain = 'clear'\n";
    let subject = settings(cloud.port, "", &(route("a/#", "out", 1) + &clear)).start();
    until_connected(&subject);
    let mut here = subject.v5("lamp");
    here.publish(Publish::to("a/x").qos(1).retain().payload("kept"));
    here.publish(Publish::to("b/x").qos(1).retain().payload("not kept"));
    until_drained(&subject);
    let mut there = cloud.client("late");
    there.subscribe("devices/b8/#", 1);
    let got = there.receive();
    assert_eq!((&*got.topic, got.retain), ("devices/b8/a/x", true));
    there.nothing_arrives();
}

#[test]
fn what_is_retained_here_is_sent_when_the_cloud_has_forgotten_the_bridge() {
    let mut cloud = Cloud::start("");
    let subject = settings(cloud.port, "", &route("lamp/#", "out", 1)).start();
    until_connected(&subject);
    subject.v5("lamp").publish(Publish::to("lamp/changed").qos(1).retain().payload("on"));
    until_drained(&subject);
    // It writes nothing when it is killed.
    cloud.kill();
    eventually("the loss is noticed", || (status(&subject)["connected"] == false).then_some(()));
    cloud.begin();
    until_drained(&subject);
    let mut there = cloud.client("late");
    there.subscribe("devices/b8/lamp/changed", 1);
    assert_eq!(there.receive().text(), "on");
}

#[test]
fn a_remote_that_forgets_the_bridge_at_each_connection_does_not_fill_the_spool_with_what_is_retained() {
    let remote = Remote::start();
    let keys = "protocol = '3.1.1'\n[bridge.spool]\nmax_messages = 50\n";
    let subject = settings(remote.port, keys, &route("t/#", "out", 1)).start();
    let mut here = subject.v5("sensor");
    here.publish(Publish::to("t/plain").qos(1).payload("acknowledged"));
    for number in 0..10 {
        here.publish(Publish::to(&format!("t/{number}")).qos(1).retain().payload("kept"));
    }
    for _ in 0..10 {
        let mut link = remote.welcome(false);
        // It is offered before the first is sent.
        link.publish();
        link.cut();
    }
    // A newer one is another one.
    here.publish(Publish::to("t/0").qos(1).retain().payload("newer"));
    let waits = eventually("what waits", || {
        let ledger = ledger(&subject);
        (ledger["queued"].as_u64() >= Some(22)).then_some(ledger)
    });
    // Each as it was published, and once more since the remote broker knows nothing.
    assert_eq!((&waits["queued"], &waits["dropped"]["full"]), (&22.into(), &0.into()), "{waits}");
    let mut link = remote.welcome(false);
    let mut payloads = Vec::new();
    while payloads.last().is_none_or(|last| last != "newer") {
        let (id, payload, _) = link.publish();
        link.acknowledge(4, id);
        payloads.push(payload);
    }
    assert_eq!(payloads[0], "acknowledged");
}

#[test]
fn what_the_rules_deny_the_bridge_does_not_leave_and_is_counted() {
    let cloud = Cloud::start("");
    let subject = settings(cloud.port, "", &route("t/#", "out", 1)).prepare();
    subject.command(&["acl", "deny", "bridge:cloud", "receive", "t/secret"]).exits(0);
    until_connected_after_start(&subject);
    let mut there = cloud.client("watcher");
    there.subscribe("devices/#", 1);
    let mut here = subject.v5("sensor");
    here.publish(Publish::to("t/secret").qos(1).payload("no"));
    here.publish(Publish::to("t/open").qos(1).payload("yes"));
    assert_eq!(there.receive().text(), "yes");
    let ledger = until_drained(&subject);
    assert_eq!((&ledger["delivered"], &ledger["dropped"]["not_permitted"]), (&1.into(), &1.into()));
}

fn until_connected_after_start(subject: &crate::support::Subject) {
    subject.port();
    until_connected(subject);
}

#[test]
fn a_message_expires_while_it_waits_and_counts_down() {
    let mut cloud = Cloud::prepare("");
    let subject = settings(cloud.port, "", &route("t/#", "out", 1)).start();
    let mut here = subject.v5("sensor");
    let expiring = |seconds: u32| {
        let expiry = crate::support::property::message_expiry(seconds);
        Publish::to("t/a").qos(1).with(expiry).payload(format!("{seconds}"))
    };
    here.publish(expiring(1));
    here.publish(expiring(1000));
    let mut old = None;
    eventually("a second has passed", || {
        let age = status(&subject)["oldest_seconds"].as_u64()?;
        old = Some(age);
        (age >= 2).then_some(())
    });
    cloud.begin();
    let mut there = cloud.keeper("watcher");
    there.subscribe("devices/#", 1);
    let ledger = until_drained(&subject);
    assert_eq!((&ledger["delivered"], &ledger["expired"]), (&1.into(), &1.into()), "{ledger}");
}
