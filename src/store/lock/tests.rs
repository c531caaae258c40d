//! What is kept of the lock comes back; what cannot be understood is told.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::policy::lock::Difference;

fn hold(by: &str) -> Hold {
    Hold { cause: Cause::Locked, since: Timestamp::from_second(1_000_000_000).unwrap(), by: by.into() }
}

fn scopes() -> Vec<Scope> {
    let users = ["a\"b", "c,d"].into_iter().map(Arc::from).collect();
    vec![
        Scope::GATEWAY,
        Scope::parse("topic:doors/#", Some("bob")).unwrap(),
        Scope::parse("publish", Some("*")).unwrap(),
        Scope { area: Area::Subscribe, who: Who::EveryoneBut(Arc::new(users)) },
    ]
}

fn save(db: &LockDb, old: &State, new: &State, log: &[Entry]) {
    let difference: Difference = old.difference(new);
    db.save(&Edit { difference: &difference, since: new.since(), log }).unwrap();
}

fn full() -> State {
    let holds = scopes().into_iter().flat_map(|scope| {
        [(scope.clone(), Holder::Panel, hold("button")), (scope, Holder::Latch, hold("phone"))]
    });
    State::restore(holds, Some(Timestamp::from_second(1_000_000_001).unwrap()))
}

#[test]
fn what_was_kept_comes_back_and_what_was_let_go_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let db = LockDb::open(directory.path()).unwrap();
    assert!(db.load().unwrap().state.is_empty());
    let (empty, full) = (State::default(), full());
    save(&db, &empty, &full, &[]);
    assert_eq!(LockDb::open(directory.path()).unwrap().load().unwrap().state, full);
    let fewer = full.holds().filter(|(_, holder, _)| *holder == Holder::Panel);
    let fewer = State::restore(fewer.map(|(s, h, hold)| (s.clone(), h, hold.clone())), None);
    save(&db, &full, &fewer, &[]);
    let kept = LockDb::open(directory.path()).unwrap().load().unwrap();
    assert_eq!((kept.state, kept.damage), (fewer, None));
}

#[test]
fn the_log_keeps_the_newest_lines_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let db = LockDb::open(directory.path()).unwrap();
    let line = |n: usize| Entry {
        at: Timestamp::from_second(n as i64).unwrap(),
        holder: "panel".into(),
        did: "closed".into(),
        scope: n.to_string(),
        by: "button".into(),
    };
    let all: Vec<Entry> = (0..LINES as usize + 50).map(line).collect();
    save(&db, &State::default(), &State::default(), &all);
    assert_eq!(db.log(3).unwrap(), all[all.len() - 3..]);
    assert_eq!(db.log(usize::MAX).unwrap().len(), LINES as usize);
}

#[test]
fn a_row_that_cannot_be_understood_is_damage_and_the_others_count() {
    let wrong = [
        "UPDATE hold SET area = 'door' WHERE area = 'gateway'",
        "UPDATE hold SET who = 'bob' WHERE who = '*'",
        "UPDATE hold SET who = 'but:[1]' WHERE who LIKE 'but:%'",
        "UPDATE hold SET holder = 'nobody' WHERE holder = 'panel'",
        "UPDATE hold SET cause = '' WHERE area = 'publish'",
        "UPDATE hold SET since = 9223372036854775807 WHERE area = 'publish'",
    ];
    for sql in wrong {
        let directory = tempfile::tempdir().unwrap();
        let db = LockDb::open(directory.path()).unwrap();
        save(&db, &State::default(), &full(), &[]);
        db.database.connection().execute_batch(sql).unwrap();
        let kept = db.load().unwrap();
        assert!(kept.damage.is_some_and(|why| why.contains("lock.db")), "{sql}");
        assert!(kept.state.is_any_closed(), "{sql}");
    }
}

#[test]
fn a_damaged_file_is_put_aside_and_told() {
    let directory = tempfile::tempdir().unwrap();
    drop(LockDb::open(directory.path()).unwrap());
    let path = directory.path().join(LockDb::FILE);
    for tail in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(directory.path().join(format!("lock.db{tail}")));
    }
    std::fs::write(&path, "no database, however long it goes on".repeat(200)).unwrap();
    let kept = LockDb::open(directory.path()).unwrap().load().unwrap();
    assert!(kept.damage.unwrap().contains("damaged-"));
    let aside = std::fs::read_dir(directory.path()).unwrap().filter_map(Result::ok);
    assert_eq!(aside.filter(|f| f.file_name().to_string_lossy().contains("damaged")).count(), 1);
    assert_eq!(LockDb::open(directory.path()).unwrap().load().unwrap().damage, None);
}

#[test]
fn while_a_damaged_file_is_put_aside_there_is_always_one_so_that_no_kill_makes_it_a_first_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(LockDb::FILE);
    std::fs::write(&path, "").unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // It looks thousands of times in a round, and the gap that there was took dozens of looks.
        let missing = scope.spawn(|| {
            let mut missing = 0;
            while !over.load(Ordering::Relaxed) {
                missing += usize::from(!path.exists());
            }
            missing
        });
        for _ in 0..30 {
            drop(LockDb::open(directory.path()).unwrap());
            File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        }
        over.store(true, Ordering::Relaxed);
        assert_eq!(missing.join().unwrap(), 0);
    });
}

#[test]
fn an_empty_file_is_damage_and_stays_closed_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(LockDb::FILE), "").unwrap();
    let kept = LockDb::open(directory.path()).unwrap().load().unwrap();
    assert!(kept.damage.unwrap().contains("it is empty"));
    let kept = LockDb::open(directory.path()).unwrap().load().unwrap();
    assert_eq!((kept.damage, kept.state.gateway_holders()), (None, vec![Holder::Panel]));
}

#[test]
fn a_first_start_that_was_cut_short_is_no_damage_and_leaves_nothing_empty() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["lock.new", "lock.new-wal"] {
        std::fs::write(directory.path().join(name), "half").unwrap();
    }
    let db = LockDb::open(directory.path()).unwrap();
    let kept = db.load().unwrap();
    assert_eq!((kept.damage, kept.state), (None, State::default()));
    // Without what SQLite keeps beside it, as when nothing but the file itself reached the disk.
    let file = std::fs::read(directory.path().join(LockDb::FILE)).unwrap();
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join(LockDb::FILE), file).unwrap();
    assert_eq!(LockDb::open(other.path()).unwrap().load().unwrap().damage, None);
    assert!(!directory.path().join("lock.new").exists());
}
