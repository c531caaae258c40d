//! MQTT over real sockets against the real executable, theme by theme. No theme knows the crate; the same
//! tests run against Debian's Mosquitto with `MQTT_TEST_SUBJECT=mosquitto`, which proves the tests.

#[path = "../support/mod.rs"]
mod support;

mod announced;
mod connect;
mod keep_alive;
mod limits;
mod malformed;
mod overload;
mod publish;
mod retained;
mod session;
mod shared;
mod subscription;
mod v5;
mod will;
