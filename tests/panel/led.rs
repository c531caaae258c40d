//! What the LED says of the gateway.

use super::support::subject::Settings;
use super::support::{Subject, eventually};
use super::{gateway, press, status};

#[test]
fn the_status_tells_code_level_button_and_the_last_press() {
    let subject = gateway();
    let before = eventually("it has started", || Some(status(&subject)).filter(|now| now["code"] == "open"));
    assert_eq!((&before["driver"], &before["trouble"]), (&"simulated".into(), &serde_json::Value::Null));
    assert_eq!((&before["button"], &before["last_press"]), (&"released".into(), &serde_json::Value::Null));
    // It flashes: both levels are seen.
    for level in ["on", "off"] {
        eventually(level, || (status(&subject)["level"] == level).then_some(()));
    }
    press(&subject);
    let text = subject.command(&["panel", "status"]).exits(0).out;
    let [led, button, driver] = text.lines().collect::<Vec<_>>()[..] else { panic!("three lines: {text}") };
    assert_eq!(led, "led      closed-by-panel: on (now: on)");
    assert!(button.starts_with("button   released, last pressed 2") && button.ends_with('Z'), "{button}");
    assert_eq!(driver, "driver   simulated");
}

/// A gateway whose certificate is valid for so many days.
fn with_certificate(days: &str) -> Subject {
    let tls = "anonymous = \"guest\"\n[listener.tls]\ncertificate = \"pki/issued/gate.crt\"\nkey = \"pki/issued/gate.key\"";
    let subject = Settings::default()
        .section("[[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:0\"\n")
        .section(&tls.replace("anonymous = \"guest\"\n", ""))
        .prepare();
    let directory = subject.directory().join("pki");
    let directory = directory.to_str().expect("a path in UTF-8");
    subject.command(&["pki", "--dir", directory, "init"]).exits(0);
    subject.command(&["pki", "--dir", directory, "issue", "gate", "--server", "--days", days]).exits(0);
    subject.port();
    subject
}

#[test]
fn a_certificate_that_is_about_to_expire_is_shown() {
    let expiring = with_certificate("3");
    eventually("it is shown", || (status(&expiring)["code"] == "certificate-expires").then_some(()));
    let lasting = with_certificate("100");
    eventually("nothing is shown", || (status(&lasting)["code"] == "open").then_some(()));
}
