//! A client of a server that may die at any moment.

use crate::receiver::Receiver;
use crate::support::{Client, Connect, Gone, Packet, packet, packet::Version};

/// The server died before it answered.
#[derive(Clone, Copy, Debug)]
pub struct Died;

#[derive(Default)]
pub struct Peer {
    client: Option<Client>,
    pub receiver: Receiver,
}

impl Peer {
    pub fn is_connected(&self) -> bool {
        self.client.is_some()
    }

    pub fn version(&self) -> Version {
        self.client.as_ref().map_or(Version::V5, |client| client.version)
    }

    /// Connects; whether the session was there.
    pub fn connect(&mut self, port: u16, connect: &Connect) -> Result<bool, Died> {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).map_err(|_| Died)?;
        let mut client = Client::over(stream, connect.version);
        client.client_id = connect.client_id.clone();
        self.client = Some(client);
        self.ask(&connect.encode(), |packet| match packet {
            Packet::ConnAck { session_present, code, .. } => {
                assert_eq!(*code, 0, "{:?} was refused", connect.client_id);
                Some(*session_present)
            }
            _ => None,
        })
    }

    /// Sends this, and receives as it ought to until the answer comes.
    pub fn ask<T>(&mut self, bytes: &[u8], wanted: impl Fn(&Packet) -> Option<T>) -> Result<T, Died> {
        self.send(bytes)?;
        loop {
            let client = self.client.as_mut().ok_or(Died)?;
            let packet = match client.try_read() {
                Ok(packet) => packet,
                Err(Gone::Closed) => {
                    self.client = None;
                    return Err(Died);
                }
                Err(Gone::TimedOut) => panic!("{:?} gets no answer", client.client_id),
            };
            if let Some(answer) = self.receiver.take(&packet) {
                self.send(&answer)?;
            }
            if let Some(found) = wanted(&packet) {
                return Ok(found);
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Died> {
        let sent = self.client.as_mut().is_some_and(|client| client.send_anyway(bytes));
        if sent { Ok(()) } else { Err(Died) }
    }

    /// Says DISCONNECT, and waits until the server has let go.
    pub fn leave(&mut self) {
        if let Some(mut client) = self.client.take() {
            client.send_anyway(&packet::DISCONNECT);
            client.drain();
        }
    }

    /// Loses its connection.
    pub fn lose(&mut self) {
        if let Some(client) = self.client.take() {
            client.drop_connection();
        }
    }
}
