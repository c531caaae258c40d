//! The gateway dies at every named place of the store while messages go out and come in. Nothing acknowledged is missing on
//! either side, what is QoS 2 is there once, and the ledger balances.

use std::collections::BTreeMap;

use crate::cloud::Cloud;
use crate::support::{Client, Connect, Publish, Subject};
use crate::{balances, balances_in, route, settings, status, until_connected, until_drained};

/// The places, the how manieth time each is passed, and how many bytes a message has.
const PLACES: [(&str, u32, usize); 12] = [
    ("halfway", 9, 10),
    ("before-commit", 3, 10),
    ("after-commit", 5, 10),
    ("before-answer", 4, 10),
    ("halfway", 150, 10),
    ("before-commit", 17, 10),
    ("after-commit", 40, 10),
    ("before-answer", 23, 10),
    ("after-checkpoint", 1, 60_000),
    ("halfway", 41, 10),
    ("after-commit", 2, 10),
    ("before-answer", 60, 10),
];

/// Numbers that somebody acknowledged, and the next one.
#[derive(Default)]
struct Sent {
    next: u32,
    acknowledged: Vec<u32>,
}

impl Sent {
    /// The next message, by turns of QoS 1 and 2, under its topic.
    fn next(&mut self, prefix: &str, size: usize) -> (u32, Publish) {
        let number = self.next;
        self.next += 1;
        let qos = 1 + (number % 2) as u8;
        (number, Publish::to(&format!("{prefix}{qos}/a")).qos(qos).payload(format!("{number:size$}")))
    }
}

/// Publishes here and there by turns until the gateway is gone.
fn publish_until_it_dies(
    here: &mut Client,
    there: &mut Client,
    out: &mut Sent,
    into: &mut Sent,
    size: usize,
) {
    for _ in 0..250 {
        let (number, publish) = into.next("devices/b8/in", 10);
        there.publish(publish);
        into.acknowledged.push(number);
        let (number, publish) = out.next("out", size);
        let (id, qos) = (here.fresh_id(), publish.qos);
        if !here.send_anyway(&publish.id(id).encode(here.version)) {
            return;
        }
        // PUBACK or PUBREC: from then on it is the gateway's.
        match here.try_read() {
            Ok(_) => out.acknowledged.push(number),
            Err(_) => return,
        }
        if qos == 2 {
            let sent = here.send_anyway(&crate::support::packet::ack(6, id));
            if !sent || here.try_read().is_err() {
                return;
            }
        }
    }
}

/// Everything up to the message `end`, which was published last: all of what was acknowledged, QoS 2 once.
fn check(receiver: &mut Client, sent: &Sent, cloud: &Cloud, what: &str) {
    let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
    loop {
        let got = receiver.receive();
        match got.text().trim() {
            "end" => break,
            number => *seen.entry(number.parse().expect("a number")).or_insert(0) += 1,
        }
    }
    assert!(sent.acknowledged.len() > 100, "{what}: {}", sent.acknowledged.len());
    let missing: Vec<_> = sent.acknowledged.iter().filter(|number| !seen.contains_key(number)).collect();
    assert!(missing.is_empty(), "{what}: acknowledged and missing: {missing:?}\n{}", cloud.log());
    let twice: Vec<_> = seen.iter().filter(|(number, count)| *number % 2 == 1 && **count > 1).collect();
    assert!(twice.is_empty(), "{what}: QoS 2 and more than once: {twice:?}");
}

fn killed_at_every_place(protocol: &str) {
    let cloud = Cloud::start("");
    let mut watcher = cloud.keeper("watcher");
    watcher.subscribe("devices/b8/out1/#", 2);
    watcher.subscribe("devices/b8/out2/#", 2);
    watcher.disconnect();
    let routes = [("out1/#", "out", 1), ("out2/#", "out", 2), ("in1/#", "in", 1), ("in2/#", "in", 2)];
    let routes: String = routes.into_iter().map(|(topic, way, qos)| route(topic, way, qos)).collect();
    let keys = format!("protocol = '{protocol}'");
    let subject: Subject = settings(cloud.port, &keys, &routes).limit("queued_bytes", 64 << 20).start();
    until_connected(&subject);
    let lamp = Connect::v5("lamp").keep_session();
    let mut client = subject.accept(&lamp);
    client.subscribe("in1/#", 2);
    client.subscribe("in2/#", 2);
    client.disconnect();
    let mut there = cloud.client("app");
    crate::support::eventually("the cloud knows the subscription", || {
        there.publish(Publish::to("devices/b8/in1/a").qos(1).payload("0"));
        (status(&subject)["in_published"].as_u64() > Some(0)).then_some(())
    });
    subject.kill();
    let (mut out, mut into, mut deaths) = (Sent::default(), Sent::default(), BTreeMap::new());
    for (place, nth, size) in PLACES {
        let fail = format!("{place}:{nth}");
        // It may die before it listens.
        if subject.try_start_again(&[("LATCHGATE_FAIL", &fail)]).is_err() {
            *deaths.entry(place).or_insert(0) += 1;
            continue;
        }
        let port = subject.port();
        if let Ok(mut here) = std::panic::catch_unwind(|| Client::connect(port, &Connect::v5("sensor")).0) {
            publish_until_it_dies(&mut here, &mut there, &mut out, &mut into, size);
        }
        subject.wait();
        *deaths.entry(place).or_insert(0) += 1;
    }
    assert_eq!(deaths.len(), 5, "it died at every place: {deaths:?}");
    subject.start_again();
    until_connected(&subject);
    until_drained(&subject);
    let told = status(&subject);
    told["routes"].as_array().expect("routes").iter().for_each(balances);
    for qos in [1, 2] {
        there.publish(Publish::to(&format!("devices/b8/in{qos}/a")).qos(qos).payload(if qos == 2 {
            "end"
        } else {
            "0"
        }));
    }
    let mut here = subject.v5("end");
    here.publish(Publish::to("out2/a").qos(2).payload("end"));
    until_drained(&subject);
    check(&mut Client::connect(cloud.port, &Connect::v5("watcher").keep_session()).0, &out, &cloud, "out");
    crate::support::eventually("all came in", || {
        (status(&subject)["in_published"].as_u64() > Some(1)).then_some(())
    });
    check(&mut subject.accept(&lamp), &into, &cloud, "in");
    // What was acknowledged to the cloud is counted, whatever died; QoS 2 once, the one that says the end included.
    let sent = |qos: u32| into.acknowledged.iter().filter(|number| 1 + *number % 2 == qos).count() as u64;
    let wanted = (sent(1), sent(2) + 1);
    crate::support::eventually("all that came is counted", || {
        let told = status(&subject);
        let came = told["routes_in"].as_array().expect("routes");
        came.iter().for_each(balances_in);
        let accepted = |qos: u8| {
            let topic = format!("devices/b8/in{qos}/#");
            came.iter().find(|route| route["topic"] == *topic).and_then(|route| route["accepted"].as_u64())
        };
        (accepted(1) >= Some(wanted.0) && accepted(2) == Some(wanted.1)).then_some(())
    });
}

#[test]
fn killed_at_every_place_nothing_acknowledged_is_missing_and_qos2_comes_once_with_version_3_1_1() {
    killed_at_every_place("3.1.1");
}

#[test]
fn killed_at_every_place_nothing_acknowledged_is_missing_and_qos2_comes_once_with_version_5() {
    killed_at_every_place("5");
}
