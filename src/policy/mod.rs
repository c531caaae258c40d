//! May this happen? The gate, the rules and the accounts it judges by.
//!
//! Every CONNECT, publish, subscription, delivery and will is put to a [`Gate`], whose yes is a [`Permit`]
//! that the next room takes by value. This room owns the traits by which accounts and rules are kept. It
//! promises that a verdict follows a change of accounts or rules in live sessions, that every no is one
//! audit record, and that an error is a no. It must never wait on the network or a disk while it is asked.

pub mod accounts;
pub mod acl;
mod asked;
mod audit;
pub mod auth;
mod author;
mod certificate;
mod command;
mod decision;
mod explain;
mod gate;
mod identity;
mod live;
pub mod lock;
mod metrics;
mod permit;
#[expect(clippy::module_inception, reason = "a file is named for its main type")]
mod policy;
mod settings;
mod throttle;
mod voice;

pub use audit::{Audit, AuditId};
pub use certificate::{Certificate, Shown};
pub use command::{Command, CommandKind, CommandTopics, without_secret};
pub use decision::{Denial, Operation, Stage};
pub use explain::{Answer, Explanation, Judged, Verdict};
pub use gate::{Gate, Standing, Withheld};
pub use identity::Identity;
pub use lock::Announcer;
pub use metrics::{Spread, Verdicts};
pub use permit::{Deliver, Delivery, Permit, Publish, Subscribe};
pub use policy::{Applicant, Policy, Secret};
pub use settings::Settings;
pub use throttle::{Banned, ThrottleRules, Throttled};
pub use voice::{NotReserved, Voice};
