//! State files that cannot be used.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::random::Random;
use crate::support::{Connect, Publish, Subject, skip_for_mosquitto};

fn file(subject: &Subject) -> PathBuf {
    subject.directory().join("state/state.db")
}

/// A gateway with an account and a session with a message, stopped in order.
fn stopped() -> (Subject, Connect) {
    let subject = Subject::with().lasting().prepare();
    subject
        .command_with_input(&["user", "add", "alice", "--password-stdin"], "a password of alice\n")
        .exits(0);
    let alice = Connect::v5("alice").keep_session().login("alice", "a password of alice");
    let mut client = subject.accept(&alice);
    client.subscribe("a", 1);
    client.disconnect();
    let mut publisher = subject.v5("publisher");
    for n in 0..200 {
        publisher.publish(Publish::to("a").qos(1).retain().payload(format!("{n} {}", "x".repeat(500))));
    }
    subject.signal(Signal::TERM);
    subject.wait();
    (subject, alice)
}

/// It serves, the account is there, and what it keeps from now on is kept.
fn begins_anew(subject: &Subject, alice: &Connect) {
    let mut client = subject.accept(alice);
    client.subscribe("b", 1);
    client.disconnect();
    subject.v5("publisher").say("b", "new");
    subject.kill();
    subject.start_again();
    let (mut client, connack) = subject.accept_with_connack(alice);
    assert!(connack.session_present);
    while client.receive().payload != b"new" {}
}

fn set_aside(subject: &Subject) -> Vec<PathBuf> {
    let entries = fs::read_dir(subject.directory().join("state")).expect("list the state");
    let paths = entries.map(|entry| entry.expect("list the state").path());
    paths.filter(|path| path.to_string_lossy().contains("state.db.damaged-")).collect()
}

#[test]
fn a_file_that_is_no_database_is_set_aside_and_said_loudly() {
    skip_for_mosquitto!("it has other files");
    let (subject, alice) = stopped();
    let noise: Vec<_> = {
        let mut random = Random::new(1);
        (0..20_000).map(|_| random.next() as u8).collect()
    };
    fs::write(file(&subject), &noise).expect("write noise");
    subject.start_again();
    let log = subject.log();
    let said = log.lines().find(|line| line.contains("damaged") && line.contains("ERROR"));
    assert!(said.is_some_and(|line| line.contains("state.db")), "the log does not say so:\n{log}");
    let aside = set_aside(&subject);
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(fs::read(&aside[0]).expect("read it") == noise, "what was set aside is not the file");
    let (mut client, connack) = subject.accept_with_connack(&alice);
    assert!(!connack.session_present, "nothing is left of it");
    client.nothing_arrives();
    client.disconnect();
    begins_anew(&subject, &alice);
}

#[test]
fn a_file_with_overwritten_bytes_never_keeps_the_gateway_from_starting() {
    skip_for_mosquitto!("it has other files");
    let (subject, alice) = stopped();
    let sound = fs::read(file(&subject)).expect("read the state");
    let seed = Random::seed_of("CRASH_SEED");
    println!("again with CRASH_SEED={seed}");
    let mut random = Random::new(seed);
    for _ in 0..4 {
        let mut bytes = sound.clone();
        for _ in 0..1 + random.below(6) {
            let (at, length) = (random.below(bytes.len() as u64) as usize, 1 + random.below(600) as usize);
            let end = (at + length).min(bytes.len());
            bytes[at..end].fill_with(|| random.next() as u8);
        }
        if random.one_in(4) {
            bytes.truncate(random.below(sound.len() as u64) as usize);
        }
        for name in ["state.db-wal", "state.db-shm"] {
            let _ = fs::remove_file(subject.directory().join("state").join(name));
        }
        fs::write(file(&subject), &bytes).expect("write damage");
        subject.start_again();
        // What it made of it may be all, a part or nothing; it must serve and remember.
        begins_anew(&subject, &alice);
        subject.signal(Signal::TERM);
        subject.wait();
    }
    subject.start_again();
}

#[test]
fn a_file_of_a_newer_release_is_refused_in_words_and_left_alone() {
    skip_for_mosquitto!("it has other files");
    let (subject, alice) = stopped();
    let sound = fs::read(file(&subject)).expect("read the state");
    let mut newer = sound.clone();
    // The schema's version, in SQLite's header: https://www.sqlite.org/fileformat2.html#user_version_number
    newer[60..64].copy_from_slice(&999u32.to_be_bytes());
    fs::write(file(&subject), &newer).expect("write a newer file");
    let status = subject.try_start_again(&[]).expect_err("the gateway started");
    assert!(!status.success());
    let log = subject.log();
    assert!(log.contains("newer release") && log.contains("state.db"), "{log}");
    assert!(fs::read(file(&subject)).expect("read it") == newer, "it was changed");
    assert!(set_aside(&subject).is_empty());
    fs::write(file(&subject), &sound).expect("write the old file");
    subject.start_again();
    let (mut client, connack) = subject.accept_with_connack(&alice);
    assert!(connack.session_present);
    assert!(client.receive().text().starts_with("0 "));
}

#[test]
fn what_is_removed_under_a_running_gateway_is_told_and_nothing_more_is_promised() {
    skip_for_mosquitto!("it writes when it stops");
    let subject = Subject::with().lasting().start();
    let keep = Connect::v5("away").keep_session();
    let mut away = subject.accept(&keep);
    away.subscribe("a", 1);
    away.disconnect();
    let mut publisher = subject.v5("publisher");
    assert_eq!(publisher.say("a", "before"), 0);
    for name in ["state.db", "lock.db"] {
        fs::remove_file(subject.directory().join("state").join(name)).expect("it is there");
    }
    assert_eq!(publisher.say("a", "after"), 0x97, "the next start would know nothing of it");
    assert!(subject.log().contains("state.db was removed"), "{}", subject.log());
    // It is closed all the same.
    let answer = subject.command(&["lock", "close"]).exits(1);
    assert!(answer.err.contains("lock.db was removed"), "{answer:?}");
}
