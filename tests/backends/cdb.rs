//! The backend `cdb` with databases that Debian's tinycdb makes.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{may_publish, within_a_second};
use crate::support::{Connect, Subject, eventually};

/// `foo`, as `np` of mosquitto-auth-plug stores it.
const FOO: &str = "PBKDF2$sha256$901$x8mf3JIFTUFU9C23$Mid2xcgTrKBfBdye6W/4hE3GKeksu00+";

/// Makes the database anew, as its users do: it is put in the place of the old one.
pub fn make(subject: &Subject, records: &[(&str, &str)]) {
    let mut child = Command::new("cdb")
        .args(["-c", "-m", "-t", "new.tmp", "pwdb.cdb"])
        .current_dir(subject.directory())
        .stdin(Stdio::piped())
        .spawn()
        .expect("cdb is installed: run tests/run once");
    let mut input = child.stdin.take().expect("stdin is piped");
    for (key, value) in records {
        writeln!(input, "{key} {value}").expect("write a record");
    }
    drop(input);
    assert!(child.wait().expect("cdb ends").success());
}

fn gateway(records: &[(&str, &str)]) -> Subject {
    let section = "[auth]\nbackends = [\"cdb\"]\n[auth.cdb]\nfile = \"pwdb.cdb\"\n";
    let subject = Subject::with().without_rules().section(section).prepare();
    make(&subject, records);
    subject
}

#[test]
fn users_of_the_database_log_in_and_may_do_what_their_filters_say() {
    let subject = gateway(&[("jjolie", FOO), ("acl:jjolie", "loc/jjolie"), ("acl:jjolie", "loc/test/#")]);
    let mut jjolie = subject.accept(&Connect::v5("c").login("jjolie", "foo"));
    assert!(may_publish(&mut jjolie, "loc/jjolie") && may_publish(&mut jjolie, "loc/test"));
    assert!(!may_publish(&mut jjolie, "mega/secret"), "whoever has no filter for it is refused");
    for (user, password) in
        [("jjolie", "fo"), ("acl:jjolie", "loc/jjolie"), ("nobody", "foo"), ("jjolie", "")]
    {
        subject.refuse(&Connect::v5("x").login(user, password));
    }
}

#[test]
fn a_replaced_database_is_obeyed_within_a_second_and_a_bad_one_is_not() {
    let subject = gateway(&[("jjolie", FOO), ("acl:jjolie", "a")]);
    let mut jjolie = subject.accept(&Connect::v5("c").login("jjolie", "foo"));
    assert!(may_publish(&mut jjolie, "a"));
    make(&subject, &[("jjolie", FOO), ("acl:jjolie", "b")]);
    within_a_second("the new filter counts", || may_publish(&mut jjolie, "b"));
    assert!(!may_publish(&mut jjolie, "a"));
    std::fs::write(subject.directory().join("pwdb.cdb"), "nonsense").expect("write a file");
    eventually("it is said", || subject.log().contains("is no constant database").then_some(()));
    assert!(may_publish(&mut jjolie, "b"));
    make(&subject, &[("other", FOO)]);
    jjolie.expect_disconnect(0x87);
}
