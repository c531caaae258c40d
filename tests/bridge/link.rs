//! The way to the remote broker: names that do not resolve, links that are slow, links that break.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use crate::cloud::Cloud;
use crate::support::{Publish, Subject, eventually};
use crate::{ledger, route, settings, status, until_connected, until_drained};

/// Passes connections on to a port.
struct Relay {
    port: u16,
    /// After how many bytes to the broker a connection is cut, without a word; 0: never.
    cut: Arc<AtomicUsize>,
    cuts: Arc<AtomicUsize>,
}

impl Relay {
    /// Takes so many bytes at a time and rests for so long after each.
    fn start(to: u16, chunk: usize, rest: Duration) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        // What it has not passed on yet it shall not take either.
        socket.set_recv_buffer_size(chunk).expect("a small buffer");
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free loopback port");
        socket.listen(8).expect("listen");
        let listener = TcpListener::from(socket);
        let port = listener.local_addr().expect("its port").port();
        let (cut, cuts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (limit, counted) = (cut.clone(), cuts.clone());
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let (Ok(mut from), Ok(mut back)) = (far.try_clone(), near.try_clone()) else { continue };
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut back);
                    let _ = back.shutdown(Shutdown::Both);
                });
                let (limit, counted) = (limit.clone(), counted.clone());
                std::thread::spawn(move || pass(near, far, chunk, rest, &limit, &counted));
            }
        });
        Relay { port, cut, cuts }
    }
}

fn pass(
    mut near: TcpStream,
    mut far: TcpStream,
    chunk: usize,
    rest: Duration,
    limit: &AtomicUsize,
    cuts: &AtomicUsize,
) {
    let (mut bytes, mut passed) = (vec![0; chunk], 0);
    while let Ok(count @ 1..) = near.read(&mut bytes) {
        let most = match limit.load(Ordering::SeqCst) {
            0 => usize::MAX,
            limit => limit,
        };
        let count_passed = count.min(most.saturating_sub(passed));
        if far.write_all(&bytes[..count_passed]).is_err() {
            break;
        }
        passed += count_passed;
        if count_passed < count {
            cuts.fetch_add(1, Ordering::SeqCst);
            break;
        }
        std::thread::park_timeout(rest);
    }
    let _ = (near.shutdown(Shutdown::Both), far.shutdown(Shutdown::Both));
}

#[test]
fn a_name_that_does_not_resolve_is_told_tried_again_and_left_for_the_next_address() {
    let subject = Subject::with()
        .section(&format!(
            "[[bridge]]\nname = 'cloud'\naddress = 'mqtt://broker.invalid'\nretry_min = '50ms'\nretry_max = '100ms'\n\
             timeout = '2s'\n{}",
            route("t", "out", 1)
        ))
        .start();
    subject.v5("sensor").say("t", "x");
    let told = eventually("it says so", || {
        let status = status(&subject);
        status["error"].is_string().then_some(status)
    });
    assert!(
        told["error"]
            .as_str()
            .is_some_and(|error| error.contains("broker.invalid") || error.contains("too long")),
        "{told}"
    );
    assert_eq!(ledger(&subject)["queued"], 1);

    let cloud = Cloud::start("");
    let subject = Subject::with()
        .gateway("id = 'b8'")
        .section(&format!(
            "[[bridge]]\nname = 'cloud'\naddress = ['mqtt://broker.invalid', 'mqtt://localhost:{}']\nretry_min = '50ms'\n\
             timeout = '2s'\nreturn_after = '200ms'\n{}",
            cloud.port,
            route("t", "out", 1)
        ))
        .start();
    subject.v5("sensor").say("t", "x");
    assert_eq!(until_drained(&subject)["delivered"], 1);
    assert!(subject.log().contains("broker.invalid"), "{}", subject.log());
}

#[test]
fn over_a_slow_link_a_message_gets_through_that_takes_longer_than_the_keep_alive() {
    for protocol in ["3.1.1", "5"] {
        let cloud = Cloud::start("");
        let mut there = cloud.client("watcher");
        there.subscribe("devices/#", 2);
        // 40 kB a second: six seconds for the message.
        let relay = Relay::start(cloud.port, 2000, Duration::from_millis(50));
        let keys = format!("protocol = '{protocol}'\nkeep_alive = 2");
        let subject = settings(relay.port, &keys, &route("t", "out", 1)).start();
        until_connected(&subject);
        let since = Instant::now();
        subject.v5("sensor").publish(Publish::to("t").qos(1).payload(vec![b'x'; 240_000]));
        there.set_read_timeout(Duration::from_secs(60));
        assert_eq!(there.receive().payload.len(), 240_000, "{protocol}");
        assert!(since.elapsed() > Duration::from_secs(4), "the link was not slow");
        assert_eq!(until_drained(&subject)["delivered"], 1);
        let told = status(&subject);
        assert!(
            !subject.log().contains("not connected bridge"),
            "it was not begun anew: {told}\n{}",
            subject.log()
        );
        there.nothing_arrives();
    }
}

#[test]
fn a_link_that_breaks_again_and_again_in_a_drain_loses_nothing_and_doubles_no_qos2() {
    for protocol in ["3.1.1", "5"] {
        let mut cloud = Cloud::start("");
        let mut there = cloud.keeper("watcher");
        there.subscribe("devices/#", 2);
        let relay = Relay::start(cloud.port, 1000, Duration::ZERO);
        let keys = format!("protocol = '{protocol}'\ninflight = 10");
        let routes = route("q1/#", "out", 1) + &route("q2/#", "out", 2);
        cloud.freeze();
        let subject = settings(relay.port, &keys, &routes).start();
        let mut here = subject.v5("sensor");
        for n in 0..300_u32 {
            let qos = 1 + (n % 2) as u8;
            here.publish(Publish::to(&format!("q{qos}/a")).qos(qos).payload(format!("{n}")));
        }
        // Each connection carries a little more than the one before, and ends in the middle of a packet.
        relay.cut.store(211, Ordering::SeqCst);
        cloud.thaw();
        eventually("it broke often", || {
            let cuts = relay.cuts.load(Ordering::SeqCst);
            relay.cut.store(211 + 97 * cuts, Ordering::SeqCst);
            crate::balances(&status(&subject)["routes"][0]);
            (cuts >= 12).then_some(())
        });
        relay.cut.store(0, Ordering::SeqCst);
        until_drained(&subject);
        let told = status(&subject);
        for route in told["routes"].as_array().expect("routes") {
            crate::balances(route);
            assert_eq!(route["delivered"], 150, "{protocol} {told}");
        }
        here.publish(Publish::to("q2/a").qos(2).payload("end"));
        let (mut first, mut twice) = ([Vec::new(), Vec::new()], Vec::new());
        loop {
            let got = there.receive();
            if got.text() == "end" {
                break;
            }
            let n: usize = got.text().parse().expect("a number");
            match first[n % 2].contains(&n) {
                true => twice.push(n),
                false => first[n % 2].push(n),
            }
        }
        for parity in [0, 1] {
            let expected: Vec<usize> = (0..300).filter(|n| n % 2 == parity).collect();
            assert_eq!(first[parity], expected, "{protocol}: all, in order");
        }
        assert!(twice.iter().all(|n| n % 2 == 0), "{protocol}: QoS 2 came twice: {twice:?}");
    }
}
