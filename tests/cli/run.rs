//! `run` and its end; `demo`.

use rustix::process::Signal;

use super::workplace;
use crate::support::subject::latchgate;
use crate::support::{Connect, Subject, Will};

#[test]
fn sigterm_tells_v5_clients_why_and_exits_0() {
    let subject = Subject::start();
    let mut new = subject.v5("new");
    let mut old = subject.v311("old");
    new.ping();
    old.ping();
    subject.signal(Signal::TERM);
    new.expect_disconnect(0x8B);
    old.expect_closed();
    assert_eq!(subject.wait().code(), Some(0));
}

#[test]
fn sigint_ends_it_too() {
    let subject = Subject::start();
    subject.v5("x").ping();
    subject.signal(Signal::INT);
    assert_eq!(subject.wait().code(), Some(0));
}

#[test]
fn a_client_that_reads_nothing_does_not_hold_up_the_end() {
    let subject = Subject::start();
    let mut stuck = subject.v311("stuck");
    stuck.subscribe("flood", 0);
    let mut publisher = subject.v311("pub");
    for _ in 0..300 {
        publisher.publish(crate::support::Publish::to("flood").payload(vec![b'x'; 60_000]));
    }
    publisher.ping();
    let since = std::time::Instant::now();
    subject.signal(Signal::TERM);
    assert_eq!(subject.wait().code(), Some(0));
    assert!(since.elapsed().as_secs() < 10);
    drop(stuck);
}

#[test]
fn it_ends_with_hundreds_of_clients_and_wills() {
    let subject = Subject::start();
    let clients: Vec<_> = (0..200)
        .map(|n| subject.accept(&Connect::v5(&format!("c{n}")).will(Will::new("will", "x"))))
        .collect();
    subject.signal(Signal::TERM);
    assert_eq!(subject.wait().code(), Some(0));
    drop(clients);
}

#[test]
fn an_address_in_use_is_exit_1_and_names_the_address() {
    let place = workplace();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let toml = format!("[gateway]\nstate = \"state\"\n[[listener]]\nname = \"x\"\naddress = \"{address}\"\n");
    super::write(place.path(), &toml);
    let answer = super::command(&place, "run").exits(1);
    assert!(answer.err.contains(&address), "{}", answer.err);
}

#[test]
fn a_reload_keeps_the_clients() {
    let subject = Subject::start();
    let mut client = subject.v5("steady");
    subject.signal(Signal::HUP);
    client.nothing_arrives();
    subject.v311("another").ping();
}

#[test]
fn the_demo_passes_its_own_tour() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let answer = latchgate(place.path(), &["demo", "--once"], "").exits(0);
    for line in [
        "   in the cloud, dashboard received {\"on\":false} on devices/demo/lamp/changed",
        "   lamp received {\"on\":true} on lamp/set_config",
        "   latchgate bridge status: out       lamp/changed: accepted 2 = delivered 1 + queued 1 + expired 0 + dropped 0",
        "   dashboard received {\"on\":true} on devices/demo/lamp/changed",
        "   latchgate bridge status: out       lamp/changed: accepted 2 = delivered 2 + queued 0 + expired 0 + dropped 0",
    ] {
        assert!(answer.out.lines().any(|other| other == line), "{line}\n{}", answer.out);
    }
}
