//! Connections that have not yet said who they are: a bounded number, the oldest goes first.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};

/// The waiting connections of one listener.
#[derive(Debug)]
pub struct Lobby {
    waiting: Mutex<VecDeque<oneshot::Sender<()>>>,
    most: usize,
}

impl Lobby {
    /// A lobby for `most` connections, at least one.
    pub fn new(most: usize) -> Self {
        Lobby { waiting: Mutex::default(), most: most.max(1) }
    }

    /// Lets a connection in; if there is no room the one that has waited longest must go. The receiver fires
    /// when it is this connection's turn to go; dropping it says that it is through.
    pub fn enter(&self) -> oneshot::Receiver<()> {
        let (evict, evicted) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        while waiting.front().is_some_and(oneshot::Sender::is_closed) {
            waiting.pop_front();
        }
        if waiting.len() >= self.most {
            waiting.retain(|sender| !sender.is_closed());
        }
        if waiting.len() >= self.most
            && let Some(oldest) = waiting.pop_front()
        {
            let _ = oldest.send(());
        }
        waiting.push_back(evict);
        evicted
    }
}

/// Why a connection must leave the lobby before it was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// It took too long.
    Late,
    /// Others need its place.
    Evicted,
}

/// Does what a connection in the lobby does before it is ready for MQTT, for no longer than `bound`.
pub async fn within<T>(
    bound: Duration,
    evicted: &mut oneshot::Receiver<()>,
    work: impl Future<Output = T>,
) -> Result<T, Out> {
    tokio::select! {
        done = timeout(bound, work) => done.map_err(|_| Out::Late),
        _ = evicted => Err(Out::Evicted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_waited_longest_makes_room_and_those_that_are_through_do_not_count() {
        let lobby = Lobby::new(2);
        let (mut first, second, mut third) = (lobby.enter(), lobby.enter(), lobby.enter());
        assert_eq!(first.try_recv(), Ok(()));
        drop(second);
        let mut fourth = lobby.enter();
        assert!(third.try_recv().is_err() && fourth.try_recv().is_err());
        let _fifth = lobby.enter();
        assert_eq!(third.try_recv(), Ok(()));
    }
}
