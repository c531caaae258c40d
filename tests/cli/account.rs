//! `user`, `role`, `acl`: what they change, what they print, what they refuse.

use super::{command, command_with_input, json, workplace, write};
use crate::support::subject::latchgate;

#[test]
fn accounts_are_added_listed_changed_and_removed() {
    let place = workplace();
    command_with_input(&place, "user add alice --password-stdin", "secret\n").exits(0);
    command_with_input(&place, "user add root --superuser --password-stdin", "secret\n").exits(0);
    command(&place, "user disable alice").exits(0);
    let list = json(command(&place, "user list --json"));
    let users = list.as_array().expect("a list");
    assert_eq!(users.len(), 2, "{list}");
    let alice = users.iter().find(|u| u["name"] == "alice").expect("alice is listed");
    assert_eq!((&alice["enabled"], &alice["superuser"]), (&false.into(), &false.into()));
    let root = users.iter().find(|u| u["name"] == "root").expect("root is listed");
    assert_eq!((&root["enabled"], &root["superuser"]), (&true.into(), &true.into()));
    command(&place, "user remove root").exits(0);
    assert!(!command(&place, "user list").exits(0).out.contains("root"));
}

#[test]
fn listings_show_no_stored_password() {
    let place = workplace();
    command_with_input(&place, "user add alice --password-stdin", "secret\n").exits(0);
    for line in ["user list", "user list --json"] {
        let out = command(&place, line).exits(0).out;
        assert!(!out.contains("$pbkdf2") && !out.contains("secret"), "{out}");
    }
}

#[test]
fn what_cannot_be_done_is_exit_1_and_says_why() {
    let place = workplace();
    command_with_input(&place, "user add alice --password-stdin", "secret\n").exits(0);
    for line in [
        "user add alice --password-stdin",
        "user remove nobody",
        "user disable nobody",
        "user enable nobody",
        "user password nobody --password-stdin",
        "role remove nothing",
        "role grant nothing alice",
        "acl remove alice all never/allowed",
    ] {
        let answer = command_with_input(&place, line, "secret\n").exits(1);
        assert!(answer.err.starts_with("latchgate: "), "{line}: {answer:?}");
        assert!(answer.out.is_empty(), "{line}: {answer:?}");
    }
}

#[test]
fn bad_usage_is_exit_2() {
    let place = workplace();
    for line in [
        "",
        "fly",
        "user",
        "user add",
        "acl allow alice everything a",
        "acl allow alice all a/#/b",
        "--frobnicate",
    ] {
        let answer = command(&place, line).exits(2);
        assert!(!answer.err.is_empty(), "{line}");
    }
}

#[test]
fn reserved_and_broken_names_are_refused() {
    let place = workplace();
    for name in ["role:x", "bridge:x", "*"] {
        let answer = command_with_input(&place, &format!("user add {name} --password-stdin"), "secret\n");
        assert!(matches!(answer.code, 1 | 2), "{name}: {answer:?}");
        assert!(!answer.err.is_empty());
    }
}

#[test]
fn rules_are_listed_and_removed_one_operation_at_a_time() {
    let place = workplace();
    command(&place, "acl allow alice all a/#").exits(0);
    command(&place, "acl deny * write a/secret").exits(0);
    assert_eq!(json(command(&place, "acl list --json")).as_array().expect("a list").len(), 2);
    assert_eq!(json(command(&place, "acl list alice --json")).as_array().expect("a list").len(), 1);
    command(&place, "acl remove alice write a/#").exits(0);
    command(&place, "acl test alice read a/x").exits(0);
    let answer = command(&place, "acl test alice write a/x").exits(3);
    assert!(answer.out.contains("deny"), "{answer:?}");
    command(&place, "acl remove * write a/secret --deny").exits(0);
    command(&place, "acl remove alice read a/#").exits(0);
    assert_eq!(json(command(&place, "acl list --json")), serde_json::json!([]));
}

#[test]
fn acl_test_names_the_rule_that_decided() {
    let place = workplace();
    command(&place, "acl allow alice write a/#").exits(0);
    command(&place, "acl deny alice write a/secret").exits(0);
    let answer = command(&place, "acl test alice write a/x").exits(0);
    assert!(answer.out.contains("allow") && answer.out.contains("a/#"), "{answer:?}");
    let answer = command(&place, "acl test alice write a/secret").exits(3);
    assert!(answer.out.contains("deny") && answer.out.contains("a/secret"), "{answer:?}");
}

#[test]
fn roles_carry_rules_to_their_users() {
    let place = workplace();
    command_with_input(&place, "user add alice --password-stdin", "secret\n").exits(0);
    command(&place, "role add operators").exits(0);
    command(&place, "acl allow role:operators write plant/#").exits(0);
    command(&place, "acl test alice write plant/x").exits(3);
    command(&place, "role grant operators alice").exits(0);
    command(&place, "acl test alice write plant/x").exits(0);
    let list = json(command(&place, "role list --json")).to_string();
    assert!(list.contains("operators") && list.contains("alice"), "{list}");
    command(&place, "role revoke operators alice").exits(0);
    command(&place, "acl test alice write plant/x").exits(3);
}

#[test]
fn bug_a_listing_where_no_database_is_made_an_empty_one() {
    let place = workplace();
    for line in [
        "user list",
        "user list --json",
        "user disable alice",
        "role list",
        "acl list --json",
        "acl remove alice all x",
        "latch instance list",
    ] {
        let answer = command(&place, line).exits(1);
        assert!(answer.out.is_empty(), "{line}: {answer:?}");
        assert!(answer.err.contains("there is no database of accounts"), "{line}: {answer:?}");
        assert!(
            answer.err.contains("state/accounts.db: the configuration latchgate.toml"),
            "{line}: {answer:?}"
        );
    }
    let answer = command(&place, "acl test alice read x").exits(3);
    assert!(answer.err.starts_with("note: there is no database"), "{answer:?}");
    assert!(!place.path().join("state").exists());
    if !std::path::Path::new("/etc/latchgate/latchgate.toml").exists() {
        let answer = latchgate(place.path(), &["user", "list"], "").exits(1);
        assert!(answer.err.contains("latchgate-state/accounts.db: no configuration is named"), "{answer:?}");
    }
    assert_eq!(std::fs::read_dir(place.path()).expect("list").count(), 1, "nothing was made");
    command(&place, "user add alice --no-password").exits(0);
    assert!(command(&place, "user list").exits(0).out.contains("alice"));
}

/// Bug: accounts and rules could be made that nobody asks, and the commands said that all was well.
#[test]
fn changes_that_no_listener_asks_are_told_and_those_that_one_asks_are_not() {
    let place = workplace();
    std::fs::write(place.path().join("passwd"), "ann:x\n\nbob:y\n").expect("write a file");
    let files = "[gateway]\nstate = \"state\"\n[auth.files]\npassword_file = \"passwd\"\n";
    let asks = |chain: &str| format!("{files}[auth]\nbackends = {chain}\n");
    write(place.path(), &asks("[\"files\"]"));
    let nobody = "no listener asks these accounts and rules, but files (passwd)";
    for line in [
        "user add carl --no-password",
        "user list",
        "user disable carl",
        "role add lamps",
        "role grant lamps carl",
        "acl allow carl read a",
        "acl deny role:lamps read a",
        "acl list",
        "acl remove carl read a",
    ] {
        let answer = command(&place, line).exits(0);
        assert!(answer.err.contains(nobody) && answer.err.contains("latchgate.toml"), "{line}: {answer:?}");
    }
    // Bridges are under the rules, whoever is asked about clients.
    for line in ["acl deny bridge:cloud write a", "user list --json"] {
        assert!(!command(&place, line).exits(0).err.contains(nobody), "{line}");
    }
    let answer = command(&place, "user disable bob").exits(1);
    assert!(answer.err.contains("no user \"bob\"") && answer.err.contains("line 3 of passwd"), "{answer:?}");
    assert!(!answer.err.contains("--no-password"), "nobody would ask: {answer:?}");
    assert!(!command(&place, "user disable dora").exits(1).err.contains("line"));

    // One listener is enough.
    let listener = "[[listener]]\nname = \"l\"\naddress = \"127.0.0.1:1\"\nbackends = [\"sqlite\"]\n";
    write(place.path(), &format!("{}{listener}", asks("[\"files\"]")));
    assert_eq!(command(&place, "acl allow carl read b").exits(0).err, "");

    write(place.path(), &asks("[\"sqlite\", \"files\"]"));
    let answer = command(&place, "user add ann --no-password").exits(0);
    assert!(answer.err.contains("line 1 of passwd too"), "{answer:?}");
    let answer = command(&place, "acl allow bob read a").exits(0);
    assert!(answer.err.contains("line 3 of passwd"), "{answer:?}");
    assert!(command(&place, "user enable bob").exits(1).err.contains("user add bob --no-password"));
    assert!(command(&place, "acl list").exits(0).err.contains("files (passwd)"));
    assert_eq!(command(&place, "acl allow carl read c").exits(0).err, "");

    // A wrong configuration stops nothing, and says nothing of this.
    write(place.path(), &format!("{}[nonsense]\n", asks("[\"files\"]")));
    assert!(!command(&place, "user disable carl").exits(0).err.contains(nobody));
}
