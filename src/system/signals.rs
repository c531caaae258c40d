//! What the operator says by signal.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Stop in an orderly way (SIGTERM, SIGINT).
    Shutdown,
    /// Read the configuration again (SIGHUP).
    Reload,
}

/// The signals of this process. From its making on they no longer end the process by themselves.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the system refuses to install a handler.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next event. Signals of one kind that come faster than they are taken count once.
    /// Cancel safe: an event is not lost if the wait is dropped.
    pub async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Event::Shutdown,
            _ = self.interrupt.recv() => Event::Shutdown,
            _ = self.hangup.recv() => Event::Reload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal as Number, getpid, kill_process};

    #[tokio::test]
    async fn sigterm_and_sigint_ask_for_shutdown_and_sighup_for_reload() {
        let mut signals = Signals::new().unwrap();
        for (number, event) in
            [(Number::HUP, Event::Reload), (Number::TERM, Event::Shutdown), (Number::INT, Event::Shutdown)]
        {
            kill_process(getpid(), number).unwrap();
            assert_eq!(signals.next().await, event, "{number:?}");
        }
    }
}
