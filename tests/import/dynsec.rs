//! Dynamic security: a file that `mosquitto_ctrl` wrote, imported, decides as the plugin does.

use std::{path::Path, process::Command};

use super::{Origin, enter};
use crate::support::{
    Publish, Subscribe,
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
            r#"{"roles":[{"rolename":"r","acls":[{"acltype":"publishClientSend","topic":"a/x%u","allow":false}]}]}"#,
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
