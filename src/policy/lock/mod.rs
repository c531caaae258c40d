//! What is closed now, whatever the rules say? The lock: a state that a button, a command, a phone and a clock hold.
//!
//! The [`Lock`] owns the state, keeps it ([`LockStore`]), puts it in force in every live session and announces it when
//! each of them has seen it. It promises that what was announced as closed is closed, that it is after a crash what it
//! was, and that what cannot be kept is closed all the same. It decides nothing about rights.

mod closure;
mod keep;
#[expect(clippy::module_inception, reason = "a file is named for its main type")]
mod lock;
mod schedule;
mod scope;
mod state;
mod status;
mod store;
#[cfg(test)]
mod tests;
mod topics;

pub(super) use closure::{View, is_always_received};
pub use lock::{Announcer, Changed, Changes, Lock, LockError, Settings};
pub use schedule::Window;
pub use scope::{Area, Cause, Held, Holder, Scope, Who};
pub use state::{Difference, Hold, State};
pub use store::{Edit, Entry, Kept, LockStore, LockStoreError, VolatileLock};
