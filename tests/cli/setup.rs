//! `setup`: a new gateway's certificate and first administrator.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use super::{command, json, write};
use crate::support::subject::{EXECUTABLE, free_port};
use crate::support::{Answer, eventually};

const TLS: &str = "[listener.tls]\ncertificate = \"state/pki/issued/gateway.crt\"\nkey = \"state/pki/issued/gateway.key\"\n";

fn closed_gateway() -> (tempfile::TempDir, u16) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let port = free_port();
    let listener = format!("[[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:{port}\"\n{TLS}");
    write(place.path(), &format!("[gateway]\nstate = \"state\"\n{listener}"));
    (place, port)
}

/// The one-time password that was shown.
fn shown(answer: &Answer) -> Option<&str> {
    let (_, rest) = answer.err.split_once("password=\"")?;
    rest.split_once('"').map(|(password, _)| password)
}

/// The gateway of the place, once it listens.
fn running(place: &tempfile::TempDir, port: u16) -> Child {
    let gateway = Command::new(EXECUTABLE)
        .args(["--config", "latchgate.toml", "run"])
        .current_dir(place.path())
        .stderr(Stdio::null())
        .spawn()
        .expect("the gateway starts");
    eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    gateway
}

#[test]
fn a_new_gateway_has_its_certificate_and_an_administrator_whose_shown_password_works_once_over_tls() {
    let (place, port) = closed_gateway();
    let answer = command(&place, "setup").exits(0);
    assert!(answer.out.contains("localhost") && answer.out.contains("state/pki/ca.crt"), "{}", answer.out);
    let password = shown(&answer).unwrap_or_else(|| panic!("no password in {}", answer.err)).to_owned();
    let users = json(command(&place, "user list --json"));
    assert_eq!(users.as_array().map(Vec::len), Some(1), "{users}");

    let mut gateway = running(&place, port);
    let login = |password: &str| {
        let line = format!(
            "pub -h localhost -p {port} --cafile state/pki/ca.crt -u recovery -P {password} -t hello -m x -q 1"
        );
        crate::support::subject::latchgate(place.path(), &line.split(' ').collect::<Vec<_>>(), "").code
    };
    let codes = [login("wrong"), login(&password), login(&password)];
    let _ = gateway.kill();
    let _ = gateway.wait();
    assert_eq!(codes, [1, 0, 1]);
}

#[test]
fn what_is_there_stays() {
    let (place, _) = closed_gateway();
    command(&place, "setup --san gate.example").exits(0);
    let read = || std::fs::read(place.path().join("state/pki/issued/gateway.crt")).expect("the certificate");
    let first = read();
    let again = command(&place, "setup").exits(0);
    assert_eq!((read(), again.out.as_str(), shown(&again)), (first, "", None));
}

#[test]
fn a_first_start_that_was_killed_while_it_made_the_authority_is_made_good_by_the_next() {
    let (place, _) = closed_gateway();
    std::fs::create_dir(place.path().join("state")).expect("the state directory");
    command(&place, "pki init --dir state/pki").exits(0);
    // What there is when it is killed before this is written, which is the last.
    std::fs::remove_file(place.path().join("state/pki/ca.crt")).expect("it was made");
    let answer = command(&place, "setup").exits(0);
    assert!(answer.out.contains("certificate made for"), "{answer:?}");
    command(&place, "check").exits(0);
}

#[test]
fn somebody_elses_certificate_and_accounts_are_left_alone() {
    let place = super::workplace();
    let own = "[gateway]\nstate = \"state\"\n[[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:0\"\n[listener.tls]\n\
               certificate = \"mine.crt\"\nkey = \"mine.key\"\n";
    write(place.path(), own);
    super::command_with_input(&place, "user add ann --password-stdin", "secret\n").exits(0);
    let answer = command(&place, "setup").exits(0);
    assert_eq!((answer.out.as_str(), shown(&answer)), ("", None));
    assert!(!place.path().join("state/pki").exists() && !place.path().join("mine.crt").exists());
}

/// Bug: a device whose clock was ahead at the first start made itself a certificate of the future.
#[test]
fn a_certificate_made_while_the_clock_is_not_set_is_valid_whatever_the_clock_says_later() {
    for when in ["2001-01-01 00:00:00", "2099-01-01 00:00:00"] {
        let (place, port) = closed_gateway();
        let made = Command::new("faketime")
            .args([when, EXECUTABLE, "--config", "latchgate.toml", "setup"])
            .current_dir(place.path())
            .output()
            .expect("faketime is installed: run tests/run once");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut gateway = running(&place, port);
        let answer =
            Answer { code: 0, out: String::new(), err: String::from_utf8_lossy(&made.stderr).into_owned() };
        let password = shown(&answer).unwrap_or_else(|| panic!("no password in {}", answer.err));
        let line = format!(
            "pub -h localhost -p {port} --cafile state/pki/ca.crt -u recovery -P {password} -t hello -m x -q 1"
        );
        let words: Vec<_> = line.split(' ').collect();
        let said = crate::support::subject::latchgate(place.path(), &words, "");
        let _ = gateway.kill();
        let _ = gateway.wait();
        assert_eq!(said.code, 0, "{when}: {said:?}");
    }
}
