//! Changing a running gateway: all that another configuration says and can be changed, or nothing.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{
    admin::{self, Command, Reloaded, Trouble},
    config::{Config, ConfigError, Difference},
    panel::Panel,
    policy::{Policy, accounts::AccountError},
    system::notify,
};

use super::{GatewayError, backends, doors::Doors, latch::Latch, open_latch, panel, policy_settings};

/// What can be changed while it runs.
pub(super) struct Running {
    pub policy: Arc<Policy>,
    /// Held while something is changed: one change at a time.
    pub doors: tokio::sync::Mutex<Doors>,
    /// What an operator sees of the doors.
    pub seen: Arc<ArcSwap<admin::Doors>>,
    /// The second factor, if it is used.
    pub latch: Option<Latch>,
    /// Button and LED.
    pub panel: Arc<Panel>,
    /// What is in force.
    pub config: Mutex<Config>,
}

/// Does what operators ask for, for ever.
pub(super) async fn obey(running: Arc<Running>, mut commands: mpsc::Receiver<Command>) {
    while let Some(command) = commands.recv().await {
        // Whoever asked may have gone.
        match command {
            Command::Reload(done) => drop(done.send(running.clone().reload().await)),
            Command::Plan(done) => drop(done.send(running.clone().plan().await)),
            Command::LiftBans { user, address, done } => {
                let _ = done.send(running.policy.lift_bans(user.as_deref(), address));
            }
            Command::Panel(done) => drop(done.send(panel::seen(running.panel.status()))),
            // A long press must not keep others waiting, and it is let go even if nobody waits for the answer.
            Command::Press(hold, done) => {
                let panel = running.panel.clone();
                tokio::spawn(async move { drop(done.send(panel::press(&panel, hold).await)) });
            }
        }
    }
}

impl Running {
    /// Reads the configuration file, accounts and rules again, and applies what can be applied. An error changes nothing.
    pub async fn reload(self: Arc<Self>) -> Result<Reloaded, Trouble> {
        notify::reloading();
        let outcome = self.clone().blocking(Self::apply).await;
        notify::ready(&self.status());
        match &outcome {
            Ok(Reloaded { applied, restart, .. }) => {
                tracing::info!(?applied, "configuration, accounts and rules read again");
                if !restart.is_empty() {
                    tracing::warn!(?restart, "these changes take a restart of the gateway");
                }
            }
            Err(error) => tracing::error!(%error, "nothing was changed: what was in force stays in force"),
        }
        outcome
    }

    /// Where it listens, in a line.
    pub fn status(&self) -> String {
        let seen = self.seen.load();
        let addresses: Vec<_> =
            seen.listening.iter().map(|(name, address)| format!("{name} {address}")).collect();
        format!("listening on {}", addresses.join(", "))
    }

    /// What [`Running::reload`] would do.
    async fn plan(self: Arc<Self>) -> Result<Difference, Trouble> {
        self.blocking(|running| {
            let new = running.read()?;
            let doors = running.doors.blocking_lock();
            doors.prepare(&new)?;
            open_latch(&new)?;
            backends::open(&new)?;
            Ok(running.config.lock().difference(&new))
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let outcome = tokio::task::spawn_blocking(move || work(&self)).await;
        outcome.unwrap_or_else(|error| Err(Trouble::Else(error.to_string())))
    }

    /// The configuration as its file says now; without a file, as it was.
    fn read(&self) -> Result<Config, Trouble> {
        let config = self.config.lock().clone();
        match &config.file {
            // It would mean that everything is as built in; far more likely somebody is just writing it.
            Some(file) if std::fs::metadata(file).is_ok_and(|file| file.len() == 0) => {
                Err(Trouble::Configuration(format!("{} is empty", file.display())))
            }
            Some(file) => Ok(Config::load(Some(file))?),
            None => Ok(config),
        }
    }

    fn apply(&self) -> Result<Reloaded, Trouble> {
        let new = self.read()?;
        let mut doors = self.doors.blocking_lock();
        let (difference, next) = {
            let config = self.config.lock();
            (config.difference(&new), config.with_live(new.clone()))
        };
        // From here to the first change everything that can fail is done.
        let prepared = doors.prepare(&next)?;
        let second_factor = open_latch(&next)?;
        // As a restart would: what it would refuse is refused now. Of what was read, text files are put in force below.
        let fresh = backends::open(&new)?;
        // The order of backends is known by a listener's name.
        let rules = match difference.live.is_empty() && difference.listeners.is_empty() {
            true => self.policy.reload(),
            false => self.change(&next),
        };
        rules.map_err(|error| Trouble::Else(format!("accounts and rules cannot be read: {error}")))?;
        self.policy.take_files(&fresh.list);
        self.policy.with_desks(|desk| desk.remote().reload());
        doors.change(&next, prepared);
        if let (Some(latch), Some((client, rules))) = (&self.latch, second_factor) {
            latch.change(client, rules);
        }
        self.seen.store(Arc::new(doors.seen()));
        *self.config.lock() = next;
        let Difference { live, listeners, restart } = difference;
        let listeners = listeners.into_iter().map(|change| format!("listener {change}"));
        Ok(Reloaded {
            reloaded: vec!["accounts", "rules"],
            applied: live.into_iter().chain(listeners).collect(),
            restart,
        })
    }
}

impl Running {
    /// Puts the rule settings of `config` in force; the backends are as they were, in the order that it says.
    fn change(&self, config: &Config) -> Result<(), AccountError> {
        let there = self.policy.backends();
        if let Some(name) = backends::unknown(config, &there) {
            let what = format!("the backend {name:?}, which takes a restart of the gateway, is asked for");
            return Err(AccountError { what });
        }
        let backends = backends::order(config, there);
        self.policy.change(policy_settings(config, backends))
    }
}

impl From<ConfigError> for Trouble {
    fn from(error: ConfigError) -> Self {
        Trouble::Configuration(chain(&error))
    }
}

impl From<GatewayError> for Trouble {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Config(wrong) => wrong.into(),
            error => Trouble::Else(chain(&error)),
        }
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|error| error.to_string()).collect::<Vec<_>>().join(": ")
}
