//! The second factor's parts put together: what is polled, what the lock is told, what clients command.

mod hold;
mod obey;
mod open;

use std::sync::Arc;

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    admin,
    broker::{Broker, Speaker},
    config::Config,
    latch::{Client, Performer, Rules, View, Watcher},
    policy::lock::Lock,
    store::PairingsDb,
};

use super::GatewayError;

pub(super) use hold::release;
pub use open::{open_latch, service};

/// Commands of clients that wait to be looked at.
const COMMANDS: usize = 64;

/// The second factor of a running gateway.
pub(super) struct Latch {
    store: Arc<PairingsDb>,
    view: watch::Receiver<Arc<View>>,
    /// To the watcher and to whoever obeys commands.
    settings: watch::Sender<(Client, Rules)>,
    /// Until it runs.
    watcher: Option<Watcher>,
}

impl Latch {
    /// Reads secret and pairings; nothing is asked yet. `None` if Latch is not used. Blocks.
    ///
    /// # Errors
    /// Whatever cannot be read: without it nobody could say who is shut out.
    pub fn open(config: &Config) -> Result<Option<Self>, GatewayError> {
        let Some((client, rules)) = open_latch(config)? else { return Ok(None) };
        let store = Arc::new(PairingsDb::open(&config.gateway.state)?);
        let mut watcher = Watcher::new(client.clone(), store.clone(), rules.clone())?;
        let settings = watch::Sender::new((client, rules));
        watcher.obey(settings.subscribe());
        let view = watcher.view();
        Ok(Some(Latch { store, view, settings, watcher: Some(watcher) }))
    }

    /// Has the lock hold what is closed before anybody was asked. Afterwards nobody who connects can be ahead of it.
    pub async fn hold_first(&self, lock: &Arc<Lock>) {
        let view = self.view.borrow().clone();
        hold::hold(lock, &view, &mut None).await;
    }

    /// Begins to poll, to tell the lock, and to obey what clients command.
    pub fn start(
        &mut self,
        broker: &Arc<Broker>,
        lock: &Arc<Lock>,
        speaker: Speaker,
        tasks: &mut JoinSet<()>,
    ) {
        if let Some(watcher) = self.watcher.take() {
            tasks.spawn(watcher.run());
        }
        tasks.spawn(hold::follow(lock.clone(), self.view.clone()));
        let (sink, commands) = mpsc::channel(COMMANDS);
        broker.hand_commands_to(sink);
        let (settings, store) = (self.settings.subscribe(), self.store.clone());
        let performer = move || Performer::new(settings.borrow().0.clone(), store.clone());
        tasks.spawn(obey::obey(commands, performer, speaker));
    }

    /// Goes on with another client and other rules; everyone is asked about at once.
    pub fn change(&self, client: Client, rules: Rules) {
        self.settings.send_replace((client, rules));
    }

    /// How everything stands, now and later.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// What says how everything stands, for operators.
    pub fn reporter(&self) -> admin::Reporter {
        let view = self.view.clone();
        Arc::new(move || view.borrow().report(|_| true))
    }
}
