//! An acknowledgement is a promise: it waits for the journal, in the order of what it answers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

use latchgate::broker::{Change, Commits, Journal, Ticket};
use latchgate::mqtt::{
    Connect, Login, Packet, Properties, Property, Publish, QoS, ReasonCode, Subscribe, SubscribeFilter,
    SubscriptionOptions, Version,
};

use crate::{rules::Rules, wire::Seen, world::World};

/// What the disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Writes,
    Hangs,
    Fails,
}

/// A journal whose commits are done when the test says so.
struct Held {
    disk: Mutex<Disk>,
    commits: Arc<Commits>,
    asked: AtomicU64,
}

impl Held {
    /// Has the disk do this from now on.
    fn set(&self, disk: Disk) {
        *self.disk.lock() = disk;
        let asked = self.asked.load(Ordering::Relaxed);
        match disk {
            Disk::Writes => self.commits.succeeded(asked),
            Disk::Hangs => {}
            Disk::Fails => self.commits.failed(asked, "the disk is full".into()),
        }
    }
}

impl Journal for Held {
    fn record(&self, _change: Change<'_>) {}

    fn commit(&self) -> Ticket {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let disk = *self.disk.lock();
        self.set(disk);
        Ticket::until(&self.commits, asked)
    }
}

fn connect<'a>(client_id: &'a str, expiry: u32) -> Packet<'a> {
    Packet::Connect(Box::new(Connect {
        version: Version::V5,
        bridge: false,
        clean_start: true,
        keep_alive: 0,
        client_id,
        will: None,
        login: Login::default(),
        properties: [Property::SessionExpiryInterval(expiry)].into_iter().collect(),
    }))
}

fn publish(id: u16) -> Packet<'static> {
    let (qos, packet_id, properties) = (QoS::AtLeastOnce, Some(id), Properties::default());
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: "b",
        packet_id,
        properties,
        payload: b"x",
    })
}

/// A world in which a kept session subscribes to `b`; the number of a publisher's connection, and the disk.
async fn world() -> (World, usize, Arc<Held>) {
    let commits = Arc::new(Commits::default());
    let disk = Arc::new(Held { disk: Mutex::new(Disk::Writes), commits, asked: AtomicU64::new(0) });
    let mut world = World::with_journal(Rules::new().accounts(), disk.clone());
    let subscriber = world.connect(1, Version::V5, &connect("sub", 100));
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..Default::default() };
    let filters = vec![SubscribeFilter { filter: "b", options }];
    let subscribe = Subscribe { packet_id: 1, filters, properties: Properties::default() };
    world.send(subscriber, &Packet::Subscribe(subscribe));
    let publisher = world.connect(0, Version::V5, &connect("pub", 0));
    let seen = world.settle().await;
    assert!(seen.contains(&(subscriber, Seen::SubAck(1, vec![ReasonCode::GrantedQoS1]))), "{seen:?}");
    (world, publisher, disk)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without sockets needs nothing").block_on(test);
}

async fn seen_by(world: &mut World, wire: usize) -> Vec<Seen> {
    world.settle().await.into_iter().filter(|(of, _)| *of == wire).map(|(_, seen)| seen).collect()
}

#[test]
fn a_publish_for_a_kept_session_is_acknowledged_when_it_is_stored_and_not_before() {
    run(async {
        let (mut world, publisher, disk) = world().await;
        disk.set(Disk::Hangs);
        for id in [7, 3] {
            world.send(publisher, &publish(id));
        }
        assert_eq!(seen_by(&mut world, publisher).await, []);
        // What needs no disk is answered in between.
        world.send(publisher, &Packet::PingReq);
        assert_eq!(seen_by(&mut world, publisher).await, [Seen::PingResp]);
        disk.set(Disk::Writes);
        let acknowledged = [7, 3].map(|id| Seen::PubAck(id, ReasonCode::Success));
        assert_eq!(seen_by(&mut world, publisher).await, acknowledged);
    });
}

#[test]
fn what_could_not_be_stored_is_never_acknowledged() {
    run(async {
        let (mut world, publisher, disk) = world().await;
        disk.set(Disk::Fails);
        world.send(publisher, &publish(7));
        let seen = seen_by(&mut world, publisher).await;
        assert_eq!(seen, [Seen::PubAck(7, ReasonCode::QuotaExceeded)]);
    });
}
