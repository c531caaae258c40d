//! Thousands of clients on plain sockets: what a [`crate::support::Client`] each would cost too much for.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::{BOUND, Connect};

/// Raises this process's limit on open files as far as it goes; how many sockets that leaves, at most `wanted`.
pub fn sockets(wanted: usize) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("raise the limit on open files");
    // The server has the same limit, and both need some for other things.
    let left = maximum.map_or(usize::MAX, |most| (most as usize).saturating_sub(100));
    assert!(left >= 1000, "the hard limit on open files ({maximum:?}) is too low for this test");
    if left < wanted {
        eprintln!("the hard limit on open files ({maximum:?}) leaves {left} sockets of {wanted}");
    }
    wanted.min(left)
}

/// A connected socket. Each `number` has its own address, so that the ports of one do not run out.
pub fn open(port: u16, number: usize) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("make a socket");
    let here = SocketAddr::from((Ipv4Addr::new(127, 0, 1, (number % 250) as u8 + 1), 0));
    socket.bind(&SockAddr::from(here)).expect("all of 127.0.0.0/8 is this machine");
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    socket.connect(&SockAddr::from(server)).expect("the server accepts connections");
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).expect("set TCP_NODELAY");
    stream.set_read_timeout(Some(BOUND)).expect("set a read timeout");
    stream.set_write_timeout(Some(BOUND)).expect("set a write timeout");
    stream
}

/// Sends a packet to a server that may have closed the connection, which is then seen when reading.
pub fn send(stream: &mut TcpStream, packet: &[u8]) {
    match stream.write_all(packet) {
        Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
        outcome => outcome.expect("the server reads what is sent"),
    }
}

/// The code of a version 3 CONNACK; `None` if the connection was closed.
pub fn connack(stream: &mut TcpStream) -> Option<u8> {
    answer::<4>(stream).map(|bytes| {
        assert_eq!(bytes[..2], [0x20, 2], "CONNACK and not {bytes:02x?}");
        bytes[3]
    })
}

/// The next `N` bytes; `None` if the connection was closed before.
pub fn answer<const N: usize>(stream: &mut TcpStream) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    match stream.read_exact(&mut bytes) {
        Ok(()) => Some(bytes),
        Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => None,
        Err(e) => panic!("neither an answer nor closed: {e}"),
    }
}

/// Opens `numbers` and sends the CONNECT of each before the answer of any is read: who is in, and who was told what
/// (`None`: closed).
pub fn storm(port: u16, numbers: &[usize]) -> (Vec<TcpStream>, Vec<(usize, Option<u8>)>) {
    let mut streams: Vec<_> = numbers
        .iter()
        .map(|number| {
            let mut stream = open(port, *number);
            send(&mut stream, &Connect::v311(&format!("storm-{number}")).encode());
            (*number, stream)
        })
        .collect();
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for (number, mut stream) in streams.drain(..) {
        match connack(&mut stream) {
            Some(0) => inside.push(stream),
            told => outside.push((number, told)),
        }
    }
    (inside, outside)
}
