//! One client that sends anything, beside one that behaves, on a broker under simulated time.
//!
//! Input: one byte that says how the client connects and leaves, then what it sends.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use latchgate::broker::{self, Broker, Door, Limits, RefusedPublish, Volatile};
use latchgate::mqtt::codec::{decode, encode};
use latchgate::mqtt::{
    Connect, Login, Packet, Properties, Property, QoS, Subscribe, SubscribeFilter, SubscriptionOptions,
    Version, Will,
};
use latchgate::policy::accounts::{AccountError, AccountStore, Accounts, RuleRecord, Subject};
use latchgate::policy::acl::Access;
use latchgate::policy::{self, Policy};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::oneshot::{self, Sender};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const WATCHER: &str = "watcher";
const PINGREQ: [u8; 2] = [0xC0, 0x00];
const PINGRESP: [u8; 2] = [0xD0, 0x00];
const NO_ERRORS: &str = "a duplex has no errors";
/// How long the neighbour is quiet at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any keep alive of the CONNECTs below, and than any grace of the broker.
const LONG: Duration = Duration::from_secs(600);

pub fn check(input: &[u8]) {
    let Some((&how, sent)) = input.split_first() else { return };
    let meddles = sent.windows(WATCHER.len()).any(|window| window == WATCHER.as_bytes());
    if sent.len() > 1 << 16 || meddles || greeting(how).is_none() && brings_a_login(sent) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime
        .expect("a runtime without sockets needs nothing that could be missing")
        .block_on(scene(how, sent));
}

/// Logins are hashed on another thread at full cost: that is not what is looked for here.
fn brings_a_login(sent: &[u8]) -> bool {
    matches!(decode(sent, None, 1 << 16), Ok(Some((Packet::Connect(connect), _))) if connect.login.username.is_some())
}

async fn scene(how: u8, sent: &[u8]) {
    let broker = gateway();
    let house = tokio::spawn(broker.clone().keep_house());

    let (mut watcher, watched, _place) = enter(&broker);
    let greeting_of_watcher =
        [written(&watching(), Version::V5), written(&everything(), Version::V5)].concat();
    watcher.write_all(&greeting_of_watcher).await.expect("the watcher is served");
    let mut seen = Vec::new();
    while !seen.windows(2).any(|pair| pair == [0x90, 0x06]) {
        read_some(&mut watcher, &mut seen).await;
    }

    let hello = greeting(how);
    let version = hello.as_ref().map(|hello| hello.version);
    let (client, served, _other_place) = enter(&broker);
    let bytes = [hello.map_or(Vec::new(), connect_bytes), sent.to_vec()].concat();
    let heard = converse(client, &bytes, how & 0x80 != 0, &mut watcher, &mut seen).await;
    timeout(LONG, served).await.expect("the connection never ends").expect("the connection panicked");
    // Without a greeting the client named its version itself.
    if let Some(version) = version.or_else(|| first_version(&bytes)) {
        let packets = whole_packets(&heard, version);
        assert!(version_told(&packets), "the first answer is {:?}", packets.first());
    }

    // Its neighbour is served as before, whatever was sent to it in between.
    watcher.write_all(&PINGREQ).await.expect("the neighbour lost its connection");
    loop {
        read_some(&mut watcher, &mut seen).await;
        if seen.ends_with(&PINGRESP) && whole_packets(&seen, Version::V5).last() == Some(&Packet::PingResp) {
            break;
        }
    }
    assert_eq!(broker.counters().connected.load(Ordering::Acquire), 1, "somebody is counted who is gone");
    drop(watcher);
    timeout(LONG, watched).await.expect("the neighbour never ends").expect("the neighbour panicked");
    assert!(!house.is_finished(), "the house is no longer kept");
}

/// Sends all, hears all, and leaves: by closing its side, or by saying nothing more.
async fn converse(
    client: DuplexStream,
    bytes: &[u8],
    silent: bool,
    watcher: &mut DuplexStream,
    seen: &mut Vec<u8>,
) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(client);
    let mut heard = Vec::new();
    let send = async {
        // The broker may have hung up before it has read everything.
        let _ = writer.write_all(bytes).await;
        if !silent {
            let _ = writer.shutdown().await;
        }
    };
    let talk = async { tokio::join!(send, reader.read_to_end(&mut heard)) };
    let watch = async {
        loop {
            match timeout(PATIENCE, watcher.read_buf(seen)).await {
                Ok(read) => assert!(read.expect(NO_ERRORS) > 0, "the neighbour was hung up on"),
                Err(_) => watcher.write_all(&PINGREQ).await.expect("the neighbour lost its connection"),
            }
        }
    };
    tokio::select! {
        ended = timeout(LONG, talk) => drop(ended.expect("the client is never hung up on")),
        () = watch => {}
    }
    heard
}

async fn read_some(from: &mut DuplexStream, into: &mut Vec<u8>) {
    let read = timeout(LONG, from.read_buf(into)).await.expect("the neighbour is not answered");
    assert!(read.expect(NO_ERRORS) > 0, "the neighbour was hung up on");
}

/// Everything the broker wrote is whole packets that a client can read.
fn whole_packets(bytes: &[u8], version: Version) -> Vec<Packet<'_>> {
    let (mut rest, mut packets) = (bytes, Vec::new());
    while !rest.is_empty() {
        let (packet, taken) = decode(rest, Some(version), usize::MAX)
            .unwrap_or_else(|error| panic!("{error} in {rest:02X?}"))
            .unwrap_or_else(|| panic!("half a packet: {rest:02X?}"));
        rest = &rest[taken..];
        packets.push(packet);
    }
    packets
}

/// The first answer is a CONNACK, if there is one [MQTT-3.2.0-1].
fn version_told(packets: &[Packet<'_>]) -> bool {
    let others = packets.iter().skip(1).any(|packet| matches!(packet, Packet::ConnAck(_)));
    packets.first().is_none_or(|first| matches!(first, Packet::ConnAck(_))) && !others
}

fn first_version(bytes: &[u8]) -> Option<Version> {
    match decode(bytes, None, 1 << 20) {
        Ok(Some((Packet::Connect(connect), _))) => Some(connect.version),
        _ => None,
    }
}

/// A broker on which everybody may do everything but what is below `secret`.
fn gateway() -> Arc<Broker> {
    let policy = Policy::open(Arc::new(Rules), policy::Settings::default()).expect("the rules are right");
    let settings = broker::Settings {
        id: "here".into(),
        refused_publish_v3: RefusedPublish::Acknowledge,
        queue: broker::Bounds { messages: 100, bytes: 1 << 20 },
        sessions: 100,
        retained_messages: 100,
        retained_bytes: 1 << 20,
        memory: usize::MAX,
    };
    Broker::new(policy, Arc::new(Volatile), settings)
}

struct Rules;

impl AccountStore for Rules {
    fn load(&self) -> Result<Accounts, AccountError> {
        let rule = |filter: &str, deny| RuleRecord {
            subject: Subject::Everyone,
            access: Access::ALL,
            filter: filter.to_owned(),
            deny,
        };
        Ok(Accounts { accounts: Vec::new(), rules: vec![rule("#", false), rule("secret/#", true)] })
    }

    fn revision(&self) -> Result<u64, AccountError> {
        Ok(1)
    }

    fn upgrade_hash(&self, _: &str, _: &str, _: &str) -> Result<bool, AccountError> {
        Ok(false)
    }
}

/// A new connection: the client's end, the broker's task, and its place among those that have not said who they are.
fn enter(broker: &Arc<Broker>) -> (DuplexStream, JoinHandle<()>, Sender<()>) {
    let (near, far) = duplex(4096);
    let (place, evicted) = oneshot::channel();
    let door = Door {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1883)),
        listener: "fuzz".into(),
        anonymous: Some("nobody".into()),
        limits: Arc::new(Limits {
            connections: 10,
            packet_size: 1 << 16,
            inflight: 10,
            queued_messages: 50,
            queued_bytes: 1 << 16,
            keep_alive: 120,
            topic_levels: 16,
            topic_length: 1024,
            subscriptions: 10,
            session_expiry: 3600,
            connect_timeout: Duration::from_secs(10),
        }),
        certificate: None,
        closed: Arc::default(),
        evicted,
    };
    (near, tokio::spawn(broker::serve(broker.clone(), far, door)), place)
}

fn written(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, version, &mut bytes);
    bytes
}

fn connect_bytes(connect: Connect<'_>) -> Vec<u8> {
    let version = connect.version;
    written(&Packet::Connect(Box::new(connect)), version)
}

/// How the client says hello; `None`: what it sends must speak for itself.
fn greeting(how: u8) -> Option<Connect<'static>> {
    let version = match how & 3 {
        0 => return None,
        1 => Version::V31,
        2 => Version::V311,
        _ => Version::V5,
    };
    let some = |bit: u8| how & bit != 0;
    let mut properties = Properties::default();
    if version == Version::V5 && some(8) {
        use Property::*;
        properties.0 =
            vec![SessionExpiryInterval(60), ReceiveMaximum(1), MaximumPacketSize(64), TopicAliasMaximum(2)];
    }
    let will = Will {
        topic: "will",
        payload: b"w",
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: Properties::default(),
    };
    Some(Connect {
        version,
        bridge: false,
        clean_start: !some(4),
        keep_alive: 30,
        client_id: "client",
        will: some(16).then_some(will),
        login: Login::default(),
        properties,
    })
}

fn watching() -> Packet<'static> {
    Packet::Connect(Box::new(Connect {
        version: Version::V5,
        bridge: false,
        clean_start: true,
        keep_alive: 0,
        client_id: WATCHER,
        will: None,
        login: Login::default(),
        properties: Properties::default(),
    }))
}

fn everything() -> Packet<'static> {
    let options =
        SubscriptionOptions { qos: QoS::AtMostOnce, retain_as_published: true, ..Default::default() };
    let filters = ["#", "$share/g/+/#", "a/+"].map(|filter| SubscribeFilter { filter, options });
    let properties = Properties(vec![Property::SubscriptionIdentifier(7)]);
    Packet::Subscribe(Subscribe { packet_id: 1, filters: filters.to_vec(), properties })
}
