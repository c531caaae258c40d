//! The state directory: databases that were emptied, secrets that others can read.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::{doctor, place, write};
use crate::command;
use crate::support::Subject;

/// A gateway that ran, so that all of its databases are there, and has ended.
fn ran() -> Subject {
    let subject = Subject::start();
    subject.v5("x").ping();
    subject.kill();
    subject
}

fn doctor_of(subject: &Subject) -> super::Report {
    super::Report::of(subject.command(&["doctor", "--json"]))
}

#[test]
fn an_emptied_or_removed_database_is_told_by_doctor_and_loudly_at_the_start() {
    for (name, lost) in [("accounts.db", "accounts, roles and rules"), ("state.db", "sessions, queued")] {
        for empties in [true, false] {
            let subject = ran();
            doctor_of(&subject).is_fine();
            let path = subject.directory().join("state").join(name);
            for end in ["-wal", "-shm"] {
                let _ = fs::remove_file(path.with_file_name(format!("{name}{end}")));
            }
            if empties {
                fs::write(&path, "").expect("empty it")
            } else {
                fs::remove_file(&path).expect("remove it")
            }
            let report = doctor_of(&subject);
            report.has("databases", "wrong", if empties { "is empty" } else { "is missing" });
            report.has("databases", "wrong", lost);
            report.is_wrong();
            let before = subject.log().len();
            subject.start_again();
            let log = subject.log()[before..].to_owned();
            let told = log.lines().find(|line| line.contains(name) && line.contains(lost));
            assert!(told.is_some_and(|line| line.contains("ERROR")), "{name}: {log}");
        }
    }
}

#[test]
fn a_gateway_that_lost_nothing_says_nothing_of_it() {
    let subject = ran();
    subject.start_again();
    assert!(!subject.log().contains("are lost"), "{}", subject.log());
}

#[test]
fn a_lock_whose_file_is_empty_is_told() {
    let subject = ran();
    fs::write(subject.directory().join("state/lock.db"), "").expect("empty it");
    doctor_of(&subject).has("databases", "wrong", "lock.db");
}

#[test]
fn without_a_state_directory_it_is_said_what_makes_one() {
    let place = crate::workplace();
    let report = doctor(&place);
    report.has("disk", "wrong", "there is no state directory");
    assert!(!place.path().join("state").exists(), "doctor makes none");
}

#[test]
fn a_state_directory_that_is_a_file_is_wrong_at_its_place_for_check_too() {
    let place = crate::workplace();
    fs::write(place.path().join("state"), "").expect("make a file");
    let checked = command(&place, "check").exits(2);
    assert!(
        checked.err.contains("latchgate.toml:2:") && checked.err.contains("is a file"),
        "{}",
        checked.err
    );
    let report = super::Report::of(command(&place, "doctor --json").exits(2));
    report.has("configuration", "wrong", "is a file and no folder");
}

#[test]
fn secrets_that_others_can_read_are_told_each_by_its_name() {
    let place = place(
        "[auth]\nbackends = [\"files\"]\n[auth.files]\npassword_file = \"passwd\"\n[[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:0\"\n\
         [listener.tls]\ncertificate = \"state/pki/issued/gateway.crt\"\nkey = \"state/pki/issued/gateway.key\"\n",
    );
    fs::write(place.path().join("passwd"), "").expect("write");
    command(&place, "setup").exits(0);
    let set = |name: &str, mode| {
        fs::set_permissions(place.path().join(name), Permissions::from_mode(mode)).expect("set the mode");
    };
    set("passwd", 0o600);
    doctor(&place).is_fine();
    for (name, mode) in [
        ("state", 0o755),
        ("state/accounts.db", 0o640),
        ("state/pki/ca.key", 0o604),
        ("state/pki/issued/gateway.key", 0o644),
        ("passwd", 0o664),
    ] {
        let before = fs::metadata(place.path().join(name)).expect("it is there").permissions();
        set(name, mode);
        let report = doctor(&place);
        let found = report.has("secrets", "wrong", &format!("(mode {mode:03o})"));
        assert!(found["where"].as_str().is_some_and(|place| place.ends_with(name)), "{found}");
        assert!(found["help"].as_str().is_some_and(|help| help.contains("chmod")), "{found}");
        report.is_wrong();
        fs::set_permissions(place.path().join(name), before).expect("set the mode back");
    }
    doctor(&place).is_fine();
}

#[test]
fn files_that_the_gateways_user_cannot_read_are_told() {
    let place = place("");
    // Only root can give files away.
    if std::os::unix::fs::chown(place.path().join("state"), Some(12_345), Some(12_345)).is_err() {
        return;
    }
    doctor(&place).has("secrets", "wrong", "it belongs to user 0 and the directory to 12345");
    std::os::unix::fs::chown(place.path().join("state/accounts.db"), Some(12_345), None)
        .expect("give it away");
    fs::write(place.path().join("secret"), "word\n").expect("write");
    fs::set_permissions(place.path().join("secret"), Permissions::from_mode(0o600)).expect("set the mode");
    let bridge = "[[bridge]]\nname = \"c\"\naddress = \"mqtt://127.0.0.1:9\"\nusername = \"u\"\npassword_file = \"secret\"\n\
                  [[bridge.route]]\ntopic = \"t\"\ndirection = \"out\"\n";
    write(place.path(), &format!("[gateway]\nstate = \"state\"\n{bridge}"));
    doctor(&place).has("secrets", "wrong", "the gateway's user (number 12345) cannot read it");
}

/// Bug: where nothing was set up yet the databases were said to be fine.
#[test]
fn a_folder_without_any_database_is_told() {
    let place = super::super::workplace();
    super::doctor(&place).has("databases", "warning", "there is no database of accounts yet");
}
