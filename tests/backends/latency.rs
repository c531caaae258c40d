//! How long it takes to ask each backend, and how long a message takes that it was asked about before. It is measured, and
//! says nothing about right or wrong: `cargo test --test backends -- --ignored latency --nocapture`.

use std::time::{Duration, Instant};

use super::parity::{Stores, queries};
use super::{PASSWORD, may_publish};
use crate::support::{Client, Connect};

/// Clients, each with questions that nobody has asked yet.
const CLIENTS: usize = 40;
/// Messages of each.
const MESSAGES: usize = 50;

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

#[test]
#[ignore = "it measures"]
fn latency_of_each_backend_cold_and_remembered() {
    let rules = [("ann".to_owned(), vec![("a/#".to_owned(), 7)])].into_iter().collect();
    let stores = Stores::new(&rules, &queries("?", "?"));
    println!("| backend | first message of a client, ms | a later one, ms |\n|---|---:|---:|");
    for (name, port) in stores.doors() {
        let (mut cold, mut warm) = (Vec::new(), Vec::new());
        for number in 0..CLIENTS {
            let connect = Connect::v5(&format!("c{number}")).login("ann", PASSWORD);
            let (mut client, connack) = Client::connect(port, &connect);
            assert_eq!(connack.code, 0, "{name}");
            let timed = |client: &mut Client| {
                let began = Instant::now();
                assert!(may_publish(client, "a/x"), "{name}");
                began.elapsed()
            };
            cold.push(timed(&mut client));
            warm.extend((0..MESSAGES).map(|_| timed(&mut client)));
        }
        println!("| {name} | {:.2} | {:.2} |", median(cold), median(warm));
    }
}
