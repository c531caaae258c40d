//! `hash`, `completions`, `man`, `pub`, `sub`.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use super::{command, command_with_input, workplace};
use crate::support::subject::{EXECUTABLE, latchgate};
use crate::support::{Subject, eventually};

#[test]
fn hash_prints_a_stored_form_that_user_add_takes() {
    let subject = Subject::with().prepare();
    let hash = subject.command_with_input(&["hash"], "secret\n").exits(0).out;
    let hash = hash.trim_end();
    assert!(hash.starts_with("$pbkdf2-") && !hash.contains('\n'), "{hash}");
    let again = subject.command_with_input(&["hash"], "secret\n").exits(0).out;
    assert_ne!(again.trim_end(), hash, "each has its own salt");
    subject.command(&["user", "add", "alice", "--hash", hash]).exits(0);
    subject.accept(&crate::support::Connect::v5("x").login("alice", "secret")).ping();
}

#[test]
fn hash_refuses_an_empty_password_and_an_unknown_scheme() {
    let place = workplace();
    assert_ne!(command_with_input(&place, "hash", "").code, 0);
    command_with_input(&place, "hash --scheme rot13", "secret\n").exits(2);
}

#[test]
fn completions_and_the_manual_name_the_commands() {
    let place = workplace();
    for shell in ["bash", "zsh", "fish"] {
        let out = command(&place, &format!("completions {shell}")).exits(0).out;
        assert!(out.contains("latchgate") && out.contains("acl"), "{shell}");
    }
    command(&place, "completions tcsh95").exits(2);
    let manual = command(&place, "man").exits(0).out;
    assert!(manual.contains(".TH") && manual.contains("acl"), "{manual:.200}");
}

#[test]
fn help_and_version_are_exit_0() {
    let place = workplace();
    for line in ["--help", "--version", "user --help", "acl test --help"] {
        assert!(!command(&place, line).exits(0).out.is_empty());
    }
}

#[test]
fn pub_and_sub_carry_a_message_in_both_versions() {
    let subject = Subject::start();
    let port = subject.port().to_string();
    for version in ["311", "5"] {
        for qos in ["0", "1", "2"] {
            let (topic, text) = (format!("cli/{version}/{qos}"), format!("hello {version} {qos}"));
            // The retained message reaches the subscriber whichever of the two is first.
            let arguments = [
                "pub",
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-V",
                version,
                "-q",
                qos,
                "-r",
                "-t",
                &topic,
                "-m",
                &text,
            ];
            latchgate(subject.directory(), &arguments, "").exits(0);
            let mut sub = Command::new(EXECUTABLE)
                .args(["sub", "-h", "127.0.0.1", "-p", &port, "-V", version, "-q", qos, "-t", &topic])
                .stdout(Stdio::piped())
                .spawn()
                .expect("sub starts");
            let mut line = String::new();
            BufReader::new(sub.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("a line");
            sub.kill().expect("end sub");
            sub.wait().expect("sub ends");
            assert_eq!(line.trim_end(), text);
        }
    }
}

#[test]
fn pub_to_nobody_home_is_exit_1() {
    let place = workplace();
    let port = crate::support::subject::free_port();
    let answer = command(&place, &format!("pub -h 127.0.0.1 -p {port} -t a -m x")).exits(1);
    assert!(answer.err.contains(&port.to_string()), "{}", answer.err);
}

#[test]
fn bug_pub_and_sub_without_tls_told_a_tls_port_by_reserved_flags() {
    let tls = "[listener.tls]\ncertificate = \"pki/issued/gate.crt\"\nkey = \"pki/issued/gate.key\"";
    let subject = Subject::with().without_rules().listener(tls).prepare();
    subject.command(&["pki", "init"]).exits(0);
    subject.command(&["pki", "issue", "gate", "--server", "--san", "127.0.0.1"]).exits(0);
    let port = subject.port().to_string();
    for version in ["31", "311", "5"] {
        for words in [&["pub", "-t", "a", "-m", "x"][..], &["sub", "-t", "a", "-C", "1"]] {
            let arguments = [words, &["-h", "127.0.0.1", "-p", &port, "-V", version]].concat();
            let answer = latchgate(subject.directory(), &arguments, "").exits(1);
            assert!(answer.err.contains("is this a TLS port? give --cafile"), "{version}: {}", answer.err);
        }
    }
}

#[test]
fn pub_tells_a_refusal() {
    let subject = Subject::with().without_rules().start();
    let port = subject.port().to_string();
    let arguments = ["pub", "-h", "127.0.0.1", "-p", &port, "-V", "5", "-q", "1", "-t", "secret", "-m", "x"];
    let answer = latchgate(subject.directory(), &arguments, "").exits(1);
    assert!(answer.err.to_lowercase().contains("not authorized"), "{}", answer.err);
}

#[test]
fn a_listing_that_nobody_reads_ends_quietly() {
    let place = workplace();
    command(&place, "acl allow * read a/#").exits(0);
    for line in ["acl list", "acl list --json", "check", "user list", "completions bash"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(EXECUTABLE)
            .args(["--config", "latchgate.toml"])
            .args(line.split(' '))
            .current_dir(place.path())
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the executable starts");
        assert!(output.status.success(), "{line}: {output:?}");
        assert!(output.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn bench_asks_for_rights_when_its_subscription_is_refused() {
    let subject = Subject::with().without_rules().start();
    let port = subject.port().to_string();
    for protocol in ["3.1.1", "5"] {
        let arguments = ["bench", "pairs", "--port", &port, "--seconds", "0.1", "--protocol", protocol];
        let answer = latchgate(subject.directory(), &arguments, "").exits(1);
        assert!(answer.err.contains("does the user have rights on bench/#?"), "{}", answer.err);
    }
}

#[test]
fn ctrl_c_at_a_password_prompt_leaves_the_terminal_as_it_was() {
    let place = workplace();
    // `script` gives the shell a terminal of its own and passes on what is typed.
    let line = format!("tty; stty -a; {EXECUTABLE} user add ann; echo status $?; stty -a");
    let mut script = Command::new("script")
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .env("LATCHGATE_CONFIG", "latchgate.toml")
        .current_dir(place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script starts: it is in Debian's bsdutils");
    let mut output = BufReader::new(script.stdout.take().expect("stdout is piped"));
    let mut said = Vec::new();
    while !said.ends_with(b"New password: ") {
        let before = said.len();
        output.read_until(b' ', &mut said).expect("read the terminal");
        assert!(said.len() > before, "no prompt: {}", String::from_utf8_lossy(&said));
    }
    // The prompt is there a moment before the echo is off.
    let said = String::from_utf8_lossy(&said);
    let terminal = said.lines().next().expect("tty comes first").trim();
    eventually("the terminal has no echo", || {
        let stty = Command::new("stty").args(["-F", terminal, "-a"]).output().expect("stty starts");
        String::from_utf8_lossy(&stty.stdout).contains(" -echo ").then_some(())
    });
    script.stdin.as_mut().expect("stdin is piped").write_all(b"secret\x03").expect("type");
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("read the terminal");
    script.wait().expect("script ends");
    assert!(rest.contains("interrupted; nothing was changed") && rest.contains("status 1"), "{rest}");
    assert!(!rest.contains("secret"), "{rest}");
    let settings = |text: &str| text.split("speed").last().map(str::to_owned).expect("what stty says");
    let before = settings(said.split("New password").next().expect("stty comes first"));
    assert!(before.contains(" echo ") && before.contains("isig "), "{before}");
    assert_eq!(settings(&rest).trim(), before.trim());
}

/// Bug: without any password it was "bad user name or password", as with a wrong one.
#[test]
fn a_login_without_a_password_says_that_none_was_given() {
    let subject = Subject::start();
    let port = subject.port().to_string();
    for (more, told) in [(&[][..], true), (&["-P", "wrong"], false)] {
        let words =
            [&["pub", "-h", "127.0.0.1", "-p", &port, "-u", "phone", "-t", "a", "-m", "b"], more].concat();
        let answer = latchgate(subject.directory(), &words, "").exits(1);
        assert_eq!(answer.err.contains("no password was given"), told, "{answer:?}");
    }
}
