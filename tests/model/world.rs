//! The real thing: a broker, its policy over accounts in memory, and its clock, which stands still unless told.

use std::{sync::Arc, time::Duration};

use latchgate::broker::{Bounds, Broker, Door, Journal, Limits, RefusedPublish, Settings, Volatile, serve};
use latchgate::mqtt::{Packet, Version};
use latchgate::policy::{
    Policy,
    accounts::{AccountError, AccountStore, Accounts},
};
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};

use crate::{
    rules::USERS,
    wire::{Seen, Wire},
};

/// The broker's window, each way.
pub const INFLIGHT: u16 = 4;

/// How often everybody must have had a turn without anything to see before all is taken to be quiet. The longest
/// silent chain (a takeover: bell, goodbye, lock, answer) takes a handful.
const QUIET: usize = 12;

/// Accounts that the test changes.
#[derive(Default)]
struct Store(Mutex<Accounts>);

impl AccountStore for Store {
    fn load(&self) -> Result<Accounts, AccountError> {
        Ok(self.0.lock().clone())
    }

    fn revision(&self) -> Result<u64, AccountError> {
        Ok(0)
    }

    fn upgrade_hash(&self, _user: &str, _old: &str, _new: &str) -> Result<bool, AccountError> {
        Ok(false)
    }
}

/// A broker with all the connections that were ever made to it.
pub struct World {
    broker: Arc<Broker>,
    policy: Arc<Policy>,
    store: Arc<Store>,
    limits: Arc<Limits>,
    began: Instant,
    wires: Vec<Option<Wire>>,
}

impl World {
    /// Must be made on a current-thread runtime whose clock is paused.
    pub fn new(accounts: Accounts) -> Self {
        Self::with_journal(accounts, Arc::new(Volatile))
    }

    /// The same with a journal of the test's.
    pub fn with_journal(accounts: Accounts, journal: Arc<dyn Journal>) -> Self {
        let store = Arc::new(Store(Mutex::new(accounts)));
        let policy = Policy::open(store.clone(), Default::default()).expect("the rules are usable");
        let settings = Settings {
            id: "here".into(),
            refused_publish_v3: RefusedPublish::Acknowledge,
            sessions: 100,
            queue: Bounds { messages: 10_000, bytes: 1 << 24 },
            retained_messages: 100,
            retained_bytes: 1 << 20,
            memory: usize::MAX,
        };
        let limits = Limits {
            connections: 100,
            packet_size: 1 << 16,
            inflight: INFLIGHT,
            // So large that nothing is ever dropped and no publisher waits: overload has its own tests.
            queued_messages: 10_000,
            queued_bytes: 1 << 24,
            keep_alive: 0,
            topic_levels: 8,
            topic_length: 100,
            subscriptions: 100,
            session_expiry: u32::MAX,
            connect_timeout: Duration::from_secs(10),
        };
        let broker = Broker::new(policy.clone(), journal, settings);
        tokio::spawn(broker.clone().keep_house());
        let (limits, began) = (Arc::new(limits), Instant::now());
        World { broker, policy, store, limits, began, wires: Vec::new() }
    }

    /// Milliseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Lets time pass. Whatever falls due does so at the end of it.
    pub async fn advance_to(&self, then: u64) {
        tokio::time::advance(Duration::from_millis(then - self.now())).await;
    }

    /// Opens a connection as `user`, who needs no password, and sends `connect`; returns its number.
    pub fn connect(&mut self, user: usize, version: Version, connect: &Packet<'_>) -> usize {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (keep, evicted) = oneshot::channel();
        let door = Door {
            address: ([127, 0, 0, 1], 1).into(),
            listener: "model".into(),
            anonymous: Some(USERS[user].into()),
            limits: self.limits.clone(),
            certificate: None,
            closed: Arc::default(),
            evicted,
        };
        tokio::spawn(serve(self.broker.clone(), far, door));
        self.wires.push(Some(Wire::new(near, version, keep)));
        self.send(self.wires.len() - 1, connect);
        self.wires.len() - 1
    }

    pub fn send(&mut self, wire: usize, packet: &Packet<'_>) {
        if let Some(wire) = &mut self.wires[wire] {
            wire.send(packet);
        }
    }

    /// Drops a connection without a word.
    pub fn hang_up(&mut self, wire: usize) {
        self.wires[wire] = None;
    }

    /// Changes accounts and rules under everybody who is connected.
    pub fn change(&self, accounts: Accounts) {
        *self.store.0.lock() = accounts;
        self.policy.reload().expect("the rules are usable");
    }

    /// Gives everybody turns until nothing moves any more, and returns what was seen, by connection.
    pub async fn settle(&mut self) -> Vec<(usize, Seen)> {
        let mut seen = Vec::new();
        let mut quiet = 0;
        while quiet < QUIET {
            tokio::task::yield_now().await;
            let before = seen.len();
            for (number, slot) in self.wires.iter_mut().enumerate() {
                let Some(wire) = slot else { continue };
                seen.extend(wire.receive().into_iter().map(|packet| (number, packet)));
                if wire.is_closed() {
                    *slot = None;
                }
            }
            quiet = if seen.len() > before { 0 } else { quiet + 1 };
        }
        seen
    }
}
