//! What does the second factor say? A client of the Latch service, and what it answered about each paired user.
//!
//! This room owns the signed requests, the pairings and the trait by which they are kept ([`PairingStore`]), and the
//! decision which scopes are closed for whom ([`View::closures`]). It promises that nothing but an answer "on" opens,
//! where the configuration does not say otherwise in so many words; that no request lasts longer than its timeout and no
//! answer grows beyond a bound; and that neither the secret nor a pairing token is ever logged. It must never be asked
//! on the way of a message: it polls, and the lock is told.

mod answer;
mod board;
mod client;
mod command;
mod decision;
mod error;
mod id;
mod operation;
mod pace;
mod pairing;
mod report;
mod secret;
mod signature;
mod watcher;

pub use answer::Status;
pub use client::{Client, Service, SetupError};
pub use command::{Command, Outcome, Performer};
pub use decision::{Area, Cause, Closure, OnError, Rules, Who};
pub use error::{Error, Fault, Refusal};
pub use id::{Id, Token};
pub use operation::{InstanceRow, OperationRow, Paired};
pub use pace::Pace;
pub use pairing::{Instance, Known, Pairing, PairingError, PairingStore, State, Switch};
pub use secret::{Secret, SecretError};
pub use watcher::{Condition, UserView, View, Watcher};
