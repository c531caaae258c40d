//! Rules: what they allow and deny, for whom, and how they are compiled.

mod access;
mod book;
mod rights;
mod routes;
mod rule;
mod sources;

pub use access::Access;
pub use book::{Account, Book};
pub use rights::{Rights, SubscribeRule, reserved};
pub use routes::{BRIDGE, BridgeRoutes};
pub use rule::{Rule, RuleSet};
pub use sources::{Object, Open, Outcome, Sources, Voiced};
