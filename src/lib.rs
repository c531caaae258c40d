//! Latchgate: a secure MQTT edge gateway that asks before everything.
//!
//! One folder is one room; each answers one question and may use only the rooms below it
//! (`ARCHITECTURE.md` has the table, `tests/architecture.rs` checks it).
#![warn(missing_docs, clippy::dbg_macro, clippy::todo, clippy::unimplemented)]
#![deny(unsafe_code)]

pub mod admin;
pub mod bridge;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod file;
pub mod gateway;
pub mod import;
pub mod latch;
pub mod mqtt;
pub mod net;
pub mod panel;
pub mod pki;
pub mod policy;
pub mod session;
pub mod store;
pub mod system;
