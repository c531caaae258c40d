//! Frames: MQTT in any of them, and what is not allowed in them [MQTT-6.0.0-1, -2].

use crate::support::packet::{self, DISCONNECT, PINGREQ};
use crate::support::websocket::{BINARY, CLOSE, CONTINUATION, FIN, Frame, PING, PONG, TEXT};
use crate::support::{Connect, Packet, Publish, Subject, Subscribe, Version, WebSocket, Will};

pub fn door() -> Subject {
    Subject::with().listener("protocol = \"websocket\"\nanonymous = \"guest\"").start()
}

/// A client over WebSocket that the server has accepted.
pub fn client(port: u16, connect: &Connect) -> WebSocket {
    let mut socket = WebSocket::connect(port);
    socket.mqtt(&connect.encode());
    accepted(&mut socket, connect.version);
    socket
}

fn accepted(socket: &mut WebSocket, version: Version) {
    match socket.read(version) {
        Packet::ConnAck { code: 0, .. } => {}
        other => panic!("CONNACK 0 expected, got {other:?}"),
    }
}

pub fn pong(socket: &mut WebSocket) {
    socket.mqtt(&PINGREQ);
    assert_eq!(socket.read(Version::V5), Packet::PingResp);
}

#[test]
fn several_packets_in_one_frame_are_each_answered() {
    let door = door();
    let mut socket = WebSocket::connect(door.port());
    let subscribe = Subscribe::to("a", 1).encode(Version::V5, 1);
    let publish = Publish::to("a").qos(1).id(7).payload("x").encode(Version::V5);
    socket.mqtt(&[Connect::v5("c").encode(), subscribe, publish, PINGREQ.to_vec()].concat());
    accepted(&mut socket, Version::V5);
    let mut kinds = Vec::new();
    while kinds.len() < 4 {
        kinds.push(match socket.read(Version::V5) {
            Packet::SubAck { .. } => "suback",
            Packet::PubAck { id: 7, .. } => "puback",
            Packet::Publish(publish) if publish.text() == "x" => "publish",
            Packet::PingResp => "pingresp",
            other => panic!("unexpected: {other:?}"),
        });
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["pingresp", "puback", "publish", "suback"]);
}

#[test]
fn a_packet_may_lie_in_many_frames_fragments_and_empty_ones_with_pings_between() {
    let door = door();
    let mut socket = WebSocket::connect(door.port());
    for byte in Connect::v5("c").encode() {
        socket.frame(FIN | BINARY, &[byte]);
    }
    accepted(&mut socket, Version::V5);
    socket.frame(BINARY, &PINGREQ[..1]);
    socket.frame(CONTINUATION, b"");
    socket.frame(FIN | PING, b"between");
    assert_eq!(socket.read_frame(), Frame { first: FIN | PONG, payload: b"between".into() });
    socket.frame(FIN | CONTINUATION, &PINGREQ[1..]);
    assert_eq!(socket.read(Version::V5), Packet::PingResp);
    socket.frame(FIN | PONG, b"nobody asked");
    socket.frame(FIN | BINARY, b"");
    pong(&mut socket);
}

#[test]
fn a_large_message_goes_both_ways() {
    let door = door();
    let mut socket = client(door.port(), &Connect::v311("c"));
    socket.mqtt(&Subscribe::to("large", 0).encode(Version::V311, 1));
    assert!(matches!(socket.read(Version::V311), Packet::SubAck { .. }));
    let payload: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    socket.mqtt(&Publish::to("large").payload(&payload).encode(Version::V311));
    match socket.read(Version::V311) {
        Packet::Publish(publish) => assert!(publish.payload == payload, "the payload changed on the way"),
        other => panic!("PUBLISH expected, got {other:?}"),
    }
}

#[test]
fn a_close_is_answered_and_the_will_is_sent() {
    let door = door();
    let mut watcher = client(door.port(), &Connect::v5("watcher"));
    watcher.mqtt(&Subscribe::to("will", 0).encode(Version::V5, 1));
    assert!(matches!(watcher.read(Version::V5), Packet::SubAck { .. }));
    let mut socket = client(door.port(), &Connect::v5("mortal").will(Will::new("will", "gone")));
    socket.frame(FIN | CLOSE, &1001_u16.to_be_bytes());
    socket.expect_close(1001);
    match watcher.read(Version::V5) {
        Packet::Publish(publish) => assert_eq!(publish.text(), "gone"),
        other => panic!("the will expected, got {other:?}"),
    }
}

#[test]
fn disconnect_is_followed_by_close_1000() {
    let door = door();
    let mut socket = client(door.port(), &Connect::v5("c"));
    socket.mqtt(&DISCONNECT);
    assert_eq!(socket.read_frame(), Frame { first: FIN | CLOSE, payload: 1000_u16.to_be_bytes().into() });
    socket.frame(FIN | CLOSE, &1000_u16.to_be_bytes());
    socket.expect_closed();
}

#[test]
fn a_close_in_the_middle_of_a_packet_ends_the_connection() {
    let door = door();
    let mut socket = client(door.port(), &Connect::v5("c"));
    socket.frame(BINARY, &PINGREQ[..1]);
    socket.frame(FIN | CLOSE, b"");
    socket.expect_close(1000);
}

#[test]
fn frames_that_break_the_rules_are_answered_with_close_before_and_after_connect() {
    let door = door();
    let unmasked = |first: u8, payload: &[u8]| [&[first, payload.len() as u8], payload].concat();
    let masked = crate::support::websocket::frame;
    let cases: [(&str, u16, Vec<u8>); 12] = [
        ("text [MQTT-6.0.0-1]", 1003, masked(FIN | TEXT, b"text")),
        ("text in pieces", 1003, masked(TEXT, b"text")),
        ("unmasked", 1002, unmasked(FIN | BINARY, &PINGREQ)),
        ("reserved bit 1", 1002, masked(FIN | 0x40 | BINARY, &PINGREQ)),
        ("reserved bit 3", 1002, masked(FIN | 0x10 | BINARY, &PINGREQ)),
        ("reserved opcode", 1002, masked(FIN | 0x3, &PINGREQ)),
        ("reserved control opcode", 1002, masked(FIN | 0xB, b"")),
        ("continuation of nothing", 1002, masked(FIN | CONTINUATION, &PINGREQ)),
        ("message in a message", 1002, [masked(BINARY, b"\x10"), masked(FIN | BINARY, b"x")].concat()),
        ("ping in pieces", 1002, masked(PING, b"")),
        ("long ping", 1002, masked(FIN | PING, &[0; 126])),
        ("length above 63 bits", 1002, [&[FIN | BINARY, 0xFF][..], &[0xFF; 8], &[0; 4]].concat()),
    ];
    for (what, code, bytes) in cases {
        for connected in [false, true] {
            let mut socket = if connected {
                client(door.port(), &Connect::v5("c"))
            } else {
                WebSocket::connect(door.port())
            };
            socket.send(&bytes);
            let frame = socket.read_frame();
            let expected = Frame { first: FIN | CLOSE, payload: code.to_be_bytes().into() };
            assert_eq!(frame, expected, "{what}, connected: {connected}");
            socket.finish();
            socket.expect_closed();
        }
    }
}

#[test]
fn a_header_that_announces_an_exabyte_takes_no_memory_and_its_bytes_are_read_as_they_come() {
    let door = door();
    let mut socket = WebSocket::connect(door.port());
    // The mask is all zero.
    socket.send(&[&[FIN | BINARY, 0xFF][..], &(1_u64 << 60).to_be_bytes(), &[0; 4]].concat());
    socket.send(&Connect::v5("c").encode());
    accepted(&mut socket, Version::V5);
    for _ in 0..3 {
        socket.send(&PINGREQ);
        assert_eq!(socket.read(Version::V5), Packet::PingResp);
    }
}

#[test]
fn endless_fragments_and_pings_do_not_keep_a_silent_client_alive_nor_hold_others_up() {
    let door = door();
    let mut endless = client(door.port(), &Connect::v5("endless").keep_alive(1));
    let mut answers = endless.reader();
    let reader = std::thread::spawn(move || {
        // Pongs, then DISCONNECT with Keep Alive timeout in a binary frame, then Close.
        let mut last = None;
        while let Ok(frame) = answers.try_frame() {
            if frame.first == FIN | BINARY {
                last = Some(frame.payload);
            }
        }
        last
    });
    endless.frame(BINARY, b"");
    while endless.send_anyway(&crate::support::websocket::frame(CONTINUATION, b""))
        && endless.send_anyway(&crate::support::websocket::frame(FIN | PING, b"x"))
    {
        if reader.is_finished() {
            break;
        }
    }
    let disconnect = reader.join().expect("the reader ends").expect("a DISCONNECT");
    assert_eq!(disconnect[..1], packet::disconnect_v5(0x8D, &[])[..1]);
    assert_eq!(disconnect[2], 0x8D, "Keep Alive timeout");
    pong(&mut client(door.port(), &Connect::v5("other")));
}

#[test]
fn a_client_that_reads_nothing_and_pings_is_owed_one_pong() {
    let door = door();
    let mut socket = client(door.port(), &Connect::v5("c"));
    for number in 0..1000_u32 {
        socket.frame(FIN | PING, &number.to_be_bytes());
    }
    let mut last = None;
    while last != Some(999) {
        let frame = socket.read_frame();
        assert_eq!(frame.first, FIN | PONG);
        let number = u32::from_be_bytes(frame.payload.try_into().expect("what was sent"));
        assert!(last.is_none_or(|last| last < number), "{last:?} then {number}");
        last = Some(number);
    }
    pong(&mut socket);
}
