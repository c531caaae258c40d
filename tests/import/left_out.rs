//! What a listener that cannot be opened leaves behind: nothing, and the reason.

use std::fmt::Write;

use super::{Origin, enter, passwd};
use crate::support::subject::free_port;

/// Bug: accounts, and a rule that allows everything, were made for a listener that was left out.
#[test]
fn a_listener_that_is_left_out_leaves_no_accounts_and_rules_behind() {
    for shuts in ["mount_point x/", "certfile missing.crt\nkeyfile missing.key", "require_certificate maybe"]
    {
        let conf = format!("listener 1883 127.0.0.1\npassword_file passwd\nallow_anonymous false\n{shuts}\n");
        let origin = Origin::new(&conf).with("passwd", passwd(&["ann"]));
        let imported = origin.imported();
        assert!(!imported.toml().contains("[[listener]]"), "{shuts}: {}", imported.toml());
        assert!(!imported.command(&["user", "list"]).out.contains("ann"), "{shuts}");
        assert!(!imported.command(&["acl", "list"]).out.contains('*'), "{shuts}");
        // Bug: it exited with 1, and what it had made listened on another port, for nobody.
        assert_eq!(imported.code, 2);
        assert_eq!(imported.report["opens_nothing"], true);
        imported.command(&["run"]).exits(2);
    }
}

/// Bug: an `acl_file` in a line that cannot be read was left out, and everybody allowed everything.
#[test]
fn a_line_that_cannot_be_read_opens_no_listener_to_what_it_may_have_kept_out() {
    for line in ["acl_file\tacl", "acl_file acl\0", "plugin\t/x/unknown.so", "require_certificate\ttrue"] {
        let conf = format!("listener 1883 127.0.0.1\nallow_anonymous true\n{line}\n");
        let origin = Origin::new(&conf).with("acl", "topic read open/#\n");
        let imported = origin.imported();
        assert!(!imported.toml().contains("[[listener]]"), "{line:?}: {}", imported.toml());
        assert!(!imported.command(&["acl", "list"]).out.contains('*'), "{line:?}");
        let (verdict, note) = imported.line("mosquitto.conf", 1);
        assert!(verdict == "not possible" && note.contains("see mosquitto.conf:3"), "{line:?}: {note}");
    }
}

/// Bug: of a listener that was left out it was not said for which line.
#[test]
fn what_is_left_out_names_the_line_that_is_the_cause() {
    let conf = "listener 1883 127.0.0.1\nmount_point x/\npassword_file passwd\nallow_anonymous false\n";
    let origin = Origin::new(conf).with("passwd", passwd(&["ann"]));
    let imported = origin.imported();
    for number in [1, 3] {
        let (verdict, note) = imported.line("mosquitto.conf", number);
        assert!(verdict == "not possible" && note.contains("see mosquitto.conf:2"), "{number}: {note}");
    }
    assert!(!imported.line("mosquitto.conf", 2).1.contains("see mosquitto.conf"));
    let origin = Origin::new("listener 1883 127.0.0.1\nallow_anonymous false\nplugin /x/unknown.so\n");
    let imported = origin.imported();
    assert!(imported.line("mosquitto.conf", 1).1.contains("see mosquitto.conf:3"), "{:#}", imported.report);
}

/// Bug: two listeners with the same rules, of which only one had accounts, were not both opened.
#[test]
fn two_listeners_share_one_acl_file() {
    let (with_accounts, without) = (free_port(), free_port());
    let conf = format!(
        "per_listener_settings true\nlistener {without} 127.0.0.1\nacl_file acl\nallow_anonymous true\n\
         listener {with_accounts} 127.0.0.1\nacl_file acl\npassword_file passwd\nallow_anonymous false\n"
    );
    let origin = Origin::new(&conf)
        .with("passwd", passwd(&["ann"]))
        .with("acl", "topic open/#\nuser ann\ntopic ann/#\n");
    let imported = origin.imported();
    let _gateway = imported.run(with_accounts);
    let login = Some(("ann", super::PASSWORD));
    let mut ann = enter(with_accounts, "a", login).unwrap_or_else(|| panic!("{}", origin.log()));
    assert!(ann.say("ann/x", "x") != 0x87 && ann.say("open/x", "x") == 0x87);
    let mut guest = enter(without, "g", None).unwrap_or_else(|| panic!("{}", origin.log()));
    assert!(guest.say("open/x", "x") != 0x87 && guest.say("ann/x", "x") == 0x87);
    assert!(enter(with_accounts, "g2", None).is_none());
    // Where nobody without a name is let in, nobody was; so the accounts of the other listener must not open it.
    let conf = conf.replace("allow_anonymous true", "allow_anonymous false");
    let origin = Origin::new(&conf).with("passwd", passwd(&["ann"])).with("acl", "user ann\ntopic ann/#\n");
    let imported = origin.imported();
    assert!(!imported.toml().contains(&without.to_string()), "{}", imported.toml());
}

/// Bug: each account was a transaction of its own, and looked for in a list of all: thousands took minutes.
#[test]
fn five_thousand_accounts_come_along_and_the_later_line_of_a_name_counts() {
    let mut lines = passwd(&["user-7"]).replace("$7$", "$6$").replace("$101$", "$");
    for number in 0..5000 {
        let line = passwd(&[&format!("user-{number}")]);
        write!(lines, "{line}").expect("a string grows");
    }
    let port = free_port();
    let conf = format!("listener {port} 127.0.0.1\npassword_file passwd\nallow_anonymous false\n");
    let origin = Origin::new(&conf).with("passwd", lines);
    let imported = origin.imported();
    assert_eq!(imported.command(&["user", "list"]).out.lines().count(), 5001);
    let _gateway = imported.run(port);
    assert!(enter(port, "c", Some(("user-7", super::PASSWORD))).is_some());
}
