//! From the cloud to the gateway.

use crate::cloud::Cloud;
use crate::support::{Connect, Publish, eventually};
use crate::{route, settings, status, until_connected};

#[test]
fn messages_of_every_qos_come_in_under_their_names_here() {
    for protocol in ["3.1.1", "5"] {
        let cloud = Cloud::start("");
        let keys = format!("protocol = '{protocol}'");
        let subject = settings(cloud.port, &keys, &route("lamp/set_config", "in", 2)).start();
        until_connected(&subject);
        let mut here = subject.v5("lamp");
        here.subscribe("lamp/#", 2);
        let mut there = cloud.client("app");
        for qos in [0, 1, 2] {
            // The subscription may come a moment after the connection.
            let got = eventually_receive(&mut there, &mut here, qos);
            assert_eq!((&*got.topic, got.qos), ("lamp/set_config", qos), "{protocol}");
        }
        there.publish(Publish::to("devices/e5/lamp/set_config").qos(1).payload("another's"));
        here.nothing_arrives();
        eventually("counted", || (status(&subject)["in_published"].as_u64() >= Some(3)).then_some(()));
    }
}

/// Publishes there until it arrives here.
fn eventually_receive(
    there: &mut crate::support::Client,
    here: &mut crate::support::Client,
    qos: u8,
) -> Publish {
    here.set_read_timeout(std::time::Duration::from_millis(500));
    let mut tries = 0;
    let got = loop {
        there.publish(Publish::to("devices/b8/lamp/set_config").qos(qos).payload("x"));
        match here.try_read() {
            Ok(crate::support::Packet::Publish(publish)) => break publish,
            _ if tries < 10 => tries += 1,
            other => panic!("{other:?}"),
        }
    };
    here.set_read_timeout(crate::support::BOUND);
    here.acknowledge(&got);
    got
}

#[test]
fn what_the_cloud_has_for_an_absent_gateway_arrives_when_it_is_back() {
    let cloud = Cloud::start("");
    let subject = settings(cloud.port, "", &route("cmd", "in", 2)).start();
    until_connected(&subject);
    let mut kept = subject.accept(&Connect::v5("lamp").keep_session());
    kept.subscribe("cmd", 2);
    let mut there = cloud.client("app");
    eventually("the subscription is there", || {
        // 0x10: nobody subscribes.
        (there.publish(Publish::to("devices/b8/cmd").qos(1).payload("first")) == 0).then_some(())
    });
    assert_eq!(kept.receive().text(), "first");
    kept.disconnect();
    subject.kill();
    for n in 0..50 {
        there.publish(Publish::to("devices/b8/cmd").qos(1 + n % 2).payload(format!("{n}")));
    }
    subject.start_again();
    let mut kept = subject.accept(&Connect::v5("lamp").keep_session());
    // The first one was said until it was heard.
    let texts = std::iter::repeat_with(|| kept.receive().text().to_owned()).filter(|text| text != "first");
    assert_eq!(texts.take(50).collect::<Vec<_>>(), (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    kept.nothing_arrives();
}

#[test]
fn what_is_retained_there_is_retained_here_and_kept_from_reserved_topics() {
    let cloud = Cloud::start("");
    let mut there = cloud.client("app");
    there.publish(Publish::to("devices/b8/lamp/associated").qos(2).retain().payload("{}"));
    there.publish(Publish::to("devices/b8/LATCH/lock").qos(1).retain().payload("forged"));
    let routes = route("lamp/associated", "in", 2) + &route("LATCH/#", "in", 1);
    let subject = settings(cloud.port, "", &routes).start();
    eventually("both came", || {
        let status = status(&subject);
        (status["in_published"] == 1 && status["in_refused"] == 1).then_some(())
    });
    let mut here = subject.v5("late");
    here.subscribe("lamp/#", 2);
    let got = here.receive();
    assert_eq!((&*got.topic, got.text(), got.retain), ("lamp/associated", "{}", true));
    assert!(subject.log().contains("LATCH/lock"), "the refusal is on record");
}
