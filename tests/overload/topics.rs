//! Topics without end.

use std::thread;

use crate::gauge::{Memory, until};
use crate::probe::Probe;
use crate::scaled;
use crate::support::{Client, Connect, Publish, Subject, Version};

/// Packets that are sent together.
const BATCH: usize = 100;

/// Publishes at QoS 1, a batch at a time; every one must be accepted.
fn publish(client: &mut Client, messages: impl Iterator<Item = Publish>) {
    let messages: Vec<_> = messages.collect();
    for batch in messages.chunks(BATCH) {
        let ids: Vec<_> = batch.iter().map(|_| client.fresh_id()).collect();
        let with_id = |(message, id): (&Publish, &u16)| message.clone().qos(1).id(*id).encode(Version::V311);
        let bytes: Vec<_> = batch.iter().zip(&ids).map(with_id).collect();
        client.send(&bytes.concat());
        ids.into_iter().for_each(|id| assert!(client.await_puback(id) < 0x80));
    }
}

#[test]
fn a_hundred_thousand_topics_that_are_published_to_once_leave_nothing_behind() {
    let topics = scaled(100_000);
    let subject = Subject::start();
    let probe = Probe::start(&subject);
    // Both stay: what they remember of topics is bounded.
    let (mut publisher, mut subscriber) = (subject.v311("pub"), subject.v311("sub"));
    subscriber.subscribe("t/#", 1);
    let mut memory = Memory::before(&subject);
    for round in 0..3 {
        let reader = thread::spawn(move || {
            for n in 0..topics {
                assert_eq!(subscriber.receive().topic, format!("t/{round}/{n}"));
            }
            subscriber
        });
        publish(&mut publisher, (0..topics).map(|n| Publish::to(&format!("t/{round}/{n}")).payload("x")));
        memory.top(&subject);
        subscriber = reader.join().expect("everything arrives");
    }
    probe.finish("topics without end", 50);
    memory.settle("topics without end", &subject, 8);
}

#[test]
fn a_hundred_thousand_retained_messages_that_are_cleared_leave_nothing_behind() {
    let topics = scaled(100_000);
    let subject = Subject::start();
    let probe = Probe::start(&subject);
    let mut publisher = subject.v311("pub");
    // Half of them at the first level, and one that stays: neither may keep the room of the others.
    publish(
        &mut publisher,
        ["stays", "r/stays"].map(|topic| Publish::to(topic).retain().payload("x")).into_iter(),
    );
    let name = |n: usize| if n.is_multiple_of(2) { format!("r{n}") } else { format!("r/{n}/x") };
    let mut memory = Memory::before(&subject);
    for _ in 0..3 {
        let kept = topics - 2;
        publish(
            &mut publisher,
            (0..kept).map(|n| Publish::to(&name(n)).retain().payload("a retained message")),
        );
        until(&subject, "retained_messages", topics as u64);
        memory.top(&subject);
        publish(&mut publisher, (0..kept).map(|n| Publish::to(&name(n)).retain()));
        until(&subject, "retained_messages", 2);
    }
    // What it remembers of topics lies between the messages that are gone.
    drop(publisher);
    until(&subject, "connections", 2);
    probe.finish("retained topics without end", 50);
    memory.settle("retained topics without end", &subject, 8);
}

#[test]
fn a_publisher_that_knew_many_topics_takes_what_it_remembered_with_it() {
    let (clients, topics) = (20, scaled(10_000));
    let subject = Subject::start();
    let mut memory = Memory::before(&subject);
    for _ in 0..3 {
        let publishers: Vec<_> = (0..clients)
            .map(|client| {
                let (mut publisher, _) =
                    Client::connect(subject.port(), &Connect::v311(&format!("pub{client}")));
                publish(&mut publisher, (0..topics).map(|n| Publish::to(&format!("t/{client}/{n}"))));
                publisher
            })
            .collect();
        memory.top(&subject);
        drop(publishers);
        until(&subject, "connections", 0);
    }
    memory.settle("publishers with many topics", &subject, 8);
}
