//! What every backend that is asked in SQL must do, whatever the database.

use super::{PASSWORD, STORED, may_publish};
use crate::support::{Client, Connect, Subject, Subscribe, packet::VERSIONS};

/// `foo` and `S1`, as `np` of mosquitto-auth-plug stores them.
const FOO: &str = "PBKDF2$sha256$901$x8mf3JIFTUFU9C23$Mid2xcgTrKBfBdye6W/4hE3GKeksu00+";
const FOO_OF_A: &str = "PBKDF2$sha256$901$XPkOwNbd05p5XsUn$1uPtR6hMKBedWE44nqdVg+2NPKvyGst8";
const S1: &str = "PBKDF2$sha256$901$chEZ4HcSmKtlV0kf$yRh2N62uq6cHoAB6FIrxIN2iihYqNIJp";
/// `test1`, as mosquitto-go-auth stores it.
const TEST1: &str = "PBKDF2$sha512$100000$2WQHK5rjNN+oOT+TZAsWAw==$TDf4Y6J+9BdnjucFQ0ZUWlTwzncTjOOeE00W4Qm8lfPQyPCZACCjgfdK353jdGFwJjAf6vPAYaba9+z4GWK7Gg==";

/// Names that would do something else if they ever became part of a query, a command or a filter.
pub const HOSTILE: &[&str] = &[
    "' OR '1'='1",
    "ann' --",
    "ann'; DROP TABLE users; --",
    "\\",
    "\\' OR 1=1 #",
    "ann\" OR \"\"=\"",
    "%s%s%n%d",
    "$1",
    "?",
    "ann\r\nSET x y\r\n",
    "ann *",
    "{ann}",
    "日本",
    "😀",
    "ann%",
    "_nn",
];

/// A database that the gateway can be made to ask.
pub trait Database {
    /// The name of the backend.
    fn name(&self) -> &'static str;
    /// How it is reached: lines of its section.
    fn reached(&self) -> String;
    /// Runs statements.
    fn run(&self, sql: &str);
    /// The placeholders of user name and access.
    fn placeholders(&self) -> [&'static str; 2];
}

/// Puts the tables of these tests there, with nobody in them.
pub fn create(database: &dyn Database) {
    database.run(
        "CREATE TABLE users (name VARCHAR(200) NOT NULL, pw VARCHAR(1000), super INT NOT NULL DEFAULT 0);
         CREATE TABLE acls (name VARCHAR(200) NOT NULL, topic VARCHAR(1000), rw INT NOT NULL DEFAULT 7);",
    );
}

pub fn empty(database: &dyn Database) {
    database.run("DELETE FROM users; DELETE FROM acls;");
}

pub fn add_user(database: &dyn Database, name: &str, stored: &str, superuser: bool) {
    let superuser = u8::from(superuser);
    database.run(&format!("INSERT INTO users (name, pw, super) VALUES ('{name}', '{stored}', {superuser});"));
}

pub fn allow(database: &dyn Database, name: &str, topic: &str, rw: u8) {
    database.run(&format!("INSERT INTO acls (name, topic, rw) VALUES ('{name}', '{topic}', {rw});"));
}

/// A gateway that asks the database alone; `cache` are lines of [auth.cache].
pub fn gateway(database: &dyn Database, queries: &str, cache: &str) -> Subject {
    let (name, reached) = (database.name(), database.reached());
    let section = format!(
        "[auth]\nbackends = [\"{name}\"]\n[auth.throttle]\nfailures = 0\n[auth.cache]\n{cache}\n[auth.{name}]\n{reached}\n{queries}"
    );
    Subject::with().without_rules().section(&section).prepare()
}

/// The queries that most schemas have, in the database's own style.
pub fn queries(database: &dyn Database) -> String {
    let [user, access] = database.placeholders();
    format!(
        "user_query = \"SELECT pw FROM users WHERE name = {user}\"\n\
         superuser_query = \"SELECT COUNT(*) FROM users WHERE name = {user} AND super = 1\"\n\
         acl_query = \"SELECT topic FROM acls WHERE name = {user} AND (rw & {access}) <> 0\""
    )
}

/// Nothing is remembered for longer than a moment.
pub const FORGETFUL: &str = "allow = \"0s\"\ndeny = \"0s\"";

pub fn subscribes(client: &mut Client, filter: &str) -> bool {
    client.subscribe_all(&Subscribe::to(filter, 0))[0] < 0x80
}

/// The permission matrix of mosquitto-auth-plug's first generation, with its stored passwords and its query, which knows no
/// access.
pub fn the_seeds_matrix(database: &dyn Database) {
    empty(database);
    for (name, stored, superuser) in [("jjolie", FOO, false), ("a", FOO_OF_A, false), ("su1", S1, true)] {
        add_user(database, name, stored, superuser);
    }
    for (name, topic) in [
        ("jjolie", "loc/jjolie"),
        ("jjolie", "$SYS/something"),
        ("a", "loc/test/#"),
        ("a", "$SYS/broker/log/+"),
        ("su1", "mega/secret"),
        ("nop", "mega/secret"),
    ] {
        allow(database, name, topic, 0);
    }
    let queries = "user_query = \"SELECT pw FROM users WHERE name = '%s'\"\n\
         superuser_query = \"SELECT IFNULL(COUNT(*), 0) FROM users WHERE name = '%s' AND super = 1\"\n\
         acl_query = \"SELECT topic FROM acls WHERE name = '%s'\"\nsalt = \"text\"";
    let coalesce = queries.replace("IFNULL", "COALESCE");
    let subject = gateway(database, &coalesce, "");
    for (user, password, allowed) in [
        ("jjolie", "foo", &["loc/jjolie"][..]),
        ("a", "foo", &["loc/test"]),
        ("su1", "S1", &["loc/a", "loc/jjolie", "mega/secret", "loc/test"]),
    ] {
        let mut client = subject.accept(&Connect::v5(user).login(user, password));
        for topic in ["loc/a", "loc/jjolie", "mega/secret", "loc/test"] {
            assert_eq!(may_publish(&mut client, topic), allowed.contains(&topic), "{user} {topic}");
            assert_eq!(subscribes(&mut client, topic), allowed.contains(&topic), "{user} {topic}");
        }
        // The gateway alone publishes there; who may read is asked.
        let reads = user != "jjolie";
        assert_eq!(subscribes(&mut client, "$SYS/broker/log/N"), reads, "{user}");
    }
    subject.refuse(&Connect::v5("nop").login("nop", "foo"));
    let test = |topic: &str, code| subject.command(&["acl", "test", "nop", "write", topic]).exits(code);
    assert!(test("mega/secret", 0).out.contains(database.name()), "he has rights, though no password");
    test("loc/test", 3);
}

/// mosquitto-go-auth's way: each access by itself, `%u` and `%c`, superusers counted.
pub fn each_access_by_itself(database: &dyn Database) {
    empty(database);
    add_user(database, "test1", TEST1, false);
    add_user(database, "ann", STORED, false);
    add_user(database, "root", STORED, true);
    for (topic, rw) in [("r/x", 1), ("w/x", 2), ("s/#", 4), ("rs/#", 5), ("own/%u/%c", 7), ("#/bad", 7)] {
        allow(database, "ann", topic, rw);
    }
    let subject = gateway(database, &queries(database), "");
    for version in VERSIONS {
        for (user, password) in [("ann", "wrong"), ("nobody", PASSWORD), ("", PASSWORD), ("ann", "")] {
            subject.refuse(&Connect::new(version, "x").login(user, password));
        }
        subject.accept(&Connect::new(version, "t").login("test1", "test1")).ping();
        subject.accept(&Connect::new(version, "ann").login("ann", PASSWORD)).ping();
    }
    let mut ann = subject.accept(&Connect::v5("lamp").login("ann", PASSWORD));
    let mut root = subject.accept(&Connect::v5("root").login("root", PASSWORD));
    assert!(may_publish(&mut root, "any/thing") && subscribes(&mut root, "#"));
    root.unsubscribe(&["#"]);
    for (topic, publish, subscribe) in [
        ("r/x", false, false),
        ("w/x", true, false),
        ("s/x", false, true),
        ("rs/x", false, true),
        ("own/ann/lamp", true, true),
        ("own/root/lamp", false, false),
        ("other", false, false),
    ] {
        assert_eq!(may_publish(&mut ann, topic), publish, "{topic}");
        assert_eq!(subscribes(&mut ann, topic), subscribe, "{topic}");
    }
    assert!(!subscribes(&mut ann, "#") && !subscribes(&mut ann, "+/x") && subscribes(&mut ann, "rs/+/y/#"));
    for topic in ["s/x", "rs/x", "own/ann/lamp"] {
        root.say(topic, topic);
    }
    // What may be subscribed to and not be received is not delivered.
    let mut got = vec![ann.receive().topic, ann.receive().topic];
    got.sort_unstable();
    assert_eq!(got, ["own/ann/lamp", "rs/x"]);
    let explained = subject.command(&["explain", "--client", "lamp", "write", "w/x"]);
    assert!(explained.out.contains("filter w/x"), "{explained:?}");
}

/// Whatever a client calls itself or asks for, it stays one value.
pub fn hostile_names(database: &dyn Database) {
    empty(database);
    add_user(database, "ann", STORED, false);
    allow(database, "ann", "a/%u/%c", 7);
    allow(database, "ann", "known/#", 7);
    let [user, access] = database.placeholders();
    let client_id = if user.starts_with('$') { "$2" } else { user };
    let by_client = format!(
        "user_query = \"SELECT pw FROM users WHERE name = {user} AND {client_id} <> 'banned'\"\n\
         superuser_query = \"SELECT COUNT(*) FROM users WHERE name = {user} AND super = 1\"\n\
         acl_query = \"SELECT topic FROM acls WHERE name = {user} AND (rw & {access}) <> 0\""
    );
    let subject = gateway(database, &by_client, FORGETFUL);
    for name in HOSTILE.iter().filter(|name| !name.contains('\r')) {
        subject.refuse(&Connect::v5("x").login(name, PASSWORD));
        let mut client = subject.accept(&Connect::v5(name).login("ann", PASSWORD));
        client.ping();
        for topic in [format!("a/{name}/x"), (*name).to_owned(), format!("a/ann/{name}x")] {
            if !topic.contains(['#', '+']) {
                assert!(!may_publish(&mut client, &topic), "{topic}");
            }
        }
        assert!(may_publish(&mut client, "known/x"), "{name}");
    }
    subject.refuse(&Connect::v5("banned").login("ann", PASSWORD));
    subject.accept(&Connect::v5("lamp").login("ann", PASSWORD)).ping();
    // And so does one that is really called so.
    for name in ["' OR '1'='1", "日本 😀", "ann%"] {
        add_user(database, &name.replace('\'', "''"), STORED, false);
        allow(database, &name.replace('\'', "''"), "odd/#", 7);
        let mut odd = subject.accept(&Connect::v5("odd").login(name, PASSWORD));
        assert!(may_publish(&mut odd, "odd/x") && !may_publish(&mut odd, "known/x"), "{name}");
    }
}

/// What is stored may be anything.
pub fn garbage(database: &dyn Database) {
    empty(database);
    for (number, stored) in [
        "",
        "PBKDF2$",
        "PBKDF2$sha256$901$x$",
        "PBKDF2$sha256$4000000000$x8mf3JIFTUFU9C23$Mid2xcgTrKBfBdye6W/4hE3GKeksu00+",
        "PBKDF2$md5$901$x8mf3JIFTUFU9C23$Mid2xcgTrKBfBdye6W/4hE3GKeksu00+",
        "$argon2id$v=19$m=4294967295,t=9,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "foo",
    ]
    .iter()
    .enumerate()
    {
        add_user(database, &format!("bad{number}"), stored, false);
    }
    database.run("INSERT INTO users (name, pw) VALUES ('null', NULL);");
    database.run("INSERT INTO users (name, pw) VALUES ('twice', 'x'); INSERT INTO users (name, pw) VALUES ('twice', 'x');");
    database.run(&format!("INSERT INTO users (name, pw) VALUES ('long', '{}');", "$".repeat(1000)));
    add_user(database, "ann", STORED, false);
    for topic in ["", "a/#/b", "a#", "ok/x"] {
        allow(database, "ann", topic, 7);
    }
    let subject = gateway(database, &queries(database), "");
    for user in ["bad0", "bad1", "bad2", "bad3", "bad4", "bad5", "bad6", "null", "twice", "long"] {
        subject.refuse(&Connect::v5("x").login(user, "foo"));
    }
    let mut ann = subject.accept(&Connect::v5("ann").login("ann", PASSWORD));
    assert!(may_publish(&mut ann, "ok/x") && !may_publish(&mut ann, "a/x") && !may_publish(&mut ann, "x"));
    let log = subject.log();
    assert!(log.contains("hold no topic filter"), "{log}");
    assert!(!log.contains("Mid2xcgTrKBfBdye6W"), "no stored password is logged");
}

/// A query that cannot be used is told at its key, before anything is asked.
pub fn wrong_queries(database: &dyn Database) {
    let [user, _] = database.placeholders();
    for (query, what) in [
        ("SELECT pw FROM users".to_owned(), "no placeholder for the user name"),
        (format!("SELECT pw FROM users WHERE name = {user} AND a = %s AND b = ?"), "different styles"),
        ("SELECT pw FROM users WHERE name = 'x-%s'".to_owned(), "within 'x-%s'"),
    ] {
        let subject = gateway(database, &format!("user_query = \"{query}\""), "");
        let answer = subject.command(&["check"]).exits(2);
        let key = format!("auth.{}.user_query", database.name());
        assert!(answer.err.contains(what) && answer.err.contains(&key), "{query}: {answer:?}");
    }
}
