//! The second factor over real sockets: the executable, MQTT clients, and a stand-in for the Latch service that
//! recomputes every signature by itself.

#[path = "../support/mod.rs"]
mod support;

mod command;
mod service;
