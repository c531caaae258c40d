//! Many logins at once.

use std::thread;

use super::{PASSWORD, acl, add_user, gateway, gateway_with};
use crate::support::{BOUND, Client, Connect, Publish, Subject};

#[test]
fn two_hundred_logins_of_one_user_leave_the_traffic_flowing() {
    let subject = gateway();
    // A stored form of full strength.
    subject
        .command_with_input(&["user", "add", "fleet", "--password-stdin"], &format!("{PASSWORD}\n"))
        .exits(0);
    acl(&subject, "allow guest all live/#");
    let mut live = subject.v5("live");
    live.subscribe("live/#", 1);
    let port = subject.port();
    let storm: Vec<_> = (0..200)
        .map(|n| {
            thread::spawn(move || {
                let connect = Connect::v311(&format!("fleet-{n}")).login("fleet", PASSWORD);
                let mut client = Client::open(port, connect.version);
                client.set_read_timeout(BOUND * 6);
                client.send(&connect.encode());
                client.read()
            })
        })
        .collect();
    let mut slowest = std::time::Duration::ZERO;
    while !storm.iter().all(thread::JoinHandle::is_finished) {
        let since = std::time::Instant::now();
        live.publish(Publish::to("live/x").qos(1).payload("tick"));
        live.receive();
        slowest = slowest.max(since.elapsed());
    }
    for client in storm {
        let answer = client.join().expect("every login is answered");
        assert!(matches!(answer, crate::support::Packet::ConnAck { code: 0, .. }), "{answer:?}");
    }
    assert!(slowest.as_millis() < 2000, "a message took {slowest:?} during the storm");
}

#[test]
fn a_storm_of_wrong_passwords_keeps_no_right_one_out() {
    // A wrong password costs a full hash, one after the other, so it takes its time; what counts is who gets in.
    let subject = gateway_with(Subject::with().limit("connect_timeout", 60));
    add_user(&subject, "alice");
    let port = subject.port();
    let storm: Vec<_> = (0..50)
        .map(|n| {
            thread::spawn(move || {
                let connect = Connect::v5(&format!("wrong-{n}")).login("alice", &format!("guess {n}"));
                let mut client = Client::open(port, connect.version);
                client.set_read_timeout(BOUND * 6);
                client.send(&connect.encode());
                client.try_read()
            })
        })
        .collect();
    let connect = Connect::v5("right").login("alice", PASSWORD);
    let mut client = Client::open(port, connect.version);
    client.set_read_timeout(BOUND * 6);
    client.send(&connect.encode());
    let answer = client.read();
    assert!(matches!(answer, crate::support::Packet::ConnAck { code: 0, .. }), "{answer:?}");
    for client in storm {
        let answer = client.join().expect("the thread ends");
        let let_in = matches!(answer, Ok(crate::support::Packet::ConnAck { code: 0, .. }));
        assert!(!let_in);
    }
}
