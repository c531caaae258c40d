//! Clients that nobody here wrote, and our own, over TLS.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::{Authority, Dialer, REQUIRED, accept, gateway, gateway_speaking, save};
use crate::support::subject::EXECUTABLE;
use crate::support::{Connect, Publish, Subject, eventually};

/// A gateway that asks for certificates, and two clients' files beside its configuration.
fn with_clients() -> (Authority, Subject) {
    let authority = Authority::new("home");
    let subject = gateway(&authority, REQUIRED);
    authority.client("lamp").save(&subject, "lamp");
    Authority::new("elsewhere").client("lamp").save(&subject, "stranger");
    (authority, subject)
}

fn start(tool: &str, folder: &Path, arguments: &[&str]) -> Child {
    Command::new(tool)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{tool} does not start ({e}): tests/run installs it"))
}

fn finish(mut child: Child, what: &str) -> Output {
    drop(child.stdin.take());
    eventually(what, || child.try_wait().expect("ask for its status"));
    child.wait_with_output().expect("its output can be read")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A retained message that `lamp` is to receive.
fn leave_message(authority: &Authority, subject: &Subject) {
    let dialer = Dialer::showing(authority, &authority.client("fan"));
    accept(subject, &dialer, &Connect::v5("fan"))
        .publish(Publish::to("a/b").qos(1).retain().payload("hello"));
}

#[test]
fn mosquitto_clients_log_in_with_a_certificate() {
    let (authority, subject) = with_clients();
    leave_message(&authority, &subject);
    let (port, folder) = (subject.port().to_string(), subject.directory());
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for tls in ["tlsv1.2", "tlsv1.3"] {
            let shared = ["-h", "localhost", "-p", &port, "-V", version, "--tls-version", tls, "-i", "m"];
            let lamp = ["--cafile", "ca.crt", "--cert", "lamp.crt", "--key", "lamp.key"];
            let published = [&shared[..], &lamp, &["-t", "a/m", "-q", "2", "-m", "x"]].concat();
            let output = finish(start("mosquitto_pub", folder, &published), "mosquitto_pub ends");
            assert!(output.status.success(), "{version} {tls}: {}", text(&output.stderr));
            let subscribed = [&shared[..], &lamp, &["-t", "a/b", "-q", "1", "-C", "1"]].concat();
            let output = finish(start("mosquitto_sub", folder, &subscribed), "mosquitto_sub ends");
            assert_eq!(text(&output.stdout), "hello\n", "{version} {tls}: {}", text(&output.stderr));
            let stranger = ["--cafile", "ca.crt", "--cert", "stranger.crt", "--key", "stranger.key"];
            for other in [&stranger[..], &lamp[..2]] {
                let refused = [&shared[..], other, &["-t", "a/m", "-q", "1", "-m", "x"]].concat();
                let output = finish(start("mosquitto_pub", folder, &refused), "mosquitto_pub is refused");
                assert!(!output.status.success(), "{version} {tls} {other:?}");
            }
        }
    }
}

#[test]
fn openssl_sees_the_chain_and_speaks_both_versions() {
    let (_, subject) = with_clients();
    let (address, folder) = (format!("localhost:{}", subject.port()), subject.directory());
    // CONNECT, clean session, client identifier "o", version 3.1.1; and PINGREQ.
    let connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01o\xc0\x00";
    for (version, expected) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let arguments = [
            "s_client",
            "-connect",
            &address,
            version,
            "-CAfile",
            "ca.crt",
            "-verify_return_error",
            "-cert",
            "lamp.crt",
            "-key",
            "lamp.key",
            "-alpn",
            "mqtt",
            "-ign_eof",
        ];
        let mut child = start("openssl", folder, &arguments);
        let mut input = child.stdin.take().expect("stdin is piped");
        input.write_all(connect).expect("openssl reads");
        // DISCONNECT: the gateway closes, and openssl ends.
        input.write_all(b"\xe0\x00").expect("openssl reads");
        let output = finish(child, "openssl ends");
        let said = text(&output.stdout);
        assert!(said.contains("Verify return code: 0 (ok)"), "{said}\n{}", text(&output.stderr));
        assert!(said.contains("ALPN protocol: mqtt") && said.contains(expected), "{said}");
        let answered = |bytes: &[u8]| output.stdout.windows(bytes.len()).any(|window| window == bytes);
        assert!(answered(b"\x20\x02\x00\x00\xd0\x00"), "CONNACK and PINGRESP: {said}");
    }
    for old in ["-tls1", "-tls1_1"] {
        let child = start("openssl", folder, &["s_client", "-connect", &address, old, "-CAfile", "ca.crt"]);
        assert!(!finish(child, "openssl ends").status.success(), "{old} is not offered");
    }
}

const PAHO: &str = r#"
import queue, ssl, sys, threading
import paho.mqtt.client as mqtt
port = int(sys.argv[1])
for version in [mqtt.MQTTv311, mqtt.MQTTv5]:
    for tls in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
        context = ssl.create_default_context(cafile="ca.crt")
        context.minimum_version = context.maximum_version = tls
        context.load_cert_chain("lamp.crt", "lamp.key")
        c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho", protocol=version)
        got, ready = queue.Queue(), threading.Event()
        c.on_message = lambda c, u, message: got.put(message)
        c.on_connect = lambda c, u, flags, reason, properties: c.subscribe("paho/#", 2)
        c.on_subscribe = lambda c, u, mid, reasons, properties: ready.set()
        c.tls_set_context(context)
        c.connect("localhost", port, keepalive=30)
        c.loop_start()
        assert ready.wait(8), "no SUBACK"
        for qos in range(3):
            payload = bytes([qos]) * 200_000
            c.publish("paho/x", payload, qos=qos)
            assert got.get(timeout=8).payload == payload
        c.disconnect()
        c.loop_stop()
        print("ok", flush=True)
"#;

#[test]
fn paho_logs_in_with_a_certificate_and_exchanges_large_messages() {
    let (_, subject) = with_clients();
    let python = std::env::var("LATCHGATE_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let port = subject.port().to_string();
    let output = finish(start(&python, subject.directory(), &["-c", PAHO, &port]), "paho ends");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "ok\n".repeat(4));
}

#[test]
fn our_own_pub_and_sub_log_in_with_a_certificate() {
    let (authority, subject) = with_clients();
    leave_message(&authority, &subject);
    let (port, folder) = (subject.port().to_string(), subject.directory());
    let lamp = ["--cafile", "ca.crt", "--cert", "lamp.crt", "--key", "lamp.key"];
    let run = |words: &[&str]| finish(start(EXECUTABLE, folder, words), "the command ends");
    for version in ["mqttv311", "mqttv5"] {
        let shared = ["-p", &port, "-V", version];
        let output = run(&[&["sub"], &shared[..], &lamp, &["-t", "a/b", "-q", "1", "-C", "1"]].concat());
        assert_eq!(text(&output.stdout), "hello\n", "{}", text(&output.stderr));
        let output = run(&[&["pub"], &shared[..], &lamp, &["-t", "a/c", "-q", "2", "-m", "x"]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        // Without a certificate, and with one that is not trusted.
        let stranger = ["--cafile", "ca.crt", "--cert", "stranger.crt", "--key", "stranger.key"];
        for other in [&lamp[..2], &stranger] {
            let output = run(&[&["pub"], &shared[..], other, &["-t", "a/c", "-q", "1", "-m", "x"]].concat());
            assert_eq!(output.status.code(), Some(1), "{other:?}");
        }
    }
}

#[test]
fn the_load_generator_speaks_tls_and_loses_nothing() {
    let (_, subject) = with_clients();
    let port = subject.port().to_string();
    for qos in ["0", "2"] {
        let words =
            ["bench", "pairs", "--host", "localhost", "--port", &port, "--qos", qos, "--messages", "500"];
        let size = ["--payload", "40000", "--publishers", "2", "--subscribers", "2", "--json"];
        let lamp = ["--cafile", "ca.crt", "--cert", "lamp.crt", "--key", "lamp.key"];
        // Below what the gateway carries, so that no message of QoS 0 is dropped.
        let all = [&words[..], &size, &lamp, &["--rate", "500"]].concat();
        let output = finish(start(EXECUTABLE, subject.directory(), &all), "bench ends");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
        assert_eq!((&report["expected"], &report["lost"]), (&2000.into(), &0.into()), "{report}");
    }
}

#[test]
fn the_load_generator_speaks_websocket_with_and_without_tls_and_loses_nothing() {
    let authority = Authority::new("home");
    let words = "bench pairs --host localhost --messages 500 --publishers 2 --subscribers 2 --rate 500 --json --websocket";
    for (door, tls) in [
        (super::websocket::door(), &[][..]),
        (gateway_speaking("websocket", Subject::with(), &authority, ""), &["--cafile", "ca.crt"]),
    ] {
        let port = door.port().to_string();
        for (qos, size) in [("0", "40000"), ("1", "100"), ("2", "24")] {
            let words: Vec<&str> =
                words.split(' ').chain(["--port", &port, "--qos", qos, "--payload", size]).collect();
            let output =
                finish(start(EXECUTABLE, door.directory(), &[&words[..], tls].concat()), "bench ends");
            let report: serde_json::Value = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
            assert_eq!((&report["expected"], &report["lost"]), (&2000.into(), &0.into()), "{report}");
        }
    }
}

#[test]
fn our_own_client_looks_at_the_name_unless_it_is_told_not_to() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, "");
    // A certificate for somebody: its names are none of this machine's.
    let named = authority.named_server("elsewhere.example");
    named.save(&subject, "server");
    save(&subject, "other.crt", &Authority::new("elsewhere").pem());
    let port = subject.port().to_string();
    let run = |words: &[&str]| {
        let all = [&["pub", "-p", &port, "-t", "a", "-q", "1", "-m", "x"], words].concat();
        finish(start(EXECUTABLE, subject.directory(), &all), "the command ends")
    };
    let output = run(&["--cafile", "ca.crt"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("not valid for name"), "{}", text(&output.stderr));
    assert!(run(&["--cafile", "ca.crt", "--insecure"]).status.success());
    // The authority is looked at all the same.
    let output = run(&["--cafile", "other.crt", "--insecure"]);
    assert!(text(&output.stderr).contains("no TLS connection to localhost"), "{}", text(&output.stderr));
    assert_eq!(run(&["--insecure"]).status.code(), Some(2));
    let output = run(&["--cafile", "absent.crt"]);
    assert!(text(&output.stderr).contains("cannot read absent.crt"), "{}", text(&output.stderr));
}
