//! A button and an LED of nothing but memory, for a desk without either.

use std::{
    task::{Context, Poll, ready},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::{Driver, Port, PortError, Status};

/// How long a press may take beyond the time the button is held.
const PATIENCE: Duration = Duration::from_secs(10);

/// The hand on a simulated button.
pub struct SimulatedButton {
    levels: mpsc::Sender<bool>,
    /// One press at a time, with the number of changes so far.
    pressing: tokio::sync::Mutex<u64>,
}

/// Why nothing was pressed, or nobody noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the panel does not react: is the gateway stopping?")]
pub struct NotPressed;

impl SimulatedButton {
    /// The button, and the driver that it works.
    pub(super) fn new() -> (Self, Simulated) {
        let (levels, changes) = mpsc::channel(8);
        let button = SimulatedButton { levels, pressing: tokio::sync::Mutex::new(0) };
        (button, Simulated(Mutex::new(Some(changes))))
    }

    /// Holds the button down for `hold`, lets it go, and waits until everything that follows is done; how the panel
    /// is then. To be run to its end: given up in the middle, the button stays down.
    ///
    /// # Errors
    /// If the panel does not run any more, or what follows takes longer than ten seconds.
    pub async fn press(
        &self,
        hold: Duration,
        mut status: watch::Receiver<Status>,
    ) -> Result<Status, NotPressed> {
        let mut changes = self.pressing.lock().await;
        self.levels.send(true).await.map_err(|_| NotPressed)?;
        tokio::time::sleep(hold).await;
        self.levels.send(false).await.map_err(|_| NotPressed)?;
        *changes += 2;
        let done = status.wait_for(|status| status.changes >= *changes && status.settled);
        let status = tokio::time::timeout(PATIENCE, done).await.map_err(|_| NotPressed)?;
        Ok(status.map_err(|_| NotPressed)?.clone())
    }
}

/// Gives the one port that there is.
pub(super) struct Simulated(Mutex<Option<mpsc::Receiver<bool>>>);

impl Driver for Simulated {
    fn open(&self) -> Result<Box<dyn Port>, PortError> {
        match self.0.lock().take() {
            Some(changes) => Ok(Box::new(Memory { changes, pressed: false })),
            None => Err(gone()),
        }
    }
}

struct Memory {
    changes: mpsc::Receiver<bool>,
    pressed: bool,
}

impl Port for Memory {
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, PortError>> {
        let change = ready!(self.changes.poll_recv(cx)).ok_or_else(gone)?;
        self.pressed = change;
        Poll::Ready(Ok(change))
    }

    fn is_pressed(&mut self) -> Result<bool, PortError> {
        Ok(self.pressed)
    }

    fn light(&mut self, _on: bool) -> Result<(), PortError> {
        Ok(())
    }

    fn is_debounced(&self) -> bool {
        true
    }
}

fn gone() -> PortError {
    PortError::Failed { doing: "reading the simulated button", why: "nobody is left to press it".into() }
}
