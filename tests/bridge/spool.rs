//! The spool's bounds, what is dropped, and how it is drained.

use crate::cloud::Cloud;
use crate::remote::Remote;
use crate::support::{Publish, eventually};
use crate::{ledger, route, settings, status, until_drained};

#[test]
fn beyond_its_bounds_the_spool_drops_what_it_says_and_counts_it() {
    for (when_full, kept) in [("drop-oldest", ["2", "3", "4"]), ("drop-newest", ["0", "1", "2"])] {
        let remote = Remote::start();
        let keys = format!("protocol = '3.1.1'\nspool = {{ max_messages = 3, when_full = '{when_full}' }}");
        let subject = settings(remote.port, &keys, &route("t", "out", 1)).start();
        let mut here = subject.v5("sensor");
        for n in 0..5 {
            here.publish(Publish::to("t").qos(1).payload(format!("{n}")));
        }
        let told = ledger(&subject);
        assert_eq!(
            (&told["accepted"], &told["queued"], &told["dropped"]["full"]),
            (&5.into(), &3.into(), &2.into())
        );
        let mut link = remote.welcome(false);
        let got: Vec<String> = (0..3)
            .map(|_| {
                let (id, text, _) = link.publish();
                link.acknowledge(4, id);
                text
            })
            .collect();
        assert_eq!(got, kept, "{when_full}");
        eventually("delivered", || (ledger(&subject)["delivered"] == 3).then_some(()));
    }
}

#[test]
fn fresh_messages_overtake_the_backlog_where_that_is_wanted() {
    let remote = Remote::start();
    let keys = "protocol = '3.1.1'\ninflight = 1\nspool = { live_first = true }";
    let subject = settings(remote.port, keys, &route("t", "out", 1)).start();
    let mut here = subject.v5("sensor");
    for n in 0..3 {
        here.publish(Publish::to("t").qos(1).payload(format!("old {n}")));
    }
    let mut link = remote.welcome(false);
    let (id, text, _) = link.publish();
    assert_eq!(text, "old 0");
    here.publish(Publish::to("t").qos(1).payload("new"));
    link.acknowledge(4, id);
    let order: Vec<String> = (0..3)
        .map(|_| {
            let (id, text, _) = link.publish();
            link.acknowledge(4, id);
            text
        })
        .collect();
    assert_eq!(order, ["new", "old 1", "old 2"]);
}

#[test]
fn a_connection_cut_in_the_middle_of_a_drain_costs_nothing() {
    let remote = Remote::start();
    let subject = settings(remote.port, "protocol = '3.1.1'\ninflight = 7", &route("t", "out", 1)).start();
    let mut here = subject.v5("sensor");
    for n in 0..100 {
        here.publish(Publish::to("t").qos(1).payload(format!("{n}")));
    }
    let (mut got, mut acknowledged) = (Vec::<u32>::new(), std::collections::BTreeSet::new());
    let mut session_present = false;
    while acknowledged.len() < 100 {
        let mut link = remote.welcome(session_present);
        // Some of what comes is acknowledged; then it breaks, and the remote keeps or forgets the session.
        for n in 0..11 {
            let left = 100 - acknowledged.len();
            if n >= 7 + left.min(4) {
                break;
            }
            let (id, text, _) = link.publish();
            let number = text.parse().expect("a number");
            got.push(number);
            if n < 7 {
                link.acknowledge(4, id);
                acknowledged.insert(number);
            }
            if acknowledged.len() == 100 {
                eventually("delivered", || (ledger(&subject)["delivered"] == 100).then_some(()));
                break;
            }
        }
        session_present = !session_present;
    }
    let mut firsts: Vec<u32> = Vec::new();
    got.iter().for_each(|n| {
        if !firsts.contains(n) {
            firsts.push(*n)
        }
    });
    assert_eq!(firsts, (0..100).collect::<Vec<_>>(), "each came, first in order");
}

#[test]
fn a_backlog_larger_than_the_gateways_memory_waits_on_disk_and_drains() {
    let mut cloud = Cloud::prepare("");
    let subject = settings(cloud.port, "", &route("t", "out", 1)).limit("memory", 8 << 20).start();
    let mut here = subject.v5("sensor");
    let payload = vec![b'x'; 100_000];
    for _ in 0..200 {
        assert_eq!(
            here.publish(Publish::to("t").qos(1).payload(&payload)),
            0,
            "nothing is refused for its size"
        );
    }
    assert!(status(&subject)["queued_bytes"].as_u64() >= Some(20_000_000));
    subject.kill();
    subject.start_again();
    assert_eq!(ledger(&subject)["queued"], 200);
    cloud.begin();
    assert_eq!(until_drained(&subject)["delivered"], 200);
}

#[test]
fn a_message_larger_than_the_remote_takes_is_dropped_and_the_rest_goes_on() {
    let cloud = Cloud::start("max_packet_size 1000");
    let subject = settings(cloud.port, "", &route("t", "out", 1)).start();
    let mut here = subject.v5("sensor");
    here.publish(Publish::to("t").qos(1).payload(vec![b'x'; 5000]));
    here.publish(Publish::to("t").qos(1).payload("small"));
    let told = until_drained(&subject);
    assert_eq!((&told["delivered"], &told["dropped"]["too_large"]), (&1.into(), &1.into()));
}
