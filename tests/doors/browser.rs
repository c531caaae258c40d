//! MQTT.js in Debian's headless Chromium, on a page that the test serves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::websocket::door;
use super::{Authority, gateway_speaking};
use crate::support::Subject;

/// A browser takes its time to start.
const BROWSER: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs Chromium and MQTT.js: tests/run browser"]
fn mqtt_js_in_a_browser_does_every_qos_in_both_versions() {
    let door = door();
    for version in [4, 5] {
        assert_eq!(browse(&door, "ws", version, "127.0.0.1"), "passed", "protocol version {version}");
    }
}

#[test]
#[ignore = "needs Chromium and MQTT.js: tests/run browser"]
fn mqtt_js_in_a_browser_does_so_over_secure_websocket_too() {
    // The browser is told to take any certificate: that it can tell them apart is not the gateway's to prove.
    let door = gateway_speaking("websocket", Subject::with(), &Authority::new("home"), "");
    for version in [4, 5] {
        assert_eq!(browse(&door, "wss", version, "127.0.0.1"), "passed", "protocol version {version}");
    }
}

#[test]
#[ignore = "needs Chromium and MQTT.js: tests/run browser"]
fn a_page_of_another_host_does_not_get_in_from_a_browser() {
    let door = door();
    let result = browse(&door, "ws", 5, "localhost");
    assert!(result.starts_with("failed"), "{result}");
    assert!(door.log().contains("http://localhost"), "{}", door.log());
}

/// Opens the page from this host name in a new browser; what the page reports.
fn browse(door: &Subject, scheme: &str, version: u8, host: &str) -> String {
    let (sender, results) = channel();
    let page = serve(sender);
    let profile = tempfile::tempdir().expect("a temporary directory");
    let url = format!("http://{host}:{page}/?scheme={scheme}&port={}&version={version}", door.port());
    let _browser = Browser::open(&url, profile.path());
    results.recv_timeout(BROWSER).expect("the page reports in time")
}

/// Serves the page and MQTT.js on a free port, and passes on what the page reports.
fn serve(results: Sender<String>) -> u16 {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node/node_modules/mqtt/dist/mqtt.min.js");
    let script =
        std::fs::read(&script).unwrap_or_else(|e| panic!("MQTT.js ({e}): tests/run browser installs it"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    let port = listener.local_addr().expect("the port that was just bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
            let _ = reader.read_line(&mut first);
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
                line.clear();
            }
            let mut body = vec![0; length];
            let _ = reader.read_exact(&mut body);
            let (kind, answer): (_, &[u8]) = match first.split(' ').nth(1).unwrap_or_default() {
                "/mqtt.min.js" => ("text/javascript", &script),
                "/result" => {
                    let _ = results.send(String::from_utf8_lossy(&body).into_owned());
                    ("text/plain", b"")
                }
                path if path.starts_with("/?") => ("text/html", include_bytes!("browser.html")),
                _ => ("text/plain", b""),
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                answer.len()
            );
            let mut stream = reader.into_inner();
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(answer));
        }
    });
    port
}

/// A running browser; ends when dropped.
struct Browser(Child);

impl Browser {
    fn open(url: &str, profile: &Path) -> Self {
        let child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .arg("--ignore-certificate-errors")
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("chromium does not start ({e}): tests/run browser installs it"));
        Browser(child)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its children end with it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
