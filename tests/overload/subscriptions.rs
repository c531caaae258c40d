//! Subscriptions without end.

use crate::gauge::{Memory, until};
use crate::probe::Probe;
use crate::scaled;
use crate::support::{Client, Subject, Subscribe};

/// Clients that share them: one may have 10,000.
const CLIENTS: usize = 10;
/// Filters in one packet.
const BATCH: usize = 500;

/// The filters of one client, in all shapes.
fn filters(client: usize, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| match n % 4 {
            0 => format!("f/{client}/{n}/#"),
            1 => format!("f/{client}/+/{n}"),
            2 => format!("+/{client}/{n}"),
            _ => format!("f{client}-{n}"),
        })
        .collect()
}

fn subscribe(client: &mut Client, filters: &[String]) {
    for batch in filters.chunks(BATCH) {
        let all = batch.iter().fold(Subscribe::default(), |all, filter| all.and(filter, 1));
        assert!(client.subscribe_all(&all).iter().all(|code| *code == 1), "a subscription was refused");
    }
}

#[test]
fn a_hundred_thousand_subscriptions_that_end_leave_nothing_behind() {
    let each = scaled(100_000) / CLIENTS;
    let subject = Subject::start();
    let probe = Probe::start(&subject);
    let mut memory = Memory::before(&subject);
    for round in 0..4 {
        let mut clients: Vec<_> = (0..CLIENTS).map(|n| subject.v5(&format!("sub{n}"))).collect();
        let filters: Vec<_> = (0..CLIENTS).map(|n| filters(n, each)).collect();
        clients.iter_mut().zip(&filters).for_each(|(client, filters)| subscribe(client, filters));
        // One of the probe's.
        until(&subject, "subscriptions", (CLIENTS * each) as u64 + 1);
        memory.top(&subject);
        if round % 2 == 0 {
            for (client, filters) in clients.iter_mut().zip(&filters) {
                for batch in filters.chunks(BATCH) {
                    let batch: Vec<_> = batch.iter().map(String::as_str).collect();
                    assert!(client.unsubscribe(&batch).iter().all(|code| *code == 0));
                }
            }
            until(&subject, "subscriptions", 1);
        }
        drop(clients);
        until(&subject, "connections", 2);
        until(&subject, "subscriptions", 1);
    }
    probe.finish("subscriptions without end", 50);
    memory.settle("subscriptions without end", &subject, 8);
}
