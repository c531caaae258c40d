//! The backends `mysql`, `postgres` and `redis` against the servers themselves.

use super::daemon::{self, Daemon};
use super::sql::{
    self, Database, FORGETFUL, HOSTILE, add_user, allow, create, empty, gateway, queries, subscribes,
};
use super::{PASSWORD, STORED, login, may_publish};
use crate::support::{Client, Connect, Subject, eventually, packet::VERSIONS};

/// Answers come quickly, or are given up.
const IMPATIENT: &str = "timeout = \"1s\"\nretries = 1\nrecheck = \"1s\"";

pub struct Postgres(pub Daemon);

impl Database for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn reached(&self) -> String {
        let (port, secret) = (self.0.port, self.0.path("secret"));
        format!(
            "port = {port}\nuser = \"gateway\"\ndatabase = \"postgres\"\npassword_file = \"{}\"\n{IMPATIENT}",
            secret.display()
        )
    }

    fn run(&self, sql: &str) {
        self.0.psql(sql).expect(sql);
    }

    fn placeholders(&self) -> [&'static str; 2] {
        ["$1", "$2"]
    }
}

pub struct Mariadb(pub Daemon);

impl Database for Mariadb {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn reached(&self) -> String {
        let (port, secret) = (self.0.port, self.0.path("secret"));
        format!(
            "port = {port}\nuser = \"gateway\"\ndatabase = \"iot\"\npassword_file = \"{}\"\n{IMPATIENT}",
            secret.display()
        )
    }

    fn run(&self, sql: &str) {
        self.0.mysql(&format!("USE iot; {sql}")).expect(sql);
    }

    fn placeholders(&self) -> [&'static str; 2] {
        ["?", "?"]
    }
}

fn comes_in(subject: &Subject, connect: &Connect) -> bool {
    Client::connect(subject.port(), connect).1.code == 0
}

/// What the server does with time: it hangs, goes on, is gone, and comes back.
fn outages(database: &dyn Database, daemon: &Daemon) {
    empty(database);
    for user in ["ann", "bob", "carl"] {
        add_user(database, user, STORED, false);
        allow(database, user, "a/#", 7);
    }
    let subject = gateway(database, &queries(database), "allow = \"1h\"\ndeny = \"0s\"");
    outage(&subject, daemon);
    database.run("DELETE FROM users WHERE name = 'carl';");
    after_outage(&subject);
}

/// `ann`, `bob` and `carl` are there, and may do everything with `a/#`.
fn outage(subject: &Subject, daemon: &Daemon) {
    let mut ann = subject.accept(&login("ann"));
    assert!(may_publish(&mut ann, "a/x") && subscribes(&mut ann, "a/y"));
    daemon.pause();
    // What was asked goes on counting, and what is asked now ends in a no.
    assert!(may_publish(&mut ann, "a/x"));
    assert!(!comes_in(subject, &login("bob")), "it hangs");
    assert!(may_publish(&mut ann, "a/z"), "the list of topics is known");
    daemon.resume();
    eventually("bob comes in", || comes_in(subject, &login("bob")).then_some(()));
    daemon.stop();
    assert!(!comes_in(subject, &Connect::v5("other").login("carl", PASSWORD)), "it is gone");
    assert!(may_publish(&mut ann, "a/x"));
    daemon.start_again();
    eventually("carl comes in", || {
        comes_in(subject, &Connect::v5("other").login("carl", PASSWORD)).then_some(())
    });
    ann.ping();
    // A restart between two questions is noticed by nobody.
    daemon.start_again();
    eventually("it is ready", || {
        comes_in(subject, &Connect::v5("fresh").login("bob", PASSWORD)).then_some(())
    });
}

/// `carl` was removed since.
fn after_outage(subject: &Subject) {
    let (mut client, connack) =
        Client::connect(subject.port(), &Connect::v5("third").login("carl", PASSWORD));
    if connack.code == 0 {
        // It was remembered that he exists; that is asked about again and again.
        client.expect_disconnect(0x87);
    }
}

/// How it is reached otherwise: `lines` replace keys of its section.
fn reached_by(database: &dyn Database, lines: &[(&str, String)]) -> Subject {
    let mut reached: Vec<String> = database
        .reached()
        .lines()
        .filter(|line| !lines.iter().any(|(key, _)| line.starts_with(&format!("{key} "))))
        .map(str::to_owned)
        .collect();
    reached.extend(
        lines.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!("{key} = {value}")),
    );
    struct Other<'a>(&'a dyn Database, String);
    impl Database for Other<'_> {
        fn name(&self) -> &'static str {
            self.0.name()
        }
        fn reached(&self) -> String {
            self.1.clone()
        }
        fn run(&self, sql: &str) {
            self.0.run(sql);
        }
        fn placeholders(&self) -> [&'static str; 2] {
            self.0.placeholders()
        }
    }
    gateway(&Other(database, reached.join("\n")), &queries(database), "")
}

fn quoted(text: impl std::fmt::Display) -> String {
    format!("\"{text}\"")
}

/// TLS is verified, with the name; a wrong password for the server is no way in, and no secret is logged.
fn ways(database: &dyn Database, daemon: &Daemon, socket: &str) {
    empty(database);
    add_user(database, "ann", STORED, false);
    let ca = ("ca", quoted(daemon.path("ca.pem").display()));
    let required = ("tls", quoted("required"));
    let ann = login("ann");
    for lines in [
        vec![("socket", quoted(socket))],
        vec![required.clone(), ca.clone()],
        vec![required.clone(), ca.clone(), ("host", quoted("localhost"))],
    ] {
        reached_by(database, &lines).accept(&ann).ping();
    }
    std::fs::write(daemon.path("wrong"), "wrong password\n").expect("write a file");
    for (lines, what) in [
        (vec![required.clone()], "UnknownIssuer"),
        (vec![required.clone(), ca.clone(), ("host", quoted("127.0.0.1"))], "not valid for name"),
        (vec![("password_file", quoted(daemon.path("wrong").display()))], ""),
        (vec![("port", "1".to_owned())], "refused"),
    ] {
        let subject = reached_by(database, &lines);
        subject.refuse(&ann);
        let log = subject.log();
        assert!(log.contains("no answer (") && log.contains(what), "{lines:?}: {log}");
        assert!(!log.contains("wrong password") && !log.contains(daemon::SECRET), "{log}");
    }
}

/// A server that wants a certificate of the gateway gets it; without one it lets nobody in.
fn certified(database: &dyn Database, daemon: &Daemon) {
    empty(database);
    add_user(database, "ann", STORED, false);
    let path = |name: &str| quoted(daemon.path(name).display());
    let mut lines = vec![("user", quoted("certified")), ("tls", quoted("required")), ("ca", path("ca.pem"))];
    let without = reached_by(database, &lines);
    assert_eq!(without.refuse(&login("ann")).code, 0x88, "{}", without.log());
    lines.extend([("certificate", path("client.pem")), ("key", path("client.key"))]);
    reached_by(database, &lines).accept(&login("ann")).ping();
}

#[test]
fn servers_that_want_a_certificate_or_tls_alone_are_reached() {
    let mariadb = Mariadb(daemon::mariadb());
    create(&mariadb);
    certified(&mariadb, &mariadb.0);
    mariadb.0.mysql("SET GLOBAL require_secure_transport = ON;").expect("it takes nothing in clear any more");
    let subject = reached_by(&mariadb, &[]);
    assert_eq!(subject.refuse(&login("ann")).code, 0x88);
    let secure = [("tls", quoted("required")), ("ca", quoted(mariadb.0.path("ca.pem").display()))];
    reached_by(&mariadb, &secure).accept(&login("ann")).ping();
    let postgres = Postgres(daemon::postgres());
    create(&postgres);
    let secret = daemon::SECRET.replace('\'', "''");
    postgres.run(&format!(
        "CREATE ROLE certified LOGIN PASSWORD '{secret}'; GRANT SELECT ON users, acls TO certified;"
    ));
    certified(&postgres, &postgres.0);
}

#[test]
fn a_mariadb_server_decides_in_every_style_and_nothing_hostile_gets_through() {
    let mariadb = Mariadb(daemon::mariadb());
    create(&mariadb);
    sql::the_seeds_matrix(&mariadb);
    sql::each_access_by_itself(&mariadb);
    sql::hostile_names(&mariadb);
    sql::garbage(&mariadb);
    sql::wrong_queries(&mariadb);
    let socket = mariadb.0.path("mysql.sock").display().to_string();
    ways(&mariadb, &mariadb.0, &socket);
    let ca = quoted(mariadb.0.path("ca.pem").display());
    let sealed = [("user", quoted("sealed")), ("tls", quoted("required")), ("ca", ca)];
    reached_by(&mariadb, &sealed).accept(&login("ann")).ping();
    reached_by(&mariadb, &[("user", quoted("sealed"))]).refuse(&login("ann"));
    outages(&mariadb, &mariadb.0);
}

#[test]
fn a_postgresql_server_decides_in_every_style_and_nothing_hostile_gets_through() {
    let postgres = Postgres(daemon::postgres());
    create(&postgres);
    sql::the_seeds_matrix(&postgres);
    sql::each_access_by_itself(&postgres);
    sql::hostile_names(&postgres);
    sql::garbage(&postgres);
    sql::wrong_queries(&postgres);
    types_of_postgres(&postgres);
    let socket = postgres.0.path("").display().to_string();
    ways(&postgres, &postgres.0, &socket);
    outages(&postgres, &postgres.0);
}

/// Columns of other types than text and integer: arrays, booleans, sums, small and large numbers.
fn types_of_postgres(postgres: &Postgres) {
    empty(postgres);
    add_user(postgres, "ann", STORED, false);
    add_user(postgres, "root", STORED, true);
    postgres.run(
        "CREATE TABLE IF NOT EXISTS lists (name TEXT, topics TEXT[], rw BIGINT); DELETE FROM lists;
         INSERT INTO lists VALUES ('ann', ARRAY['a/#', NULL, 'b/x'], 7);",
    );
    for superuser in ["SELECT super = 1", "SELECT SUM(super)", "SELECT super::smallint", "SELECT super::text"]
    {
        let queries = format!(
            "user_query = \"SELECT pw::varchar FROM users WHERE name = $1\"\n\
             superuser_query = \"{superuser} FROM users WHERE name = $1{}\"\n\
             acl_query = \"SELECT topics FROM lists WHERE name = $1 AND (rw & $2) <> 0\"",
            if superuser.contains("SUM") { "" } else { " LIMIT 1" }
        );
        let subject = gateway(postgres, &queries, "");
        let mut ann = subject.accept(&login("ann"));
        assert!(may_publish(&mut ann, "a/x") && may_publish(&mut ann, "b/x") && !may_publish(&mut ann, "c"));
        assert!(may_publish(&mut subject.accept(&login("root")), "c"), "{superuser}");
    }
}

fn redis_gateway(daemon: &Daemon, more: &str, cache: &str) -> Subject {
    let section = format!(
        "[auth]\nbackends = [\"redis\"]\n[auth.throttle]\nfailures = 0\n[auth.cache]\n{cache}\n[auth.redis]\nport = {}\n{IMPATIENT}\n{more}",
        daemon.port
    );
    Subject::with().without_rules().section(&section).prepare()
}

fn set(redis: &Daemon, commands: &[&[&str]]) {
    for words in commands {
        redis.redis(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    }
}

#[test]
fn a_redis_server_decides_in_both_layouts_and_nothing_hostile_gets_through() {
    let redis = daemon::redis();
    redis_as_go_auth(&redis);
    redis_as_auth_plug(&redis);
    redis_by_every_way(&redis);
    set(&redis, &[&["FLUSHALL"]]);
    for user in ["ann", "bob", "carl"] {
        set(&redis, &[&["SET", user, STORED], &["SADD", &format!("{user}:rwacls"), "a/#"]]);
        set(&redis, &[&["SADD", &format!("{user}:sacls"), "a/#"]]);
    }
    let subject = redis_gateway(&redis, "", "allow = \"1h\"\ndeny = \"0s\"");
    outage(&subject, &redis);
    eventually("Redis is ready", || redis.redis(&["DEL", "carl"]).ok().filter(|said| said.trim() == "1"));
    after_outage(&subject);
}

fn redis_as_go_auth(redis: &Daemon) {
    set(
        redis,
        &[
            &["FLUSHALL"],
            &["SET", "ann", STORED],
            &["SET", "root", STORED],
            &["SET", "root:su", "true"],
            &["SET", "eve", STORED],
            &["SET", "eve:su", "TRUE?"],
            &["SET", "bad", "no stored password"],
            &["SADD", "list", "a"],
            &["SADD", "ann:racls", "r/x"],
            &["SADD", "ann:wacls", "w/x", "#/bad"],
            &["SADD", "ann:rwacls", "rw/#"],
            &["SADD", "ann:sacls", "s/#", "rw/#"],
            &["SADD", "common:wacls", "own/%u/%c"],
        ],
    );
    let subject = redis_gateway(redis, "", FORGETFUL);
    for version in VERSIONS {
        for (user, password) in
            [("ann", "wrong"), ("nobody", PASSWORD), ("root:su", "true"), ("bad", PASSWORD), ("list", "a")]
        {
            subject.refuse(&Connect::new(version, "x").login(user, password));
        }
        subject.accept(&Connect::new(version, "ann").login("ann", PASSWORD)).ping();
    }
    let mut ann = subject.accept(&Connect::v5("lamp").login("ann", PASSWORD));
    for (topic, publish, subscribe) in [
        ("r/x", false, false),
        ("w/x", true, false),
        ("rw/x/y", true, true),
        ("s/x", false, true),
        ("own/ann/lamp", true, false),
        ("own/eve/lamp", false, false),
        ("other", false, false),
    ] {
        assert_eq!(may_publish(&mut ann, topic), publish, "{topic}");
        assert_eq!(subscribes(&mut ann, topic), subscribe, "{topic}");
    }
    assert!(may_publish(&mut subject.accept(&login("root")), "any/thing"));
    assert!(!may_publish(&mut subject.accept(&login("eve")), "any/thing"));
    for name in HOSTILE {
        subject.refuse(&Connect::v5("x").login(name, PASSWORD));
        let mut client = subject.accept(&Connect::v5(name).login("ann", PASSWORD));
        assert!(may_publish(&mut client, "w/x"), "{name}");
        assert!(name.contains(['#', '+']) || !may_publish(&mut client, &format!("own/eve/{name}")), "{name}");
    }
    assert!(redis.redis(&["DBSIZE"]).is_ok_and(|said| said.trim() == "12"), "nothing was written");
    set(redis, &[&["SET", "app-ann", STORED], &["SADD", "app-ann:wacls", "p/x"]]);
    let prefixed = redis_gateway(redis, "username_prefix = \"app-\"", "");
    let mut ann = prefixed.accept(&login("ann"));
    assert!(may_publish(&mut ann, "p/x") && !may_publish(&mut ann, "w/x"));
    prefixed.refuse(&login("root"));
}

fn redis_as_auth_plug(redis: &Daemon) {
    set(
        redis,
        &[
            &["FLUSHALL"],
            &["SET", "ann", STORED],
            &["SET", "ann-r/x", "1"],
            &["SET", "ann-w/x", "2"],
            &["SET", "ann-s/#", "4"],
            &["SET", "ann-n", "many"],
            &["HSET", "users", "bob", STORED],
            &["HSET", "rights:bob", "h/x", "2"],
        ],
    );
    let subject = redis_gateway(redis, "dialect = \"auth-plug\"\nacl_query = \"GET %s-%s\"", "");
    subject.refuse(&login("bob"));
    let mut ann = subject.accept(&login("ann"));
    for (topic, publish, subscribe) in [
        ("r/x", false, false),
        ("w/x", true, false),
        ("s/#", false, true),
        ("s/x", false, false),
        ("n", false, false),
    ] {
        assert!(topic.contains('#') || may_publish(&mut ann, topic) == publish, "{topic}");
        assert_eq!(subscribes(&mut ann, topic), subscribe, "{topic}");
    }
    let as_read = "dialect = \"auth-plug\"\nacl_query = \"GET %s-%s\"\nsubscribe_as_read = true";
    let subject = redis_gateway(redis, as_read, "");
    assert!(subscribes(&mut subject.accept(&login("ann")), "r/x"));
    let hashes = "dialect = \"auth-plug\"\nuser_query = \"HGET users %s\"\nacl_query = \"HGET rights:%s %s\"";
    let subject = redis_gateway(redis, hashes, FORGETFUL);
    let mut bob = subject.accept(&login("bob"));
    assert!(may_publish(&mut bob, "h/x") && !may_publish(&mut bob, "r/x"));
    for name in HOSTILE {
        subject.refuse(&Connect::v5("x").login(name, PASSWORD));
        assert!(name.contains(['#', '+']) || !may_publish(&mut bob, name), "{name}");
    }
    let without = redis_gateway(redis, "dialect = \"auth-plug\"", "");
    assert!(!may_publish(&mut without.accept(&login("ann")), "w/x"), "without a query nothing is allowed");
    let wrong =
        redis_gateway(redis, "dialect = \"auth-plug\"\nuser_query = \"GET ann\"", "").command(&["check"]);
    assert!(wrong.code == 2 && wrong.err.contains("auth.redis.user_query"), "{wrong:?}");
}

fn redis_by_every_way(redis: &Daemon) {
    set(
        redis,
        &[
            &["FLUSHALL"],
            &[
                "ACL",
                "SETUSER",
                "gateway",
                "on",
                &format!(">{}", daemon::SECRET),
                "~*",
                "+get",
                "+srandmember",
                "+select",
            ],
            &["-n", "3", "SET", "ann", STORED],
        ],
    );
    let socket = redis.path("redis.sock").display().to_string();
    let ca = redis.path("ca.pem").display().to_string();
    let secret = format!("user = \"gateway\"\npassword_file = \"{}\"", redis.path("secret").display());
    let encrypted = redis.redis_tls_port();
    let section = |lines: &str| {
        let section = format!(
            "[auth]\nbackends = [\"redis\"]\n[auth.throttle]\nfailures = 0\n[auth.redis]\ndatabase = 3\n{IMPATIENT}\n{lines}"
        );
        Subject::with().without_rules().section(&section).prepare()
    };
    for lines in [
        format!("socket = \"{socket}\""),
        format!("port = {}\n{secret}", redis.port),
        format!("port = {encrypted}\ntls = \"required\"\nca = \"{ca}\"\n{secret}"),
    ] {
        section(&lines).accept(&login("ann")).ping();
    }
    for (lines, what) in [
        (format!("port = {encrypted}\ntls = \"required\""), "UnknownIssuer"),
        (
            format!("port = {encrypted}\ntls = \"required\"\nca = \"{ca}\"\nhost = \"127.0.0.1\""),
            "not valid for name",
        ),
        (
            format!(
                "port = {}\nuser = \"nobody\"\npassword_file = \"{}\"",
                redis.port,
                redis.path("secret").display()
            ),
            "",
        ),
    ] {
        let subject = section(&lines);
        subject.refuse(&login("ann"));
        let log = subject.log();
        assert!(log.contains("no answer (") && log.contains(what), "{lines}: {log}");
        assert!(!log.contains(daemon::SECRET), "{log}");
    }
}
