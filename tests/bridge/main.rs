//! Bridges to real brokers over real sockets: Debian's Mosquitto, another Latchgate, and a scripted remote that lies.
//! The gateway is killed at named places; what it had acknowledged must all arrive, and its ledger balance.

#[path = "../support/mod.rs"]
mod support;

mod around;
mod clock;
mod cloud;
mod crash;
mod faults;
mod foreign;
mod front;
mod handshake;
mod health;
mod identifier;
mod into;
mod lampi;
mod left_over;
mod link;
mod lock;
mod loops;
mod numbers;
mod out;
mod peer;
mod places;
mod refused;
mod remote;
mod session;
mod spool;
mod tls;

use serde_json::Value;

use support::{Subject, eventually};

/// A gateway called `b8` with one bridge `cloud` to this port, and these keys and routes besides.
fn settings(port: u16, keys: &str, routes: &str) -> support::subject::Settings {
    Subject::with().gateway("id = 'b8'").section(&format!(
        "[[bridge]]\nname = 'cloud'\naddress = 'mqtt://127.0.0.1:{port}'\nclient_id = '{{gateway.id}}_broker'\n\
         retry_min = '50ms'\nretry_max = '200ms'\n{keys}\n{routes}"
    ))
}

/// A route with the device's prefix on the remote broker.
fn route(topic: &str, direction: &str, qos: u8) -> String {
    format!(
        "[[bridge.route]]\ntopic = '{topic}'\ndirection = '{direction}'\nqos = {qos}\nremote_prefix = 'devices/{{gateway.id}}/'\n"
    )
}

/// What `bridge status` says of the one bridge.
fn status(subject: &Subject) -> Value {
    let answer = subject.command(&["bridge", "status", "--json"]).exits(0);
    let bridges: Value = serde_json::from_str(&answer.out).expect("JSON");
    bridges[0].clone()
}

fn until_connected(subject: &Subject) {
    eventually("the bridge is connected", || (status(subject)["connected"] == true).then_some(()));
}

/// The first route's ledger, which must balance.
fn ledger(subject: &Subject) -> Value {
    let route = status(subject)["routes"][0].clone();
    balances(&route);
    route
}

fn balances(route: &Value) {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let dropped: u64 = route["dropped"].as_object().into_iter().flatten().map(|(_, n)| count(n)).sum();
    let sum = count(&route["delivered"]) + count(&route["queued"]) + count(&route["expired"]) + dropped;
    assert_eq!(count(&route["accepted"]), sum, "{route}");
}

/// The same of a route that comes in.
fn balances_in(route: &Value) {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let refused: u64 = route["refused"].as_object().into_iter().flatten().map(|(_, n)| count(n)).sum();
    assert_eq!(count(&route["accepted"]), count(&route["published"]) + refused, "{route}");
}

/// As [`eventually`], for what takes long elsewhere too.
fn within<T>(seconds: u64, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(std::time::Instant::now() < deadline, "not within {seconds} s: {what}");
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

/// Waits until everything has left the spool.
fn until_drained(subject: &Subject) -> Value {
    eventually("the spool is empty", || {
        let status = status(subject);
        (status["connected"] == true && status["queued_messages"] == 0).then_some(())
    });
    ledger(subject)
}
