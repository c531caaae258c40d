//! The folder that is made: whole or not at all, never over another, and private.

use std::os::unix::fs::PermissionsExt;

use super::{Origin, passwd};

#[test]
fn an_import_makes_a_private_folder_and_touches_nothing_else() {
    let origin =
        Origin::new("listener 1883 127.0.0.1\nallow_anonymous false\npassword_file passwd\nacl_file acl\n")
            .with("passwd", passwd(&["ann"]))
            .with("acl", "user ann\ntopic a/#\n");
    let imported = origin.imported();
    assert_eq!((imported.code, imported.verdicts("mosquitto.conf")), (0, vec!["translated"; 4]));
    for name in ["new", "new/latchgate.toml", "new/passwd", "new/acl", "new/state", "new/state/accounts.db"] {
        let mode = std::fs::metadata(origin.path(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} is open to others: {mode:o}");
    }
    let mut names: Vec<String> = std::fs::read_dir(origin.folder())
        .expect("read the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["acl", "mosquitto.conf", "new", "passwd"]);
}

#[test]
fn a_folder_that_exists_is_never_written_to() {
    let origin = Origin::new("listener 1883 127.0.0.1\n").with("new/mine", "x");
    let answer = origin.import(&[]).exits(2);
    assert!(answer.err.contains("is there already") && answer.out.is_empty(), "{answer:?}");
    assert_eq!(std::fs::read_dir(origin.path("new")).expect("it is there").count(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_nothing_is_made() {
    let origin = Origin::new("include_dir conf.d\n");
    let answer = origin.import(&[]).exits(2);
    assert!(answer.err.contains("conf.d"), "{answer:?}");
    std::fs::remove_file(origin.path("mosquitto.conf")).expect("remove it");
    origin.import(&[]).exits(2);
    assert_eq!(std::fs::read_dir(origin.folder()).expect("read the folder").count(), 0);
}

#[test]
fn the_report_for_people_says_what_became_of_each_line_and_sums_up() {
    let origin = Origin::new("# mine\n\nlistener 1883 127.0.0.1\nmount_point x/\nuser mosquitto\n");
    let answer = origin.import(&[]).exits(2);
    for words in [
        "4  not possible  mount_point x/",
        "5  not needed    user mosquitto",
        "2 not possible; 2 blank or comment",
    ] {
        assert!(answer.out.contains(words), "{words:?} in {}", answer.out);
    }
    assert!(!answer.out.contains("# mine"), "{}", answer.out);
}

/// Bug: every option of a plugin was shown without its value.
#[test]
fn options_of_plugins_are_shown_unless_they_could_be_secrets() {
    let conf = "listener 1883 127.0.0.1\nauth_plugin /x/go-auth.so\nauth_opt_backends http, redis\nauth_opt_http_host 127.0.0.1\n\
                auth_opt_http_getuser_uri /user\nauth_opt_http_aclcheck_uri /acl?key=hidden-1\nauth_opt_redis_password hidden-2\n\
                auth_opt_redis_host cache.example\n";
    let origin = Origin::new(conf);
    let text = origin.import(&[]).out;
    for shown in [
        "auth_opt_backends http, redis\n",
        "auth_opt_http_host 127.0.0.1\n",
        "auth_opt_http_getuser_uri /user\n",
        "auth_opt_http_aclcheck_uri …\n",
        "auth_opt_redis_password …\n",
        "auth_opt_redis_host cache.example\n",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(!text.contains("hidden"), "{text}");
    // What a reader would wonder about is explained where it stands.
    let toml = std::fs::read_to_string(origin.path("new/latchgate.toml")).expect("read it");
    for key in ["acl = \"all\"  # rights: every backend", "dialect = \"go-auth\"  # asked and answered as"] {
        assert!(toml.contains(key), "{key}: {toml}");
    }
}

#[test]
fn no_secret_comes_into_the_report() {
    let secrets = "listener 1883 127.0.0.1\npassword_file passwd\nauth_plugin /x/unknown.so\nauth_opt_db_pass hidden-1\n\
                   connection c\naddress 127.0.0.1\ntopic # out\nremote_username u\nremote_password hidden-2\n\
                   local_password hidden-3\nremote_passwort hidden-4\nremote_password\thidden-5\n";
    let origin = Origin::new(secrets).with("passwd", "ann:hidden-6\n");
    let answer = origin.import(&["--json"]);
    assert!(!answer.out.contains("hidden") && !answer.err.contains("hidden"), "{answer:?}");
    std::fs::remove_dir_all(origin.path("new")).expect("it was made");
    let answer = origin.import(&[]);
    assert!(!answer.out.contains("hidden") && !answer.err.contains("hidden"), "{answer:?}");
    let toml = std::fs::read_to_string(origin.path("new/latchgate.toml")).expect("read it");
    assert!(!toml.contains("hidden"), "{toml}");
}
