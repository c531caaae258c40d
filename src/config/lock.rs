//! `[lock]`: what a closed lock does. What is closed, the button, the phone, `latchgate lock` and the schedule say.

use super::acl::RefusedPublish;
use super::scalar::{List, OneOf, words};
use super::schedule::{Schedule, Schedules};
use super::section::section;
use super::text::User;

words! {
    /// What the lock does to one direction of bridges.
    pub enum LockSide {
        /// What is closed for everyone is closed for it.
        Closed = "closed",
        /// It goes on.
        Open = "open",
    }
}

words! {
    /// What becomes of messages for somebody who is locked.
    pub enum LockQueued {
        /// They wait.
        Hold = "hold",
        /// They are dropped.
        Drop = "drop",
    }
}

words! {
    /// Whether somebody may log in for whom the gateway is closed.
    pub enum LockLogins {
        /// Yes.
        Allow = "allow",
        /// No.
        Refuse = "refuse",
    }
}

section! {
    /// What a closed lock does. The button, the phone, `latchgate lock` and the schedule close and open it.
    pub struct Lock {
        /// Names of users for whom nothing is ever closed.
        pub exempt: Vec<String> => List<User, 0> = Vec::new(),

        /// Whether what is closed for everyone is closed for what comes in from the other end of a bridge too. What is
        /// closed for the user `bridge:NAME` is in any case.
        pub bridge_in: LockSide => OneOf<LockSide> = LockSide::Closed,

        /// Whether it is closed for what goes out to the other end of a bridge. "open": what waits still drains.
        pub bridge_out: LockSide => OneOf<LockSide> = LockSide::Open,

        /// What a client of MQTT 3 gets for a QoS 1 or 2 publish that is locked, as it cannot be told: "disconnect" closes
        /// its connection, so that it keeps its message and comes back with it; "acknowledge" has it believe that all
        /// went well, and the message is lost. At QoS 0 the message is lost, and the connection stays, in any case.
        pub refused_publish_v3: RefusedPublish => OneOf<RefusedPublish> = RefusedPublish::Disconnect,

        /// What becomes of messages for a client that may not receive them while it is locked. "hold": they wait, within
        /// limits.queued_messages and queued_bytes and until they expire, and come in their order when it is opened.
        /// "drop": they are dropped, and counted.
        pub queued: LockQueued => OneOf<LockQueued> = LockQueued::Hold,

        /// Whether a client may log in while the gateway is closed for it. "allow": it can, so that it learns from
        /// LATCH/lock how things stand, but do nothing. "refuse": it is told to come again later. Who is connected
        /// stays so.
        pub logins: LockLogins => OneOf<LockLogins> = LockLogins::Allow,

        /// What is closed at certain times of the day, one section for each; on `days` (of the week, all if left out) from
        /// `from` to `to`, on the next day if that is not later, in the time zone `time_zone` (the system's if left out).
        /// `user` closes it for one user only.
        pub schedule: Vec<Schedule> => Schedules = Vec::new(),
    }
}
