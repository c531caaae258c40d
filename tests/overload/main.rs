//! Too much of everything: thousands of connects at once, topics and client identifiers without end, subscribers
//! that do not read. Nobody else is held up, what is dropped is counted, and memory comes back.
//!
//! Every test prints what it measured. `OVERLOAD=full` runs the whole numbers (`tests/run overload`), otherwise the
//! loads that take long are a tenth of that.

#[path = "../support/mod.rs"]
mod support;

mod connects;
mod fleet;
mod gauge;
mod identities;
mod probe;
mod stuck;
mod subscriptions;
mod topics;

/// `number` in a full run, a tenth of it otherwise.
fn scaled(number: usize) -> usize {
    match std::env::var("OVERLOAD").as_deref() {
        Ok("full") => number,
        Ok(other) => panic!("OVERLOAD is full or not set, not {other:?}"),
        Err(_) => number / 10,
    }
}
