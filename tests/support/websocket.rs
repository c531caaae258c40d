//! A raw WebSocket client: HTTP request, frames, nothing else. It shares no code with the crate.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use super::BOUND;
use super::client::Gone;
use super::packet::Version;
use super::reader::{self, Packet};

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;
/// The last frame of a message.
pub const FIN: u8 = 0x80;

/// The key of RFC 6455's example and what must be answered to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN and opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

/// A request with the headers every WebSocket needs, and these lines (each ends in `\r\n`).
pub fn request(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{lines}\r\n"
    )
}

/// The line that offers MQTT.
pub const OFFER: &str = "Sec-WebSocket-Protocol: mqtt\r\n";

/// A frame as a client must send it: masked.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0xDE, 0xAD, 0x00, 0x7F];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A client of a WebSocket listener.
pub struct WebSocket {
    stream: TcpStream,
    /// Read and not yet taken apart.
    bytes: Vec<u8>,
    /// Payload of binary frames that is not yet a packet.
    mqtt: Vec<u8>,
}

impl WebSocket {
    /// A connected socket on which nothing was sent yet.
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server accepts connections");
        let socket = Self::on(stream);
        socket.stream.set_read_timeout(Some(BOUND)).expect("set a read timeout");
        socket.stream.set_write_timeout(Some(BOUND)).expect("set a write timeout");
        socket
    }

    /// The same without bounds on waiting.
    pub fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("set TCP_NODELAY");
        WebSocket { stream, bytes: Vec::new(), mqtt: Vec::new() }
    }

    /// A WebSocket that offers `mqtt`; the server must take it.
    pub fn connect(port: u16) -> Self {
        let mut socket = Self::open(port);
        socket.send(request("/mqtt", OFFER).as_bytes());
        let answer = socket.read_answer();
        let lower = answer.to_lowercase();
        assert!(lower.starts_with("http/1.1 101 "), "{answer}");
        for line in [format!("sec-websocket-accept: {ACCEPT}"), "sec-websocket-protocol: mqtt".to_owned()] {
            assert!(lower.lines().any(|found| found == line.to_lowercase()), "no line {line:?} in {answer}");
        }
        assert!(!lower.contains("sec-websocket-extensions"), "no extension was asked for: {answer}");
        socket
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads what is sent");
    }

    /// Sends bytes to a server that may already have closed the connection.
    pub fn send_anyway(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a frame.
    pub fn frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&frame(first, payload));
    }

    /// Sends MQTT in one frame.
    pub fn mqtt(&mut self, bytes: &[u8]) {
        self.frame(FIN | BINARY, bytes);
    }

    /// A second handle, for a thread that only reads.
    pub fn reader(&self) -> Self {
        let stream = self.stream.try_clone().expect("duplicate the socket");
        WebSocket { stream, bytes: self.bytes.clone(), mqtt: Vec::new() }
    }

    /// Cuts the connection.
    pub fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Says that nothing more is sent, without Close.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The server's HTTP answer: up to the empty line if it is 101, else all of it.
    pub fn read_answer(&mut self) -> String {
        loop {
            if let Some(at) = self.bytes.windows(4).position(|end| end == b"\r\n\r\n")
                && self.bytes.starts_with(b"HTTP/1.1 101 ")
            {
                let head = self.bytes.drain(..at + 4).collect();
                return String::from_utf8(head).expect("an answer in ASCII");
            }
            match self.fill() {
                Ok(()) => {}
                Err(Gone::Closed) => {
                    return String::from_utf8(std::mem::take(&mut self.bytes)).expect("an answer in ASCII");
                }
                Err(Gone::TimedOut) => panic!("no answer within {BOUND:?}: {:?}", self.bytes),
            }
        }
    }

    fn fill(&mut self) -> Result<(), Gone> {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Gone::Closed),
                Ok(count) => {
                    self.bytes.extend(&chunk[..count]);
                    return Ok(());
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Gone::TimedOut);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone::Closed),
            }
        }
    }

    /// The next frame, which must be as a server sends them: unmasked, without reserved bits.
    pub fn try_frame(&mut self) -> Result<Frame, Gone> {
        loop {
            if let Some((start, length)) = header(&self.bytes)
                && self.bytes.len() >= start + length
            {
                let first = self.bytes[0];
                assert_eq!(first & 0x70, 0, "reserved bits");
                let payload = self.bytes[start..start + length].to_vec();
                self.bytes.drain(..start + length);
                return Ok(Frame { first, payload });
            }
            self.fill()?;
        }
    }

    pub fn read_frame(&mut self) -> Frame {
        self.try_frame().unwrap_or_else(|gone| panic!("a frame expected: {gone:?}"))
    }

    /// The next packet; every frame before its end must be binary.
    pub fn read(&mut self, version: Version) -> Packet {
        loop {
            if let Some((length, header)) = reader::packet_length(&self.mqtt)
                && self.mqtt.len() >= length
            {
                let packet = reader::decode(version, &self.mqtt[..length], header);
                self.mqtt.drain(..length);
                return packet;
            }
            let Frame { first, payload } = self.read_frame();
            // [MQTT-6.0.0-1]
            assert_eq!(first, FIN | BINARY, "{payload:02x?}");
            self.mqtt.extend(payload);
        }
    }

    /// The server sends Close with this code and closes, or closes at once.
    pub fn expect_close(&mut self, code: u16) {
        match self.try_frame() {
            Ok(frame) => assert_eq!(frame, Frame { first: FIN | CLOSE, payload: code.to_be_bytes().into() }),
            Err(gone) => panic!("Close expected: {gone:?}"),
        }
        self.expect_closed();
    }

    /// The server has closed the connection.
    pub fn expect_closed(&mut self) {
        assert_eq!(self.try_frame(), Err(Gone::Closed));
    }
}

/// Length of the header and of the payload of the frame at the start of `bytes`.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let short = *bytes.get(1)?;
    assert_eq!(short & 0x80, 0, "a server does not mask");
    Some(match short {
        126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).expect("a length")),
        short => (2, usize::from(short)),
    })
}
