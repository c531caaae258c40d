//! The one task that runs the panel: it watches the button, drives the LED, and takes the hardware up again.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::{mpsc, watch};

use super::{
    Conditions, Driver, Kind, NotPressed, Port, PortError, Presses, Settings, SimulatedButton, Status, Wish,
    gpiochip::GpioChip,
};

/// How often the button is looked at without being asked: it finds a chip that vanished silently, and an edge that
/// was lost.
const LOOK: Duration = Duration::from_secs(2);
/// How often hardware that is not to be had is asked for again.
const RETRY: Duration = Duration::from_secs(5);
/// Wishes that wait to be obeyed. Nobody presses faster.
const WISHES: usize = 16;

/// The panel as the rest of the gateway sees it.
pub struct Panel {
    status: watch::Receiver<Status>,
    simulated: Option<SimulatedButton>,
}

impl Panel {
    /// Takes hold of the hardware. The panel runs as long as its [`Task`] does, shows what `conditions` call for, and sends
    /// what the hand wants. What is not to be had now is said in the log and taken up when it is there, unless
    /// `required`. Must be called within a tokio runtime; blocks for a few milliseconds.
    ///
    /// # Errors
    /// If the executable was built without the driver; if the hardware is not to be had and `required`.
    pub fn open(
        settings: &Settings,
        required: bool,
        conditions: watch::Receiver<Conditions>,
    ) -> Result<(Self, Task, mpsc::Receiver<Wish>), PortError> {
        let mut simulated = None;
        let driver: Option<Arc<dyn Driver>> = match settings.kind {
            Kind::GpioChip => Some(Arc::new(GpioChip(settings.clone()))),
            #[cfg(feature = "rppal")]
            Kind::Rppal => Some(Arc::new(super::rppal::Rppal(settings.clone()))),
            #[cfg(not(feature = "rppal"))]
            Kind::Rppal => return Err(PortError::NotBuilt),
            Kind::Simulated => {
                let (button, driver) = SimulatedButton::new();
                simulated = Some(button);
                Some(Arc::new(driver))
            }
            Kind::None => None,
        };
        let (task, status, wishes) =
            Task::new(settings.kind.name(), driver, settings.debounce, required, conditions)?;
        Ok((Panel { status, simulated }, task, wishes))
    }

    /// How it is now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Presses the button; `None` if it is a real one.
    pub async fn press(&self, hold: Duration) -> Option<Result<Status, NotPressed>> {
        Some(self.simulated.as_ref()?.press(hold, self.status.clone()).await)
    }
}

/// Button and LED in hand, with what was made of the button so far. Let go, the LED is off.
struct InHand {
    port: Box<dyn Port>,
    presses: Presses,
}

impl Drop for InHand {
    fn drop(&mut self) {
        // A chip that is gone has no LED to turn off.
        let _ = self.port.light(false);
    }
}

/// Runs the panel, by [`Task::run`].
pub struct Task {
    driver: Option<Arc<dyn Driver>>,
    debounce: Duration,
    hand: Option<InHand>,
    conditions: watch::Receiver<Conditions>,
    wishes: mpsc::Sender<Wish>,
    /// How many were sent.
    wished: u64,
    status: watch::Sender<Status>,
    /// When the present code began to be shown.
    shown_since: Instant,
}

impl Task {
    /// A panel on this driver; `None`: there is none, and only its status is kept.
    pub(super) fn new(
        name: &'static str,
        driver: Option<Arc<dyn Driver>>,
        debounce: Duration,
        required: bool,
        conditions: watch::Receiver<Conditions>,
    ) -> Result<(Self, watch::Receiver<Status>, mpsc::Receiver<Wish>), PortError> {
        let port = driver.as_ref().map(|driver| driver.open()).transpose();
        let (port, trouble) = match port {
            Ok(port) => (port, None),
            Err(error) if required => return Err(error),
            Err(error) => {
                tracing::warn!(driver = name, %error, "no button and no LED: the gateway runs without, and looks again from time to time");
                (None, Some(error.to_string()))
            }
        };
        let code = conditions.borrow().code(false);
        let status = watch::Sender::new(Status {
            driver: name,
            trouble,
            code,
            lit: false,
            pressed: false,
            last_press: None,
            changes: 0,
            settled: true,
        });
        let (wishes, wished) = mpsc::channel(WISHES);
        let seen = status.subscribe();
        let mut task =
            Task { driver, debounce, hand: None, conditions, wishes, wished: 0, status, shown_since: now() };
        if let Some(port) = port
            && let Err(error) = task.take(port)
        {
            if required {
                return Err(error);
            }
            task.lost(&error);
        }
        Ok((task, seen, wished))
    }

    /// Runs the panel until it is dropped, or the gateway's side is gone.
    pub async fn run(mut self) {
        let mut look = now() + LOOK;
        loop {
            let due = self.settle();
            let due = due.map_or(look, |due| due.min(look));
            let hand = &mut self.hand;
            tokio::select! {
                change = poll_fn(|cx| match hand {
                    Some(hand) => hand.port.poll_change(cx),
                    None => std::task::Poll::Pending,
                }) => self.changed(change),
                changed = self.conditions.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(due.into()) => {}
            }
            if now() >= look {
                self.look().await;
                look = now() + if self.hand.is_some() { LOOK } else { RETRY };
            }
        }
    }

    /// Takes hold of an open port.
    fn take(&mut self, mut port: Box<dyn Port>) -> Result<(), PortError> {
        let pressed = port.is_pressed()?;
        let lit = self.status.borrow().lit;
        port.light(lit)?;
        if pressed {
            tracing::warn!("the button is held down at the start: that press does nothing");
        }
        let debounce = if port.is_debounced() { Duration::ZERO } else { self.debounce };
        self.hand = Some(InHand { port, presses: Presses::new(pressed, debounce, now()) });
        self.status.send_modify(|status| {
            status.trouble = None;
            status.pressed = pressed;
        });
        Ok(())
    }

    /// The hardware is gone.
    fn lost(&mut self, error: &PortError) {
        tracing::error!(%error, "button and LED are lost: what is closed stays closed; they are taken up again when they are back");
        self.hand = None;
        self.status.send_modify(|status| {
            status.trouble = Some(error.to_string());
            status.pressed = false;
        });
    }

    /// The button said something.
    fn changed(&mut self, change: Result<bool, PortError>) {
        match change {
            Ok(pressed) => {
                self.report(pressed);
                self.status.send_modify(|status| {
                    status.changes += 1;
                    // Until it is looked at what that brings.
                    status.settled = false;
                });
            }
            Err(error) => self.lost(&error),
        }
    }

    fn report(&mut self, pressed: bool) {
        let Some(hand) = &mut self.hand else { return };
        let held = self.conditions.borrow().closed_by_panel;
        let mut wishes = Vec::new();
        hand.presses.report(pressed, now(), held, &mut wishes);
        if pressed && !self.status.borrow().pressed {
            self.status.send_modify(|status| status.last_press = Some(SystemTime::now()));
        }
        self.wish(wishes);
    }

    /// Looks at the hardware, or for it.
    async fn look(&mut self) {
        if let Some(hand) = &mut self.hand {
            match hand.port.is_pressed() {
                // What was reported is the truth, unless a report was lost.
                Ok(pressed) if pressed != hand.presses.level() => self.report(pressed),
                Ok(_) => {}
                Err(error) => self.lost(&error),
            }
            return;
        }
        let Some(driver) = self.driver.clone() else { return };
        // It fails again and again while the hardware is away: that was said once.
        if let Ok(Ok(port)) = tokio::task::spawn_blocking(move || driver.open()).await
            && self.take(port).is_ok()
        {
            tracing::info!("button and LED are there");
        }
    }

    /// Does what is due, and shows what there is to show; when there is something to do again.
    fn settle(&mut self) -> Option<Instant> {
        let now = now();
        let conditions = *self.conditions.borrow_and_update();
        let mut wishes = Vec::new();
        let (mut armed, mut steady, mut pressed, mut due) = (false, true, false, None);
        if let Some(InHand { presses, .. }) = &mut self.hand {
            presses.advance(now, conditions.closed_by_panel, &mut wishes);
            (armed, steady, pressed) = (presses.is_armed(), presses.is_steady(), presses.level());
            due = presses.deadline();
        }
        self.wish(wishes);
        let code = conditions.code(armed);
        if code != self.status.borrow().code {
            self.shown_since = now;
        }
        let (lit, lasts) = code.pattern().at(now.saturating_duration_since(self.shown_since));
        self.light(lit);
        let settled = steady && conditions.obeyed >= self.wished;
        self.status.send_if_modified(|status| {
            let new = Status { code, lit, pressed, settled, ..status.clone() };
            let differs = *status != new;
            *status = new;
            differs
        });
        // Nobody sees it blink: no need to wake up for it.
        let blinks = self.hand.as_ref().and(lasts).map(|lasts| now + lasts);
        [due, blinks].into_iter().flatten().min()
    }

    fn light(&mut self, on: bool) {
        if let Some(hand) = &mut self.hand
            && on != self.status.borrow().lit
            && let Err(error) = hand.port.light(on)
        {
            self.lost(&error);
        }
    }

    fn wish(&mut self, wishes: Vec<Wish>) {
        for wish in wishes {
            if wish == Wish::Stuck {
                tracing::warn!(
                    "the button has been down for half a minute: it seems to be stuck, and does nothing until it is let go"
                );
                continue;
            }
            match self.wishes.try_send(wish) {
                Ok(()) => self.wished += 1,
                Err(_) => {
                    tracing::error!(
                        ?wish,
                        "the gateway does not keep up with the button: that press is lost"
                    );
                }
            }
        }
    }
}

/// The clock of the runtime, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl std::fmt::Debug for Panel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Panel").field("status", &*self.status.borrow()).finish_non_exhaustive()
    }
}
