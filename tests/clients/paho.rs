//! paho-mqtt for Python, driven by `drive_paho.py`.

use super::{finish, start};
use crate::support::Subject;

#[test]
fn the_python_client_passes_every_qos_version_retained_and_will() {
    let subject = Subject::start();
    let python = std::env::var("LATCHGATE_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/drive_paho.py");
    let port = subject.port().to_string();
    let output = finish(start(&python, &[script, &port]), "drive_paho.py ends");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!err.contains("No module named 'paho'"), "paho-mqtt is missing: run tests/run");
    assert!(output.status.success(), "{out}\n{err}");
    // Two protocol versions, three qualities of service, retained or not; and a will each.
    assert_eq!(out.lines().filter(|line| line.starts_with("ok ")).count(), 2 * 3 * 2 + 2, "{out}");
}
