//! The client against a scripted server.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Client, ClientError, Options};
use crate::mqtt::codec::{decode, encode};
use crate::mqtt::{Ack, ConnAck, Packet, Properties, Property, Publish, QoS, ReasonCode, SubAck, Version};

/// The server's end of a connection. What it expects and does not get fails the test.
struct Server {
    stream: TcpStream,
    incoming: Vec<u8>,
}

impl Server {
    async fn send(&mut self, packet: Packet<'_>) {
        let mut bytes = Vec::new();
        encode(&packet, Version::V5, &mut bytes);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Waits for the next packet and hands it to `check`.
    async fn expect(&mut self, check: impl FnOnce(Packet<'_>)) {
        loop {
            if let Some((packet, size)) = decode(&self.incoming, Some(Version::V5), 1 << 20).unwrap() {
                check(packet);
                self.incoming.drain(..size);
                return;
            }
            assert_ne!(self.stream.read_buf(&mut self.incoming).await.unwrap(), 0, "the client closed");
        }
    }

    async fn accept_with(&mut self, reason: ReasonCode, list: &[Property<'_>]) {
        self.expect(|packet| assert!(matches!(packet, Packet::Connect(_)), "{packet:?}")).await;
        let properties = list.iter().copied().collect();
        self.send(Packet::ConnAck(ConnAck { session_present: false, reason, properties })).await;
    }

    async fn accept(&mut self) {
        self.accept_with(ReasonCode::Success, &[]).await;
    }

    async fn expect_exactly(&mut self, expected: Packet<'_>) {
        self.expect(|packet| assert_eq!(packet, expected)).await;
    }

    async fn expect_disconnect(&mut self) {
        self.expect(|packet| assert!(matches!(packet, Packet::Disconnect(_)), "{packet:?}")).await;
    }
}

/// Runs a client and a server against each other, on a runtime of one thread.
fn play<T>(client: impl AsyncFnOnce(Options) -> T, server: impl AsyncFnOnce(Server)) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = async {
            let (stream, _) = listener.accept().await.unwrap();
            server(Server { stream, incoming: Vec::new() }).await;
        };
        let options = Options { timeout: Duration::from_secs(5), ..Options::new("127.0.0.1", port, "me") };
        let both = async { tokio::join!(client(options), served).0 };
        tokio::time::timeout(Duration::from_secs(20), both)
            .await
            .expect("client and server wait for each other")
    })
}

fn ack(id: u16) -> Ack<'static> {
    Ack::new(id, ReasonCode::Success)
}

fn message(qos: QoS, packet_id: Option<u16>) -> Packet<'static> {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: "a",
        packet_id,
        properties: Properties::default(),
        payload: b"hi",
    })
}

#[test]
fn a_refused_connection_is_told_with_the_servers_words() {
    let error = play(
        async |options| Client::connect(&options).await.err().unwrap(),
        async |mut server| {
            server.accept_with(ReasonCode::Banned, &[Property::ReasonString("until noon")]).await;
        },
    );
    assert_eq!(error.to_string(), "the server refused the connection: Banned (0x8A): until noon");
}

#[test]
fn nobody_listening_is_told_as_unreachable() {
    let error = play(
        async |options| {
            // Port 0 is nobody's; the scripted server is called too, so that its script can end.
            let nobody = Options::new("127.0.0.1", 0, "me");
            let error = Client::connect(&nobody).await.err().unwrap();
            drop(TcpStream::connect(("127.0.0.1", options.port)).await.unwrap());
            error
        },
        async |_server| {},
    );
    assert!(matches!(error, ClientError::Unreachable { port: 0, .. }), "{error}");
}

#[test]
fn a_qos2_publish_waits_for_the_whole_exchange_and_tells_the_reason() {
    let outcome = play(
        async |options| {
            let mut client = Client::connect(&options).await.unwrap();
            let sent =
                client.publish("a", b"x", QoS::ExactlyOnce, false, Properties::default()).await.unwrap();
            let refused =
                client.publish("a", b"x", QoS::ExactlyOnce, false, Properties::default()).await.unwrap();
            client.disconnect().await.unwrap();
            (sent.reason, refused.reason)
        },
        async |mut server| {
            server.accept().await;
            server.expect(|packet| assert!(matches!(packet, Packet::Publish(_)))).await;
            server.send(Packet::PubRec(ack(1))).await;
            server.expect_exactly(Packet::PubRel(ack(1))).await;
            server.send(Packet::PubComp(ack(1))).await;
            server.expect(|packet| assert!(matches!(packet, Packet::Publish(_)))).await;
            server.send(Packet::PubRec(Ack::new(2, ReasonCode::NotAuthorized))).await;
            server.expect_disconnect().await; // and no PUBREL
        },
    );
    assert_eq!(outcome, (ReasonCode::Success, ReasonCode::NotAuthorized));
}

#[test]
fn what_was_released_on_a_connection_that_was_lost_has_arrived() {
    let outcome = play(
        async |options| {
            let mut client = Client::connect(&options).await.unwrap();
            client.open = Some(super::Open { id: 7, received: true });
            client.publish("a", b"x", QoS::ExactlyOnce, false, Properties::default()).await.unwrap()
        },
        async |mut server| {
            server.accept().await;
            server.expect_exactly(Packet::PubRel(ack(7))).await;
            server.send(Packet::PubComp(Ack::new(7, ReasonCode::PacketIdentifierNotFound))).await;
        },
    );
    assert_eq!(outcome.reason, ReasonCode::Success);
}

#[test]
fn a_message_that_was_not_handed_out_is_not_acknowledged() {
    play(
        async |options| {
            let mut client = Client::connect(&options).await.unwrap();
            let outcomes = client.subscribe(&["a", "b"], QoS::AtLeastOnce).await.unwrap();
            assert_eq!(outcomes[0].reason, ReasonCode::GrantedQoS1);
            assert_eq!(outcomes[1].reason, ReasonCode::NotAuthorized);
            assert_eq!(client.next_message().await.unwrap().payload, b"hi");
            client.disconnect().await.unwrap();
        },
        async |mut server| {
            server.accept().await;
            server.expect(|packet| assert!(matches!(packet, Packet::Subscribe(_)))).await;
            // Both come before the SUBACK, which they may [MQTT-3.8.4].
            server.send(message(QoS::AtLeastOnce, Some(7))).await;
            server.send(message(QoS::AtLeastOnce, Some(8))).await;
            let reasons = vec![ReasonCode::GrantedQoS1, ReasonCode::NotAuthorized];
            let properties = Properties::default();
            server.send(Packet::SubAck(SubAck { packet_id: 1, reasons, properties })).await;
            server.expect_exactly(Packet::PubAck(ack(7))).await;
            server.expect_disconnect().await;
        },
    );
}

#[test]
fn a_disconnect_waits_for_the_release_of_a_qos2_message() {
    play(
        async |options| {
            let mut client = Client::connect(&options).await.unwrap();
            assert_eq!(client.next_message().await.unwrap().qos, QoS::ExactlyOnce);
            client.disconnect().await.unwrap();
        },
        async |mut server| {
            server.accept().await;
            server.send(message(QoS::ExactlyOnce, Some(9))).await;
            server.expect_exactly(Packet::PubRec(ack(9))).await;
            server.send(Packet::PubRel(ack(9))).await;
            server.expect_exactly(Packet::PubComp(ack(9))).await;
            server.expect_disconnect().await;
        },
    );
}

#[test]
fn an_idle_client_pings_at_the_servers_keep_alive() {
    play(
        async |options| {
            let mut client = Client::connect(&options).await.unwrap();
            assert_eq!(client.next_message().await.unwrap().payload, b"hi");
        },
        async |mut server| {
            // The client asks for 60 s; the server's word counts [MQTT-3.2.2-21].
            server.accept_with(ReasonCode::Success, &[Property::ServerKeepAlive(1)]).await;
            for _ in 0..2 {
                server.expect_exactly(Packet::PingReq).await;
                server.send(Packet::PingResp).await;
            }
            server.send(message(QoS::AtMostOnce, None)).await;
        },
    );
}

#[test]
fn a_server_that_says_why_it_closes_is_quoted() {
    let error = play(
        async |options| Client::connect(&options).await.unwrap().next_message().await.unwrap_err(),
        async |mut server| {
            server.accept().await;
            server.stream.write_all(&[0xE0, 0x01, 0x98]).await.unwrap();
        },
    );
    assert_eq!(error.to_string(), "the server ended the connection: Administrative action (0x98)");
}

#[test]
fn a_message_over_the_servers_maximum_packet_size_is_not_sent() {
    play(
        async |options| {
            let mut client = Client::connect(&options).await.unwrap();
            let publish = client.publish("a", &[0; 64], QoS::AtMostOnce, false, Properties::default()).await;
            assert!(matches!(publish, Err(ClientError::NotTaken(_))), "{publish:?}");
            client.disconnect().await.unwrap();
        },
        async |mut server| {
            server.accept_with(ReasonCode::Success, &[Property::MaximumPacketSize(32)]).await;
            server.expect_disconnect().await;
        },
    );
}

#[test]
fn a_password_is_in_no_debug_text() {
    let text = format!("{:?}", Options::new("h", 1, "me").login("ann", "hunter2"));
    assert!(text.contains("ann") && !text.contains("hunter2"), "{text}");
}
