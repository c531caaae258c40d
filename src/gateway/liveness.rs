//! Does the gateway still do its work? What the signs of life to the watchdog rest on.
//!
//! A sign is given when every part has answered since the last one: a worker thread went through what the broker holds (and
//! so through all its locks), the accounts were looked at, and the thread that writes state went around. What is slow, or cannot be
//! written because the disk is full, answers; what is stuck does not, and then a restart is the only help.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time};

use crate::{
    broker::Broker,
    policy::accounts::AccountStore,
    store::{AccountsDb, StateDb},
};

/// The parts that are asked.
#[derive(Clone)]
pub struct Liveness {
    broker: Arc<Broker>,
    accounts: Arc<AccountsDb>,
    state: Arc<StateDb>,
}

impl Liveness {
    pub(super) fn new(broker: Arc<Broker>, accounts: Arc<AccountsDb>, state: Arc<StateDb>) -> Self {
        Liveness { broker, accounts, state }
    }

    /// Calls `sign` each time `interval` has passed, if every part has answered; for ever. As long as one does not, there is no
    /// further sign, and the log names it.
    pub async fn watch(self, interval: Duration, sign: impl Fn()) {
        let mut clock = time::interval(interval);
        clock.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            let Self { broker, accounts, state } = self.clone();
            let mut parts = Parts::default();
            parts.ask("the broker", async move {
                let _ = broker.snapshot();
            });
            parts.ask("the accounts", async move {
                // An error is an answer, and in the log already.
                let _ = tokio::task::spawn_blocking(move || drop(accounts.revision())).await;
            });
            parts.ask("the state database", async move {
                state.answers().await;
            });
            if !parts.all_answer(interval).await {
                return;
            }
            sign();
        }
    }
}

/// Parts that were asked.
#[derive(Default)]
struct Parts {
    asked: JoinSet<&'static str>,
    silent: Vec<&'static str>,
}

impl Parts {
    /// Asks on a worker thread: that one of them is free is part of the answer.
    fn ask(&mut self, name: &'static str, answer: impl Future<Output = ()> + Send + 'static) {
        self.silent.push(name);
        self.asked.spawn(async move {
            answer.await;
            name
        });
    }

    /// Waits until all have answered; complains every `patience`. False if one never will, since its task panicked.
    async fn all_answer(mut self, patience: Duration) -> bool {
        loop {
            match time::timeout(patience, self.asked.join_next()).await {
                Ok(None) => return true,
                Ok(Some(Ok(name))) => self.silent.retain(|silent| *silent != name),
                Ok(Some(Err(error))) => {
                    tracing::error!(%error, silent = ?self.silent, "no more signs of life: a part is broken");
                    return false;
                }
                Err(_) => tracing::error!(silent = ?self.silent, "no sign of life: a part does not answer"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

    use crate::{broker::Journal, config::Config, gateway::Gateway};

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(5);
    /// Silence: what many signs would take.
    const SILENCE: Duration = Duration::from_millis(500);
    const BOUND: Duration = Duration::from_secs(10);

    /// A gateway that gives signs on a runtime with one worker, and something that can get stuck.
    fn watched(directory: &tempfile::TempDir) -> (tokio::runtime::Runtime, Gateway, Receiver<()>) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let text = "[gateway]\nstate = 'state'\n[[listener]]\nname = 'a'\naddress = '127.0.0.1:0'\n";
        let config = Config::parse(text, &directory.path().join("gate.toml")).unwrap();
        let (sign, signs): (Sender<()>, _) = channel();
        let mut gateway = runtime.block_on(Gateway::start(&config)).unwrap();
        let _inside = runtime.enter();
        gateway.show_life(INTERVAL, move || {
            let _ = sign.send(());
        });
        (runtime, gateway, signs)
    }

    fn fall_silent(signs: &Receiver<()>) {
        let deadline = std::time::Instant::now() + BOUND;
        while signs.recv_timeout(SILENCE) != Err(RecvTimeoutError::Timeout) {
            assert!(std::time::Instant::now() < deadline, "there are still signs of life");
        }
    }

    #[test]
    fn a_stuck_store_gives_no_sign_of_life_until_it_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let (_runtime, gateway, signs) = watched(&directory);
        for _ in 0..3 {
            signs.recv_timeout(BOUND).expect("a sign of life");
        }
        let state = gateway.state.clone();
        let halfway = state.together();
        fall_silent(&signs);
        drop(halfway);
        signs.recv_timeout(BOUND).expect("it lives again");
    }

    #[test]
    fn a_stuck_worker_thread_gives_no_sign_of_life() {
        let directory = tempfile::tempdir().unwrap();
        let (runtime, _gateway, signs) = watched(&directory);
        signs.recv_timeout(BOUND).expect("a sign of life");
        let (free, stuck) = channel::<()>();
        runtime.spawn(async move { stuck.recv() });
        fall_silent(&signs);
        drop(free);
        signs.recv_timeout(BOUND).expect("it lives again");
    }

    #[tokio::test]
    async fn a_part_that_panicked_never_answers() {
        let mut parts = Parts::default();
        parts.ask("sound", async {});
        parts.ask("broken", async { panic!("on purpose") });
        assert!(!parts.all_answer(BOUND).await);
    }
}
