//! MQTT over real sockets against the real executable, theme by theme. No theme knows the crate; the same
//! tests run against Debian's Mosquitto with `MQTT_TEST_SUBJECT=mosquitto`, which proves the tests. Each names
//! the normative ids it covers; `coverage.rs` says how, and fails for an id without a test.

#[path = "../support/mod.rs"]
mod support;

mod alias;
mod announced;
mod client;
mod connect;
mod coverage;
mod exchange;
mod header;
mod keep_alive;
mod limits;
mod login;
mod malformed;
mod overload;
mod publish;
mod raw;
mod reason;
mod retained;
mod session;
mod shared;
mod string;
mod subscription;
mod takeover;
mod topic;
mod unsubscribe;
mod v5;
mod will;
mod window;
