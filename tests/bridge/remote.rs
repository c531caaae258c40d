//! A remote broker that does what a test says, and a forwarder whose far end is told later.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Instant,
};

use crate::support::{
    BOUND, Packet, Version, packet,
    reader::{decode, packet_length},
};

/// Listens for the bridge.
pub struct Remote {
    listener: TcpListener,
    pub port: u16,
}

/// One connection of the bridge: packets as bytes, type in the high bits of the first.
pub struct Link {
    pub stream: TcpStream,
    bytes: Vec<u8>,
    version: Version,
}

pub const CONNECT: u8 = 1;
pub const PUBLISH: u8 = 3;
pub const PUBREL: u8 = 6;
pub const SUBSCRIBE: u8 = 8;
pub const PINGREQ: u8 = 12;

impl Remote {
    pub fn start() -> Self {
        Remote::on(TcpListener::bind("127.0.0.1:0").expect("a free loopback port"))
    }

    pub fn on(listener: TcpListener) -> Self {
        let port = listener.local_addr().expect("its port").port();
        Remote { listener, port }
    }

    /// Drops connections that were not accepted yet; those of a gateway that is gone.
    pub fn forget_waiting(&self) {
        self.listener.set_nonblocking(true).expect("it can be asked without waiting");
        while self.listener.accept().is_ok() {}
        self.listener.set_nonblocking(false).expect("it can wait again");
    }

    /// The next connection, whose CONNECT has come.
    pub fn accept(&self) -> Link {
        self.accept_with_connect().0
    }

    /// The same, with the CONNECT.
    pub fn accept_with_connect(&self) -> (Link, Vec<u8>) {
        let (stream, _) = self.listener.accept().expect("the bridge connects");
        stream.set_read_timeout(Some(BOUND)).expect("set a read timeout");
        let mut link = Link { stream, bytes: Vec::new(), version: Version::V311 };
        let connect = link.until(CONNECT);
        (link, connect)
    }

    /// The same, answered with CONNACK of version 3.1.1.
    pub fn welcome(&self, session_present: bool) -> Link {
        self.welcome_as(Version::V311, session_present)
    }

    /// The same, in this version.
    pub fn welcome_as(&self, version: Version, session_present: bool) -> Link {
        let mut link = self.accept();
        link.accept_as(version, session_present);
        link
    }
}

impl Link {
    /// Answers CONNECT in this version: come in.
    pub fn accept_as(&mut self, version: Version, session_present: bool) {
        self.version = version;
        match version {
            Version::V5 => self.send(&[0x20, 3, u8::from(session_present), 0, 0]),
            _ => self.send(&[0x20, 2, u8::from(session_present), 0]),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // The bridge may have left already, which is for the test to see.
        let _ = self.stream.write_all(bytes);
    }

    /// The next packet; `None` if the bridge closed.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some((length, _)) = packet_length(&self.bytes)
                && self.bytes.len() >= length
            {
                return Some(self.bytes.drain(..length).collect());
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.bytes.extend(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the bridge sends nothing: {error}"),
            }
        }
    }

    /// The next packet of a type; pings are answered and others passed over.
    pub fn until(&mut self, kind: u8) -> Vec<u8> {
        self.next_of(kind).expect("the bridge is there")
    }

    /// The same; `None` if the bridge closes first.
    pub fn next_of(&mut self, kind: u8) -> Option<Vec<u8>> {
        let since = Instant::now();
        loop {
            assert!(since.elapsed() < BOUND, "only pings come, and no packet of type {kind}");
            let packet = self.next()?;
            if packet[0] >> 4 == kind {
                return Some(packet);
            }
            if packet[0] >> 4 == PINGREQ {
                self.send(&[0xD0, 0]);
            }
        }
    }

    /// The next PUBLISH of QoS 1 or 2: identifier, payload, and whether it has DUP.
    pub fn publish(&mut self) -> (u16, String, bool) {
        self.try_publish().expect("the bridge is there")
    }

    /// The same; `None` if the bridge closes first.
    pub fn try_publish(&mut self) -> Option<(u16, String, bool)> {
        loop {
            let packet = self.next_of(PUBLISH)?;
            let (_, header) = packet_length(&packet).expect("it is complete");
            let Packet::Publish(publish) = decode(self.version, &packet, header) else { continue };
            let text = publish.text().to_owned();
            if let Some(id) = publish.id {
                return Some((id, text, publish.dup));
            }
        }
    }

    /// Acknowledges: 4 PUBACK, 5 PUBREC, 7 PUBCOMP.
    pub fn acknowledge(&mut self, kind: u8, id: u16) {
        self.send(&packet::ack(kind, id));
    }

    /// Cuts the connection without a word.
    pub fn cut(self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// The bridge closes the connection.
    pub fn expect_closed(&mut self) {
        while self.next().is_some() {}
    }
}

/// Forwards connections to a port that is said later.
pub struct Forward(Arc<AtomicU16>);

impl Forward {
    pub fn to(&self, port: u16) {
        self.0.store(port, Ordering::SeqCst);
    }
}

pub fn forward() -> (u16, Forward) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    let own = listener.local_addr().expect("its port").port();
    let target = Arc::new(AtomicU16::new(0));
    let far = target.clone();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(there) = TcpStream::connect(("127.0.0.1", far.load(Ordering::SeqCst))) else { continue };
            for (mut from, mut to) in [(near.try_clone(), there.try_clone()), (Ok(there), Ok(near))]
                .into_iter()
                .filter_map(|(from, to)| Some((from.ok()?, to.ok()?)))
            {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    (own, Forward(target))
}
