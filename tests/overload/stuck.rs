//! A subscriber that stops reading, beside a publisher flat out.

use std::thread;

use crate::gauge::{Memory, count, dropped, until};
use crate::probe::Probe;
use crate::support::{Client, Connect, Packet, Publish, Subject, Version};

/// Messages in each round, of this many bytes.
const COUNT: usize = 40_000;
const PAYLOAD: usize = 1000;
/// Packets that are sent together.
const BATCH: usize = 100;

/// Publishes [`COUNT`] numbered messages as fast as the server takes them, and returns when it has taken all.
fn flood(port: u16, qos: u8) {
    let (mut publisher, _) = Client::connect(port, &Connect::v311("flooder"));
    publisher.set_read_timeout(std::time::Duration::from_secs(60));
    for first in (0..COUNT).step_by(BATCH) {
        let bytes: Vec<_> = (first..first + BATCH)
            .map(|n| {
                let payload = format!("{n:PAYLOAD$}");
                Publish::to("flood")
                    .qos(qos)
                    .id((n % BATCH) as u16 + 1)
                    .payload(payload)
                    .encode(Version::V311)
            })
            .collect();
        publisher.send(&bytes.concat());
        if qos > 0 {
            (1..=BATCH).for_each(|id| assert!(publisher.await_puback(id as u16) < 0x80));
        }
    }
    publisher.ping();
    publisher.disconnect();
}

/// Reads and acknowledges `count` messages, whose numbers must rise.
fn drain(client: &mut Client, count: u64) {
    let mut last = None;
    for at in 0..count {
        let publish = match client.read() {
            Packet::Publish(publish) => publish,
            other => panic!("message {at} of {count} is {other:?}"),
        };
        client.acknowledge(&publish);
        let number: usize = publish.text().trim().parse().expect("the payload is a number");
        assert!(last.is_none_or(|last| last < number), "{number} comes after {last:?}");
        last = Some(number);
    }
}

/// Floods a subscriber that does not read, then lets it read: what was published is what it gets and what was counted.
fn a_stuck_subscriber(qos: u8, reason: &str) {
    let what = format!("a stuck subscriber at QoS {qos}");
    let subject = Subject::start();
    let probe = Probe::start(&subject);
    let mut memory = Memory::before(&subject);
    for _ in 0..3 {
        let before = dropped(&subject, "messages", reason);
        let mut stuck = subject.v311("stuck");
        stuck.subscribe("flood", qos);
        let port = subject.port();
        thread::spawn(move || flood(port, qos)).join().expect("the flood is taken in the end");
        memory.top(&subject);
        let lost = dropped(&subject, "messages", reason) - before;
        let delivered = COUNT as u64 - lost;
        eprintln!(
            "{what}: {COUNT} published, {lost} dropped, {} still queued",
            count(&subject, "queued_messages")
        );
        assert!(lost > 0, "the queue has a bound");
        drain(&mut stuck, delivered);
        stuck.nothing_arrives();
        assert_eq!(dropped(&subject, "messages", reason) - before, lost, "nothing is dropped once it reads");
        drop(stuck);
        until(&subject, "connections", 2);
    }
    let all = ["not_permitted", "expired", "too_large", "memory"];
    assert!(all.iter().all(|reason| dropped(&subject, "messages", reason) == 0));
    probe.finish(&what, 50);
    memory.settle(&what, &subject, 8);
}

#[test]
fn a_stuck_subscriber_of_qos_0_loses_what_is_counted_and_holds_up_nobody() {
    a_stuck_subscriber(0, "slow_subscriber");
}

#[test]
fn a_stuck_subscriber_of_qos_1_loses_what_is_counted_and_holds_up_nobody() {
    a_stuck_subscriber(1, "queue_full");
}

#[test]
fn a_stuck_subscriber_that_never_reads_again_gives_everything_back_when_it_is_cut_off() {
    let subject = Subject::start();
    let mut memory = Memory::before(&subject);
    for round in 0..3 {
        let mut stuck: Vec<_> = (0..5).map(|n| subject.v311(&format!("stuck{round}-{n}"))).collect();
        stuck.iter_mut().for_each(|client| client.subscribe("flood", 0));
        flood(subject.port(), 0);
        memory.top(&subject);
        drop(stuck);
        until(&subject, "sessions", 0);
        until(&subject, "queued_messages", 0);
    }
    memory.settle("five stuck subscribers", &subject, 8);
}
