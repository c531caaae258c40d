//! Takes MQTT on a port of its own and speaks it over WebSocket to the server, so that any client of the tests can
//! come in by that door. It frames as a hostile client would: packets in pieces and together, fragments, pings between.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use super::websocket::{BINARY, CONTINUATION, FIN, OFFER, PING, PONG, WebSocket, frame, request};

/// Relays to the WebSocket listener on `port` as long as the process runs; the port to connect to.
pub fn start(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    let own = listener.local_addr().expect("the port that was just bound").port();
    std::thread::spawn(move || {
        for (stream, number) in listener.incoming().flatten().zip(1..) {
            std::thread::spawn(move || relay(stream, port, number));
        }
    });
    own
}

fn relay(mut plain: TcpStream, port: u16, seed: u64) -> Option<()> {
    // The server may be gone, which is for the client to see.
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let mut socket = WebSocket::on(stream);
    plain.set_nodelay(true).ok()?;
    socket.send_anyway(request("/relay", OFFER).as_bytes()).then_some(())?;
    if !socket.read_answer().starts_with("HTTP/1.1 101 ") {
        return None;
    }
    let mut back = socket.reader();
    let mut answered = plain.try_clone().ok()?;
    let reading = std::thread::spawn(move || {
        while let Ok(frame) = back.try_frame() {
            let good = match frame.first & 0xF {
                BINARY | CONTINUATION => answered.write_all(&frame.payload).is_ok(),
                PONG => true,
                _ => false,
            };
            if !good {
                break;
            }
        }
        let _ = answered.shutdown(Shutdown::Both);
    });
    let mut dice = Dice(seed);
    let mut chunk = [0; 32 * 1024];
    while let Ok(count @ 1..) = plain.read(&mut chunk) {
        if !socket.send_anyway(&framed(&chunk[..count], &mut dice)) {
            break;
        }
    }
    socket.finish();
    let _ = reading.join();
    Some(())
}

/// `bytes` as one or more messages, each in one or more frames.
fn framed(mut bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut out = Vec::new();
    let mut opcode = BINARY;
    while !bytes.is_empty() {
        let most = if dice.roll(2) == 0 { 8 } else { bytes.len() };
        let (piece, rest) = bytes.split_at(bytes.len().min(1 + dice.roll(most)));
        let last = rest.is_empty() || dice.roll(2) == 0;
        out.extend(frame(if last { FIN | opcode } else { opcode }, piece));
        opcode = if last { BINARY } else { CONTINUATION };
        if dice.roll(8) == 0 {
            out.extend(frame(FIN | PING, b"relay"));
        }
        bytes = rest;
    }
    out
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    /// Less than `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides.max(1)
    }
}
