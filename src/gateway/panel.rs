//! The panel in the gateway: what the hand wants is done, and how the gateway is, is shown.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    admin,
    broker::Broker,
    config,
    latch::{Condition, Fault, View},
    net::{Tls, tls},
    panel::{self, Code, Conditions, Kind, Panel, PortError, Service, Status, Wish},
    policy::{
        Policy,
        lock::{Holder, Scope, Who},
    },
    store::AccountsDb,
};

use super::recovery;

/// How often the gateway looks at what nobody tells it of.
const LOOK: Duration = Duration::from_secs(1);
/// Who closed and opened, in the log of the lock.
const BUTTON: &str = "the button";
/// A certificate that expires within this time is about to, in seconds: when the log warns for the last time.
const ABOUT_TO_EXPIRE: i64 = 7 * 86_400;

/// A panel whose hardware is in hand, if it was to be had, and that nothing runs yet.
pub(super) struct Opened {
    panel: Panel,
    task: panel::Task,
    wishes: mpsc::Receiver<Wish>,
    conditions: watch::Sender<Conditions>,
}

/// Takes hold of button and LED. Must be called within a tokio runtime; blocks for a few milliseconds.
///
/// # Errors
/// If they are not to be had, and `panel.required` is set.
pub(super) fn open(config: &config::Panel) -> Result<Opened, PortError> {
    let settings = panel::Settings {
        kind: match config.driver {
            config::PanelDriver::GpioChip => Kind::GpioChip,
            config::PanelDriver::Rppal => Kind::Rppal,
            config::PanelDriver::Simulated => Kind::Simulated,
            config::PanelDriver::None => Kind::None,
        },
        chip: config.chip.clone(),
        button: config.button,
        led: config.led,
        debounce: config.debounce,
    };
    let conditions = watch::Sender::new(Conditions { starting: true, ..Conditions::default() });
    let (panel, task, wishes) = Panel::open(&settings, config.required, conditions.subscribe())?;
    Ok(Opened { panel, task, wishes, conditions })
}

/// What the panel works on and looks at.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub policy: Arc<Policy>,
    pub broker: Arc<Broker>,
    pub accounts: Arc<AccountsDb>,
    pub doors: Arc<ArcSwap<admin::Doors>>,
    /// How the second factor stands, if it is used.
    pub latch: Option<watch::Receiver<Arc<View>>>,
    pub bridges: admin::Bridges,
}

impl Opened {
    /// Has the panel run, as long as `tasks` do. Until somebody attends to it, the LED says that the gateway starts.
    pub fn start(self, tasks: &mut JoinSet<()>) -> (Arc<Panel>, Attendant) {
        let Opened { panel, task, wishes, conditions } = self;
        tasks.spawn(task.run());
        (Arc::new(panel), Attendant { wishes, conditions: Arc::new(conditions) })
    }
}

/// Does what the hand wants, and says how the gateway is.
pub(super) struct Attendant {
    wishes: mpsc::Receiver<Wish>,
    conditions: Arc<watch::Sender<Conditions>>,
}

impl Attendant {
    /// Begins, as long as `tasks` run.
    pub fn start(self, surroundings: Surroundings, tasks: &mut JoinSet<()>) {
        tasks.spawn(obey(surroundings.clone(), self.wishes, self.conditions.clone()));
        tasks.spawn(show(surroundings, self.conditions));
    }
}

/// Does what the hand wants, one wish after the other, for ever.
async fn obey(
    surroundings: Surroundings,
    mut wishes: mpsc::Receiver<Wish>,
    conditions: Arc<watch::Sender<Conditions>>,
) {
    while let Some(wish) = wishes.recv().await {
        match wish {
            Wish::Close | Wish::Open => surroundings.turn(wish == Wish::Close).await,
            Wish::Recover => surroundings.recover().await,
            Wish::Stuck => {}
        }
        conditions.send_modify(|now| {
            *now = surroundings.conditions(now.obeyed + 1);
        });
    }
}

/// Tells the panel how the gateway is, for ever.
async fn show(surroundings: Surroundings, conditions: Arc<watch::Sender<Conditions>>) {
    let mut lock = surroundings.policy.lock().changes();
    loop {
        conditions.send_if_modified(|now| {
            let new = surroundings.conditions(now.obeyed);
            let differs = *now != new;
            *now = new;
            differs
        });
        tokio::select! {
            changed = lock.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

impl Surroundings {
    /// Closes the gateway for everyone, or ends the panel's hold.
    async fn turn(&self, close: bool) {
        let lock = self.policy.lock();
        let done = match close {
            true => lock.close(Holder::Panel, Scope::GATEWAY, BUTTON).await,
            false => lock.open(Holder::Panel, Scope::GATEWAY, BUTTON).await,
        };
        if let Err(error) = done {
            let wanted = if close { "closed" } else { "opened" };
            tracing::error!(%error, "the button was pressed, but the gateway could not be {wanted} properly");
        }
    }

    /// Makes an administrator's password and shows it.
    async fn recover(&self) {
        let accounts = self.accounts.clone();
        let made = tokio::task::spawn_blocking(move || {
            recovery::make_administrator(&accounts, "asked for at the panel")
        });
        match made.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "no administrator could be made"),
            Err(error) => tracing::error!(%error, "no administrator was made"),
        }
    }

    fn conditions(&self, obeyed: u64) -> Conditions {
        let lock = self.policy.lock().state();
        // What a phone closes for its own user is that user's affair.
        let concerns = |scope: &Scope, holder| match (holder, &scope.who) {
            (Holder::Panel, _) | (Holder::Latch, Who::User(_)) => false,
            (Holder::Command | Holder::Schedule | Holder::Latch, _) => true,
        };
        Conditions {
            starting: false,
            failing: !self.broker.is_writable(),
            closed_by_panel: lock.gateway_holders().contains(&Holder::Panel),
            closed_by_another: lock.holds().any(|(scope, holder, _)| concerns(scope, holder)),
            service: self.latch.as_ref().and_then(|latch| trouble(&latch.borrow())),
            certificate_expires: self.doors.load().certificates.iter().any(|tls| runs_out(tls)),
            bridge_down: (self.bridges)().iter().any(|bridge| !bridge.connected),
            obeyed,
        }
    }
}

/// Whether a listener's own certificate, or an authority of its clients, is about to expire or has.
fn runs_out(tls: &Tls) -> bool {
    let now = tls::now();
    let mut terms = tls.terms().into_iter().filter(|term| term.kind != tls::Kind::Crl);
    terms.any(|term| term.left(now) < ABOUT_TO_EXPIRE)
}

/// The worst that the second factor has to say.
fn trouble(view: &View) -> Option<Service> {
    let of_fault = |fault: Fault| match fault {
        Fault::NotAnswering => Service::Silent,
        Fault::Unpaired => Service::Unpaired,
        Fault::ClockSkew => Service::Clock,
        Fault::BadSignature | Fault::Unknown | Fault::Refused => Service::Signature,
    };
    let of_service = match &view.condition {
        Condition::Failing(fault, _) => Some(of_fault(*fault)),
        Condition::Starting | Condition::Answering => None,
    };
    let of_users = view.users.iter().filter_map(|user| user.fault.as_ref());
    of_users.map(|(fault, _)| of_fault(*fault)).chain(of_service).max()
}

/// Presses the simulated button; how the panel is then.
///
/// # Errors
/// In words, if the button is a real one, or does not react.
pub(super) async fn press(panel: &Panel, hold: Duration) -> Result<admin::PanelStatus, String> {
    match panel.press(hold).await {
        Some(Ok(status)) => Ok(seen(status)),
        Some(Err(error)) => Err(error.to_string()),
        None => Err(format!(
            "the panel's driver is \"{}\": only the button of panel.driver = \"simulated\" can be pressed by a command",
            panel.status().driver
        )),
    }
}

/// The panel as an operator sees it.
pub(super) fn seen(status: Status) -> admin::PanelStatus {
    let Status { driver, trouble, code, lit, pressed, last_press, .. } = status;
    let there = trouble.is_none() && driver != Kind::None.name();
    admin::PanelStatus {
        driver,
        trouble,
        code: Code::name(code),
        looks: code.looks(),
        level: there.then_some(if lit { "on" } else { "off" }),
        button: there.then_some(if pressed { "pressed" } else { "released" }),
        last_press: last_press.map(utc),
    }
}

/// As ISO 8601 has it, in whole seconds.
fn utc(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let (date, clock) = (time.date(), time.time());
    format!("{date}T{:02}:{:02}:{:02}Z", clock.hour(), clock.minute(), clock.second())
}
