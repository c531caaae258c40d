//! Many at the door at once: what one address may take up, and who must go when there is no room to wait.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use socket2::{Domain, Socket, Type};

use crate::support::subject::Settings;
use crate::support::{BOUND, Client, Connect, Packet, Subject, eventually};

/// A gateway on which addresses of 127.0.0.0/8 count like any others.
fn paced(settings: Settings, rate: u32) -> Subject {
    let lines = "anonymous = \"guest\"\nlimits.exempt_loopback = false\n";
    settings.listener(&format!("{lines}limits.connect_rate = {rate}")).start()
}

/// Connects from this address of the machine.
fn dial(host: u8, port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).expect("an address of this machine");
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("the system takes it");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(BOUND)).expect("set the bound");
    stream
}

/// Whether a client on this connection is answered. `false`: it was closed without a word.
fn is_taken(mut stream: TcpStream) -> bool {
    let _ = stream.write_all(&Connect::v5("").encode());
    match stream.read(&mut [0; 1]) {
        Ok(count) => count == 1,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
        Err(error) => panic!("neither taken nor closed: {error}"),
    }
}

/// What is counted at the moment.
fn counts(subject: &Subject) -> HashMap<String, u64> {
    let socket = subject.directory().join("state/admin.sock");
    let mut stream = UnixStream::connect(socket).expect("the admin socket is there");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("send the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read the answer");
    let samples = answer.lines().filter_map(|line| line.rsplit_once(' '));
    samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

fn dropped(subject: &Subject, reason: &str) -> u64 {
    counts(subject)[&format!("latchgate_broker_connections_dropped_total{{reason=\"{reason}\"}}")]
}

#[test]
fn a_flood_from_one_address_is_closed_unread_and_touches_nobody_else() {
    let subject = paced(Subject::with(), 1);
    let port = subject.port();
    let (mut inside, _) = Client::connect_from([127, 0, 0, 2], port, &Connect::v5("inside"));
    let began = Instant::now();
    let taken = (0..60).filter(|_| is_taken(dial(2, port))).count() as u64;
    // Ten may come at once, of which one had come; then one a second.
    let most = 10 + began.elapsed().as_secs() + 1;
    assert!((9..=most).contains(&taken), "{taken} of 60 were taken");
    assert_eq!(dropped(&subject, "rate"), 60 - taken);
    assert!(is_taken(dial(3, port)), "another address is not concerned");
    inside.ping();
    let told = subject.log().matches("more than connect_rate from 127.0.0.2").count();
    assert_eq!(told, 1, "one record for all of them: {}", subject.log());
    eventually("there is room for the next one", || is_taken(dial(2, port)).then_some(()));
}

#[test]
fn this_machine_may_come_as_fast_as_it_likes_by_default() {
    let subject = Subject::with().limit("connect_rate", 1).start();
    assert!((0..60).all(|_| is_taken(dial(1, subject.port()))));
    assert_eq!(dropped(&subject, "rate"), 0);
}

/// Hashing this takes seconds.
const SLOW: &str =
    "$pbkdf2-sha256$i=9000000,l=32$c2FsdHNhbHRzYWx0c2FsdA$31ltvuXrbs8POP2F4tw9851NSNQCQpm0sCwu2eEvId8";

#[test]
fn a_client_that_must_make_room_while_its_login_is_looked_at_is_told_0x89_or_3() {
    for (connect, busy) in [(Connect::v5("slow"), 0x89), (Connect::v311("slow"), 3)] {
        let subject = Subject::with().limit("pending", 1).prepare();
        subject.command(&["user", "add", "slow", "--hash", SLOW]).exits(0);
        let mut client = Client::open(subject.port(), connect.version);
        client.send(&connect.login("slow", "x").encode());
        eventually("its CONNECT was read", || {
            (counts(&subject)["latchgate_broker_connects_received_total"] == 1).then_some(())
        });
        let before = dropped(&subject, "pending");
        let _next = dial(1, subject.port());
        match client.read() {
            Packet::ConnAck { code, session_present: false, .. } => assert_eq!(code, busy),
            other => panic!("{other:?}"),
        }
        client.expect_closed();
        assert_eq!(dropped(&subject, "pending"), before + 1);
    }
}
