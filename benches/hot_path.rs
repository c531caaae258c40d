//! The way of a message through the broker without sockets, for counting instructions: `benches/instructions` runs it
//! under valgrind.
//!
//! `hot_path LOAD COUNT` sends `COUNT` messages (or connects as many clients); `hot_path` alone lists the loads.
//! Everything is on one thread, in the same order each time. What the clients do is counted too, but is little: they
//! copy bytes.

use std::sync::Arc;
use std::time::Duration;

use latchgate::broker::{Bounds, Broker, Door, Limits, RefusedPublish, Settings, Volatile, serve};
use latchgate::mqtt::{
    Connect, Login, Packet, Publish, QoS, Subscribe, SubscribeFilter, SubscriptionOptions, Version, codec,
};
use latchgate::policy::Policy;
use latchgate::policy::accounts::{AccountError, AccountStore, Accounts, RuleRecord, Subject};
use latchgate::policy::acl::Access;
use latchgate::policy::auth::{
    backend::{Asking, Question, Remote, Reply, Who},
    backends::{Backend, Backends, Kind},
    desk::{Desk, DeskSettings},
    filters::Filters,
};
use latchgate::policy::lock::{Cause, Held, Holder, Scope};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::oneshot;

/// Messages that are sent together, within the window of unacknowledged ones.
const BATCH: usize = 50;
/// Bytes of a payload.
const PAYLOAD: [u8; 64] = [b'.'; 64];

/// What is counted.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    version: Version,
    qos: QoS,
    subscribers: usize,
    topics: usize,
    /// Topics of others that the lock closes for everyone.
    closed: usize,
    /// Whether the rights come from a backend elsewhere, whose answers are remembered.
    asked: bool,
}

const LOADS: [Load; 9] = {
    let plain = Load {
        name: "qos0",
        version: Version::V311,
        qos: QoS::AtMostOnce,
        subscribers: 1,
        topics: 1,
        closed: 0,
        asked: false,
    };
    [
        plain,
        Load { name: "qos0-to-10", subscribers: 10, ..plain },
        // More than a gate remembers, so that every message is judged and routed anew.
        Load { name: "qos0-2000-topics", topics: 2000, ..plain },
        Load { name: "qos0-locked-topics", closed: 1000, ..plain },
        Load { name: "qos0-2000-locked-topics", topics: 2000, closed: 1000, ..plain },
        Load { name: "qos0-asked", asked: true, ..plain },
        Load { name: "qos1", qos: QoS::AtLeastOnce, ..plain },
        Load { name: "qos1-v5", qos: QoS::AtLeastOnce, version: Version::V5, ..plain },
        Load { name: "qos2", qos: QoS::ExactlyOnce, ..plain },
    ]
};
const CONNECTS: &str = "connects";

/// Fifty rules, of which one permits the load, as in `benches/compare`.
struct Rules;

impl AccountStore for Rules {
    fn load(&self) -> Result<Accounts, AccountError> {
        let others = |range: std::ops::Range<usize>| range.map(|n| format!("plant/{n}/+/state"));
        let filters = others(0..25).chain(["bench/#".to_owned()]).chain(others(25..49));
        let rule = |filter| RuleRecord {
            subject: Subject::User("bench".to_owned()),
            access: Access::ALL,
            filter,
            deny: false,
        };
        Ok(Accounts { accounts: Vec::new(), rules: filters.map(rule).collect() })
    }

    fn revision(&self) -> Result<u64, AccountError> {
        Ok(0)
    }

    fn upgrade_hash(&self, _user: &str, _old: &str, _new: &str) -> Result<bool, AccountError> {
        Ok(false)
    }
}

/// A backend elsewhere that lets everybody do everything below `bench/`.
struct Elsewhere;

impl Remote for Elsewhere {
    fn answers(&self, question: &Question) -> bool {
        matches!(question, Question::Filters(_))
    }

    fn ask<'a>(&'a self, _: &'a Who, _: &'a Question) -> Asking<'a> {
        let mut filters = Filters::new(false);
        filters.add("bench/#");
        Box::pin(async move { Ok(Reply::filters(filters)) })
    }
}

/// Backends of which it is the only one.
fn elsewhere() -> Backends {
    let settings = DeskSettings { allow: Duration::from_secs(3600), ..DeskSettings::default() };
    let desk = Desk::new("elsewhere", Box::new(Elsewhere), settings).expect("random bytes");
    let kind = Kind::Asked(Arc::new(desk));
    Backends {
        list: vec![Backend { name: "elsewhere".into(), kind, ..Backend::sqlite() }],
        ..Backends::default()
    }
}

/// A broker to which clients can be connected.
struct World {
    policy: Arc<Policy>,
    broker: Arc<Broker>,
    limits: Arc<Limits>,
}

/// A client's end of its connection.
struct Client {
    stream: DuplexStream,
    version: Version,
    _keep: oneshot::Sender<()>,
}

impl World {
    fn new(asked: bool) -> Self {
        let backends = if asked { elsewhere() } else { Backends::default() };
        let settings = latchgate::policy::Settings { backends, ..Default::default() };
        let policy = Policy::open(Arc::new(Rules), settings).expect("the rules are usable");
        let settings = Settings {
            id: "here".into(),
            refused_publish_v3: RefusedPublish::Acknowledge,
            queue: Bounds { messages: 10_000, bytes: 1 << 24 },
            sessions: 10_000,
            retained_messages: 1000,
            retained_bytes: 1 << 20,
            memory: usize::MAX,
        };
        let limits = Limits {
            connections: 1000,
            packet_size: 1 << 20,
            inflight: 100,
            queued_messages: 10_000,
            queued_bytes: 8 << 20,
            keep_alive: 0,
            topic_levels: 128,
            topic_length: 8192,
            subscriptions: 100,
            session_expiry: u32::MAX,
            connect_timeout: Duration::from_secs(600),
        };
        let broker = Broker::new(policy.clone(), Arc::new(Volatile), settings);
        World { policy, broker, limits: Arc::new(limits) }
    }

    /// Closes topics beside those of the load.
    async fn close(&self, topics: usize) {
        let held = |n| Held {
            scope: Scope::parse(&format!("topic:doors/{n}/#"), None).expect("a scope"),
            cause: Cause::Locked,
        };
        let lock = self.policy.lock();
        lock.hold(Holder::Command, (0..topics).map(held).collect(), "bench").await.expect("it is closed");
    }

    async fn connect(&self, client_id: &str, version: Version) -> Client {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (keep, evicted) = oneshot::channel();
        let door = Door {
            address: ([127, 0, 0, 1], 1).into(),
            listener: "bench".into(),
            certificate: None,
            closed: Arc::default(),
            anonymous: Some("bench".into()),
            limits: self.limits.clone(),
            evicted,
        };
        tokio::spawn(serve(self.broker.clone(), far, door));
        let mut client = Client { stream: near, version, _keep: keep };
        let connect = Connect {
            version,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id,
            will: None,
            login: Login::default(),
            properties: Default::default(),
        };
        client.send(&[Packet::Connect(Box::new(connect))]).await;
        let answer = client.packet().await;
        assert_eq!(answer[..1], [0x20], "CONNACK");
        assert_eq!(answer[answer.len().min(3)], 0, "accepted");
        client
    }
}

impl Client {
    async fn send(&mut self, packets: &[Packet<'_>]) {
        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| codec::encode(packet, self.version, &mut bytes));
        self.stream.write_all(&bytes).await.expect("the broker reads");
    }

    /// The next packet, which is a short one.
    async fn packet(&mut self) -> Vec<u8> {
        let mut bytes = self.bytes(2).await;
        assert!(bytes[1] < 0x80, "a short packet");
        let rest = self.bytes(bytes[1].into()).await;
        bytes.extend(rest);
        bytes
    }

    async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).await.expect("the broker answers");
        bytes
    }

    async fn subscribe(&mut self, filter: &str, qos: QoS) {
        let options = SubscriptionOptions { qos, ..Default::default() };
        let filters = vec![SubscribeFilter { filter, options }];
        let subscribe = Subscribe { packet_id: 1, filters, properties: Default::default() };
        self.send(&[Packet::Subscribe(subscribe)]).await;
        let answer = self.packet().await;
        assert_eq!(answer.last(), Some(&(qos as u8)), "granted");
    }

    /// Answers each of so many packets, which have `kind` and all the same length, by one of `answer`.
    async fn answer(&mut self, kind: u8, size: usize, id_at: usize, answer: u8) {
        let packets = self.bytes(size * BATCH).await;
        let mut out = Vec::with_capacity(4 * BATCH);
        for packet in packets.chunks(size) {
            assert_eq!(packet[0] >> 4, kind, "an unexpected packet");
            out.extend([answer, 2, packet[id_at], packet[id_at + 1]]);
        }
        self.stream.write_all(&out).await.expect("the broker reads");
    }

    /// Reads acknowledgements of a batch.
    async fn acknowledged(&mut self, kind: u8) {
        let packets = self.bytes(4 * BATCH).await;
        assert!(packets.chunks(4).all(|packet| packet[0] >> 4 == kind), "an unexpected packet");
    }
}

impl Load {
    async fn run(self, count: usize) {
        let world = World::new(self.asked);
        world.close(self.closed).await;
        let mut subscribers = Vec::new();
        for number in 0..self.subscribers {
            let mut subscriber = world.connect(&format!("sub-{number}"), self.version).await;
            subscriber.subscribe("bench/+", self.qos).await;
            subscribers.push(subscriber);
        }
        let mut publisher = world.connect("pub", self.version).await;
        let batches: Vec<Vec<u8>> = (0..self.topics.div_ceil(BATCH)).map(|n| self.batch(n)).collect();
        let size = batches[0].len() / BATCH;
        let id_at = size - PAYLOAD.len() - 2 - usize::from(self.version == Version::V5);
        for number in 0..count / BATCH {
            let batch = &batches[number % batches.len()];
            publisher.stream.write_all(batch).await.expect("the broker reads");
            for subscriber in &mut subscribers {
                match self.qos {
                    QoS::AtMostOnce => drop(subscriber.bytes(batch.len()).await),
                    QoS::AtLeastOnce => subscriber.answer(3, size, id_at, 0x40).await,
                    QoS::ExactlyOnce => {
                        subscriber.answer(3, size, id_at, 0x50).await;
                        subscriber.answer(6, 4, 2, 0x70).await;
                    }
                }
            }
            match self.qos {
                QoS::AtMostOnce => {}
                QoS::AtLeastOnce => publisher.acknowledged(4).await,
                QoS::ExactlyOnce => {
                    publisher.answer(5, 4, 2, 0x62).await;
                    publisher.acknowledged(7).await;
                }
            }
        }
    }

    /// The bytes of a batch of messages, all of the same length.
    fn batch(self, number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for at in 0..BATCH {
            let topic = format!("bench/{:06}", (number * BATCH + at) % self.topics);
            let publish = Publish {
                dup: false,
                qos: self.qos,
                retain: false,
                topic: &topic,
                packet_id: (self.qos != QoS::AtMostOnce).then_some(at as u16 + 1),
                properties: Default::default(),
                payload: &PAYLOAD,
            };
            codec::encode(&Packet::Publish(publish), self.version, &mut bytes);
        }
        bytes
    }
}

/// Clients that come, subscribe and go.
async fn connects(count: usize) {
    let world = World::new(false);
    for number in 0..count {
        let mut client = world.connect(&format!("client-{number:06}"), Version::V311).await;
        client.subscribe("bench/+", QoS::AtLeastOnce).await;
        client.stream.write_all(&[0xE0, 0]).await.expect("the broker reads");
        let mut rest = Vec::new();
        client.stream.read_to_end(&mut rest).await.expect("the broker closes");
        assert!(rest.is_empty(), "nothing but the end");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names = LOADS.iter().map(|load| load.name).chain([CONNECTS]);
    let [name, count] = &arguments[..] else {
        names.for_each(|name| println!("{name}"));
        return;
    };
    let count = count.parse().expect("a number of messages");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    match LOADS.iter().find(|load| load.name == name) {
        Some(load) => runtime.block_on(load.run(count)),
        None if name == CONNECTS => runtime.block_on(connects(count)),
        None => panic!("there is no load {name:?}: {:?}", names.collect::<Vec<_>>()),
    }
}
