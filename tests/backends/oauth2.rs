//! The backend `oauth2` against oidc-provider, an authorization server of the npm registry.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::Value;

use super::{may_publish, peer::Peer};
use crate::support::subject::EXECUTABLE;
use crate::support::{Client, Connect, Subject, Subscribe, eventually, packet::VERSIONS};

/// The server, with a client `device-SECONDS` for each lifetime of tokens.
fn server() -> Peer {
    Peer::node("oidc.mjs", &[])
}

/// A new token of the client that gets `seconds`.
fn token(server: &Peer, seconds: u32, scope: &str) -> String {
    let answer = curl(
        server,
        &format!("device-{seconds}"),
        "token",
        &["grant_type=client_credentials", &format!("scope={scope}")],
    );
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

/// A token of a server at `localhost` that has TLS.
pub fn token_over_tls(server: &Peer, ca: &str) -> String {
    let output = Command::new("curl")
        .args(["-s", "-u", "device-600:secret", "--cacert", ca, "-d", "grant_type=client_credentials"])
        .args(["--data-urlencode", "scope=mqtt:write:a", &format!("https://localhost:{}/token", server.port)])
        .output()
        .expect("curl is installed");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

fn curl(server: &Peer, client: &str, path: &str, fields: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["-s", "-u", &format!("{client}:secret")]);
    for field in fields {
        command.args(["--data-urlencode", field]);
    }
    let output =
        command.arg(format!("http://127.0.0.1:{}/{path}", server.port)).output().expect("curl is installed");
    String::from_utf8(output.stdout).expect("text")
}

fn gateway(server: &Peer, more: &str) -> Subject {
    let section = format!(
        "[auth]\nbackends = [\"oauth2\"]\n[auth.throttle]\nfailures = 0\n[auth.oauth2]\n\
         introspection_url = \"http://127.0.0.1:{}/token/introspection\"\nclient_id = \"gateway\"\n\
         client_secret_file = \"oauth2.secret\"\n{more}",
        server.port
    );
    let subject = Subject::with().without_rules().section(&section).prepare();
    std::fs::write(subject.directory().join("oauth2.secret"), "secret\n").expect("write the secret");
    subject
}

fn subscribes(client: &mut Client, filter: &str) -> bool {
    client.subscribe_all(&Subscribe::to(filter, 1)) == [1]
}

#[test]
fn scopes_of_both_spellings_are_the_rights_and_no_other_token_is_a_login() {
    let server = server();
    let subject = gateway(&server, "");
    let token = token(&server, 600, "mqtt:read:a/# mqtt.read:b mqtt:write:a/+ mqtt.write:c");
    for version in VERSIONS {
        let mut client = subject.accept(&Connect::new(version, "lamp").login("lamp", &token));
        assert!(subscribes(&mut client, "a/#") && subscribes(&mut client, "b"));
        for wrong in ["", "nonsense", &token[1..], &format!("{token}&token=x"), &format!("x {token}")] {
            subject.refuse(&Connect::new(version, "x").login("lamp", wrong));
        }
    }
    let mut client = subject.accept(&Connect::v5("lamp").login("lamp", &token));
    assert!(may_publish(&mut client, "a/x") && may_publish(&mut client, "c"));
    assert!(
        !may_publish(&mut client, "b")
            && !may_publish(&mut client, "a/x/y")
            && !may_publish(&mut client, "$SYS/x")
    );
    assert!(!subscribes(&mut client, "c") && !subscribes(&mut client, "#"));
    let without = self::token(&server, 600, "other");
    subject.refuse(&Connect::v5("x").login("lamp", &without));
    let log = subject.log();
    assert!(!log.contains(&token) && !log.contains(&without), "no token is logged");
}

#[test]
fn the_session_ends_when_the_token_does() {
    let server = server();
    let subject = gateway(&server, "");
    let token = token(&server, 3, "mqtt:read:a mqtt:write:a");
    let mut v5 = subject.accept(&Connect::v5("five").login("lamp", &token));
    let mut v311 = subject.accept(&Connect::v311("three").login("lamp", &token));
    assert!(may_publish(&mut v5, "a"));
    v5.expect_disconnect(0xA0);
    v311.expect_closed();
    subject.refuse(&Connect::v5("five").login("lamp", &token));
    let fresh = self::token(&server, 600, "mqtt:write:a");
    assert!(may_publish(&mut subject.accept(&Connect::v5("five").login("lamp", &fresh)), "a"));
}

#[test]
fn a_token_that_was_revoked_ends_its_session_at_the_next_look() {
    let server = server();
    let subject = gateway(&server, "recheck = \"1s\"");
    let token = token(&server, 600, "mqtt:write:a");
    let mut client = subject.accept(&Connect::v5("lamp").login("lamp", &token));
    let other = self::token(&server, 600, "mqtt:write:a");
    let mut stays = subject.accept(&Connect::v5("stays").login("lamp", &other));
    curl(&server, "device-600", "token/revocation", &[&format!("token={token}")]);
    client.expect_disconnect(0x87);
    stays.ping();
    // An outage ends nobody.
    server.stop();
    let log = || subject.log().contains("no answer");
    eventually("it was asked in vain", || log().then_some(()));
    stays.ping();
    assert!(may_publish(&mut stays, "a"));
}

#[test]
fn the_user_name_can_be_bound_to_the_token() {
    let server = server();
    let subject = gateway(&server, "user_claim = \"client_id\"");
    let token = token(&server, 600, "mqtt:write:a");
    subject.accept(&Connect::v5("x").login("device-600", &token)).ping();
    for name in ["device-60", "lamp", "DEVICE-600"] {
        subject.refuse(&Connect::v5("x").login(name, &token));
    }
}

/// `latchgate pub` or `sub` with a token command whose tokens live 3 s; each is noted in the file.
fn with_tokens(server: &Peer, subject: &Subject, words: &[&str], fetched: &std::path::Path) -> Child {
    let command = format!(
        "echo >> {fetched:?}; curl -s -u device-3:secret -d grant_type=client_credentials \
         --data-urlencode 'scope=mqtt:read:a/# mqtt:write:a/+' http://127.0.0.1:{}/token | sed 's/.*\"access_token\":\"//; s/\".*//'",
        server.port
    );
    let port = subject.port().to_string();
    Command::new(EXECUTABLE)
        .args([words[0], "-h", "127.0.0.1", "-p", &port, "-u", "lamp", "--token-command", &command])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts")
}

#[test]
fn pub_and_sub_outlive_their_tokens_and_lose_no_message() {
    let server = server();
    let subject = gateway(&server, "");
    // With and without knowing when tokens end.
    let ways: [(&str, &str, &[&str]); 3] =
        [("mqttv5", "1", &[]), ("mqttv5", "2", &["--token-lifetime", "3"]), ("mqttv311", "1", &[])];
    std::thread::scope(|scope| {
        for (number, (version, qos, more)) in ways.into_iter().enumerate() {
            let (server, subject) = (&server, &subject);
            let folder = tempfile::tempdir().expect("a folder");
            let topic = format!("a/{number}");
            let files = ["sub", "pub"].map(|name| folder.path().join(name));
            let words = |command: &'static str| {
                let mut words = vec![command, "-V", version, "-q", qos, "-t", topic.as_str()];
                words.extend(if command == "pub" { &["-l"][..] } else { &[] });
                words.extend(more);
                words
            };
            let mut receiver = with_tokens(server, subject, &words("sub"), &files[0]);
            let mut sender = with_tokens(server, subject, &words("pub"), &files[1]);
            scope.spawn(move || {
                let folder = folder;
                let mut input = sender.stdin.take().expect("piped");
                let output = BufReader::new(receiver.stdout.take().expect("piped"));
                let (printed, lines) = mpsc::channel();
                std::thread::spawn(move || {
                    output.lines().map_while(Result::ok).for_each(|line| drop(printed.send(line)));
                });
                eventually("it is subscribed", || {
                    writeln!(input, "hello").expect("it reads");
                    lines.recv_timeout(std::time::Duration::from_millis(100)).ok()
                });
                let fetched = |file: &std::path::Path| {
                    std::fs::read_to_string(file).unwrap_or_default().lines().count()
                };
                let mut number = 0;
                while files.iter().any(|file| fetched(file) < 4) {
                    writeln!(input, "{number}").expect("it reads");
                    // At QoS 1 one may come twice; none may be missing.
                    loop {
                        let line = lines.recv_timeout(crate::support::BOUND).expect("nothing is lost");
                        if line == number.to_string() {
                            break;
                        }
                        let again = line.parse::<u32>().is_ok_and(|line| line < number);
                        assert!(
                            line == "hello" || (again && qos == "1"),
                            "{version} {qos}: {line} for {number}"
                        );
                    }
                    number += 1;
                }
                drop(input);
                assert!(sender.wait().expect("it ends").success(), "{version} {qos}");
                rustix::process::kill_process(
                    rustix::process::Pid::from_child(&receiver),
                    rustix::process::Signal::TERM,
                )
                .expect("tell it to end");
                assert!(receiver.wait().expect("it ends").success(), "{version} {qos}");
                assert!(number > 10, "{number}");
                drop(folder);
            });
        }
    });
    // Sessions that were kept only between two tokens are gone.
    let log = subject.log();
    assert!(!log.contains("device-3"), "{log}");
}
