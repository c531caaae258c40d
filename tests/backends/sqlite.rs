//! The backend `sqlite` with the database of another program.

use rusqlite::Connection;

use super::sql::{self, Database, add_user, allow, create, gateway, queries, subscribes};
use super::{PASSWORD, STORED, login, may_publish, within_a_second};
use crate::support::{Client, Connect, Publish, Subject};

/// A file of its own for each test.
struct Sqlite {
    directory: tempfile::TempDir,
}

impl Sqlite {
    fn new(journal: &str) -> Self {
        let sqlite = Sqlite { directory: tempfile::tempdir().expect("a directory") };
        sqlite.run(&format!("PRAGMA journal_mode = {journal};"));
        create(&sqlite);
        sqlite
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("app.db")
    }

    fn open(&self) -> Connection {
        Connection::open(self.path()).expect("open the database")
    }
}

impl Database for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn reached(&self) -> String {
        format!("path = \"{}\"", self.path().display())
    }

    fn run(&self, sql: &str) {
        self.open().execute_batch(sql).expect(sql);
    }

    fn placeholders(&self) -> [&'static str; 2] {
        ["?", "?"]
    }
}

#[test]
fn another_programs_schema_decides_in_every_style_and_nothing_hostile_gets_through() {
    let sqlite = Sqlite::new("WAL");
    sql::the_seeds_matrix(&sqlite);
    sql::each_access_by_itself(&sqlite);
    sql::hostile_names(&sqlite);
    sql::garbage(&sqlite);
    sql::wrong_queries(&sqlite);
}

fn with_ann_and_bob(sqlite: &Sqlite) -> Subject {
    for user in ["ann", "bob"] {
        add_user(sqlite, user, STORED, false);
        allow(sqlite, user, "fence/#", 7);
    }
    allow(sqlite, "ann", "a/#", 7);
    gateway(sqlite, &queries(sqlite), "allow = \"1h\"\ndeny = \"1h\"")
}

#[test]
fn a_change_of_the_file_is_obeyed_by_live_sessions_within_a_second() {
    for journal in ["WAL", "DELETE"] {
        let sqlite = Sqlite::new(journal);
        let subject = with_ann_and_bob(&sqlite);
        let (mut ann, mut bob) = (subject.accept(&login("ann")), subject.accept(&login("bob")));
        let mut watcher = subject.accept(&Connect::v5("watcher").login("ann", PASSWORD));
        watcher.subscribe("a/#", 0);
        assert!(
            may_publish(&mut ann, "a/x") && !may_publish(&mut ann, "b/x") && !may_publish(&mut bob, "a/x")
        );
        assert_eq!(watcher.receive().topic, "a/x");
        allow(&sqlite, "ann", "b/#", 7);
        within_a_second("ann may publish there", || may_publish(&mut ann, "b/x"));
        sqlite.run("DELETE FROM acls WHERE topic = 'a/#';");
        within_a_second("a right that is gone is gone", || !may_publish(&mut ann, "a/x"));
        ann.ping();
        sqlite.run("UPDATE users SET super = 1 WHERE name = 'bob';");
        within_a_second("bob is a superuser", || may_publish(&mut bob, "a/last"));
        // The subscription ended with the right.
        watcher.subscribe("fence/x", 0);
        bob.say("fence/x", "x");
        let mut topics =
            std::iter::from_fn(|| Some(watcher.receive().topic)).take_while(|topic| topic != "fence/x");
        assert!(topics.all(|topic| topic == "a/x"));
        add_user(&sqlite, "carl", STORED, false);
        within_a_second("carl is there", || Client::connect(subject.port(), &login("carl")).1.code == 0);
        sqlite.run("DELETE FROM users WHERE name = 'bob';");
        bob.expect_disconnect(0x87);
        subject.refuse(&login("bob"));
        ann.ping();
        let another = subject.command_with_input(&["hash"], "another\n").exits(0).out;
        sqlite.run(&format!("UPDATE users SET pw = '{}' WHERE name = 'ann';", another.trim()));
        ann.expect_disconnect(0x87);
        subject.refuse(&login("ann"));
        subject.accept(&Connect::v5("ann").login("ann", "another")).ping();
    }
}

#[test]
fn a_file_that_is_replaced_or_missing_counts_as_it_is() {
    let sqlite = Sqlite::new("DELETE");
    let subject = with_ann_and_bob(&sqlite);
    let mut ann = subject.accept(&login("ann"));
    assert!(may_publish(&mut ann, "a/x"));
    let other = Sqlite::new("DELETE");
    allow(&other, "ann", "fence/#", 7);
    add_user(&other, "ann", STORED, false);
    allow(&other, "ann", "b/#", 7);
    std::fs::rename(other.path(), sqlite.path()).expect("replace the file");
    within_a_second("the new file counts", || may_publish(&mut ann, "b/x"));
    assert!(!may_publish(&mut ann, "a/x"));
    subject.refuse(&login("bob"));
    std::fs::rename(sqlite.path(), other.path()).expect("move the file away");
    within_a_second("nothing is allowed without it", || !may_publish(&mut ann, "b/x"));
    subject.refuse(&login("ann"));
    ann.ping();
    std::fs::rename(other.path(), sqlite.path()).expect("put it back");
    within_a_second("it counts again", || may_publish(&mut ann, "b/x"));
}

#[test]
fn a_program_that_holds_the_file_delays_only_who_asks_and_is_never_a_yes() {
    let sqlite = Sqlite::new("DELETE");
    let subject = with_ann_and_bob(&sqlite);
    let mut ann = subject.accept(&login("ann"));
    assert!(may_publish(&mut ann, "a/x") && subscribes(&mut ann, "a/y"));
    let writer = sqlite.open();
    writer.execute_batch("BEGIN EXCLUSIVE;").expect("hold the file");
    // What is known goes on counting.
    assert!(may_publish(&mut ann, "a/x"));
    subject.refuse(&Connect::v5("b").login("bob", PASSWORD));
    writer.execute_batch("COMMIT;").expect("let it go");
    crate::support::eventually("bob comes in", || {
        (Client::connect(subject.port(), &Connect::v5("b").login("bob", PASSWORD)).1.code == 0).then_some(())
    });
}

#[test]
fn a_query_or_file_that_cannot_be_used_is_told_at_its_key() {
    let sqlite = Sqlite::new("WAL");
    for (section, what) in [
        ("user_query = \"SELECT pw FROM people WHERE name = ?\"", "no such table: people"),
        ("user_query = \"SELECT name, pw FROM users WHERE name = ?\"", "gives 2 columns"),
        ("user_query = \"DELETE FROM users WHERE name = ?\"", "is no SELECT"),
        ("user_query = \"SELECT pw FROM users WHERE name = ? AND x = ? AND y = ?\"", "more placeholders"),
        (
            "superuser_query = \"SELECT super FROM users WHERE name = ?\"",
            "neither `user_query` nor `acl_query`",
        ),
    ] {
        let answer = gateway(&sqlite, section, "").command(&["check"]).exits(2);
        assert!(answer.err.contains(what), "{section}: {answer:?}");
    }
    let nowhere = Sqlite::new("WAL");
    std::fs::remove_file(nowhere.path()).expect("remove the file");
    let answer = gateway(&nowhere, &queries(&nowhere), "").command(&["check"]).exits(2);
    assert!(answer.err.contains("auth.sqlite.path"), "{answer:?}");
    assert!(!nowhere.path().exists(), "nothing is created");
    std::fs::write(nowhere.path(), "no database at all, but long enough to be looked at as one")
        .expect("write");
    let answer = gateway(&nowhere, &queries(&nowhere), "").command(&["check"]).exits(2);
    assert!(answer.err.contains("auth.sqlite.path"), "{answer:?}");
}

#[test]
fn a_message_kept_for_a_subscriber_is_judged_by_its_authors_present_rights_there() {
    let sqlite = Sqlite::new("WAL");
    let subject = with_ann_and_bob(&sqlite);
    allow(&sqlite, "bob", "a/#", 7);
    let mut ann = subject.accept(&login("ann"));
    ann.publish(Publish::to("a/kept").qos(1).retain().payload("x"));
    let mut bob = subject.accept(&login("bob"));
    bob.subscribe("a/kept", 0);
    assert_eq!(bob.receive().topic, "a/kept");
    bob.unsubscribe(&["a/kept"]);
    sqlite.run("DELETE FROM acls WHERE name = 'ann' AND topic = 'a/#';");
    within_a_second("ann has lost the right", || !may_publish(&mut ann, "a/x"));
    bob.subscribe("a/kept", 0);
    bob.nothing_arrives();
}

/// Bug: it was said to be changed with `latchgate user password`, which does not reach another program's database.
#[test]
fn a_stored_password_of_no_use_is_told_with_the_place_to_mend_it() {
    let sqlite = Sqlite::new("WAL");
    add_user(&sqlite, "ann", "$9$nonsense", false);
    let subject = gateway(&sqlite, &queries(&sqlite), "");
    assert_eq!(subject.refuse(&login("ann")).code, 0x86);
    let log = subject.log();
    assert!(log.contains("set a new one where the account is"), "{log}");
    assert!(!log.contains("latchgate user password") && !log.contains("nonsense"), "{log}");
}
