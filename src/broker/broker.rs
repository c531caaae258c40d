//! The broker's parts, and its start and end.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, mpsc};

use crate::policy::{Command, Policy};

use super::{
    budget::Budget,
    clock,
    counters::Counters,
    index::Index,
    janitor::Deadlines,
    journal::Journal,
    registry::{Bounds, Registry},
    retained::Retained,
    router::Router,
    will::LateWill,
};

/// How a refused QoS 1 or 2 publish of a 3.x client, which cannot be told, is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefusedPublish {
    /// As if it had been accepted; it is not routed.
    #[default]
    Acknowledge,
    /// The connection is closed.
    Disconnect,
}

/// What the configuration says of the broker as a whole.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The gateway's id: what bridges marked with it and brings it back was here before.
    pub id: Arc<str>,
    /// How a refused publish of a 3.x client is answered.
    pub refused_publish_v3: RefusedPublish,
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Messages and bytes that wait for one session, where no listener says otherwise.
    pub queue: Bounds,
    /// Retained messages.
    pub retained_messages: usize,
    /// Bytes of retained messages.
    pub retained_bytes: usize,
    /// Bytes of all messages held, and of unfinished packets: half for each.
    pub memory: usize,
}

/// A running broker.
pub struct Broker {
    pub(super) policy: Arc<Policy>,
    pub(super) settings: Settings,
    pub(super) router: Router,
    pub(super) registry: Registry,
    pub(super) deadlines: Deadlines,
    /// Wills that a backend must be asked about.
    pub(super) late_wills: Mutex<Vec<LateWill>>,
    pub(super) counters: Arc<Counters>,
    /// For messages.
    pub(super) budget: Arc<Budget>,
    /// For packets that are not complete: they cannot take the room of messages.
    pub(super) unfinished: Arc<Budget>,
    pub(super) started: Instant,
    /// Where commands to the gateway go.
    pub(super) commands: OnceLock<mpsc::Sender<Command>>,
    stopping: AtomicBool,
    stop: Notify,
}

impl Broker {
    /// A broker without listeners. [`super::serve`] gives it connections.
    pub fn new(policy: Arc<Policy>, journal: Arc<dyn Journal>, settings: Settings) -> Arc<Self> {
        let counters = Arc::new(Counters::default());
        let router = Router {
            index: Index::default(),
            retained: Retained::new(settings.retained_messages, settings.retained_bytes),
            meeting: RwLock::new(()),
            journal,
            counters: counters.clone(),
        };
        Arc::new(Broker {
            policy,
            registry: Registry::new(settings.sessions),
            budget: Budget::new(settings.memory / 2),
            unfinished: Budget::new(settings.memory / 2),
            settings,
            router,
            deadlines: Deadlines::default(),
            late_wills: Mutex::default(),
            counters,
            started: clock::now(),
            commands: OnceLock::new(),
            stopping: AtomicBool::new(false),
            stop: Notify::new(),
        })
    }

    /// What can be counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Has every connection look around: a listener was closed.
    pub fn ring(&self) {
        self.registry.all().iter().for_each(|seat| seat.outbox.bell.wake());
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn left(&self) {
        if self.counters.connected.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.stop.notify_waiters();
        }
    }

    /// Tells every client that the gateway stops (version 5: 0x8B), and waits until all are gone, at most
    /// `patience`. Returns how many were still there.
    pub async fn shutdown(&self, patience: Duration) -> u64 {
        self.stopping.store(true, Ordering::Release);
        let all_gone = async {
            loop {
                let changed = self.stop.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                for seat in self.registry.all() {
                    seat.outbox.bell.wake();
                }
                if self.counters.connected.load(Ordering::Acquire) == 0 {
                    return;
                }
                // Somebody may be between being admitted and listening to the bell: ring again soon.
                let _ = tokio::time::timeout(Duration::from_millis(100), changed).await;
            }
        };
        let _ = tokio::time::timeout(patience, all_gone).await;
        self.counters.connected.load(Ordering::Acquire)
    }
}
