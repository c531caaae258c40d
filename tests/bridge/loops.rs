//! Nothing goes round.

use crate::cloud::Cloud;
use crate::support::{Client, Publish, Subject, eventually, property};
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

/// Two gateways, each with a bridge to the other, and clients of both who have subscribed to what they share.
struct Pair {
    gateways: [Subject; 2],
    clients: [Client; 2],
}

impl Pair {
    /// Bridges with these keys.
    fn start(keys: [&str; 2]) -> Self {
        let gateway = |port: u16, id: &str, keys: &str| {
            Subject::with().gateway(&format!("id = '{id}'")).section(&format!(
                "[[bridge]]\nname = 'peer'\naddress = 'mqtt://127.0.0.1:{port}'\nretry_min = '50ms'\nretry_max = '200ms'\n{keys}\n\
                 [[bridge.route]]\ntopic = 'shared/#'\ndirection = 'both'\nqos = 1\n"
            ))
        };
        let (one_port, relay) = crate::remote::forward();
        let other = gateway(one_port, "other", keys[1]).start();
        let one = gateway(other.port(), "one", keys[0]).start();
        relay.to(one.port());
        let gateways = [one, other];
        let clients = [0, 1].map(|at| {
            until_connected(&gateways[at]);
            let mut client = gateways[at].v5("watcher");
            client.subscribe("shared/#", 1);
            client
        });
        Pair { gateways, clients }
    }

    /// Both publish, and what they publish arrives and does not go round.
    fn exchange(&mut self, retain: bool) {
        let accepted = |subject: &Subject| status(subject)["routes"][0]["accepted"].as_u64().unwrap_or(0);
        let before = [0, 1].map(|at| accepted(&self.gateways[at]));
        for (client, text) in self.clients.iter_mut().zip(["a", "b"]) {
            let publish = Publish::to("shared/x").qos(1).payload(format!("{text} {retain}"));
            client.publish(if retain { publish.retain() } else { publish });
        }
        for client in &mut self.clients {
            let mut missing = vec![format!("a {retain}"), format!("b {retain}")];
            while !missing.is_empty() {
                let got = client.receive();
                missing.retain(|text| *text != got.text());
            }
        }
        // A message that went round would be accepted again and again meanwhile.
        for _ in 0..200 {
            self.clients.iter_mut().for_each(Client::ping);
        }
        for (subject, before) in self.gateways.iter().zip(before) {
            let more = accepted(subject) - before;
            assert!(more <= 2, "{more} accepted, retained: {retain}");
        }
        eventually("both spools are empty", || {
            self.gateways.iter().all(|subject| status(subject)["queued_messages"] == 0).then_some(())
        });
    }
}

#[test]
fn between_two_gateways_that_are_bridged_to_each_other_both_ways_nothing_goes_round() {
    let old = "protocol = '3.1.1'";
    for keys in [
        [String::new(), String::new()],
        [format!("{old}\npeer = 'other_peer'"), format!("{old}\npeer = 'one_peer'")],
        // One that knows is enough, whatever the other speaks.
        [format!("{old}\npeer = 'other_peer'"), old.to_owned()],
        ["peer = 'other_peer'".to_owned(), old.to_owned()],
    ] {
        let mut pair = Pair::start([&keys[0], &keys[1]]);
        pair.exchange(false);
        pair.exchange(true);
    }
}

#[test]
fn a_message_with_the_gateways_own_mark_is_put_to_the_gate_before_it_is_told_that_it_is_over() {
    let subject = settings(1, "", &route("t/#", "out", 1)).without_rules().prepare();
    subject.command(&["acl", "allow", "*", "all", "open/#"]).exits(0);
    let mut client = subject.v5("other gateway");
    client.subscribe("open/#", 1);
    let marked = |topic| {
        let mark = property::user_property("latchgate-via", "b8");
        Publish::to(topic).qos(1).with(mark).payload("x")
    };
    assert_eq!(client.publish(marked("closed")), 0x87);
    assert!(subject.log().contains("closed"), "the refusal is on record");
    // A success, though nobody gets it.
    assert_eq!(client.publish(marked("open/a")), 0);
    subject.command(&["lock", "close"]).exits(0);
    assert_eq!(client.publish(marked("open/a")), 0x87);
    subject.command(&["lock", "open"]).exits(0);
    client.publish(Publish::to("open/b").qos(1).payload("last"));
    assert_eq!(client.receive().text(), "last");
}

#[test]
fn a_bridge_of_mosquitto_gets_nothing_back_of_what_it_brought() {
    let subject = Subject::start();
    let bridge = format!(
        "connection edge\naddress 127.0.0.1:{}\nbridge_protocol_version mqttv311\ntopic both/# both 1\nrestart_timeout 1",
        subject.port()
    );
    let mosquitto = Cloud::start(&bridge);
    let (mut here, mut there) = (subject.v5("here"), mosquitto.client("there"));
    here.subscribe("both/#", 1);
    eventually("the bridge of Mosquitto is there", || {
        there.publish(Publish::to("both/probe").qos(1).payload("probe"));
        here.set_read_timeout(std::time::Duration::from_millis(200));
        here.try_read().ok()
    });
    here.set_read_timeout(crate::support::BOUND);
    there.subscribe("both/#", 1);
    there.publish(Publish::to("both/a").qos(1).payload("up"));
    while here.receive().text() != "up" {}
    here.publish(Publish::to("both/a").qos(1).payload("down"));
    // In between would be what had come back.
    assert_eq!(there.receive_texts(2), ["up", "down"]);
}
