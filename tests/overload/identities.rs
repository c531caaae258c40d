//! Client identifiers without end: clients that come once and never again.

use std::io::Read;
use std::net::TcpStream;
use std::thread;

use crate::fleet;
use crate::gauge::{Memory, count, until};
use crate::probe::Probe;
use crate::scaled;
use crate::support::packet::DISCONNECT;
use crate::support::property::session_expiry;
use crate::support::{Connect, Subject, Subscribe, Version};

/// Threads that connect.
const THREADS: usize = 4;

/// Does something with every number, in some threads.
fn each(count: usize, work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let work = &work;
            scope.spawn(move || (thread..count).step_by(THREADS).for_each(work));
        }
    });
}

/// Connects and reads CONNACK, which must say yes.
fn connect(port: u16, number: usize, connect: &Connect) -> TcpStream {
    let mut stream = fleet::open(port, number);
    fleet::send(&mut stream, &connect.encode());
    let code = read(&mut stream)[1];
    assert_eq!(code, 0, "{connect:?}");
    stream
}

/// The body of the next packet, which is a short one.
fn read(stream: &mut TcpStream) -> Vec<u8> {
    let [_, length] = fleet::answer(stream).expect("an answer");
    assert!(length < 0x80, "a long answer");
    let mut body = vec![0; length.into()];
    stream.read_exact(&mut body).expect("the rest of the answer");
    body
}

#[test]
fn a_hundred_thousand_client_identifiers_come_and_go() {
    let clients = scaled(100_000);
    let subject = Subject::start();
    let (port, probe) = (subject.port(), Probe::start(&subject));
    let mut memory = Memory::before(&subject);
    for round in 0..2 {
        each(clients, |number| {
            let version = if number.is_multiple_of(2) { Version::V311 } else { Version::V5 };
            let mut stream = connect(port, number, &Connect::new(version, &format!("c{round}-{number}")));
            // A third of them just vanishes.
            if number % 3 > 0 {
                fleet::send(&mut stream, &DISCONNECT);
                assert_eq!(fleet::answer::<1>(&mut stream), None);
            }
        });
        memory.top(&subject);
        until(&subject, "sessions", 2);
    }
    probe.finish("client identifiers without end", 50);
    memory.settle("client identifiers without end", &subject, 8);
}

#[test]
fn a_hundred_thousand_sessions_that_expire_leave_nothing_behind() {
    let clients = scaled(100_000);
    let subject = Subject::with().limit("sessions", 0).start();
    let (port, probe) = (subject.port(), Probe::start(&subject));
    let mut memory = Memory::before(&subject);
    for round in 1..=2 {
        each(clients, |number| {
            let id = format!("k{round}-{number}");
            let mut stream = connect(port, number, &Connect::v5(&id).with(session_expiry(1)));
            let subscribe = Subscribe::to(&format!("own/{id}"), 1).and("all/+/of/them", 1);
            fleet::send(&mut stream, &subscribe.encode(Version::V5, 1));
            assert_eq!(read(&mut stream), [0, 1, 0, 1, 1]);
        });
        memory.top(&subject);
        until(&subject, "sessions", 2);
        until(&subject, "subscriptions", 1);
        assert_eq!(count(&subject, "sessions_expired_total"), (round * clients) as u64);
    }
    probe.finish("sessions that expire", 50);
    memory.settle("sessions that expire", &subject, 8);
}

#[test]
fn a_hundred_thousand_sessions_that_end_long_before_they_would_expire_leave_nothing_behind() {
    let clients = scaled(100_000);
    let subject = Subject::with().limit("sessions", 0).start();
    let port = subject.port();
    let mut memory = Memory::before(&subject);
    for round in 0..3 {
        each(clients, |number| {
            let id = format!("e{round}-{number}");
            let mut stream = connect(port, number, &Connect::v5(&id).with(session_expiry(1_000_000)));
            fleet::send(&mut stream, &DISCONNECT);
            assert_eq!(fleet::answer::<1>(&mut stream), None);
            // It comes back only to end its session.
            connect(port, number, &Connect::v5(&id));
        });
        memory.top(&subject);
        until(&subject, "sessions", 0);
    }
    memory.settle("sessions that end early", &subject, 8);
}
