//! The HTTP request that a WebSocket begins with, and who may make it.

use std::process::Command;

use super::websocket::{client, door};
use crate::support::websocket::{OFFER, request};
use crate::support::{BOUND, Connect, Subject, WebSocket, eventually};

fn ask(port: u16, request: &str) -> String {
    let mut socket = WebSocket::open(port);
    socket.send_anyway(request.as_bytes());
    socket.read_answer()
}

#[test]
fn any_path_and_both_subprotocols_are_taken_and_mqtt_is_preferred() {
    let door = door();
    for (offer, answered) in [("mqtt", "mqtt"), ("mqttv3.1", "mqttv3.1"), ("chat, mqttv3.1 ,mqtt", "mqtt")] {
        for path in ["/", "/mqtt", "/some/where?x=1"] {
            let answer = ask(door.port(), &request(path, &format!("Sec-WebSocket-Protocol: {offer}\r\n")));
            assert!(answer.starts_with("HTTP/1.1 101 "), "{offer} {path}: {answer}");
            let line = format!("sec-websocket-protocol: {answered}");
            assert!(answer.lines().any(|found| found.to_lowercase() == line), "{answer}");
        }
    }
    let answer =
        ask(door.port(), &request("/", &format!("{OFFER}Sec-WebSocket-Extensions: permessage-deflate\r\n")));
    assert!(!answer.to_lowercase().contains("extensions"), "compression is not offered: {answer}");
}

#[test]
fn a_request_that_is_not_for_mqtt_over_websocket_is_told_what_is_missing() {
    let door = door();
    let good = request("/mqtt", OFFER);
    let without = |line: &str| {
        assert!(good.contains(line), "{line}");
        good.replace(line, "")
    };
    for (status, sentence, asked) in [
        ("400", "subprotocol mqtt", request("/mqtt", "")),
        ("400", "subprotocol mqtt", request("/mqtt", "Sec-WebSocket-Protocol: chat, MQTT\r\n")),
        ("426", "version 13", good.replace("Version: 13", "Version: 8")),
        ("426", "asks for no WebSocket", without("Upgrade: websocket\r\n")),
        ("426", "asks for no WebSocket", without("Connection: keep-alive, Upgrade\r\n")),
        ("400", "Sec-WebSocket-Key", without("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")),
        ("400", "Sec-WebSocket-Key", good.replace("dGhl", "!!!!")),
        ("400", "Host", without("Host: 127.0.0.1\r\n")),
        ("405", "GET", good.replace("GET ", "POST ")),
        ("505", "HTTP/1.1", good.replace("HTTP/1.1", "HTTP/1.0")),
        ("400", "HTTP/1.1", "\x16\x03\x01\x02 no HTTP\r\n\r\n".to_owned()),
        ("400", "more came", format!("{good}\u{2}")),
    ] {
        let answer = ask(door.port(), &asked);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{asked}\n{answer}");
        assert!(answer.contains(sentence), "{sentence:?}: {answer}");
    }
    client(door.port(), &Connect::v5("still-served"));
}

#[test]
fn huge_headers_are_refused_at_16_kib_and_not_gathered() {
    let door = door();
    let line = format!("X-Long: {}\r\n", "x".repeat(1000));
    let answer = ask(door.port(), &request("/", &line.repeat(100)));
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = ask(door.port(), &request("/", &"A: b\r\n".repeat(500)));
    assert!(answer.starts_with("HTTP/1.1 400 "), "too many headers: {answer}");
}

#[test]
fn half_a_request_is_closed_after_connect_timeout_and_so_is_a_websocket_without_connect() {
    let door = Subject::with()
        .listener("protocol = \"websocket\"\nanonymous = \"guest\"")
        .limit("connect_timeout", 1)
        .start();
    let mut half = WebSocket::open(door.port());
    half.send(&request("/", OFFER).as_bytes()[..40]);
    let mut silent = WebSocket::connect(door.port());
    half.expect_closed();
    silent.expect_closed();
}

#[test]
fn stalled_requests_hold_nobody_up_and_the_oldest_makes_room() {
    let door = Subject::with()
        .listener("protocol = \"websocket\"\nanonymous = \"guest\"")
        .limit("pending", 3)
        .limit("connect_timeout", 600)
        .start();
    let mut stalled: Vec<_> = (0..20)
        .map(|_| {
            let mut socket = WebSocket::open(door.port());
            socket.send_anyway(b"GET / HTTP/1.1\r\n");
            socket
        })
        .collect();
    client(door.port(), &Connect::v5("served"));
    for oldest in &mut stalled[..17] {
        oldest.expect_closed();
    }
}

#[test]
fn a_page_of_another_origin_is_forbidden_and_that_is_logged_once() {
    let door = door();
    let with = |origin: &str| request("/", &format!("{OFFER}Origin: {origin}\r\n"));
    for origin in ["http://127.0.0.1", "http://127.0.0.1:8080", "https://127.0.0.1"] {
        let answer = ask(door.port(), &with(origin));
        assert!(answer.starts_with("HTTP/1.1 101 "), "{origin}: {answer}");
    }
    for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example", "https://evil.example"] {
        let answer = ask(door.port(), &with(origin));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{origin}: {answer}");
    }
    let both = request("/", &format!("{OFFER}Origin: http://127.0.0.1\r\nOrigin: https://evil.example\r\n"));
    assert!(ask(door.port(), &both).starts_with("HTTP/1.1 403 "));
    let log = door.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("\\\"https://evil.example")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("see the listener's origins"), "{}", lines[0]);
}

#[test]
fn listed_origins_replace_the_rule_of_the_same_host() {
    let listed = |origins: &str| {
        let lines = format!("protocol = \"websocket\"\nanonymous = \"guest\"\norigins = {origins}");
        Subject::with().listener(&lines).start()
    };
    let status = |door: &Subject, origin: &str| {
        let answer = ask(door.port(), &request("/", &format!("{OFFER}Origin: {origin}\r\n")));
        answer.split(' ').nth(1).map(str::to_owned).expect("a status")
    };
    let door = listed("[\"https://lamp.example\"]");
    assert_eq!(status(&door, "https://lamp.example"), "101");
    assert_eq!(status(&door, "http://lamp.example"), "403");
    assert_eq!(status(&door, "http://127.0.0.1"), "403");
    client(door.port(), &Connect::v5("no browser"));
    let door = listed("[\"*\"]");
    assert_eq!(status(&door, "https://evil.example"), "101");
}

#[test]
fn paho_for_python_does_every_qos_over_websocket_in_both_versions() {
    drive_paho(&door(), &[]);
}

/// Has paho do everything; `files` are for TLS, beside the configuration.
pub fn drive_paho(door: &Subject, files: &[&str]) {
    let python = std::env::var("LATCHGATE_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doors/drive_paho_websocket.py"))
        .arg(door.port().to_string())
        .args(files)
        .current_dir(door.directory())
        .spawn()
        .expect("python starts: tests/run installs it");
    let status = eventually("paho ends", || child.try_wait().expect("ask for its status"));
    assert!(
        status.success(),
        "paho over WebSocket, within {BOUND:?}; if the module is missing, tests/run installs it"
    );
}
