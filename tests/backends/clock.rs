//! A clock that is not set: nobody who has to show a certificate is asked, whoever logs in meanwhile is told so and not banned, and
//! all goes on as soon as it is set.

use std::path::PathBuf;

use super::daemon::{self, Daemon};
use super::peer::Peer;
use super::servers::{Mariadb, Postgres};
use super::sql::{Database, add_user, create, queries};
use super::{STORED, login};
use crate::support::subject::{free_port, latchgate};
use crate::support::{Connect, Subject, eventually};

/// By this clock the board's battery is empty.
const UNSET: &str = "@2001-01-01 00:00:00";
/// By this one it is new, and says anything.
const AHEAD: &str = "@2099-01-01 00:00:00";

/// A folder with a clock, and certificates for a server at `localhost`.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Home(tempfile::tempdir().expect("a directory"));
        home.clock(UNSET);
        home
    }

    fn certificates(&self) -> [String; 3] {
        for words in ["pki init", "pki issue server --server --san localhost"] {
            let words: Vec<&str> = words.split(' ').collect();
            latchgate(self.0.path(), &words, "").exits(0);
        }
        ["pki/ca.crt", "pki/issued/server.crt", "pki/issued/server.key"]
            .map(|name| self.0.path().join(name).display().to_string())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("clock")
    }

    /// Sets it.
    fn clock(&self, says: &str) {
        std::fs::write(self.file(), says).expect("write the clock");
    }

    /// A gateway by this clock that asks one backend, and bans at the third failure.
    fn gateway(&self, backend: &str, lines: &str) -> Subject {
        let section = format!(
            "[auth]\nbackends = [\"{backend}\"]\n[auth.throttle]\nfailures = 3\nexempt_loopback = false\n\
             [auth.cache]\nallow = \"0s\"\n[auth.{backend}]\n{lines}"
        );
        Subject::with().without_rules().section(&section).clock(&self.file()).prepare()
    }
}

/// Whoever logs in with the right password is told that the gateway cannot know, more often than a ban takes or a backend is given; and is
/// let in at the first try once the clock is set.
fn waits(home: &Home, subject: &Subject, connect: &Connect) {
    for _ in 0..8 {
        assert_eq!(subject.refuse(connect).code, 0x88, "server unavailable: {}", subject.log());
    }
    let log = subject.log();
    assert!(log.contains("no answer (the clock is not set: it says 2001-01-01, and "), "{log}");
    assert!(!log.contains("login ban") && !log.contains("failed too often"), "{log}");

    let words = ["doctor", "--json"];
    let report: serde_json::Value =
        serde_json::from_str(&subject.command_by_clock(&home.file(), &words).exits(1).out).expect("JSON");
    let findings = report["findings"].as_array().expect("a list");
    let of = |check: &str| findings.iter().find(|one| one["check"] == check && one["level"] == "wrong");
    for check in ["clock", "backends"] {
        let found = of(check).unwrap_or_else(|| panic!("nothing is wrong with {check}: {report:#}"));
        assert!(found["what"].as_str().is_some_and(|what| what.contains("the clock is not set")), "{found}");
        assert!(found["help"].as_str().is_some_and(|help| help.contains("timedatectl")), "{found}");
    }

    home.clock("+0");
    subject.accept(connect).ping();
    eventually("it is told", || subject.log().contains("the clock is set").then_some(()));
}

fn https(home: &Home) -> (Peer, String) {
    let [ca, certificate, key] = home.certificates();
    let service = Peer::start("service.py", &[&free_port().to_string(), &certificate, &key], 1);
    let url = format!("user_url = \"https://localhost:{}/auth\"\nca = \"{ca}\"\n", service.port);
    (service, url)
}

#[test]
fn a_web_service_over_tls_waits_for_the_clock() {
    let home = Home::new();
    let (_service, lines) = https(&home);
    waits(&home, &home.gateway("http", &lines), &login("ann"));
}

#[test]
fn a_token_is_asked_about_over_tls_when_the_clock_is_set() {
    let home = Home::new();
    let [ca, certificate, key] = home.certificates();
    let server = Peer::node("oidc.mjs", &[&certificate, &key]);
    let token = super::oauth2::token_over_tls(&server, &ca);
    let lines = format!(
        "introspection_url = \"https://localhost:{}/token/introspection\"\nclient_id = \"gateway\"\n\
         client_secret_file = \"oauth2.secret\"\nca = \"{ca}\"\n",
        server.port
    );
    let subject = home.gateway("oauth2", &lines);
    std::fs::write(subject.directory().join("oauth2.secret"), "secret\n").expect("write the secret");
    waits(&home, &subject, &Connect::v5("lamp").login("lamp", &token));
}

fn encrypted(daemon: &Daemon) -> String {
    format!("tls = \"required\"\nca = \"{}\"\n", daemon.path("ca.pem").display())
}

fn database_waits(database: &dyn Database, daemon: &Daemon) {
    create(database);
    add_user(database, "ann", STORED, false);
    let home = Home::new();
    let lines = format!("{}\n{}{}", database.reached(), encrypted(daemon), queries(database));
    waits(&home, &home.gateway(database.name(), &lines), &login("ann"));
}

#[test]
fn a_mariadb_server_over_tls_waits_for_the_clock() {
    let mariadb = Mariadb(daemon::mariadb());
    database_waits(&mariadb, &mariadb.0);
}

#[test]
fn a_postgresql_server_over_tls_waits_for_the_clock() {
    let postgres = Postgres(daemon::postgres());
    database_waits(&postgres, &postgres.0);
}

#[test]
fn a_redis_server_over_tls_waits_for_the_clock() {
    let redis = daemon::redis();
    redis.redis(&["SET", "ann", STORED]).expect("set");
    let home = Home::new();
    let lines = format!("port = {}\n{}", redis.redis_tls_port(), encrypted(&redis));
    waits(&home, &home.gateway("redis", &lines), &login("ann"));
}

#[test]
fn a_server_without_tls_does_not_wait() {
    let redis = daemon::redis();
    redis.redis(&["SET", "ann", STORED]).expect("set");
    let home = Home::new();
    let subject = home.gateway("redis", &format!("port = {}\n", redis.port));
    subject.accept(&login("ann")).ping();
    assert_eq!(subject.refuse(&Connect::v5("x").login("ann", "wrong")).code, 0x86, "a wrong password is one");
}

/// Bug: once the clock had been set, certificates were judged by whatever it said later.
#[test]
fn a_clock_that_goes_astray_while_the_gateway_runs_is_not_set_until_it_is_back() {
    let home = Home::new();
    let (_service, lines) = https(&home);
    home.clock("+0");
    let subject = home.gateway("http", &lines);
    subject.accept(&login("ann")).ping();
    for (says, words) in
        [(UNSET, "it says 2001-01-01, and "), (AHEAD, "it says 2099-01-01, and this program was made in ")]
    {
        home.clock(says);
        assert_eq!(subject.refuse(&login("ann")).code, 0x88, "{says}");
        let unset = format!("the clock is not set: {words}");
        eventually("the log says so", || {
            let log = subject.log();
            log.lines()
                .any(|line| line.contains(&unset) && line.contains("certificates are not judged"))
                .then_some(())
        });
        home.clock("+0");
        subject.accept(&login("ann")).ping();
        eventually("and that it is over", || {
            let log = subject.log();
            let (last, over) = (log.rfind("certificates are not judged"), log.rfind("the clock is set"));
            (over > last).then_some(())
        });
    }
    assert!(!subject.log().contains("login ban"), "{}", subject.log());
}

fn touch(subject: &Subject, when: &str) {
    let state = subject.directory().join("state");
    let done =
        std::process::Command::new("touch").args(["-d", when, "accounts.db"]).current_dir(state).status();
    assert!(done.expect("touch").success());
}

/// A state that was written while the clock was ahead: the log says what to do, and that helps.
#[test]
fn a_last_write_in_the_future_holds_tls_up_and_the_log_says_how_to_go_on() {
    let home = Home::new();
    let (_service, lines) = https(&home);
    home.clock("+0");
    let subject = home.gateway("http", &lines);
    subject.command(&["acl", "allow", "ann", "all", "a"]).exits(0);
    touch(&subject, "now + 2 years");
    assert_eq!(subject.refuse(&login("ann")).code, 0x88);
    eventually("the log says what to do", || subject.log().contains("`touch`").then_some(()));
    subject.signal(rustix::process::Signal::TERM);
    subject.wait();
    touch(&subject, "now");
    subject.start_again();
    subject.accept(&login("ann")).ping();
}

/// Bug: a gateway that ran once while its clock said 2099 was connected to nothing any more.
#[test]
fn a_last_write_that_cannot_have_been_holds_nothing_up() {
    let home = Home::new();
    let (_service, lines) = https(&home);
    home.clock(AHEAD);
    let subject = home.gateway("http", &lines);
    assert_eq!(subject.refuse(&login("ann")).code, 0x88);
    subject.signal(rustix::process::Signal::TERM);
    subject.wait();
    touch(&subject, "2099-01-02");
    home.clock("+0");
    subject.start_again();
    subject.accept(&login("ann")).ping();
}
