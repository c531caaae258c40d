//! Under load: clients publish at full speed while scopes change at random.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::{add_user, lock, login};
use crate::support::packet::{PUBACK, ack};
use crate::support::{BOUND, Client, Connect, Gone, Packet, Subject, Version};

const PUBLISHERS: usize = 20;

/// What the gateway has announced: publishers look before they send.
#[derive(Default)]
struct Announced {
    /// Raised when a change begins and when it was announced; odd while something changes.
    clock: AtomicU64,
    /// Whether publishing is closed, as last announced.
    closed: AtomicBool,
    over: AtomicBool,
}

/// Publishes numbers until it is over; the numbers that were accepted. A publish sent after "closed" was announced and
/// answered before anything else changed must be refused, and the other way round.
fn publish(mut client: Client, announced: &Announced) -> Vec<u64> {
    let topic = format!("load/{}", client.client_id);
    let mut accepted = Vec::new();
    for n in 0.. {
        if announced.over.load(Ordering::SeqCst) {
            return accepted;
        }
        let before = announced.clock.load(Ordering::SeqCst);
        let closed = announced.closed.load(Ordering::SeqCst);
        let code = client.say(&topic, &n.to_string());
        let after = announced.clock.load(Ordering::SeqCst);
        if before == after && before.is_multiple_of(2) {
            assert_eq!(code == 0x87, closed, "number {n} of {topic} was answered {code:#04x}");
        }
        match code {
            0 => accepted.push(n),
            0x87 => {}
            other => panic!("{other:#04x}"),
        }
    }
    accepted
}

/// Receives until it is told the end; the numbers by publisher, as they came.
fn receive(mut client: Client) -> Vec<Vec<u64>> {
    let mut got = vec![Vec::new(); PUBLISHERS];
    loop {
        let message = match client.try_read() {
            Ok(Packet::Publish(publish)) => publish,
            Ok(other) => panic!("{other:?}"),
            Err(Gone::TimedOut) => {
                panic!("nothing came for {BOUND:?}; {:?}", got.iter().map(Vec::len).collect::<Vec<_>>())
            }
            Err(Gone::Closed) => panic!("closed"),
        };
        if let Some(id) = message.id {
            client.send(&ack(PUBACK, id));
        }
        match message.topic.strip_prefix("load/publisher-") {
            Some(n) => {
                got[n.parse::<usize>().expect("a number")].push(message.text().parse().expect("a number"))
            }
            None => return got,
        }
    }
}

fn change(subject: &Subject, announced: &Announced, line: &str, closed: Option<bool>) {
    announced.clock.fetch_add(1, Ordering::SeqCst);
    lock(subject, line);
    if let Some(closed) = closed {
        announced.closed.store(closed, Ordering::SeqCst);
    }
    announced.clock.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn nothing_is_permitted_after_an_announcement_and_nothing_that_should_wait_is_lost() {
    // What waits is not to overflow: that is another matter.
    let subject = Subject::with().limit("queued_messages", 0).limit("queued_bytes", 0).prepare();
    add_user(&subject, "bob", &[]);
    let mut bob = subject.accept(&login("bob").keep_session());
    bob.subscribe("load/#", 1);
    bob.subscribe("end", 1);
    let receiver = thread::spawn(move || receive(bob));
    let announced = Arc::new(Announced::default());
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|n| {
            let client = subject.accept(&Connect::new(Version::V5, &format!("publisher-{n}")));
            let announced = announced.clone();
            thread::spawn(move || publish(client, &announced))
        })
        .collect();
    let mut random = seed();
    let (mut mine, mut topic) = (false, false);
    for round in 0..40 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (random >> 33) % 4 {
            0 => change(&subject, &announced, "close publish", Some(true)),
            1 => change(&subject, &announced, "open publish", Some(false)),
            2 => {
                mine = !mine;
                let line = if mine { "close subscribe --user bob" } else { "open subscribe --user bob" };
                change(&subject, &announced, line, None);
            }
            _ => {
                topic = !topic;
                let line = if topic {
                    "close topic:load/publisher-3 --user bob"
                } else {
                    "open topic:load/publisher-3 --user bob"
                };
                change(&subject, &announced, line, None);
            }
        }
        if round % 10 == 9 {
            change(&subject, &announced, "open publish", Some(false));
        }
    }
    change(&subject, &announced, "open publish", Some(false));
    lock(&subject, "open subscribe --user bob");
    lock(&subject, "open topic:load/publisher-3 --user bob");
    announced.over.store(true, Ordering::SeqCst);
    let accepted: Vec<Vec<u64>> =
        publishers.into_iter().map(|publisher| publisher.join().expect("no publisher failed")).collect();
    subject.v5("last").say("end", "end");
    let got = receiver.join().expect("the receiver did not fail");
    for (n, (accepted, got)) in accepted.iter().zip(&got).enumerate() {
        assert!(!accepted.is_empty());
        assert_eq!(accepted, got, "publisher {n}: everything acknowledged comes, once and in order");
    }
}

fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
    println!("seed {seed}");
    seed
}
