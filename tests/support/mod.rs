//! What the black-box tests stand on: a raw MQTT client that shares no code with the crate, and the
//! server under test as a process of its own. Nothing here sleeps to synchronise; every wait has a
//! condition and the bound [`BOUND`].
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of the support")]

pub mod client;
pub mod packet;
pub mod property;
pub mod reader;
pub mod relay;
pub mod small_disk;
pub mod subject;
pub mod websocket;

pub use client::{Client, Gone};
pub use packet::{Connect, Publish, Subscribe, Version, Will};
pub use property::{Property, Value};
pub use reader::Packet;
pub use subject::{Answer, Subject};
pub use websocket::WebSocket;

use std::time::{Duration, Instant};

/// How long anything may take before a test fails. Generous, because the machine may be busy.
pub const BOUND: Duration = Duration::from_secs(10);

/// Asks again and again until there is an answer, and fails with `what` when [`BOUND`] has passed.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + BOUND;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {BOUND:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Leaves the test when Mosquitto is the subject, because it deviates here; says so on stderr, past the
/// capture of the test harness.
#[allow(unused_macros, reason = "as above")]
macro_rules! skip_for_mosquitto {
    ($why:expr) => {
        if crate::support::subject::is_mosquitto() {
            use std::io::Write;
            let test = std::thread::current();
            let name = test.name().unwrap_or(module_path!());
            let _ = writeln!(std::io::stderr(), "skipped for mosquitto: {name}: {}", $why);
            return;
        }
    };
}
pub(crate) use skip_for_mosquitto;
