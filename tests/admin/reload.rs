//! Reading the configuration again: all that can be changed in a running gateway, or nothing.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::{acl, add_user, closed};
use crate::support::subject::free_port;
use crate::support::{Client, Connect, Subject, eventually};

fn configuration(subject: &Subject) -> String {
    subject.port();
    fs::read_to_string(subject.config()).expect("read the configuration")
}

fn write(subject: &Subject, text: &str) {
    fs::write(subject.config(), text).expect("write the configuration");
}

fn listener(name: &str, port: u16, more: &str) -> String {
    format!(
        "\n[[listener]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\nanonymous = \"guest\"\n{more}\n"
    )
}

fn connects(port: u16) -> Client {
    let (client, connack) = Client::connect(port, &Connect::v5("probe"));
    assert_eq!(connack.code, 0);
    client
}

/// The list of that name in an answer.
fn words(answer: &Value, name: &str) -> Vec<String> {
    let list = answer[name].as_array().unwrap_or_else(|| panic!("no {name} in {answer}"));
    list.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

fn json(subject: &Subject, command: &[&str]) -> Value {
    serde_json::from_str(&subject.command(command).exits(0).out).expect("--json prints JSON")
}

#[test]
fn listeners_are_opened_changed_and_closed_without_touching_the_clients_of_others() {
    let subject = Subject::start();
    let first = configuration(&subject);
    let mut stays = subject.v5("stays");
    let (one, two) = (free_port(), free_port());
    write(&subject, &format!("{first}{}{}", listener("one", one, ""), listener("two", two, "")));
    let answer = json(&subject, &["reload", "--json"]);
    assert_eq!(words(&answer, "applied").len(), 2, "{answer}");
    let (mut of_one, mut of_two) = (connects(one), subject_client(two, "other"));

    // One is changed in place, the other is gone.
    write(&subject, &format!("{first}{}", listener("one", one, "limits.inflight = 7")));
    let plan = json(&subject, &["check", "--diff", "--json"]);
    assert_eq!(words(&plan, "listeners"), ["\"one\": limits", "\"two\" is closed"]);
    assert!(words(&plan, "live").is_empty() && words(&plan, "restart").is_empty(), "{plan}");
    of_one.ping();
    let answer = json(&subject, &["reload", "--json"]);
    assert_eq!(words(&answer, "applied"), ["listener \"one\": limits", "listener \"two\" is closed"]);
    of_one.expect_disconnect(0x98);
    of_two.expect_disconnect(0x98);
    stays.ping();
    let (_, connack) = Client::connect(one, &Connect::v5("again"));
    let inflight =
        crate::support::property::one(&connack.properties, crate::support::property::RECEIVE_MAXIMUM);
    assert_eq!(inflight, Some(&crate::support::Value::Two(7)), "{connack:?}");
    eventually("nobody listens there any more", || std::net::TcpStream::connect(("127.0.0.1", two)).err());
    assert!(subject.command(&["check", "--diff"]).exits(0).out.contains("has this configuration"));
    subject.still_serves();
}

fn subject_client(port: u16, name: &str) -> Client {
    let (client, connack) = Client::connect(port, &Connect::v5(name));
    assert_eq!(connack.code, 0);
    client
}

#[test]
fn a_bad_file_changes_nothing_and_says_so() {
    let subject = Subject::start();
    let first = configuration(&subject);
    let mut client = subject.v5("stays");
    let port = free_port();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port that is taken");
    let taken = taken.local_addr().map(|address| (taken, address.port())).expect("its address");
    // Bug: a wrong configuration that the gateway found had the exit status of any other failure.
    for (wrong, code, complaint) in [
        ("[log]\nlevle = 1".to_owned(), 2, "levle"),
        (
            listener("two", port, "tls.certificate = \"nowhere.crt\"\ntls.key = \"nowhere.key\""),
            2,
            "nowhere.crt",
        ),
        (listener("two", port, "") + &listener("three", taken.1, ""), 1, "cannot listen"),
    ] {
        write(&subject, &format!("{first}\n{wrong}"));
        for command in [&["reload"][..], &["check", "--diff"], &["check", "--diff", "--json"]] {
            let answer = subject.command(command).exits(code);
            assert!(answer.err.contains(complaint), "{answer:?}");
        }
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "half of it was applied");
        client.ping();
    }
    let refusals = || subject.log().matches("nothing was changed").count();
    for wrong in ["[log]\nlevle = 1", ""] {
        // An editor may have the file empty for a moment.
        write(&subject, wrong);
        let before = refusals();
        subject.signal(Signal::HUP);
        eventually("the log says so", || (refusals() > before).then_some(()));
        client.ping();
    }
    write(&subject, &format!("{first}{}", listener("two", port, "")));
    subject.signal(Signal::HUP);
    eventually("the right one is applied", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    client.ping();
}

#[test]
fn rules_are_read_otherwise_at_once_and_what_takes_a_restart_is_named() {
    let subject = closed(Subject::with());
    add_user(&subject, "root");
    acl(&subject, "allow root write plant/a");
    let mut root = subject.accept(&Connect::v5("r").login("root", super::PASSWORD));
    assert_eq!(root.say("plant/b", "x"), 0x87);
    let text = configuration(&subject);
    write(&subject, &format!("{text}\n[acl]\nsuperusers = [\"root\"]\n[auth]\nupgrade_passwords = false\n"));
    let answer = json(&subject, &["reload", "--json"]);
    assert_eq!(words(&answer, "applied"), ["acl.superusers"]);
    assert_eq!(words(&answer, "restart"), ["auth.upgrade_passwords"]);
    assert_eq!(root.say("plant/b", "x"), 0);
    let plan = subject.command(&["check", "--diff"]).exits(0).out;
    assert_eq!(plan, "restart   auth.upgrade_passwords\n");
}
