//! Tests of a file that somebody edited, and of one that somebody else reads.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::*;
use crate::broker::Message;
use crate::policy::Identity;

const INSERT: &str = "INSERT INTO message VALUES (?1, ?2, x'', x'', 1, 1, NULL, 'c', 'u', 'l', NULL, NULL)";

/// Makes the file, edits it, and opens it again.
fn edited(edit: impl FnOnce(&Connection)) -> (tempfile::TempDir, StateDb, Saved) {
    let directory = tempfile::tempdir().unwrap();
    drop(StateDb::open(directory.path()).unwrap());
    edit(&Connection::open(directory.path().join(StateDb::FILE)).unwrap());
    let (state, saved) = StateDb::open(directory.path()).unwrap();
    (directory, state, saved)
}

fn identity() -> Identity {
    Identity {
        client_id: "c".into(),
        user: "u".into(),
        address: ([0, 0, 0, 0], 0).into(),
        listener: "l".into(),
        backend: None,
        token: None,
        credential: None,
        certificate: None,
    }
}

fn opened<'a>(client: &'a Arc<str>, owner: &'a Identity) -> Change<'a> {
    Change::Opened { client, fresh: true, owner, expiry: 9, inflight: 9, will: None }
}

fn wait(state: &StateDb) -> bool {
    let mut ticket = state.commit();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(std::future::poll_fn(|cx| ticket.poll(cx))).is_ok()
}

#[test]
fn a_topic_that_no_message_can_have_is_left_out() {
    for topic in ["#".to_owned(), "a/+".into(), String::new(), "a/".repeat(30_000), "a".repeat(70_000)] {
        let (_directory, _state, saved) = edited(|file| {
            file.execute(INSERT, params![1, topic]).unwrap();
            file.execute("INSERT INTO retained VALUES (?1, 1)", [&topic]).unwrap();
        });
        assert!(saved.messages.is_empty() && saved.retained.is_empty(), "{} bytes", topic.len());
    }
}

#[test]
fn after_the_largest_numbers_there_are_it_can_still_be_written() {
    let (_directory, state, saved) = edited(|file| {
        file.execute(INSERT, params![i64::MAX, "t"]).unwrap();
        let sql = "INSERT INTO session (id, client, user, listener, expiry) VALUES (?1, 'c', 'u', 'l', 9)";
        file.execute(sql, [i64::MAX]).unwrap();
    });
    assert!(saved.messages.is_empty() && saved.sessions.is_empty());
    let (client, owner) = ("c".into(), identity());
    state.record(opened(&client, &owner));
    let message = Message::for_tests("t", "p", identity());
    state.record(Change::Retained { topic: &message.topic, message: Some(&message) });
    assert!(wait(&state));
}

#[test]
fn a_new_session_and_a_new_message_inherit_no_rows_of_others() {
    let (directory, state, _) = edited(|file| {
        file.execute_batch(
            "INSERT INTO subscription VALUES (1, 'secret/#', 1, NULL, 0); INSERT INTO retained VALUES ('t', 1);",
        )
        .unwrap();
    });
    let (client, owner) = ("c".into(), identity());
    state.record(opened(&client, &owner));
    let message = Message::for_tests("other", "p", identity());
    state.record(Change::Retained { topic: &message.topic, message: Some(&message) });
    drop(state);
    let (_state, saved) = StateDb::open(directory.path()).unwrap();
    assert_eq!((saved.sessions.len(), saved.retained.len()), (1, 1));
    assert!(saved.sessions[0].subscriptions.is_empty());
}

#[test]
fn a_process_that_goes_on_reading_delays_no_commit() {
    let (directory, state, _) = edited(|_| ());
    let reader = Connection::open(directory.path().join(StateDb::FILE)).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM message;").unwrap();
    let began = Instant::now();
    let payload = "x".repeat(1 << 20);
    for n in 0..16 {
        let message = Message::for_tests(&n.to_string(), &payload, identity());
        state.record(Change::Retained { topic: &message.topic, message: Some(&message) });
        assert!(wait(&state));
    }
    // It was 5 s for each commit once the log had 4 MiB.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn properties_that_no_message_carries_forge_no_packet() {
    let with = |properties: &'static [u8]| {
        let (_directory, _state, saved) = edited(|file| {
            file.execute(INSERT, params![1, "t"]).unwrap();
            file.execute("INSERT INTO retained VALUES ('t', 1)", []).unwrap();
            file.execute("UPDATE message SET properties = ?1", [properties]).unwrap();
        });
        saved.messages.len()
    };
    // Content type and user property; topic alias, subscription identifier, half a property, none at all.
    assert_eq!(with(b"\x03\0\x01x\x26\0\x01a\0\x01b"), 1);
    for forged in [&b"\x23\0\x01"[..], b"\x0b\x01", b"\x03\0\x09x", b"\xff", b"\x03\0\x01x\x03\0\x01x"] {
        assert_eq!(with(forged), 0, "{forged:?}");
    }
}

#[test]
fn a_clock_that_is_behind_the_last_write_lets_nothing_stay_for_longer() {
    const HOUR: Duration = Duration::from_secs(3600);
    let (directory, state, _) = edited(|_| ());
    let (client, owner) = ("c".into(), identity());
    state.record(opened(&client, &owner));
    state.record(Change::Parked { client: &client, expiry: 9, sent: 0, will: None });
    let mut message = Arc::into_inner(Message::for_tests("t", "p", identity())).unwrap();
    message.expires = Some(Instant::now() + 2 * HOUR);
    let message = Arc::new(message);
    state.record(Change::Retained { topic: &message.topic, message: Some(&message) });
    drop(state);
    // As if it had been written in an hour, and the clock had gone back since.
    let file = std::fs::File::options().append(true).open(directory.path().join(StateDb::FILE)).unwrap();
    file.set_modified(std::time::SystemTime::now() + HOUR).unwrap();
    drop(file);
    let (_state, saved) = StateDb::open(directory.path()).unwrap();
    let minute = Duration::from_secs(60);
    let gone = saved.sessions[0].gone.unwrap();
    assert!(gone > HOUR - minute && gone < HOUR + minute, "{gone:?}");
    let left = saved.messages[0].expires.unwrap().duration_since(Instant::now());
    assert!(left > HOUR - minute && left < HOUR + minute, "{left:?}");
}
