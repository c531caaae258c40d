//! The backend `files` while the gateway runs.

use super::{PASSWORD, login, may_publish, passwd, with_files, within_a_second, write};
use crate::support::{Connect, Subject, eventually, packet::VERSIONS, subject::free_port};

fn only(passwd: &str, acl: &str) -> Subject {
    with_files(Subject::with().section("[auth]\nbackends = [\"files\"]\n"), passwd, acl, "")
}

#[test]
fn a_user_of_the_password_file_logs_in_and_nobody_else() {
    let subject = only(&passwd(&["ann", "with space"]), "");
    for version in VERSIONS {
        subject.accept(&Connect::new(version, "c").login("with space", PASSWORD)).ping();
        for (user, password) in [("ann", "wrong"), ("ann", ""), ("bob", PASSWORD), ("ann:", PASSWORD)] {
            subject.refuse(&Connect::new(version, "x").login(user, password));
        }
    }
}

#[test]
fn a_change_of_either_file_is_obeyed_by_live_sessions_within_a_second() {
    let subject = only(&passwd(&["ann", "bob"]), "user ann\ntopic a/#\n");
    let (mut ann, mut bob) = (subject.accept(&login("ann")), subject.accept(&login("bob")));
    ann.subscribe("a/#", 0);
    assert!(may_publish(&mut ann, "a/x") && !may_publish(&mut ann, "b/x"));
    write(&subject, "acl", "user ann\ntopic b/#\n");
    within_a_second("ann may publish there", || may_publish(&mut ann, "b/x"));
    assert!(!may_publish(&mut ann, "a/x"), "a rule that is gone is gone");
    write(&subject, "passwd", &passwd(&["ann", "carl"]));
    within_a_second("carl is there", || {
        crate::support::Client::connect(subject.port(), &login("carl")).1.code == 0
    });
    bob.expect_disconnect(0x87);
    ann.ping();
}

#[test]
fn a_line_that_cannot_be_understood_changes_nothing_and_names_itself_once() {
    let subject = only(&passwd(&["ann"]), "user ann\ntopic a\n");
    let mut ann = subject.accept(&login("ann"));
    write(&subject, "acl", "user ann\ntopic b\n\ntopic execute c\n");
    eventually("the line is named", || subject.log().contains("acl:4: access is read").then_some(()));
    assert!(may_publish(&mut ann, "a") && !may_publish(&mut ann, "b"));
    write(&subject, "acl", "user ann\ntopic b\n");
    within_a_second("the mended file counts", || may_publish(&mut ann, "b"));
    assert_eq!(subject.log().matches("acl:4:").count(), 1, "{}", subject.log());
}

#[test]
fn at_the_start_such_a_line_is_an_error_at_its_key() {
    let subject = only("ann\n", "");
    let answer = subject.command(&["run"]).exits(2);
    let place = "passwd in line 1: there is no colon";
    assert!(answer.err.contains("auth.files.password_file") && answer.err.contains(place), "{answer:?}");
    let answer = subject.command(&["check"]).exits(2);
    assert!(answer.err.contains(place), "{answer:?}");
}

/// Bug: of a file that is not there it said to mend it.
#[test]
fn a_missing_file_is_to_be_made_and_one_that_cannot_be_read_to_be_given_to_the_gateway() {
    let subject = only("", "");
    let passwd = subject.directory().join("passwd");
    std::fs::remove_file(&passwd).expect("remove it");
    let answer = subject.command(&["check"]).exits(2);
    assert!(answer.err.contains("= make it") && !answer.err.contains("mend"), "{answer:?}");
    std::fs::create_dir(&passwd).expect("make a folder");
    let answer = subject.command(&["check"]).exits(2);
    assert!(answer.err.contains("= give the gateway's user a file that it can read"), "{answer:?}");
}

#[test]
fn a_password_that_was_changed_ends_the_session_it_was_used_for() {
    let subject = only(&passwd(&["ann"]), "");
    let mut ann = subject.accept(&login("ann"));
    let answer = subject.command_with_input(&["hash"], "another\n").exits(0);
    write(&subject, "passwd", &format!("ann:{}", answer.out));
    ann.expect_disconnect(0x87);
    subject.refuse(&login("ann"));
    subject.accept(&Connect::v5("ann").login("ann", "another")).ping();
}

/// Bug: `reload` said that rules were read again, and the next start refused the same file.
#[test]
fn reload_fails_on_a_bad_file_names_its_line_and_changes_nothing() {
    let subject = only(&passwd(&["ann"]), "user ann\ntopic a\n");
    let mut ann = subject.accept(&login("ann"));
    let first = std::fs::read_to_string(subject.config()).expect("read the configuration");
    let more = free_port();
    let listener = format!("{first}\n[[listener]]\nname = \"more\"\naddress = \"127.0.0.1:{more}\"\n");
    std::fs::write(subject.config(), listener).expect("write the configuration");
    for (file, bad, good, place) in [
        ("acl", "user ann\ntopic b\n\ntopic execute c\n", "user ann\ntopic a\n", "acl in line 4: access is"),
        ("passwd", "ann\n", &*passwd(&["ann"]), "passwd in line 1: there is no colon"),
    ] {
        write(&subject, file, bad);
        for command in [&["reload"][..], &["reload", "--json"], &["check", "--diff"]] {
            let answer = subject.command(command);
            assert!(answer.code != 0 && answer.err.contains(place), "{command:?}: {answer:?}");
            assert!(!answer.out.contains("again"), "{answer:?}");
        }
        let key = format!("auth.files.{}", if file == "acl" { "acl_file" } else { "password_file" });
        let refusals = || {
            subject.log().lines().filter(|l| l.contains("nothing was changed") && l.contains(&key)).count()
        };
        let before = refusals();
        subject.signal(rustix::process::Signal::HUP);
        eventually("the log says so", || (refusals() > before).then_some(()));
        assert!(std::net::TcpStream::connect(("127.0.0.1", more)).is_err(), "half of it was applied");
        assert!(may_publish(&mut ann, "a") && !may_publish(&mut ann, "b"));
        write(&subject, file, good);
    }
    subject.command(&["check", "--diff"]).exits(0);
    write(&subject, "acl", "user ann\ntopic c\n");
    subject.command(&["reload"]).exits(0);
    assert!(may_publish(&mut ann, "c") && !may_publish(&mut ann, "a"), "reload waits until it counts");
    assert!(std::net::TcpStream::connect(("127.0.0.1", more)).is_ok());
}

/// Bug: with one bad line in `acl_file`, a user who was taken out of `password_file` could still log in.
#[test]
fn a_bad_line_in_one_file_does_not_hold_back_the_other() {
    let subject = only(&passwd(&["ann", "bob"]), "user ann\ntopic a\n");
    let (mut ann, mut bob) = (subject.accept(&login("ann")), subject.accept(&login("bob")));
    write(&subject, "acl", "user ann\ntopic b\ntpoic c\n");
    eventually("the line is named", || subject.log().contains("acl:3:").then_some(()));
    write(&subject, "passwd", &passwd(&["ann"]));
    bob.expect_disconnect(0x87);
    subject.refuse(&login("bob"));
    assert!(may_publish(&mut ann, "a") && !may_publish(&mut ann, "b"));
    // The other way round.
    write(&subject, "passwd", "nonsense\n");
    eventually("the line is named", || subject.log().contains("passwd:1:").then_some(()));
    write(&subject, "acl", "user ann\ntopic b\n");
    within_a_second("the mended file counts", || may_publish(&mut ann, "b"));
    subject.accept(&login("ann")).ping();
    assert_eq!(subject.log().matches("acl:3:").count(), 1, "{}", subject.log());
}

/// A pipe would have kept `reload` waiting for a writer, and every other command behind it.
#[test]
fn a_pipe_in_place_of_a_file_holds_nothing_up() {
    let subject = only(&passwd(&["ann", "bob"]), "user ann\ntopic a\n");
    let mut ann = subject.accept(&login("ann"));
    let mut bob = subject.accept(&login("bob"));
    let pipe = subject.directory().join("acl");
    std::fs::remove_file(&pipe).expect("remove the file");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let answer = subject.command(&["reload"]);
    assert!(
        answer.code != 0 && answer.err.contains("acl cannot be read: it is not a regular file"),
        "{answer:?}"
    );
    write(&subject, "passwd", &passwd(&["ann"]));
    bob.expect_disconnect(0x87);
    assert!(may_publish(&mut ann, "a"));
}
