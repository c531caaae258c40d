//! Commands that clients publish to the gateway: handed to whoever obeys them, never to subscribers.

use tokio::sync::mpsc::Sender;

use crate::policy::{Command, Permit};

use super::broker::Broker;

/// Too many commands wait already, or nobody obeys any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotNow;

impl Broker {
    /// Has every permitted command handed to `sink`. The first call counts.
    pub fn hand_commands_to(&self, sink: Sender<Command>) {
        let _ = self.commands.set(sink);
    }

    /// Hands a command on, at once; it never waits.
    pub(super) fn command(&self, permit: Permit<'_, Command>) -> Result<(), NotNow> {
        let sink = self.commands.get().ok_or(NotNow)?;
        sink.try_send(permit.redeem()).map_err(|_| NotNow)
    }
}
