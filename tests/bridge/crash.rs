//! The gateway dies at named places and between any two packets; the cloud dies too. Nothing acknowledged is missing, what is
//! QoS 2 is there once, and the ledger balances.

use std::collections::BTreeMap;

use crate::cloud::Cloud;
use crate::remote::{PUBREL, Remote};
use crate::support::{Client, Connect, Publish, Subject, eventually};
use crate::{balances, ledger, route, settings, status, until_connected, until_drained};

/// Publishes numbers until the gateway is gone; which were acknowledged.
fn publish_until_it_dies(here: &mut Client, numbers: &mut u32, most: u32) -> Vec<u32> {
    let mut acknowledged = Vec::new();
    for _ in 0..most {
        let (number, qos) = (*numbers, 1 + (*numbers % 2) as u8);
        *numbers += 1;
        let id = here.fresh_id();
        let publish = Publish::to(&format!("q{qos}/a")).qos(qos).id(id).payload(format!("{number}"));
        if !here.send_anyway(&publish.encode(here.version)) {
            break;
        }
        // PUBACK or PUBREC: from then on it is the gateway's.
        match here.try_read() {
            Ok(_) => acknowledged.push(number),
            Err(_) => break,
        }
        if qos == 2 {
            let sent = here.send_anyway(&crate::support::packet::ack(6, id));
            if !sent || here.try_read().is_err() {
                break;
            }
        }
    }
    acknowledged
}

#[test]
fn killed_at_every_place_nothing_acknowledged_is_missing_and_qos2_comes_once() {
    let cloud = Cloud::start("");
    let mut watcher = cloud.keeper("watcher");
    watcher.subscribe("devices/b8/#", 2);
    let subject = settings(cloud.port, "", &(route("q1/#", "out", 1) + &route("q2/#", "out", 2))).start();
    until_connected(&subject);
    let (mut numbers, mut acknowledged) = (0, Vec::new());
    subject.kill();
    for (place, nth) in [
        ("before-commit", 3),
        ("after-commit", 5),
        ("before-commit", 17),
        ("after-commit", 40),
        ("after-commit", 2),
    ] {
        let fail = format!("{place}:{nth}");
        // It may die before it listens.
        if subject.try_start_again(&[("LATCHGATE_FAIL", &fail)]).is_err() {
            continue;
        }
        let connect = Connect::v5("sensor");
        let port = subject.port();
        let connected = std::panic::catch_unwind(|| Client::connect(port, &connect).0);
        if let Ok(mut here) = connected {
            acknowledged.extend(publish_until_it_dies(&mut here, &mut numbers, 200));
        }
        subject.wait();
    }
    subject.start_again();
    until_drained(&subject);
    status(&subject)["routes"].as_array().expect("routes").iter().for_each(balances);
    subject.v5("end").publish(Publish::to("q1/end").qos(1).payload("end"));
    let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
    loop {
        let got = watcher.receive();
        match got.text() {
            "end" => break,
            number => *seen.entry(number.parse().expect("a number")).or_insert(0) += 1,
        }
    }
    assert!(acknowledged.len() > 20, "{acknowledged:?}");
    for number in &acknowledged {
        let said = cloud.log();
        assert!(seen.contains_key(number), "{number} was acknowledged and is missing: {said}");
    }
    for (number, count) in &seen {
        assert!(number % 2 == 0 || *count == 1, "{number} is QoS 2 and came {count} times");
    }
}

#[test]
fn qos2_goes_on_where_it_stopped_when_the_gateway_dies_between_any_two_packets() {
    // After PUBLISH, after PUBREC (before PUBREL could be sent or after), after PUBREL.
    for step in 0..3 {
        let remote = Remote::start();
        let subject = settings(remote.port, "protocol = '3.1.1'", &route("t", "out", 2)).start();
        let mut link = remote.welcome(false);
        subject.v5("sensor").publish(Publish::to("t").qos(2).payload("once"));
        let (id, text, _) = link.publish();
        assert_eq!(text, "once");
        if step > 0 {
            link.acknowledge(5, id);
            link.until(PUBREL);
        }
        if step > 1 {
            // The answer is lost.
            link.stream.shutdown(std::net::Shutdown::Both).expect("cut");
        }
        subject.kill();
        subject.start_again();
        let mut link = remote.welcome(true);
        if step == 0 {
            let (again, text, dup) = link.publish();
            assert_eq!((again, &*text, dup), (id, "once", true), "the same exchange goes on");
            link.acknowledge(5, id);
        }
        let release = link.until(PUBREL);
        assert_eq!(u16::from_be_bytes([release[2], release[3]]), id, "step {step}");
        link.acknowledge(7, id);
        eventually("delivered", || (ledger(&subject)["delivered"] == 1).then_some(()));
    }
}

#[test]
fn qos2_from_the_cloud_is_published_once_when_the_gateway_dies_before_its_pubrel() {
    let remote = Remote::start();
    let subject = settings(remote.port, "protocol = '3.1.1'", &route("cmd", "in", 2)).start();
    let mut kept = subject.accept(&Connect::v5("lamp").keep_session());
    kept.subscribe("cmd", 2);
    kept.disconnect();
    let mut link = remote.welcome(false);
    let mut publish = Publish::to("devices/b8/cmd").qos(2).id(7).payload("once");
    link.send(&publish.encode(crate::support::Version::V311));
    link.until(5);
    subject.kill();
    subject.start_again();
    let mut link = remote.welcome(true);
    publish = publish.dup();
    link.send(&publish.encode(crate::support::Version::V311));
    link.until(5);
    link.acknowledge(6, 7);
    link.until(7);
    let mut kept = subject.accept(&Connect::v5("lamp").keep_session());
    assert_eq!(kept.receive().text(), "once");
    kept.nothing_arrives();
}

#[test]
fn a_cloud_that_is_stopped_or_forgets_everything_loses_nothing_of_ours() {
    let mut cloud = Cloud::start("");
    let subject = settings(cloud.port, "", &route("t/#", "out", 1)).start();
    until_connected(&subject);
    let mut here = subject.v5("sensor");
    for round in 0..4 {
        for n in 0..50 {
            here.publish(Publish::to("t/a").qos(1).payload(format!("{round} {n}")));
        }
        match round % 2 {
            0 => cloud.stop(),
            _ => cloud.kill(),
        }
        here.publish(Publish::to("t/a").qos(1).payload("while it is away"));
        ledger(&subject);
        cloud.begin();
    }
    let told = until_drained(&subject);
    assert_eq!((&told["accepted"], &told["delivered"]), (&204.into(), &204.into()));
}

#[test]
fn a_ledger_is_kept_over_a_stop_in_order() {
    let cloud = Cloud::start("");
    let subject: Subject = settings(cloud.port, "", &route("t", "out", 1)).start();
    until_connected(&subject);
    subject.v5("sensor").publish(Publish::to("t").qos(1).payload("x"));
    until_drained(&subject);
    subject.signal(rustix::process::Signal::TERM);
    subject.wait();
    subject.start_again();
    let told = until_drained(&subject);
    assert_eq!((&told["accepted"], &told["delivered"], &told["queued"]), (&1.into(), &1.into(), &0.into()));
}
