//! The trait by which messages are taken away to where no session is: to a bridge's remote broker.

use std::{fmt::Debug, sync::Arc};

use super::message::Message;

/// Takes the messages that match the routes of one bridge. Asked on the publisher's task: it must not block.
pub trait Outlet: Debug + Send + Sync {
    /// Tells publishers apart; what the bridge itself publishes is not offered to it.
    fn key(&self) -> u64;

    /// The client identifier by which the remote broker's own bridge comes here, if it is known: what that publishes is not
    /// offered either.
    fn peer(&self) -> Option<&str>;

    /// Offers a message that matches route number `route`. Whether it was noted in the journal, so that nothing may be
    /// acknowledged before a commit.
    fn offer(&self, route: usize, message: &Arc<Message>) -> bool;

    /// Has what was offered looked at; once for many offers.
    fn wake(&self);
}
