//! A server that ends in one of three ways and is started again.

use std::cell::RefCell;

use rustix::process::Signal;

use crate::powercut::{self, Unsynced};
use crate::support::subject::{Settings, is_mosquitto};
use crate::support::{Client, Connect, Subject, Version, eventually};

/// How the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// `kill -9`.
    Killed,
    /// SIGTERM: in order.
    Stopped,
    /// Killed, and what no fsync was waited for is lost.
    PowerCut,
}

pub struct World {
    pub subject: Subject,
    ending: Ending,
    unsynced: RefCell<Unsynced>,
}

impl World {
    pub fn start(ending: Ending) -> Self {
        Self::with(Subject::with(), ending)
    }

    pub fn with(settings: Settings, ending: Ending) -> Self {
        let world = Self::prepare(settings, ending);
        world.subject.port();
        world
    }

    /// It starts with the first client.
    pub fn prepare(settings: Settings, ending: Ending) -> Self {
        // Mosquitto writes only when it is asked.
        let ending = if is_mosquitto() && ending == Ending::PowerCut { Ending::Killed } else { ending };
        let mut settings = settings.lasting();
        if ending == Ending::PowerCut {
            settings = powercut::watched(settings, 0);
        }
        Self { subject: settings.prepare(), ending, unsynced: RefCell::new(Unsynced::Lost) }
    }

    /// Ends the server.
    pub fn end(&self) {
        match self.ending {
            Ending::Stopped => {
                self.subject.signal(Signal::TERM);
                self.subject.wait();
            }
            Ending::Killed => {
                self.subject.save();
                self.subject.kill();
            }
            Ending::PowerCut => {
                self.subject.kill();
                powercut::cut(self.subject.directory(), &mut self.unsynced.borrow_mut());
            }
        }
    }

    /// Starts it again.
    pub fn begin(&self) {
        self.subject.start_again();
    }

    pub fn crash(&self) {
        self.end();
        self.begin();
    }

    /// Waits until what needs no acknowledgement, and holds this text, has been written.
    pub fn until_written(&self, text: &str) {
        let state = self.subject.directory().join("state");
        let written = || match self.ending {
            Ending::Killed if !is_mosquitto() => ["state.db", "state.db-wal"].iter().any(|name| {
                let file = std::fs::read(state.join(name)).unwrap_or_default();
                file.windows(text.len()).any(|window| window == text.as_bytes())
            }),
            Ending::PowerCut => powercut::is_on_disk(self.subject.directory(), text.as_bytes()),
            _ => true,
        };
        eventually(&format!("{text:?} is on the disk"), || written().then_some(()));
    }

    /// Connects; the session must have been kept.
    pub fn resume(&self, connect: &Connect) -> Client {
        let (client, connack) = self.subject.accept_with_connack(connect);
        // Version 3.1 has no word for it.
        let present = connack.session_present || connect.version == Version::V31;
        assert!(present, "the session of {:?} is gone", connect.client_id);
        client
    }

    /// Makes a session that outlives its connection, with these subscriptions, and leaves it.
    pub fn leave_session(&self, connect: &Connect, filters: &[(&str, u8)]) {
        let mut client = self.subject.accept(connect);
        for (filter, options) in filters {
            client.subscribe(filter, *options);
        }
        client.disconnect();
    }
}

/// Runs each story once for each way to end.
macro_rules! stories {
    ($($(#[$note:meta])* $story:ident;)*) => {
        stories!(@ killed Killed $($story)*);
        stories!(@ stopped Stopped $($story)*);
        stories!(@ power_cut PowerCut $($story)*);
    };
    (@ $module:ident $ending:ident $($story:ident)*) => {
        mod $module {
            $(#[test] fn $story() { super::$story(crate::world::Ending::$ending); })*
        }
    };
}
pub(crate) use stories;
