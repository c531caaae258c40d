//! Polls the service about every paired user, and says how everything stands.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::{sync::watch, task::JoinSet};

use super::{
    Client, Error, Fault, PairingError, PairingStore, Rules, State, Switch,
    board::{Board, Question},
};
use crate::clock;

pub use super::board::{Condition, UserView, View};

/// How often the store is asked whether a pairing was changed, and whether somebody is due.
const TICK: Duration = Duration::from_millis(250);

/// What polls. Nothing of it runs on the way of a message.
pub struct Watcher {
    client: Client,
    store: Arc<dyn PairingStore>,
    board: Board,
    rules: Rules,
    changes: Option<watch::Receiver<(Client, Rules)>>,
    revision: u64,
    /// Whether the clock was not set when that was last looked at.
    undated: bool,
    rounds: JoinSet<(Question, Result<State, Error>)>,
    view: watch::Sender<Arc<View>>,
}

impl Watcher {
    /// Reads the pairings. [`Watcher::view`] then tells how everything stands before the service was asked. Blocks.
    ///
    /// # Errors
    /// If the pairings cannot be read: without them nobody could say who is to be asked about.
    pub fn new(client: Client, store: Arc<dyn PairingStore>, rules: Rules) -> Result<Self, PairingError> {
        // Asked first: a change in between is then seen.
        let revision = store.revision()?;
        let board =
            Board::new(rules.clone(), store.load()?, Instant::now(), clock::check().ok().map(|()| wall()));
        let view = watch::Sender::new(Arc::new(board.view(Instant::now())));
        Ok(Watcher {
            client,
            store,
            board,
            rules,
            changes: None,
            revision,
            undated: false,
            rounds: JoinSet::new(),
            view,
        })
    }

    /// How everything stands, now and after each change.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// Takes another client and other rules whenever `changes` has new ones.
    pub fn obey(&mut self, changes: watch::Receiver<(Client, Rules)>) {
        self.changes = Some(changes);
    }

    /// Asks about everyone once; how everything stands then.
    pub async fn look(mut self) -> View {
        loop {
            self.begin();
            match self.rounds.join_next().await {
                Some(Ok((question, outcome))) => self.settle(&question, outcome).await,
                Some(Err(error)) => tracing::error!(%error, "a question to the Latch service broke off"),
                None => return self.board.view(Instant::now()),
            }
        }
    }

    /// Polls for ever.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.follow().await,
                Some(round) = self.rounds.join_next() => match round {
                    Ok((question, outcome)) => self.settle(&question, outcome).await,
                    Err(error) => tracing::error!(%error, "a question to the Latch service broke off"),
                },
            }
            self.begin();
            let view = self.board.view(Instant::now());
            self.view.send_if_modified(|old| {
                let changed = **old != view;
                if changed {
                    *old = Arc::new(view);
                }
                changed
            });
        }
    }

    /// Takes in what was changed: pairings, the configuration, and the clock, without which nobody can be asked.
    async fn follow(&mut self) {
        let undated = clock::check().is_err();
        if self.undated && !undated {
            self.board.hurry(Instant::now());
        }
        self.undated = undated;
        if let Some(changes) = &mut self.changes
            && changes.has_changed().unwrap_or(false)
        {
            let (client, rules) = changes.borrow_and_update().clone();
            self.client = client;
            self.rules = rules.clone();
            self.board.change(rules, Instant::now());
        }
        let (store, seen) = (self.store.clone(), self.revision);
        let read = move || {
            let revision = store.revision()?;
            let pairings = if revision == seen { None } else { Some(store.load()?) };
            Ok::<_, PairingError>((revision, pairings))
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok((revision, pairings))) => {
                self.revision = revision;
                if let Some(pairings) = pairings {
                    self.board.load(pairings, Instant::now());
                }
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "pairings cannot be read: those read last stay in force");
            }
            Err(error) => tracing::error!(%error, "pairings were not read"),
        }
    }

    fn begin(&mut self) {
        for question in self.board.due(Instant::now()) {
            let (client, rules) = (self.client.clone(), self.rules.clone());
            self.rounds.spawn(async move {
                let mut outcome = ask(&client, &rules, &question).await;
                let silent = matches!(&outcome, Err(error) if error.fault() == Fault::NotAnswering);
                if silent && question.again {
                    outcome = ask(&client, &rules, &question).await;
                }
                (question, outcome)
            });
        }
    }

    async fn settle(&mut self, question: &Question, outcome: Result<State, Error>) {
        let Some(known) = self.board.settle(question, outcome, Instant::now(), wall(), jitter()) else {
            return;
        };
        let (store, user, account) = (self.store.clone(), question.user.clone(), question.account.clone());
        let noted = tokio::task::spawn_blocking(move || store.remember(&user, &account, &known)).await;
        if let Ok(Err(error)) = noted {
            tracing::warn!(%error, "what the Latch service said could not be noted: it counts until a restart only");
        }
    }
}

/// Asks about everything that concerns one user: application, operations, instances. What lies behind something locked
/// does not matter and is not asked about.
async fn ask(client: &Client, rules: &Rules, question: &Question) -> Result<State, Error> {
    let account = &question.account;
    let mut state = State {
        application: Switch::Open,
        publish: Switch::Open,
        subscribe: Switch::Open,
        instances: BTreeMap::new(),
    };
    let application = client.status(account, None, None).await?;
    state.application = Switch::of(application.on);
    if !application.on {
        // Behind a locked door nothing is known to be open.
        return Ok(State { publish: Switch::Locked, subscribe: Switch::Locked, ..state });
    }
    for (operation, switch) in
        [(&rules.publish, &mut state.publish), (&rules.subscribe, &mut state.subscribe)]
    {
        let Some(operation) = operation else { continue };
        *switch = match application.below.get(operation) {
            Some(on) => Switch::of(*on),
            None => Switch::of(client.status(account, Some(operation), None).await?.on),
        };
    }
    for instance in &question.instances {
        let switch = match client.status(account, None, Some(instance)).await {
            Ok(status) => Switch::of(status.on),
            Err(error) if error.fault() == Fault::Unknown => Switch::Gone,
            Err(error) => return Err(error),
        };
        state.instances.insert(instance.clone(), switch);
    }
    Ok(state)
}

/// Seconds since 1970, by this machine's clock.
fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

/// From 0 to 1. Without random numbers everyone is polled in step, which is merely unkind.
fn jitter() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}
