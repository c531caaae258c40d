//! What the commands for accounts and rules do on what was made.

use super::{Origin, PASSWORD, STORED, enter, passwd};
use crate::support::{eventually, subject::free_port};

/// Bug: after an import of plain files `user add` and `acl allow` said that all was well, and nobody was let in by them;
/// `user disable` knew nobody, and did not say where they are kept.
#[test]
fn accounts_can_be_added_beside_those_of_the_files_and_these_be_shut_out() {
    let port = free_port();
    let conf = format!("listener {port} 127.0.0.1\npassword_file passwd\nacl_file acl\n");
    let origin =
        Origin::new(&conf).with("passwd", passwd(&["tasmota"])).with("acl", "user tasmota\ntopic stat/#\n");
    let imported = origin.imported();
    assert_eq!(imported.code, 0, "{:#}", imported.report);
    let _gateway = imported.run(port);
    let done = |words: &[&str]| imported.command(words).exits(0);
    assert!(enter(port, "new", Some(("newdev", PASSWORD))).is_none());
    done(&["user", "add", "newdev", "--hash", STORED]);
    done(&["acl", "allow", "newdev", "write", "new/#"]);
    // The rights of those in the file are the file's.
    let answer = done(&["acl", "allow", "tasmota", "write", "new/#"]);
    assert!(answer.err.contains("line 1 of") && answer.err.contains("new/passwd"), "{answer:?}");
    let answer = done(&["user", "list"]);
    assert!(answer.out.contains("newdev") && answer.err.contains("files ("), "{answer:?}");
    done(&["reload"]);
    let may_publish = |user: &str| {
        let mut client = enter(port, user, Some((user, PASSWORD))).expect("it is let in");
        ["new/x", "stat/x"].map(|topic| client.say(topic, "x") != 0x87)
    };
    assert_eq!((may_publish("newdev"), may_publish("tasmota")), ([true, false], [false, true]));
    let answer = imported.command(&["user", "disable", "tasmota"]).exits(1);
    let told = ["there is no user \"tasmota\"", "line 1 of", "new/passwd", "user add tasmota --no-password"];
    assert!(told.iter().all(|words| answer.err.contains(words)), "{answer:?}");
    done(&["user", "add", "tasmota", "--no-password"]);
    done(&["user", "disable", "tasmota"]);
    eventually("it is shut out", || enter(port, "t", Some(("tasmota", PASSWORD))).is_none().then_some(()));
}

#[test]
fn whom_an_open_listener_lets_in_does_not_come_in_by_one_with_rules() {
    let (open, ruled) = (free_port(), free_port());
    let origin = Origin::new(&format!(
        "per_listener_settings true\nlistener {open} 127.0.0.1\npassword_file passwd\nlistener {ruled} 127.0.0.1\n\
         password_file others\nacl_file acl\n"
    ))
    .with("passwd", passwd(&["ann"]))
    .with("others", passwd(&["bob"]))
    .with("acl", "user bob\ntopic b\n");
    let imported = origin.imported();
    let _gateway = imported.run(open);
    let is_in = |port, user| enter(port, user, Some((user, PASSWORD))).is_some();
    let all = [is_in(open, "ann"), is_in(open, "bob"), is_in(ruled, "ann"), is_in(ruled, "bob")];
    assert_eq!(all, [true, false, false, true], "{}", imported.toml());
    // Bug: it was not said which listener is open.
    let notes = imported.report["notes"].to_string();
    let name = format!("listener \\\"{}\\\": without an acl_file", name_of(&imported.toml(), open));
    assert!(notes.contains(&name), "{notes}: {name}");
}

/// The name of the listener at a port.
fn name_of(toml: &str, port: u16) -> &str {
    let before = toml.split(&format!("address = \"127.0.0.1:{port}\"")).next().expect("some text");
    before.rsplit("name = \"").next().and_then(|rest| rest.split('"').next()).expect("a name")
}
