//! Dynamic security: a file that `mosquitto_ctrl` wrote, imported, decides as the plugin does.

use std::{path::Path, process::Command};

use super::{Origin, enter};
use crate::support::{
    Publish, Subscribe, eventually,
    subject::{free_port, latchgate},
};

const PLUGIN: &str = "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so";

/// The plugin, where Debian puts it on this machine.
fn plugin() -> String {
    let folders = std::fs::read_dir("/usr/lib").expect("there is /usr/lib").filter_map(Result::ok);
    let mut found =
        folders.map(|entry| entry.path().join("mosquitto_dynamic_security.so")).filter(|path| path.exists());
    found.next().map_or(PLUGIN.to_owned(), |path| path.display().to_string())
}

fn control(port: u16, words: &[&str]) {
    let port = port.to_string();
    let mut all = vec!["-h", "127.0.0.1", "-p", &port, "-u", "admin", "-P", "secret", "dynsec"];
    all.extend(words);
    let output = Command::new("mosquitto_ctrl").args(&all).output().expect("mosquitto_ctrl is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("Error"), "{words:?}: {said}");
}

/// What each client may do: in, or not; topics published without a refusal; filters granted; topics received.
fn answers(port: u16) -> Vec<String> {
    let mut all = Vec::new();
    for login in [
        Some(("ann", "a")),
        Some(("bob", "b")),
        Some(("bob", "wrong")),
        Some(("off", "o")),
        Some(("eve", "e")),
        None,
    ] {
        let name = login.map_or("nobody", |(user, _)| user);
        let Some(mut client) = enter(port, &format!("c-{name}"), login) else {
            all.push(format!("{name}: out"));
            continue;
        };
        let may_publish =
            ["lamp/x", "lamp/secret", "home/ann", "other"].map(|topic| client.say(topic, "x") != 0x87);
        let may_subscribe = ["lamp/#", "home/#", "#", "other"]
            .map(|filter| client.subscribe_all(&Subscribe::to(filter, 0)).iter().all(|code| *code < 0x80));
        all.push(format!("{name}: {may_publish:?} {may_subscribe:?}"));
    }
    all
}

#[test]
fn accounts_roles_and_groups_of_a_real_file_decide_as_the_plugin_did() {
    let port = free_port();
    let conf = format!(
        "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nplugin {}\nplugin_opt_config_file dynsec.json\n",
        plugin()
    );
    let origin = Origin::new(&conf);
    let made = Command::new("mosquitto_ctrl")
        .args(["dynsec", "init", "dynsec.json", "admin", "secret"])
        .current_dir(origin.folder())
        .status();
    assert!(made.expect("mosquitto_ctrl is there").success());
    let expected = {
        let _mosquitto = origin.mosquitto(port);
        for (user, password) in [("ann", "a"), ("bob", "b"), ("off", "o")] {
            control(port, &["createClient", user, "-p", password]);
        }
        for role in ["lamps", "homes", "guests"] {
            control(port, &["createRole", role]);
        }
        for (role, kind, topic, allow) in [
            ("lamps", "publishClientSend", "lamp/#", "allow"),
            ("lamps", "publishClientSend", "lamp/secret", "deny"),
            ("lamps", "subscribePattern", "lamp/#", "allow"),
            ("homes", "publishClientSend", "home/ann", "allow"),
            ("homes", "subscribePattern", "home/#", "allow"),
            ("guests", "subscribePattern", "other", "allow"),
        ] {
            let priority = if allow == "deny" { "5" } else { "0" };
            control(port, &["addRoleACL", role, kind, topic, allow, priority]);
        }
        control(port, &["addClientRole", "ann", "lamps", "1"]);
        control(port, &["createGroup", "family"]);
        control(port, &["addGroupRole", "family", "homes", "1"]);
        control(port, &["addGroupClient", "family", "ann", "1"]);
        control(port, &["addGroupClient", "family", "bob", "1"]);
        control(port, &["createGroup", "unknown"]);
        control(port, &["addGroupRole", "unknown", "guests", "1"]);
        control(port, &["setAnonymousGroup", "unknown"]);
        control(port, &["disableClient", "off"]);
        answers(port)
    };
    let imported = origin.imported();
    let _gateway = imported.run(port);
    let found = answers(port);
    assert_eq!(found, expected, "{:#}\n{}", imported.report, imported.command(&["acl", "list"]).out);
    assert!(expected[0].contains("[true, false, true, false]"), "{expected:?}");
    assert!(
        expected[2].ends_with("out") && expected[3].ends_with("out") && expected[4].ends_with("out"),
        "{expected:?}"
    );
    assert!(enter(port, "c-admin", Some(("admin", "secret"))).is_some(), "the password moved along");
    let mut ann = enter(port, "ann", Some(("ann", "a"))).expect("she is let in");
    ann.subscribe("home/#", 0);
    ann.publish(Publish::to("home/ann").qos(1).payload("here"));
    assert_eq!(ann.receive().text(), "here");
    // Bug: each line of the JSON was an entry of its own.
    let text =
        latchgate(origin.folder(), &["import", "mosquitto", "mosquitto.conf", "--out", "again"], "").out;
    let told = text.lines().filter(|line| line.contains("as the entry that it belongs to")).count();
    assert_eq!(told, 0, "{text}");
    for entry in ["\"username\":", "\"rolename\":", "\"groupname\":"] {
        assert!(text.contains(entry), "{entry}: {text}");
    }
    assert!(!text.contains("\"acltype\"") && text.contains("as the entry above them"), "{text}");
    let shown = imported.report.to_string();
    let json = std::fs::read_to_string(origin.path("dynsec.json")).expect("read it");
    let key = json.split("\"password\"").nth(1).and_then(|rest| rest.split('"').nth(1)).expect("a key");
    assert!(!shown.contains(key), "a stored password is in the report");
    assert!(Path::new(&origin.path("new/state/accounts.db")).exists());
}

#[test]
fn a_file_that_denies_what_no_rule_can_say_keeps_its_listeners_closed() {
    for (json, why) in [
        ("{", "EOF"),
        ("[]", "no JSON object"),
        (
            r#"{"roles":[{"rolename":"r","acls":[{"acltype":"publishClientSend","topic":"a/#/x","allow":false}]}]}"#,
            "denies what no rule",
        ),
        (
            r#"{"roles":[{"rolename":"r","acls":[{"acltype":"more","topic":"a","allow":false}]}]}"#,
            "no acltype",
        ),
        (r#"{"roles":[{"rolename":"r","allowwildcardsubs":false}]}"#, "\"allowwildcardsubs\""),
    ] {
        let port = free_port();
        let origin =
            Origin::new(&format!("listener {port}\nplugin {PLUGIN}\nplugin_opt_config_file d.json\n"))
                .with("d.json", json);
        let imported = origin.imported();
        let (verdict, note) = imported.line("mosquitto.conf", 3);
        assert!(verdict == "not possible" && note.contains(why), "{json}: {note}");
        assert!(!imported.toml().contains(&port.to_string()), "{}", imported.toml());
    }
}

/// Bug: its `textName` was not known, and with it the whole file was left out.
#[test]
fn a_file_as_mosquitto_ctrl_begins_it_is_taken_though_no_plugin_has_rewritten_it() {
    let port = free_port();
    let conf =
        format!("listener {port} 127.0.0.1\nplugin {}\nplugin_opt_config_file dynsec.json\n", plugin());
    let origin = Origin::new(&conf);
    let made = Command::new("mosquitto_ctrl")
        .args(["dynsec", "init", "dynsec.json", "admin", "secret"])
        .current_dir(origin.folder())
        .status();
    assert!(made.expect("mosquitto_ctrl is there").success());
    let imported = origin.imported();
    let _gateway = imported.run(port);
    assert!(enter(port, "c-admin", Some(("admin", "secret"))).is_some(), "{:#}", imported.report);
    assert!(enter(port, "c-admin", Some(("admin", "wrong"))).is_none());
}

/// Bug: each line of a file that was refused said so again.
#[test]
fn a_file_that_is_refused_is_told_of_once() {
    let json =
        "{\n\"roles\": [\n{\"rolename\": \"r\",\n\"allowwildcardsubs\": false}\n],\n\"clients\": []\n}\n";
    let conf = format!("listener 1883 127.0.0.1\nplugin {PLUGIN}\nplugin_opt_config_file d.json\n");
    let origin = Origin::new(&conf).with("d.json", json);
    let imported = origin.imported();
    assert_eq!(imported.verdicts("d.json"), ["not possible"; 7]);
    let (verdict, note) = imported.line("d.json", 1);
    assert!(
        verdict == "not possible" && note.ends_with("left out as a whole: see mosquitto.conf:3"),
        "{note}"
    );
    let text =
        latchgate(origin.folder(), &["import", "mosquitto", "mosquitto.conf", "--out", "again"], "").out;
    assert_eq!(text.matches("left out as a whole").count(), 1, "{text}");
    assert!(text.contains("plugin_opt_config_file d.json"), "{text}");
    assert!(text.contains("; 0 blank or comment, 6 as the entry above them"), "{text}");
}

/// A file of the plugin that `mosquitto_ctrl` has begun, with an `admin`.
fn begun(port: u16) -> Origin {
    let origin = Origin::new(&format!(
        "user root\nlistener {port} 127.0.0.1\nplugin {}\nplugin_opt_config_file dynsec.json\n",
        plugin()
    ));
    let made = Command::new("mosquitto_ctrl")
        .args(["dynsec", "init", "dynsec.json", "admin", "secret"])
        .current_dir(origin.folder())
        .status();
    assert!(made.expect("mosquitto_ctrl is there").success());
    origin
}

/// Bug: to deny the one filter `#` denied all that the role allowed.
/// Bug: an account that is bound to a client identifier was let in by any.
/// Bug: %u, which Mosquitto 2.0 takes for these two letters, was everybody's name.
#[test]
fn what_a_real_file_says_of_one_filter_of_one_client_identifier_and_of_names_opens_and_loses_nothing_unsaid()
{
    let port = free_port();
    let origin = begun(port);
    let answers = || {
        let mut phone = enter(port, "c-phone", Some(("phone", "p"))).expect("it is let in");
        let may_subscribe = ["sensors/#", "sensors/x", "#", "+/#"]
            .map(|filter| phone.subscribe_all(&Subscribe::to(filter, 0)).iter().all(|code| *code < 0x80));
        let may_publish =
            ["sensors/phone", "sensors/c-phone", "plain"].map(|topic| phone.say(topic, "x") != 0x87);
        (may_subscribe, may_publish, enter(port, "another", Some(("cam", "c"))).is_some())
    };
    let expected = {
        let _mosquitto = origin.mosquitto(port);
        control(port, &["createClient", "phone", "-p", "p"]);
        control(port, &["createClient", "cam", "-p", "c", "-c", "cam-01"]);
        for (role, kind, topic, allow, priority) in [
            ("viewer", "subscribeLiteral", "#", "deny", "10"),
            ("viewer", "subscribePattern", "sensors/#", "allow", "0"),
            ("own", "publishClientSend", "sensors/%u", "allow", "0"),
            ("own", "publishClientSend", "sensors/%c", "allow", "0"),
            ("own", "publishClientSend", "plain", "allow", "0"),
        ] {
            if kind == "subscribeLiteral" || topic == "sensors/%u" {
                control(port, &["createRole", role]);
            }
            control(port, &["addRoleACL", role, kind, topic, allow, priority]);
        }
        control(port, &["addClientRole", "phone", "viewer", "1"]);
        control(port, &["addClientRole", "phone", "own", "1"]);
        answers()
    };
    assert_eq!(expected, ([true, true, false, false], [false, false, true], false));
    let imported = origin.imported();
    let _gateway = imported.run(port);
    assert_eq!(answers(), expected, "{:#}\n{}", imported.report, imported.command(&["acl", "list"]).out);
    assert_eq!(imported.code, 1, "a right and an account were lost");
    let text = imported.report.to_string();
    for what in [
        "nobody who has this role is allowed subscribe",
        "latchgate user enable cam",
        "sensors/%u",
        "sensors/%c",
    ] {
        assert!(text.contains(what), "{what}: {text}");
    }
    assert_eq!(imported.command(&["user", "enable", "cam"]).code, 0);
    eventually("cam is let in", || enter(port, "another", Some(("cam", "c"))));
}

/// Bug: what an entry of higher priority allowed and another denied was refused, and the exit status was 0.
#[test]
fn a_right_that_priorities_gave_is_kept_or_told_as_lost() {
    let entry = |kind: &str, topic: &str, priority: i32, allow: bool| {
        format!(r#"{{"acltype":"{kind}","topic":"{topic}","priority":{priority},"allow":{allow}}}"#)
    };
    let (send, literal, pattern) = ("publishClientSend", "subscribeLiteral", "subscribePattern");
    let (yes, no) = (true, false);
    for (what, entries, others, defaults, told) in [
        ("first allowed", vec![entry(send, "a/b", 5, yes), entry(send, "a/#", 0, no)], vec![], no, "\"a/b\""),
        ("first denied", vec![entry(send, "a/b", 0, yes), entry(send, "a/#", 5, no)], vec![], no, ""),
        ("apart", vec![entry(send, "b", 5, yes), entry(send, "a/#", 0, no)], vec![], no, ""),
        ("another access", vec![entry(pattern, "a/b", 5, yes), entry(send, "a/#", 0, no)], vec![], no, ""),
        ("by another role", vec![entry(send, "a/#", 0, no)], vec![entry(send, "a/b", 0, yes)], no, "\"a/b\""),
        ("after another role", vec![entry(send, "a/b", 0, yes)], vec![entry(send, "a/#", 0, no)], no, ""),
        (
            "before another role",
            vec![entry(send, "a/b", 0, yes)],
            vec![entry(send, "a/#", 0, no)],
            no,
            "\"a/b\"",
        ),
        (
            "one filter of all",
            vec![entry(literal, "#", 5, no), entry(pattern, "#", 0, yes)],
            vec![],
            no,
            "\"#\"",
        ),
        (
            "one filter, by another role",
            vec![entry(literal, "#", 5, no)],
            vec![entry(pattern, "#", 0, yes)],
            no,
            "\"#\"",
        ),
        ("one filter for everybody", vec![entry(literal, "#", 5, no)], vec![], yes, "everybody"),
        (
            "one filter that nobody has",
            vec![entry(literal, "#", 5, no), entry(pattern, "a/#", 0, yes)],
            vec![],
            no,
            "",
        ),
        (
            "one that comes first",
            vec![entry(literal, "a/#", 0, yes), entry(pattern, "a/#", 9, no)],
            vec![],
            no,
            "\"a/#\"",
        ),
        // Here the right to the one filter is a right to all within it, so the denial is needed.
        (
            "one filter within another",
            vec![entry(literal, "a/#", 5, no), entry(literal, "#", 0, yes)],
            vec![],
            no,
            "",
        ),
        ("names in a denial", vec![entry(send, "a/%u/x%c", 0, no)], vec![], no, "\"a/+/+\""),
    ] {
        // The other role is asked first, but there.
        let priority = if what == "before another role" { 0 } else { 9 };
        let client = format!(
            r#"{{"username":"ann","roles":[{{"rolename":"first","priority":5}},{{"rolename":"other","priority":{priority}}}]}}"#
        );
        let json = format!(
            "{{\"defaultACLAccess\":{{\"subscribe\":{defaults}}},\n\"roles\":[\n{{\"rolename\":\"first\",\"acls\":[{}]}},\n{{\"rolename\":\"other\",\"acls\":[{}]}}],\n\"clients\":[\n{client}]}}\n",
            entries.join(","),
            others.join(",")
        );
        let conf = format!("listener {}\nplugin {PLUGIN}\nplugin_opt_config_file d.json\n", free_port());
        let origin = Origin::new(&conf).with("d.json", &json);
        let imported = origin.imported();
        let (first, other) = (imported.line("d.json", 3), imported.line("d.json", 4));
        let lost = first.0 == "not possible" || other.0 == "not possible";
        assert_eq!((lost, imported.code), (!told.is_empty(), i32::from(lost)), "{what}: {first:?} {other:?}");
        assert!(format!("{}{}", first.1, other.1).contains(told), "{what}: {first:?} {other:?}");
        let denied = imported.command(&["acl", "list"]).out.contains("deny");
        assert_eq!(denied, what != "one filter that nobody has", "{what}");
    }
}

#[test]
fn a_denial_of_share_groups_keeps_the_listener_closed_and_a_right_to_one_filter_is_told_as_more() {
    let file = |topic: &str, allow: bool| {
        format!(
            "{{\"roles\":[\n{{\"rolename\":\"r\",\"acls\":[{{\"acltype\":\"subscribeLiteral\",\"topic\":\"{topic}\",\"allow\":{allow}}}]}}]}}\n"
        )
    };
    for (topic, allow, verdict, words) in [
        ("$share/#", false, "not possible", "share group"),
        ("$share/g/a", true, "not possible", "share group"),
        ("a/+", true, "changed", "every filter within it"),
    ] {
        let port = free_port();
        let conf = format!("listener {port}\nplugin {PLUGIN}\nplugin_opt_config_file d.json\n");
        let origin = Origin::new(&conf).with("d.json", file(topic, allow));
        let imported = origin.imported();
        let at = if allow { imported.line("d.json", 2) } else { imported.line("mosquitto.conf", 3) };
        assert!(at.0 == verdict && at.1.contains(words), "{topic}: {at:?}");
        assert_eq!(imported.toml().contains(&port.to_string()), allow, "{topic}");
    }
}
