//! Every operation, changes seen from elsewhere, and rows that other programs left behind.

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::latch::{State, Switch};

fn open() -> (TempDir, PairingsDb) {
    let directory = tempfile::tempdir().unwrap();
    let db = PairingsDb::open(directory.path()).unwrap();
    (directory, db)
}

fn intruder(directory: &TempDir) -> Connection {
    Connection::open(directory.path().join(PairingsDb::FILE)).unwrap()
}

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

fn known(at: u64) -> Known {
    let instances = [(id("DOOR"), Switch::Gone)].into();
    Known {
        at,
        state: State {
            application: Switch::Open,
            publish: Switch::Locked,
            subscribe: Switch::Open,
            instances,
        },
    }
}

#[test]
fn a_pairing_is_kept_with_its_instances_and_forgotten_with_them() {
    let (directory, db) = open();
    db.pair("lamp", &id("ACC1")).unwrap();
    let door = Instance { id: id("DOOR"), topic: "door/+".into() };
    db.add_instance("lamp", &door).unwrap();
    db.remember("lamp", &id("ACC1"), &known(7)).unwrap();
    let again = PairingsDb::open(directory.path()).unwrap();
    let expected = Pairing {
        user: "lamp".into(),
        account: Some(id("ACC1")),
        instances: vec![door.clone()],
        known: Some(known(7)),
    };
    assert_eq!(again.load().unwrap(), [expected]);
    assert!(db.remove_instance("lamp", "door/+").unwrap() && !db.remove_instance("lamp", "door/+").unwrap());
    db.add_instance("lamp", &door).unwrap();
    assert!(db.unpair("lamp").unwrap() && !db.unpair("lamp").unwrap());
    db.pair("lamp", &id("ACC2")).unwrap();
    assert_eq!(db.load().unwrap()[0].instances, []);
}

#[test]
fn a_user_paired_anew_keeps_nothing_of_the_old_pairing() {
    let (_directory, db) = open();
    db.pair("lamp", &id("ACC1")).unwrap();
    db.add_instance("lamp", &Instance { id: id("DOOR"), topic: "door".into() }).unwrap();
    db.remember("lamp", &id("ACC1"), &known(7)).unwrap();
    db.pair("lamp", &id("ACC2")).unwrap();
    db.remember("lamp", &id("ACC1"), &known(8)).unwrap();
    let pairing = db.load().unwrap().remove(0);
    assert_eq!((pairing.instances, pairing.known), (vec![], None));
}

#[test]
fn changes_are_seen_from_both_sides_and_notes_are_none() {
    let (directory, db) = open();
    let before = db.revision().unwrap();
    db.pair("lamp", &id("ACC1")).unwrap();
    let ours = db.revision().unwrap();
    assert_ne!(ours, before);
    db.remember("lamp", &id("ACC1"), &known(7)).unwrap();
    assert_eq!(db.revision().unwrap(), ours);
    PairingsDb::open(directory.path()).unwrap().unpair("lamp").unwrap();
    assert_ne!(db.revision().unwrap(), ours);
}

#[test]
fn names_and_topics_that_look_like_sql_are_names_and_topics() {
    let (_directory, db) = open();
    for name in ["'; DROP TABLE pairing; --", "a/b+#", "ä\u{1b}[2J"] {
        db.pair(name, &id("ACC")).unwrap();
        db.add_instance(name, &Instance { id: id("X"), topic: name.into() }).unwrap();
    }
    assert_eq!(db.load().unwrap().len(), 3);
    assert!(db.pair("role:x", &id("ACC")).is_err() && db.pair("", &id("ACC")).is_err());
}

#[test]
fn rows_that_cannot_be_understood_shut_their_user_out() {
    let (directory, db) = open();
    for user in ["a", "b", "c"] {
        db.pair(user, &id("ACC")).unwrap();
    }
    let other = intruder(&directory);
    other
        .execute_batch(
            "UPDATE pairing SET account = '../unpair/X' WHERE user = 'a';
             INSERT INTO instance (user, topic, id) VALUES ('b', 'door', 'no id');
             UPDATE pairing SET known_at = -1, known = '{\"application\":\"open\"}' WHERE user = 'c';",
        )
        .unwrap();
    let pairings = db.load().unwrap();
    let accounts: Vec<bool> = pairings.iter().map(|pairing| pairing.account.is_some()).collect();
    assert_eq!(accounts, [false, false, true]);
    assert_eq!(pairings[2].known, None);
    other.execute("INSERT INTO pairing (user, account) VALUES (CAST(x'ff' AS TEXT), 'ACC')", []).unwrap();
    let error = db.load().unwrap_err();
    assert!(error.to_string().contains("latch.db"), "{error}");
}
