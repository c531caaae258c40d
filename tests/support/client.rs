//! A raw MQTT client over a blocking socket. Its methods read as steps of a protocol story: send, expect.
//!
//! "Nothing arrives" is never proven by waiting: [`Client::nothing_arrives`] sends a marker through the
//! server to itself and requires that the marker is the next message.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::BOUND;
use super::packet::{self, Connect, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, Subscribe, Version};
use super::property::Property;
use super::reader::{self, Packet};
use super::subject::is_mosquitto;

/// Why there is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    Closed,
    TimedOut,
}

pub struct Client {
    stream: TcpStream,
    pub version: Version,
    pub client_id: String,
    next_id: u16,
    bytes: Vec<u8>,
    start: usize,
    /// The length in bytes of the largest packet that came.
    pub largest_packet: usize,
    /// Read while something else was awaited; comes first when the next packet is asked for.
    pending: VecDeque<Packet>,
}

/// The answer to a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck {
    pub session_present: bool,
    pub code: u8,
    pub properties: Vec<Property>,
}

impl Client {
    /// A connected socket on which nothing was sent yet.
    pub fn open(port: u16, version: Version) -> Self {
        Self::over(TcpStream::connect(("127.0.0.1", port)).expect("the server accepts connections"), version)
    }

    /// A client on a socket that is connected already.
    pub fn over(stream: TcpStream, version: Version) -> Self {
        stream.set_nodelay(true).expect("set TCP_NODELAY");
        stream.set_read_timeout(Some(BOUND)).expect("set a read timeout");
        stream.set_write_timeout(Some(BOUND)).expect("set a write timeout");
        Self {
            stream,
            version,
            client_id: String::new(),
            next_id: 0,
            bytes: Vec::new(),
            start: 0,
            largest_packet: 0,
            pending: VecDeque::new(),
        }
    }

    /// Sends CONNECT and hands back whatever CONNACK comes.
    pub fn connect(port: u16, connect: &Connect) -> (Self, ConnAck) {
        Self::open(port, connect.version).ask(connect)
    }

    /// As [`Client::connect`], coming from this address (any of 127.0.0.0/8).
    pub fn connect_from(source: [u8; 4], port: u16, connect: &Connect) -> (Self, ConnAck) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((source, 0)).into()).expect("an address of this machine");
        socket
            .connect(&SocketAddr::from(([127, 0, 0, 1], port)).into())
            .expect("the server accepts connections");
        Self::over(socket.into(), connect.version).ask(connect)
    }

    fn ask(self, connect: &Connect) -> (Self, ConnAck) {
        let mut client = self;
        client.client_id = connect.client_id.clone();
        client.send(&connect.encode());
        match client.read() {
            Packet::ConnAck { session_present, code, properties } => {
                (client, ConnAck { session_present, code, properties })
            }
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }

    // ---- bytes -------------------------------------------------------------------------------------

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads what is sent");
    }

    /// Sends bytes to a server that may already have closed the connection.
    pub fn send_anyway(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub fn set_read_timeout(&mut self, bound: Duration) {
        self.stream.set_read_timeout(Some(bound)).expect("set a read timeout");
    }

    /// A second handle on the socket, for a thread that only writes.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("duplicate the socket")
    }

    /// Cuts the connection without DISCONNECT.
    pub fn drop_connection(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Sends DISCONNECT and waits until the server has closed the connection.
    pub fn disconnect(mut self) {
        self.send(&packet::DISCONNECT);
        self.drain();
    }

    /// Reads and forgets until the server has closed the connection.
    pub fn drain(&mut self) {
        self.pending.clear();
        loop {
            match self.next_from_socket() {
                Ok(_) => {}
                Err(Gone::Closed) => return,
                Err(Gone::TimedOut) => panic!("{:?} is still connected after {BOUND:?}", self.client_id),
            }
        }
    }

    // ---- reading -----------------------------------------------------------------------------------

    /// The next packet, or why there is none.
    pub fn try_read(&mut self) -> Result<Packet, Gone> {
        if let Some(packet) = self.pending.pop_front() {
            return Ok(packet);
        }
        self.next_from_socket()
    }

    fn next_from_socket(&mut self) -> Result<Packet, Gone> {
        loop {
            let unread = &self.bytes[self.start..];
            if let Some((length, header)) = reader::packet_length(unread)
                && unread.len() >= length
            {
                let packet = reader::decode(self.version, &unread[..length], header);
                self.start += length;
                self.largest_packet = self.largest_packet.max(length);
                return Ok(packet);
            }
            self.bytes.drain(..self.start);
            self.start = 0;
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    assert!(self.bytes.is_empty(), "closed in the middle of a packet: {:02x?}", self.bytes);
                    return Err(Gone::Closed);
                }
                Ok(count) => self.bytes.extend(&chunk[..count]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Gone::TimedOut);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone::Closed),
            }
        }
    }

    /// The next packet; there must be one.
    pub fn read(&mut self) -> Packet {
        self.try_read().unwrap_or_else(|gone| panic!("{:?} expected a packet: {gone:?}", self.client_id))
    }

    /// Reads until `wanted` takes a packet; what comes before it stays for later reads.
    fn await_packet<T>(&mut self, what: &str, mut wanted: impl FnMut(&Packet) -> Option<T>) -> T {
        if let Some(position) = self.pending.iter().position(|p| wanted(p).is_some()) {
            let packet = self.pending.remove(position).expect("the position was just found");
            return wanted(&packet).expect("the packet was just taken");
        }
        loop {
            match self.next_from_socket() {
                Ok(packet) => match wanted(&packet) {
                    Some(answer) => return answer,
                    None => self.pending.push_back(packet),
                },
                Err(gone) => {
                    panic!("{:?} expected {what}: {gone:?}; unread: {:?}", self.client_id, self.pending)
                }
            }
        }
    }

    /// The next packet must be a PUBLISH; it is not acknowledged.
    pub fn expect_publish(&mut self) -> Publish {
        match self.read() {
            Packet::Publish(publish) => publish,
            other => panic!("{:?} expected PUBLISH, got {other:?}", self.client_id),
        }
    }

    /// The next packet must be a PUBLISH; its handshake is completed.
    pub fn receive(&mut self) -> Publish {
        let publish = self.expect_publish();
        self.acknowledge(&publish);
        publish
    }

    /// Completes the handshake of a received PUBLISH.
    pub fn acknowledge(&mut self, publish: &Publish) {
        let Some(id) = publish.id else { return };
        if publish.qos == 1 {
            self.send(&packet::ack(PUBACK, id));
        } else {
            self.send(&packet::ack(PUBREC, id));
            self.await_packet("PUBREL", |p| {
                matches!(p, Packet::PubRel { id: of, .. } if *of == id).then_some(())
            });
            self.send(&packet::ack(PUBCOMP, id));
        }
    }

    /// The payloads of the next `count` messages, acknowledged, in their order.
    pub fn receive_texts(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.receive().text().to_owned()).collect()
    }

    /// The server closes the connection without another packet.
    pub fn expect_closed(&mut self) {
        assert_eq!(self.try_read(), Err(Gone::Closed), "{:?}", self.client_id);
    }

    /// The server ends the connection: v5 with DISCONNECT and this reason code, 3.x by closing. Mosquitto
    /// names its reasons less exactly and is let off with any.
    pub fn expect_disconnect(&mut self, reason: u8) -> Vec<Property> {
        let mut found = Vec::new();
        if is_mosquitto() {
            self.drain();
        } else if self.version == Version::V5 {
            match self.read() {
                Packet::Disconnect { code, properties } => {
                    assert_eq!(code, reason, "reason {code:#04x} instead of {reason:#04x}; {properties:?}");
                    found = properties;
                }
                other => panic!("expected DISCONNECT {reason:#04x}, got {other:?}"),
            }
        }
        assert_eq!(self.try_read(), Err(Gone::Closed), "{:?}", self.client_id);
        found
    }

    // ---- exchanges ---------------------------------------------------------------------------------

    /// A packet identifier that this client has not used lately.
    pub fn fresh_id(&mut self) -> u16 {
        self.next_id = self.next_id % 60_000 + 1;
        self.next_id
    }

    /// Publishes and completes the handshake; the reason code of the answer (0 where there is none, and 0 for
    /// "no matching subscribers", which is a success too).
    pub fn publish(&mut self, publish: Publish) -> u8 {
        let id = publish.id.unwrap_or_else(|| self.fresh_id());
        let publish = publish.id(id);
        self.send(&publish.encode(self.version));
        let code = match publish.qos {
            0 => 0,
            1 => self.await_puback(id),
            _ => {
                let code = self.await_pubrec(id);
                if code < 0x80 {
                    self.send(&packet::ack(PUBREL, id));
                    self.await_pubcomp(id);
                }
                code
            }
        };
        if code == 0x10 { 0 } else { code }
    }

    /// Publishes text with QoS 1.
    pub fn say(&mut self, topic: &str, text: &str) -> u8 {
        self.publish(Publish::to(topic).qos(1).payload(text))
    }

    pub fn await_puback(&mut self, id: u16) -> u8 {
        self.await_packet("PUBACK", |p| match p {
            Packet::PubAck { id: of, code, .. } if *of == id => Some(*code),
            _ => None,
        })
    }

    pub fn await_pubrec(&mut self, id: u16) -> u8 {
        self.await_packet("PUBREC", |p| match p {
            Packet::PubRec { id: of, code, .. } if *of == id => Some(*code),
            _ => None,
        })
    }

    pub fn await_pubrel(&mut self, id: u16) -> u8 {
        self.await_packet("PUBREL", |p| match p {
            Packet::PubRel { id: of, code, .. } if *of == id => Some(*code),
            _ => None,
        })
    }

    pub fn await_pubcomp(&mut self, id: u16) -> u8 {
        self.await_packet("PUBCOMP", |p| match p {
            Packet::PubComp { id: of, code, .. } if *of == id => Some(*code),
            _ => None,
        })
    }

    /// Subscribes and hands back the codes of the SUBACK, one per filter.
    pub fn subscribe_all(&mut self, subscribe: &Subscribe) -> Vec<u8> {
        let id = self.fresh_id();
        self.send(&subscribe.encode(self.version, id));
        self.await_packet("SUBACK", |p| match p {
            Packet::SubAck { id: of, codes, .. } if *of == id => Some(codes.clone()),
            _ => None,
        })
    }

    /// Subscribes to one filter, which must be granted as asked.
    pub fn subscribe(&mut self, filter: &str, options: u8) {
        let codes = self.subscribe_all(&Subscribe::to(filter, options));
        assert_eq!(codes, [options & 3], "SUBACK for {filter}");
    }

    /// Unsubscribes and hands back the codes of the UNSUBACK (none before v5).
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let id = self.fresh_id();
        self.send(&packet::unsubscribe(self.version, id, filters));
        self.await_packet("UNSUBACK", |p| match p {
            Packet::UnsubAck { id: of, codes, .. } if *of == id => Some(codes.clone()),
            _ => None,
        })
    }

    /// The server still answers this connection.
    pub fn ping(&mut self) {
        self.send(&packet::PINGREQ);
        self.await_packet("PINGRESP", |p| (*p == Packet::PingResp).then_some(()));
    }

    /// No message is on its way to this client: a marker it sends to itself overtakes nothing.
    pub fn nothing_arrives(&mut self) {
        let topic = format!("fence/{}", self.client_id.replace(['/', '+', '#', '$'], "_"));
        self.subscribe(&topic, 1);
        let code = self.publish(Publish::to(&topic).qos(1).payload("fence"));
        assert_eq!(code, 0, "the marker of nothing_arrives was not accepted");
        let next = self.receive();
        assert_eq!((next.topic.as_str(), next.text()), (topic.as_str(), "fence"), "expected no message");
        self.unsubscribe(&[&topic]);
        assert!(self.pending.is_empty(), "expected nothing, got {:?}", self.pending);
    }
}
