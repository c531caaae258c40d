//! Failed logins: answered later and later, then banned, without locking out anybody else. The tests come from
//! several addresses of 127.0.0.0/8, which count only since they are told to.

use super::{PASSWORD, add_user, gateway, gateway_with, login};
use crate::support::packet::VERSIONS;
use crate::support::{Client, Connect, Subject, Version, eventually};

/// A gateway that bans after three failures.
fn strict(ban: &str) -> Subject {
    let throttle = format!("[auth.throttle]\nfailures = 3\nban = {ban}\nexempt_loopback = false");
    let subject = gateway_with(Subject::with().section(&throttle));
    add_user(&subject, "alice");
    add_user(&subject, "bob");
    subject
}

/// The code of the CONNACK to a login from this address.
fn attempt(subject: &Subject, host: u8, version: Version, user: &str, password: &str) -> u8 {
    let connect = Connect::new(version, user).login(user, password);
    Client::connect_from([127, 0, 0, host], subject.port(), &connect).1.code
}

#[test]
fn after_too_many_wrong_passwords_even_the_right_one_is_answered_0x8a_or_5() {
    for version in VERSIONS {
        let subject = strict("300");
        let (wrong, banned) = if version == Version::V5 { (0x86, 0x8A) } else { (4, 5) };
        let codes = [0; 5].map(|_| attempt(&subject, 2, version, "alice", "wrong"));
        assert_eq!(codes, [wrong, wrong, wrong, banned, banned], "{version:?}");
        assert_eq!(attempt(&subject, 2, version, "alice", PASSWORD), banned);
        // Neither another user there nor the same one elsewhere.
        assert_eq!(attempt(&subject, 2, version, "bob", PASSWORD), 0);
        assert_eq!(attempt(&subject, 3, version, "alice", PASSWORD), 0);
    }
}

#[test]
fn an_unknown_user_is_delayed_and_banned_like_a_known_one() {
    let subject = strict("300");
    let codes = |user| [0; 4].map(|_| attempt(&subject, 2, Version::V5, user, "wrong"));
    assert_eq!(codes("alice"), codes("nobody"));
}

#[test]
fn an_address_that_tries_many_names_is_banned_altogether() {
    let subject = strict("300");
    for name in 0..12 {
        assert_eq!(attempt(&subject, 2, Version::V5, &format!("user{name}"), "x"), 0x86, "{name}");
    }
    assert_eq!(attempt(&subject, 2, Version::V5, "alice", PASSWORD), 0x8A);
    let anonymous = Connect::v5("anyone");
    let (_, connack) = Client::connect_from([127, 0, 0, 2], subject.port(), &anonymous);
    assert_eq!(connack.code, 0x8A);
    assert_eq!(attempt(&subject, 3, Version::V5, "alice", PASSWORD), 0);
}

#[test]
fn a_ban_ends() {
    let subject = strict("\"1s\"");
    for _ in 0..3 {
        assert_eq!(attempt(&subject, 2, Version::V5, "alice", "wrong"), 0x86);
    }
    eventually("the ban is over", || {
        (attempt(&subject, 2, Version::V5, "alice", PASSWORD) == 0).then_some(())
    });
}

#[test]
fn guesses_made_side_by_side_are_not_all_tried() {
    let subject = strict("300");
    subject.port();
    // `Subject` is not shared between threads; its port is.
    let port = subject.port();
    let codes: Vec<u8> = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..40)
            .map(|n| {
                scope.spawn(move || {
                    let connect = Connect::new(Version::V5, &format!("c{n}")).login("alice", &n.to_string());
                    Client::connect_from([127, 0, 0, 2], port, &connect).1.code
                })
            })
            .collect();
        guesses.into_iter().map(|guess| guess.join().expect("an answer")).collect()
    });
    // What is being hashed when the third is found wrong is still judged.
    let slots = std::thread::available_parallelism().map_or(1, usize::from);
    let tried = codes.iter().filter(|code| **code == 0x86).count();
    assert!((3..3 + slots).contains(&tried), "{tried} of {codes:02x?}");
    assert_eq!(codes.iter().filter(|code| **code == 0x8A).count(), codes.len() - tried);
}

#[test]
fn this_machine_is_exempt_by_default() {
    let subject = gateway();
    add_user(&subject, "alice");
    for _ in 0..25 {
        assert_eq!(attempt(&subject, 1, Version::V5, "alice", "wrong"), 0x86);
    }
    subject.accept(&login(Version::V5, "alice")).ping();
}

const BAN: &str = " WARN latchgate::policy::throttle: login ban: address=";

/// What a client writes cannot look like the line of a ban; the log with one ban for such a name, at 127.0.0.2.
fn with_a_forged_name(subject: &Subject) -> String {
    let forged = "x\n WARN latchgate::policy::throttle: login ban: address=192.0.2.9 scope=address";
    for _ in 0..4 {
        attempt(subject, 2, Version::V5, forged, "wrong");
    }
    eventually("the ban is logged", || Some(subject.log()).filter(|log| log.contains(BAN)))
}

#[test]
fn fail2ban_itself_reads_the_address_of_the_ban_and_no_other() {
    let subject = strict("300");
    with_a_forged_name(&subject);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/target/fail2ban");
    let reader = std::process::Command::new("/usr/bin/python3")
        .arg(format!("{root}/usr/bin/fail2ban-regex"))
        .args(["-c", &format!("{root}/etc/fail2ban"), "-o", "ip", "stderr"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/fail2ban/latchgate.conf"))
        .env("PYTHONPATH", format!("{root}/usr/lib/python3/dist-packages"))
        .current_dir(subject.directory())
        .output()
        .expect("python starts");
    let said = String::from_utf8_lossy(&reader.stdout);
    let error = String::from_utf8_lossy(&reader.stderr);
    assert_eq!(said, "127.0.0.2\n", "{error}; if fail2ban is missing, tests/run unpacks it");
}

#[test]
fn a_ban_is_one_line_of_the_form_that_the_fail2ban_filter_reads() {
    let subject = strict("300");
    let log = with_a_forged_name(&subject);
    let start = BAN;
    let bans: Vec<_> = log
        .lines()
        .filter(|line| {
            line.split_once('Z').is_some_and(|(_, rest)| rest.trim_start().starts_with(start.trim_start()))
        })
        .collect();
    assert_eq!(bans.len(), 1, "{log}");
    assert!(bans[0].contains("address=127.0.0.2 scope=login failures=3 seconds=300 user=\"x\\n"), "{bans:?}");
}
