//! The gateway dies between any two packets; the cloud dies too. Nothing acknowledged is missing, what is QoS 2 is there once,
//! and the ledger balances.

use crate::cloud::Cloud;
use crate::remote::{PUBREL, Remote};
use crate::support::{Connect, Publish, Subject, Version, eventually};
use crate::{ledger, route, settings, until_connected, until_drained};

const BOTH: [(&str, Version); 2] = [("3.1.1", Version::V311), ("5", Version::V5)];

#[test]
fn qos2_goes_on_where_it_stopped_when_the_gateway_dies_between_any_two_packets() {
    // After PUBLISH, after PUBREC (before PUBREL could be sent or after), after PUBREL.
    for (step, (protocol, version)) in (0..3).flat_map(|step| BOTH.map(|both| (step, both))) {
        let remote = Remote::start();
        let subject =
            settings(remote.port, &format!("protocol = '{protocol}'"), &route("t", "out", 2)).start();
        let mut link = remote.welcome_as(version, false);
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
        let mut link = remote.welcome_as(version, true);
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
    for (protocol, version) in BOTH {
        let remote = Remote::start();
        let subject =
            settings(remote.port, &format!("protocol = '{protocol}'"), &route("cmd", "in", 2)).start();
        let mut kept = subject.accept(&Connect::v5("lamp").keep_session());
        kept.subscribe("cmd", 2);
        kept.disconnect();
        let mut link = remote.welcome_as(version, false);
        let mut publish = Publish::to("devices/b8/cmd").qos(2).id(7).payload("once");
        link.send(&publish.encode(version));
        link.until(5);
        subject.kill();
        subject.start_again();
        let mut link = remote.welcome_as(version, true);
        publish = publish.dup();
        link.send(&publish.encode(version));
        link.until(5);
        link.acknowledge(6, 7);
        link.until(7);
        let mut kept = subject.accept(&Connect::v5("lamp").keep_session());
        assert_eq!(kept.receive().text(), "once");
        kept.nothing_arrives();
    }
}

#[test]
fn a_cloud_that_is_stopped_or_comes_back_with_what_it_had_long_ago_loses_nothing_of_ours() {
    for (protocol, _) in BOTH {
        let mut cloud = Cloud::start("");
        let subject =
            settings(cloud.port, &format!("protocol = '{protocol}'"), &route("t/#", "out", 2)).start();
        until_connected(&subject);
        let mut here = subject.v5("sensor");
        for round in 0..4 {
            for n in 0..50 {
                here.publish(Publish::to("t/a").qos(1 + n % 2).payload(format!("{round} {n}")));
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
