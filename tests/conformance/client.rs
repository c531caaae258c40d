//! The clients of the subject, `latchgate pub` and `sub` or Mosquitto's, against a socket that plays the server.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::support::BOUND;
use crate::support::eventually;
use crate::support::packet::frame;
use crate::support::subject::{EXECUTABLE, is_mosquitto};

/// A running client and the server's end of its connection.
struct Played {
    client: Child,
    stream: TcpStream,
}

impl Drop for Played {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

impl Played {
    /// Starts the client (`pub` or `sub`) with these arguments and waits for its connection.
    fn start(tool: &str, arguments: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        listener.set_nonblocking(true).expect("poll for the connection");
        let mut command = if is_mosquitto() {
            Command::new(format!("mosquitto_{tool}"))
        } else {
            let mut command = Command::new(EXECUTABLE);
            command.arg(tool);
            command
        };
        let port = listener.local_addr().expect("the port of the listener").port().to_string();
        let client = command
            .args(["-h", "127.0.0.1", "-p", &port])
            .args(arguments.split(' '))
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?} does not start ({e}): run tests/run once"));
        let stream = eventually("the client connects", || listener.accept().ok()).0;
        stream.set_nonblocking(false).expect("wait for bytes");
        stream.set_read_timeout(Some(BOUND)).expect("set a read timeout");
        Self { client, stream }
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).expect("a byte from the client");
        byte[0]
    }

    /// The first byte and the body of the client's next packet.
    fn packet(&mut self) -> (u8, Vec<u8>) {
        let first = self.byte();
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            length |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("the rest of the packet");
        (first, body)
    }

    fn send(&mut self, first: u8, body: &[u8]) {
        self.stream.write_all(&frame(first, body)).expect("the client reads what is sent");
    }

    /// Takes CONNECT and answers CONNACK with these properties (version 5).
    fn accept(&mut self, v5: bool, properties: &[u8]) {
        let (first, body) = self.packet();
        assert_eq!((first, &body[..6], body[6]), (0x10, &b"\0\x04MQTT"[..], if v5 { 5 } else { 4 }));
        let list = [&[properties.len() as u8][..], properties].concat();
        self.send(0x20, &[&[0, 0][..], if v5 { &list } else { &[] }].concat());
    }
}

/// [v5: MQTT-3.14.4-1, MQTT-3.14.4-2] [v3.1.1: MQTT-3.14.4-1, MQTT-3.14.4-2, MQTT-7.1.2-1]
#[test]
fn a_client_closes_after_disconnect_and_sends_nothing_more() {
    for (version, v5) in [("mqttv311", false), ("mqttv5", true)] {
        let mut played = Played::start("pub", &format!("-V {version} -t a -m x -q 1"));
        played.accept(v5, &[]);
        let (first, body) = played.packet();
        assert_eq!((first, &body[..3]), (0x32, &[0, 1, b'a'][..]));
        assert_ne!(body[3..5], [0, 0], "a packet identifier of 0");
        played.send(0x40, &body[3..5]);
        assert_eq!(played.packet().0, 0xE0);
        let mut rest = Vec::new();
        played.stream.read_to_end(&mut rest).expect("the client closes the connection");
        assert!(rest.is_empty(), "after DISCONNECT: {rest:02x?}");
    }
}

/// [v5: MQTT-3.1.2-20] [v3.1.1: MQTT-3.1.2-23]
#[test]
fn a_client_with_nothing_to_say_sends_pingreq_in_time() {
    for (version, v5) in [("mqttv311", false), ("mqttv5", true)] {
        // Mosquitto's clients take no less than 5 s.
        let mut played = Played::start("sub", &format!("-V {version} -t a -k 5"));
        played.accept(v5, &[]);
        let (first, body) = played.packet();
        assert_eq!(first, 0x82);
        played.send(0x90, &[&body[..2], if v5 { &[0, 0][..] } else { &[0] }].concat());
        assert_eq!(played.packet(), (0xC0, vec![]));
    }
}

/// [v5: MQTT-3.1.2-21, MQTT-3.2.2-21]
#[test]
fn a_client_obeys_the_servers_keep_alive() {
    let mut played = Played::start("sub", "-V mqttv5 -t a -k 600");
    played.accept(true, &[0x13, 0, 2]);
    let (first, body) = played.packet();
    assert_eq!(first, 0x82);
    played.send(0x90, &[&body[..2], &[0, 0]].concat());
    assert_eq!(played.packet(), (0xC0, vec![]));
}
