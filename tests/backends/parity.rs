//! The same accounts and rules in every store, asked the same: they must decide alike.
//!
//! What the stores cannot say alike is left out here and has tests of its own: `cdb` knows no access but all, so it gets
//! users who have no other; files and `cdb` know no superusers; nobody else denies what the gateway's own rules and files can.
//! `#` and `$SYS`: by `dollar_topics`. `PARITY_SEED` makes other rules.

use std::collections::BTreeMap;

use super::daemon;
use super::peer::Peer;
use super::{PASSWORD, STORED, may_publish, sql::subscribes};
use crate::support::{Client, Connect, Subject, subject::free_port};

/// All, read, write; as masks of 1 receive, 2 publish, 4 subscribe.
const ACCESSES: [(&str, u8); 3] = [("all", 7), ("read", 5), ("write", 2)];
const LEVELS: [&str; 5] = ["a", "b", "", "+", "c c"];

/// The users, each with filters and masks. The names tell whether there are other masks than that of all.
pub type Rules = BTreeMap<String, Vec<(String, u8)>>;

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// A filter of up to four levels, or with `names` a topic.
    fn topic(&mut self, names: bool) -> String {
        let depth = 1 + self.below(4);
        let level = |chance: &mut Chance| loop {
            let level = LEVELS[chance.below(LEVELS.len())];
            if !(names && level == "+") {
                return level;
            }
        };
        let mut levels: Vec<&str> = (0..depth).map(|_| level(self)).collect();
        if !names && self.below(3) == 0 {
            levels.push("#");
        }
        let topic = levels.join("/");
        if topic.is_empty() { "a".into() } else { topic }
    }

    fn rules(&mut self) -> Rules {
        let mut rules = Rules::new();
        for number in 0..6 {
            let (name, kinds) = if number % 2 == 0 { ("plain", 1) } else { ("mixed", 3) };
            let list = (0..1 + self.below(4)).map(|_| (self.topic(false), ACCESSES[self.below(kinds)].1));
            // Files and constant databases keep lines: a filter cannot end with a space, nor be empty.
            rules.insert(format!("{name}{number}"), list.collect());
        }
        rules.insert("root".into(), Vec::new());
        rules
    }
}

/// Everything that is asked: what may be published to and subscribed to, in order.
fn matrix(port: u16, user: &str, topics: &[String], filters: &[String]) -> Vec<(String, bool)> {
    let (mut client, connack) = Client::connect(port, &Connect::v5(user).login(user, PASSWORD));
    assert_eq!(connack.code, 0, "{user} logs in at {port}");
    let publishes = topics.iter().map(|topic| (format!("publish {topic}"), may_publish(&mut client, topic)));
    let mut said: Vec<_> = publishes.collect();
    said.extend(
        filters.iter().map(|filter| (format!("subscribe {filter}"), subscribes(&mut client, filter))),
    );
    said
}

fn statements(rules: &Rules) -> String {
    let mut sql = String::from(
        "CREATE TABLE users (name VARCHAR(200), pw VARCHAR(1000), super INT);
         CREATE TABLE acls (name VARCHAR(200), topic VARCHAR(1000), rw INT);",
    );
    for (user, list) in rules {
        let superuser = u8::from(user == "root");
        sql += &format!("INSERT INTO users VALUES ('{user}', '{STORED}', {superuser});");
        for (filter, mask) in list {
            sql += &format!("INSERT INTO acls VALUES ('{user}', '{filter}', {mask});");
        }
    }
    sql
}

pub fn queries(user: &str, access: &str) -> String {
    format!(
        "user_query = \"SELECT pw FROM users WHERE name = {user}\"\n\
         superuser_query = \"SELECT super FROM users WHERE name = {user}\"\n\
         acl_query = \"SELECT topic FROM acls WHERE name = {user} AND (rw & {access}) <> 0\"\n"
    )
}

fn into_redis(redis: &daemon::Daemon, rules: &Rules) {
    let set = |words: &[&str]| redis.redis(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    set(&["SET", "root:su", "true"]);
    for (user, list) in rules {
        set(&["SET", user, STORED]);
        for (filter, mask) in list {
            let sets = match mask {
                7 => &["rwacls", "sacls"][..],
                5 => &["racls", "sacls"],
                _ => &["wacls"],
            };
            for name in sets {
                set(&["SADD", &format!("{user}:{name}"), filter]);
            }
        }
    }
}

fn into_files(subject: &Subject, rules: &Rules) {
    let mut acl = String::new();
    for (user, list) in rules {
        acl += &format!("user {user}\n");
        for (filter, mask) in list {
            let word = match mask {
                7 => "readwrite",
                5 => "read",
                _ => "write",
            };
            acl += &format!("topic {word} {filter}\n");
        }
    }
    super::write(subject, "acl", &acl);
    let users: Vec<&str> = rules.keys().map(String::as_str).collect();
    super::write(subject, "passwd", &super::passwd(&users));
}

fn into_cdb(subject: &Subject, rules: &Rules) {
    let mut records: Vec<(String, String)> = Vec::new();
    for (user, list) in rules {
        records.push((user.clone(), STORED.to_owned()));
        records.extend(list.iter().map(|(filter, _)| (format!("acl:{user}"), filter.clone())));
    }
    let records: Vec<(&str, &str)> = records.iter().map(|(key, value)| (&**key, &**value)).collect();
    super::cdb::make(subject, &records);
}

fn into_own(subject: &Subject, rules: &Rules) {
    for (user, list) in rules {
        let mut words = vec!["user", "add", user, "--hash", STORED];
        words.extend((user == "root").then_some("--superuser"));
        subject.command(&words).exits(0);
        for (filter, mask) in list {
            let word = ACCESSES.iter().find(|(_, known)| known == mask).expect("a known mask").0;
            subject.command(&["acl", "allow", user, word, filter]).exits(0);
        }
    }
}

/// Every store, filled, with the gateways that ask them.
pub struct Stores {
    own: Subject,
    foreign: Subject,
    doors: Vec<(&'static str, u16)>,
    _servers: (daemon::Daemon, daemon::Daemon, daemon::Daemon, Peer),
}

impl Stores {
    /// `foreign` are the queries of the SQLite file.
    pub fn new(rules: &Rules, foreign: &str) -> Self {
        let (redis, mariadb, postgres, service) =
            (daemon::redis(), daemon::mariadb(), daemon::postgres(), Peer::service());
        into_redis(&redis, rules);
        mariadb.mysql(&format!("USE iot; {}", statements(rules))).expect("fill MariaDB");
        postgres.psql(&statements(rules)).expect("fill PostgreSQL");
        service.script(&serde_json::json!({ "rights": rules }).to_string());
        let secret = mariadb.path("secret").display().to_string();
        let postgres_secret = postgres.path("secret").display().to_string();
        let url = format!("http://127.0.0.1:{}", service.port);
        let mut sections = format!(
            "[auth.throttle]\nfailures = 0\n\
             [auth.files]\npassword_file = \"passwd\"\nacl_file = \"acl\"\ndialect = \"auth-plug\"\n\
             [auth.cdb]\nfile = \"pwdb.cdb\"\n\
             [auth.http]\nuser_url = \"{url}/auth\"\nsuperuser_url = \"{url}/superuser\"\nacl_url = \"{url}/acl\"\n\
             [auth.redis]\nport = {}\n\
             [auth.mysql]\nport = {}\nuser = \"gateway\"\ndatabase = \"iot\"\npassword_file = \"{secret}\"\n{}\
             [auth.postgres]\nport = {}\nuser = \"gateway\"\ndatabase = \"postgres\"\npassword_file = \"{postgres_secret}\"\n{}",
            redis.port,
            mariadb.port,
            queries("?", "?"),
            postgres.port,
            queries("$1", "$2"),
        );
        let mut doors = Vec::new();
        for name in ["files", "cdb", "http", "redis", "mysql", "postgres"] {
            let port = free_port();
            sections += &format!(
                "[[listener]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\nbackends = [\"{name}\"]\n"
            );
            doors.push((name, port));
        }
        // `sqlite` can be only one of both, so there are two gateways.
        let own = Subject::with().without_rules().section(&sections).prepare();
        into_files(&own, rules);
        into_cdb(&own, rules);
        into_own(&own, rules);
        let section = format!("[auth.sqlite]\npath = \"app.db\"\n{foreign}");
        let foreign = Subject::with().without_rules().section(&section).prepare();
        let app = rusqlite::Connection::open(foreign.directory().join("app.db")).expect("make the database");
        app.execute_batch(&statements(rules)).expect("fill it");
        Stores { own, foreign, doors, _servers: (redis, mariadb, postgres, service) }
    }

    /// The port at which each store is asked, the gateway's own first.
    pub fn doors(&self) -> Vec<(&'static str, u16)> {
        let mut doors = vec![("sqlite", self.own.port())];
        doors.extend(&self.doors);
        doors.push(("sqlite with a path", self.foreign.port()));
        doors
    }
}

#[test]
fn the_same_accounts_and_rules_decide_alike_in_every_store() {
    let seed = std::env::var("PARITY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed_0007);
    let mut chance = Chance(seed);
    let rules = chance.rules();
    let topics: Vec<String> = (0..24).map(|_| chance.topic(true)).collect();
    let filters: Vec<String> = (0..24).map(|_| chance.topic(false)).collect();
    let stores = Stores::new(&rules, &queries("%s", "%d"));
    let doors = stores.doors();
    let mut decisions = [0, 0];
    for user in rules.keys() {
        let expected = matrix(doors[0].1, user, &topics, &filters);
        for (_, yes) in &expected {
            decisions[usize::from(*yes)] += 1;
        }
        for (name, port) in &doors[1..] {
            let able = match *name {
                "cdb" => user.starts_with("plain"),
                "files" => user != "root",
                _ => true,
            };
            if able {
                let said = matrix(*port, user, &topics, &filters);
                for (one, other) in expected.iter().zip(&said) {
                    assert_eq!(one, other, "{user} at {name}, seed {seed}: {:?}", rules[user]);
                }
            }
        }
    }
    assert!(decisions.iter().all(|count| *count > 40), "a matrix that says little: {decisions:?}");
}
