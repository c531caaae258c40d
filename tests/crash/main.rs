//! What the gateway remembers: it is killed, stopped and cut from power, again and again, and is asked afterwards.
//!
//! `CRASH_ROUNDS` says how often the storms end the server, `CRASH_SEED` repeats one. With
//! `MQTT_TEST_SUBJECT=mosquitto` the stories prove themselves: Mosquitto is asked to write its file before it is killed.

#[path = "../support/mod.rs"]
mod support;

mod bounds;
mod chance;
mod compare;
mod damaged;
mod exchange;
mod full;
mod powercut;
mod queue;
mod random;
mod receiver;
mod retained;
mod session;
mod storm;
mod will;
mod world;
