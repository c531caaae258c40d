//! The kept corpora of the fuzz targets, replayed: `fuzz/checks` holds what is checked, `fuzz/corpus` the inputs.

use std::fs;
use std::path::Path;

#[path = "../fuzz/checks/config.rs"]
mod config;
#[path = "../fuzz/checks/connection.rs"]
mod connection;
#[path = "../fuzz/checks/decode.rs"]
mod decode;
#[path = "../fuzz/checks/import.rs"]
mod import;
#[path = "../fuzz/checks/password.rs"]
mod password;
#[path = "../fuzz/checks/session.rs"]
mod session;
#[path = "../fuzz/checks/topic.rs"]
mod topic;

/// Puts every input of a corpus, and every strict half of it, to its check. Names the input that fails.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 10, "only {} inputs in {}", inputs.len(), folder.display());
    for path in inputs {
        let input = fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| {
            check(&input);
            check(&input[..input.len() / 2]);
        });
        assert!(outcome.is_ok(), "{} fails, see above", path.display());
    }
}

#[test]
fn the_codec_holds_on_its_corpus() {
    replay("decode", decode::check);
}

#[test]
fn the_session_holds_on_its_corpus() {
    replay("session", session::check);
}

#[test]
fn topic_filters_hold_on_their_corpus() {
    replay("topic", topic::check);
}

#[test]
fn stored_passwords_hold_on_their_corpus() {
    replay("password", password::check);
}

#[test]
fn the_configuration_holds_on_its_corpus() {
    replay("config", config::check);
}

#[test]
fn imports_hold_on_their_corpus() {
    replay("import", import::check);
}

#[test]
fn connections_hold_on_their_corpus() {
    replay("connection", connection::check);
}
