//! A wrong configuration is told with file, line, column and the nearest known key.

use super::{command, workplace, write};
use crate::support::{Subject, subject::latchgate};

#[test]
fn a_right_configuration_passes_the_check() {
    command(&workplace(), "check").exits(0);
}

#[test]
fn an_unknown_key_is_told_with_its_place_and_the_nearest_known_one() {
    let place = workplace();
    for (toml, at, nearest) in [
        ("[gateway]\nstaet = \"state\"\n", "latchgate.toml:2:1", "state"),
        ("[limits]\nqueued_mesages = 3\n", "latchgate.toml:2:1", "queued_messages"),
        ("[[listener]]\nname = \"x\"\n  adress = \"127.0.0.1:1\"\n", "latchgate.toml:3:3", "address"),
        ("[gatevay]\nstate = \"state\"\n", "latchgate.toml:1:2", "gateway"),
    ] {
        write(place.path(), toml);
        for line in ["check", "run", "reload"] {
            let answer = command(&place, line).exits(2);
            assert!(answer.err.contains(at), "{line} of {toml:?}: {}", answer.err);
            assert!(answer.err.contains(&format!("`{nearest}`")), "{line} of {toml:?}: {}", answer.err);
        }
    }
}

#[test]
fn a_wrong_value_is_told_with_its_place() {
    let place = workplace();
    for (toml, at) in [
        ("[limits]\nconnections = \"many\"\n", "latchgate.toml:2:"),
        ("[limits]\nconnections = -1\n", "latchgate.toml:2:"),
        ("[acl]\nsubscribe = \"sometimes\"\n", "latchgate.toml:2:"),
        ("[[listener]]\nname = \"x\"\naddress = \"nowhere\"\n", "latchgate.toml:3:"),
        ("[gateway\n", "latchgate.toml:1:"),
    ] {
        write(place.path(), toml);
        let answer = command(&place, "check").exits(2);
        assert!(answer.err.contains(at), "{toml:?}: {}", answer.err);
    }
}

#[test]
fn a_configuration_that_is_not_there_or_not_text_is_exit_2() {
    let place = workplace();
    let answer = latchgate(place.path(), &["--config", "missing.toml", "check"], "").exits(2);
    assert!(answer.err.contains("missing.toml"), "{}", answer.err);
    std::fs::write(place.path().join("latchgate.toml"), [0xFF, 0xFE, 0]).expect("write the file");
    command(&place, "check").exits(2);
}

#[test]
fn paths_are_relative_to_the_file_they_stand_in() {
    let place = workplace();
    let inner = place.path().join("inner");
    std::fs::create_dir(&inner).expect("make a folder");
    write(&inner, "[gateway]\nstate = \"here\"\n");
    latchgate(place.path(), &["--config", "inner/latchgate.toml", "acl", "allow", "a", "all", "b"], "")
        .exits(0);
    assert!(inner.join("here").is_dir());
}

#[test]
fn bug_a_wrong_key_elsewhere_kept_the_gateway_from_being_closed() {
    let subject = Subject::with().prepare();
    subject.command(&["user", "add", "bob", "--no-password"]).exits(0);
    subject.port();
    let text = std::fs::read_to_string(subject.config()).expect("read the configuration");
    for (wrong, told) in [
        (format!("{text}\n[lock]\nunknown = 1\n"), "unknown key `unknown`"),
        (format!("unknown = 1\n{text}"), "server.conf:1:1: unknown key"),
        (format!("{text}\n[lock\n"), "server.conf:"),
    ] {
        std::fs::write(subject.config(), wrong).expect("write the configuration");
        for line in [
            "lock close",
            "lock status",
            "lock open",
            "panel press",
            "panel press",
            "panel status",
            "ban list",
            "user disable bob",
            "user enable bob",
            "user list",
            "role list",
            "acl deny bob all x",
            "acl remove bob all x --deny",
            "latch instance list",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let answer = subject.command(&words).exits(0);
            let warnings: Vec<&str> =
                answer.err.lines().filter(|line| line.starts_with("warning: ")).collect();
            let [warning] = warnings[..] else { panic!("{line}: {}", answer.err) };
            assert!(warning.contains(told) && warning.contains("state is used"), "{line}: {warning}");
        }
        subject.command(&["check"]).exits(2);
        subject.command(&["acl", "test", "bob", "read", "x"]).exits(2);
    }
}

#[test]
fn the_state_is_not_guessed_when_the_key_that_names_it_may_be_the_wrong_one() {
    let place = workplace();
    for toml in
        ["[gateway]\nstaet = \"s\"\n", "[gatevay]\nstate = \"s\"\n", "[limits\n[gateway]\nstate = \"s\"\n"]
    {
        write(place.path(), toml);
        for line in ["lock close", "user list", "user disable bob"] {
            let answer = command(&place, line).exits(2);
            assert!(
                answer.err.contains("latchgate.toml:1:") || answer.err.contains("latchgate.toml:2:"),
                "{line}: {answer:?}"
            );
        }
    }
    assert_eq!(std::fs::read_dir(place.path()).expect("list").count(), 1, "nothing was made");
}

/// Bug: a pipe where a file was meant had `check` and `reload` wait for ever, and a device took all memory.
#[test]
fn only_regular_files_are_read_whatever_key_names_them() {
    let place = workplace();
    let pki = |line: &str| command(&place, line).exits(0);
    pki("pki init");
    pki("pki issue gateway --server --san localhost");
    let pipe = place.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("make a pipe");
    std::fs::create_dir(place.path().join("folder")).expect("make a folder");
    let (certificate, key) = ("pki/issued/gateway.crt", "pki/issued/gateway.key");
    let tls = format!(
        "[[listener]]\nname = 'x'\naddress = '127.0.0.1:1'\n[listener.tls]\ncertificate = '{certificate}'\nkey = '{key}'\n"
    );
    let bridge =
        "[[bridge]]\nname = 'x'\naddress = 'mqtts://h'\n[[bridge.route]]\ntopic = 'a'\ndirection = 'out'\n";
    let auth = |name: &str, more: &str| format!("[auth]\nbackends = ['{name}']\n[auth.{name}]\n{more}\n");
    let sql = "user = 'u'\ntls = 'required'\nuser_query = 'SELECT a FROM b WHERE c = %s'";
    let oauth2 = "introspection_url = 'http://h/'\nclient_id = 'x'";
    for (toml, named) in [
        (auth("files", "password_file = 'FILE'"), "password_file"),
        (auth("files", "acl_file = 'FILE'"), "acl_file"),
        (auth("cdb", "file = 'FILE'"), "file"),
        (auth("sqlite", "path = 'FILE'\nuser_query = 'SELECT a FROM b WHERE c = %s'"), "path"),
        (auth("http", "user_url = 'https://h/'\nca = 'FILE'"), "ca"),
        (auth("oauth2", &format!("{oauth2}\nclient_secret_file = 'FILE'")), "client_secret_file"),
        (auth("python", "module = 'm'\n[auth.python.opts_files]\nx = 'FILE'"), "x"),
        (auth("redis", "password_file = 'FILE'"), "password_file"),
        (auth("mysql", &format!("{sql}\nca = 'FILE'")), "ca"),
        (auth("postgres", &format!("{sql}\nca = 'FILE'")), "ca"),
        (auth("postgres", &format!("{sql}\ncertificate = 'FILE'\nkey = 'FILE'")), "certificate"),
        (auth("mysql", &format!("{sql}\npassword_file = 'FILE'")), "password_file"),
        (tls.replace(certificate, "FILE"), "certificate"),
        (tls.replace(key, "FILE"), "key"),
        (format!("{tls}client_certificate = 'required'\nclient_ca = 'FILE'\n"), "client_ca"),
        (format!("{tls}client_certificate = 'required'\nclient_ca = 'pki/ca.crt'\ncrl = 'FILE'\n"), "crl"),
        (format!("{bridge}[bridge.tls]\nca = 'FILE'\n"), "ca"),
        (format!("{bridge}[bridge.tls]\ncertificate = 'FILE'\nkey = '{key}'\n"), "certificate"),
        (bridge.replace("address", "username = 'u'\npassword_file = 'FILE'\naddress"), "password_file"),
        (
            "[latch]\napplication_id = 'WqfhYgvjdVUiPtmWTQyr'\nsecret_file = 'FILE'\n".to_owned(),
            "secret_file",
        ),
    ] {
        for file in ["pipe", "/dev/zero", "folder"] {
            write(place.path(), &format!("[gateway]\nstate = 'state'\n{}", toml.replace("FILE", file)));
            let answer = command(&place, "check").exits(2);
            assert!(answer.err.contains("not a regular file"), "{named} = {file}: {answer:?}");
        }
    }
}

/// Bug: each of these passed the check, and then nobody was let in.
#[test]
fn a_web_service_that_can_never_be_asked_is_told_by_the_check() {
    let place = workplace();
    for (lines, said) in [
        ("timeout = '0s'", "`auth.http.timeout` is no time at all"),
        ("acl_url = 'http://[::1'", "`auth.http.acl_url` is not an address"),
        ("headers = ['Content-Length: 5']", "`auth.http.headers` holds `Content-Length`"),
        ("headers = ['transfer-encoding: chunked']", "follows from the address and the body"),
        ("headers = ['Host: x']", "follows from the address and the body"),
        ("dialect = 'auth-plug'\nheaders = ['Authorization: Basic x']", "sends by itself"),
    ] {
        write(
            place.path(),
            &format!("[auth]\nbackends = ['http']\n[auth.http]\nuser_url = 'http://h/'\n{lines}\n"),
        );
        let answer = command(&place, "check").exits(2);
        assert!(answer.err.contains(said), "{lines}: {}", answer.err);
    }
}

#[test]
fn the_examples_of_backends_in_the_readme_are_right() {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## Backends\n").nth(1).expect("the section is there");
    let section = section.split("\n## ").next().expect("it ends");
    let blocks = section.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut checked = Vec::new();
    for block in blocks.filter(|block| block.contains("[auth.")) {
        let place = workplace();
        for (name, text) in [
            ("passwd", ""),
            ("acl", "user ann\ntopic readwrite ann/#\n"),
            ("db.secret", "x\n"),
            ("db", "x\n"),
        ] {
            std::fs::write(place.path().join(name), text).expect("write a file");
        }
        let tables = "CREATE TABLE users (name TEXT PRIMARY KEY, pw TEXT); CREATE TABLE acls (name TEXT, topic TEXT, rw INTEGER)";
        assert!(section.contains(tables), "the page makes other tables");
        let app = rusqlite::Connection::open(place.path().join("app.db")).expect("a database");
        app.execute_batch(&format!("{tables}; INSERT INTO acls VALUES ('ann', 'ann/#', 7)")).expect("tables");
        let name = block.split("[auth.").nth(1).and_then(|rest| rest.split(']').next()).expect("a backend");
        // In a list the lines are indented; a credential lies where systemd puts it.
        let block = block.replace("\n  ", "\n").replace("$CREDENTIALS_DIRECTORY/", "");
        let block = block.trim_start();
        let auth =
            if block.starts_with("[auth]") { "" } else { &format!("[auth]\nbackends = [\"{name}\"]\n") };
        write(place.path(), &format!("[gateway]\nstate = \"state\"\n{auth}{block}"));
        command(&place, "check").exits(0);
        if name == "sqlite" {
            let said = command(&place, "acl test ann write ann/lamp").exits(0).out;
            assert!(section.contains(&format!("$ latchgate acl test ann write ann/lamp\n{said}")), "{said}");
        }
        checked.push(name);
    }
    assert_eq!(checked, ["postgres", "http", "files", "sqlite", "python"]);
}

#[test]
fn the_examples_of_bridges_in_the_readme_are_right() {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## Bridges\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let blocks = section.expect("the section is there").split("```toml\n").skip(1);
    let bridge: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    let place = workplace();
    for words in ["pki init", "pki issue b8_broker"] {
        command(&place, words).exits(0);
    }
    for (from, to) in [
        ("pki/ca.crt", "cloud_ca.crt"),
        ("pki/issued/b8_broker.crt", "device.crt"),
        ("pki/issued/b8_broker.key", "device.key"),
    ] {
        std::fs::copy(place.path().join(from), place.path().join(to)).expect("it was made");
    }
    write(place.path(), &format!("[gateway]\nid = \"b8\"\nstate = \"state\"\n{}", bridge.join("\n")));
    let said = command(&place, "check").exits(0).out;
    let shown: Vec<&str> =
        said.lines().skip_while(|line| !line.starts_with("bridge")).map(str::trim).collect();
    assert_eq!(
        shown,
        [
            "bridge   mqtts://cloud.example:8883  \"cloud\" as b8_broker",
            "lamp/changed -> devices/b8/lamp/changed, QoS 1",
            "lamp/set_config <- devices/b8/lamp/set_config, QoS 1",
            "scene/# <-> scene/#, QoS 1",
            "cloud/weather/# <- weather/#, QoS 0",
        ]
    );
}
