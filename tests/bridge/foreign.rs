//! One list of stories for brokers of other houses. They are heavy, so `tests/run bridges` plays them.

use crate::peer::{Kind, Peer};
use crate::remote::forward;
use crate::support::{Client, Connect, Publish, Subject};
use crate::{balances, ledger, route, settings, status, until_connected, within};

/// A gateway with a bridge to this port, and routes out and in of the highest QoS that the peer takes.
fn gateway(peer: &Peer, port: u16) -> Subject {
    let qos = peer.most_qos();
    let routes = route("out/#", "out", qos) + &route("cmd/#", "in", qos);
    settings(port, "protocol = '3.1.1'", &routes).start()
}

fn client(peer: &Peer, name: &str, keep: bool) -> Client {
    let connect = Connect::v311(name);
    let connect = if keep { connect.keep_session() } else { connect };
    let (mut client, connack) = Client::connect(peer.port, &connect);
    assert_eq!(connack.code, 0);
    client.set_read_timeout(std::time::Duration::from_secs(30));
    client
}

fn drained(subject: &Subject, seconds: u64) -> serde_json::Value {
    within(seconds, "the spool is empty", || {
        let status = status(subject);
        balances(&status["routes"][0]);
        (status["connected"] == true && status["queued_messages"] == 0).then_some(())
    });
    ledger(subject)
}

/// The bridge's subscription is known there: what is published comes.
fn until_it_comes(there: &mut Client, here: &mut Client, subject: &Subject) {
    let mut probes = 0;
    within(20, "the subscription is there", || {
        probes += 1;
        there.publish(Publish::to("devices/b8/cmd/probe").qos(1).payload("probe"));
        (status(subject)["in_published"].as_u64() > Some(0)).then_some(())
    });
    (0..probes).for_each(|_| assert_eq!(here.receive().text(), "probe"));
}

fn out_and_in_and_retained(peer: &Peer) {
    let subject = gateway(peer, peer.port);
    until_connected(&subject);
    let most = peer.most_qos();
    let mut there = client(peer, "watcher", false);
    there.subscribe("devices/b8/out/#", most);
    let mut here = subject.v5("lamp");
    for qos in 0..=most {
        here.publish(Publish::to("out/a").qos(qos).payload(format!("{qos}")));
        let got = there.receive();
        assert_eq!(
            (&*got.topic, got.text(), got.qos),
            ("devices/b8/out/a", &*qos.to_string(), peer.delivers(qos))
        );
    }
    // What is of a higher QoS than its route has leaves with the route's.
    here.publish(Publish::to("out/a").qos(2).payload("2 at most"));
    let got = there.receive();
    assert_eq!((got.text(), got.qos), ("2 at most", most));
    assert_eq!(drained(&subject, 10)["delivered"], u64::from(most) + 1);

    here.subscribe("cmd/#", 2);
    until_it_comes(&mut there, &mut here, &subject);
    for qos in 0..=most {
        there.publish(Publish::to("devices/b8/cmd/a").qos(qos).payload(format!("{qos}")));
        let got = here.receive();
        assert_eq!((&*got.topic, got.text(), got.qos), ("cmd/a", &*qos.to_string(), peer.delivers(qos)));
    }
    here.nothing_arrives();

    here.publish(Publish::to("out/state").qos(1).retain().payload("on"));
    assert_eq!(there.receive().text(), "on");
    let mut late = client(peer, "late", false);
    late.subscribe("devices/b8/out/state", 1);
    let got = late.receive();
    assert_eq!((got.text(), got.retain), ("on", true));
}

fn a_restart(peer: &mut Peer) {
    let subject = gateway(peer, peer.port);
    until_connected(&subject);
    let keep = Connect::v5("lamp").keep_session();
    let mut here = subject.accept(&keep);
    here.subscribe("cmd/#", 2);
    let mut there = client(peer, "watcher", true);
    there.subscribe("devices/b8/out/restart", 1);
    let mut app = client(peer, "app", false);
    until_it_comes(&mut app, &mut here, &subject);
    here.disconnect();
    let mut sensor = subject.v5("sensor");
    let mut number = 0;
    let mut say = |sensor: &mut Client| {
        for _ in 0..50 {
            sensor.publish(Publish::to("out/restart").qos(1 + number % 2).payload(format!("{number}")));
            number += 1;
        }
    };
    say(&mut sensor);
    // What was sent to the watcher and not acknowledged, NATS would send again half a minute later, after what is newer.
    let mut seen: Vec<u32> =
        there.receive_texts(50).iter().map(|text| text.parse().expect("a number")).collect();
    peer.stop();
    say(&mut sensor);
    ledger(&subject);
    peer.begin();
    say(&mut sensor);
    let told = drained(&subject, 60);
    assert_eq!((&told["accepted"], &told["delivered"]), (&150.into(), &150.into()), "{told}");
    if !peer.remembers() {
        return;
    }
    let mut there = client(peer, "watcher", true);
    while seen.len() < 150 {
        let number = there.receive().text().parse().expect("a number");
        if !seen.contains(&number) {
            seen.push(number);
        }
    }
    assert_eq!(seen, (0..150).collect::<Vec<_>>(), "all, in order");
    // It keeps what comes for the gateway too, over its own restart.
    subject.kill();
    let mut app = client(peer, "app", false);
    for n in 0..20 {
        app.publish(Publish::to("devices/b8/cmd/a").qos(1).payload(format!("{n}")));
    }
    peer.stop();
    peer.begin();
    subject.start_again();
    let mut here = subject.accept(&keep);
    here.set_read_timeout(std::time::Duration::from_secs(40));
    let mut seen: Vec<u32> = Vec::new();
    while seen.len() < 20 {
        let Ok(number) = here.receive().text().parse() else { continue };
        if !seen.contains(&number) {
            seen.push(number);
        }
    }
    assert_eq!(seen, (0..20).collect::<Vec<_>>(), "all, in order");
}

fn a_drain(peer: &Peer) {
    const MANY: usize = 10_000;
    let (port, relay) = forward();
    let subject = gateway(peer, port);
    let mut there = client(peer, "drain", false);
    there.subscribe("devices/b8/out/drain", 1);
    let mut sensor = subject.v5("sensor");
    for start in (0..MANY).step_by(100) {
        let ids: Vec<u16> = (start..start + 100)
            .map(|n| {
                let id = sensor.fresh_id();
                let publish = Publish::to("out/drain").qos(1).id(id).payload(format!("{n}"));
                sensor.send(&publish.encode(sensor.version));
                id
            })
            .collect();
        ids.into_iter().for_each(|id| assert!(sensor.await_puback(id) < 0x80));
    }
    assert_eq!(ledger(&subject)["queued"], MANY);
    relay.to(peer.port);
    for n in 0..MANY {
        assert_eq!(there.receive().text(), n.to_string());
    }
    assert_eq!(drained(&subject, 30)["delivered"], MANY);
}

/// What README says that they lack: QoS 2, and version 5. Nothing is lost by asking for it.
fn what_it_lacks(peer: &Peer) {
    let queued_for = |protocol: &str, qos: u8| {
        let keys = format!("protocol = '{protocol}'");
        let subject = settings(peer.port, &keys, &route("lack/#", "out", qos)).start();
        let mut there = client(peer, "lacks", false);
        there.subscribe("devices/b8/lack/#", 1);
        subject.v5("sensor").publish(Publish::to("lack/a").qos(qos).payload("x"));
        (subject, there)
    };
    let is_told = |subject: &Subject| {
        let told = within(20, "it says why not", || {
            let told = status(subject);
            told["error"].is_string().then_some(told)
        });
        balances(&told["routes"][0]);
        assert_eq!(told["queued_messages"], 1, "{told}");
    };
    match peer.kind {
        Kind::RabbitMq => {
            let (subject, mut there) = queued_for("3.1.1", 2);
            assert_eq!((there.receive().text(), drained(&subject, 20)["delivered"].as_u64()), ("x", Some(1)));
            is_told(&queued_for("5", 1).0);
        }
        Kind::Nats => {
            is_told(&queued_for("3.1.1", 2).0);
            is_told(&queued_for("5", 1).0);
        }
        Kind::Rumqttd => by_version_5(peer),
    }
}

/// rumqttd speaks it on a port of its own.
fn by_version_5(peer: &Peer) {
    let routes = route("five/#", "out", 1) + &route("cmd5/#", "in", 1);
    let subject = settings(peer.port + 1, "", &routes).start();
    until_connected(&subject);
    // A subscriber of 3.1.1 that a message of version 5 comes to ends its router.
    let (mut there, connack) = Client::connect(peer.port + 1, &Connect::v5("five"));
    assert_eq!(connack.code, 0);
    there.set_read_timeout(std::time::Duration::from_secs(30));
    there.subscribe("devices/b8/five/#", 1);
    let mut here = subject.v5("lamp");
    here.subscribe("cmd5/#", 1);
    for n in 0..20 {
        here.publish(Publish::to("five/a").qos(1).payload(format!("{n}")));
        assert_eq!(there.receive().text(), n.to_string());
    }
    there.publish(Publish::to("devices/b8/cmd5/a").qos(1).payload("down"));
    assert_eq!(here.receive().text(), "down");
    assert_eq!(drained(&subject, 20)["delivered"], 20);
}

fn play(kind: Kind) {
    let mut peer = Peer::start(kind);
    out_and_in_and_retained(&peer);
    what_it_lacks(&peer);
    a_drain(&peer);
    a_restart(&mut peer);
}

#[test]
#[ignore = "heavy: tests/run bridges"]
fn rabbitmq_is_bridged_to_and_loses_nothing() {
    play(Kind::RabbitMq);
}

#[test]
#[ignore = "heavy: tests/run bridges"]
fn nats_is_bridged_to_and_loses_nothing() {
    play(Kind::Nats);
}

#[test]
#[ignore = "heavy: tests/run bridges"]
fn stock_rumqttd_is_bridged_to_and_loses_nothing() {
    play(Kind::Rumqttd);
}
