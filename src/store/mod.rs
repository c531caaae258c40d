//! What survives a power cut? SQLite files in the state directory.
//!
//! This room owns the schemas, their migrations and how a file is opened and checked. It promises that a
//! change is on disk when the call returns, that a file is readable by its owner only and never left behind
//! owned by root, and that a damaged or newer file is refused in words. It implements traits that other rooms
//! own; it decides nothing. All calls block: none belongs on an async worker.

pub mod accounts;
mod database;
mod error;
mod files;
pub mod lock;
mod lost;
pub mod pairings;
pub mod state;
mod written;

pub use accounts::AccountsDb;
pub use error::StoreError;
pub use lock::LockDb;
pub use lost::{Lost, lost};
pub use pairings::PairingsDb;
pub use state::StateDb;
pub use written::last_written;
