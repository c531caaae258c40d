//! Nothing goes round.

use crate::cloud::Cloud;
use crate::support::{Publish, Subject, eventually};
use crate::{route, settings, status, until_connected};

#[test]
fn a_route_both_ways_sends_nothing_back() {
    for protocol in ["3.1.1", "5"] {
        let cloud = Cloud::start("");
        let keys = format!("protocol = '{protocol}'");
        let subject = settings(cloud.port, &keys, &route("both/#", "both", 1)).start();
        until_connected(&subject);
        let (mut here, mut there) = (subject.v5("here"), cloud.client("there"));
        here.subscribe("both/#", 1);
        there.subscribe("devices/b8/both/#", 1);
        for n in 0..3 {
            here.publish(Publish::to("both/a").qos(1).payload(format!("up {n}")));
            assert_eq!(here.receive().text(), format!("up {n}"));
            assert_eq!(there.receive().text(), format!("up {n}"));
        }
        eventually("the cloud knows the subscription", || {
            there.publish(Publish::to("devices/b8/both/probe").qos(1).payload("probe"));
            (status(&subject)["in_published"].as_u64() > Some(0)).then_some(())
        });
        there.publish(Publish::to("devices/b8/both/a").qos(1).payload("down"));
        for client in [&mut here, &mut there] {
            while client.receive().text() != "down" {}
        }
        if protocol == "3.1.1" {
            eventually("echoes are counted", || (status(&subject)["in_echoes"] == 3).then_some(()));
        }
        here.nothing_arrives();
        there.nothing_arrives();
    }
}

#[test]
fn between_two_gateways_that_are_bridged_to_each_other_both_ways_nothing_goes_round() {
    let both = "[[bridge.route]]\ntopic = 'shared/#'\ndirection = 'both'\nqos = 1\n";
    let keys = |port: u16, id: &str| {
        Subject::with().gateway(&format!("id = '{id}'")).section(&format!(
            "[[bridge]]\nname = 'peer'\naddress = 'mqtt://127.0.0.1:{port}'\nretry_min = '50ms'\nretry_max = '200ms'\n{both}"
        ))
    };
    let (one_port, relay) = crate::remote::forward();
    let other = keys(one_port, "other").start();
    let one = keys(other.port(), "one").start();
    relay.to(one.port());
    until_connected(&one);
    until_connected(&other);
    let (mut at_one, mut at_other) = (one.v5("at one"), other.v5("at other"));
    at_one.subscribe("shared/#", 1);
    at_other.subscribe("shared/#", 1);
    at_one.publish(Publish::to("shared/x").qos(1).payload("a"));
    at_other.publish(Publish::to("shared/x").qos(1).payload("b"));
    for client in [&mut at_one, &mut at_other] {
        let mut seen = client.receive_texts(2);
        seen.dedup();
        while seen.len() < 2 {
            seen.push(client.receive().text().to_owned());
            seen.dedup();
        }
    }
    // A message that went round would be accepted again and again meanwhile.
    for _ in 0..200 {
        at_one.ping();
        at_other.ping();
    }
    let accepted = |subject: &Subject| status(subject)["routes"][0]["accepted"].as_u64().unwrap_or(0);
    assert!(accepted(&one) <= 4 && accepted(&other) <= 4, "{} {}", accepted(&one), accepted(&other));
    eventually("both spools are empty", || {
        (status(&one)["queued_messages"] == 0 && status(&other)["queued_messages"] == 0).then_some(())
    });
}
