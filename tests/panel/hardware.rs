//! Without hardware: what is said, and what goes on.

use super::status;
use super::support::eventually;
use super::support::subject::Settings;

/// No machine has a chip of this name.
const ABSENT: &str = "[panel]\ndriver = \"gpiochip\"\nchip = \"no-such-chip\"";

#[test]
fn without_its_chip_the_gateway_says_so_once_and_runs() {
    let subject = Settings::default().section(ABSENT).start();
    let log = eventually("it is in the log", || Some(subject.log()).filter(|log| log.contains("no LED")));
    assert!(log.contains("no-such-chip"), "{log}");
    subject.still_serves();
    let now = status(&subject);
    assert_eq!((&now["driver"], &now["level"], &now["button"]), (&"gpiochip".into(), &().into(), &().into()));
    assert!(now["trouble"].as_str().is_some_and(|why| why.contains("no-such-chip")), "{now}");
    let text = subject.command(&["panel", "status"]).exits(0).out;
    assert!(text.contains("(now: there is none)") && text.contains("\ntrouble  "), "{text}");
    let refused = subject.command(&["panel", "press"]).exits(1);
    assert!(refused.err.contains("driver is \"gpiochip\": only the button of"), "{}", refused.err);
    assert_eq!(subject.log().matches("no LED").count(), 1);
}

#[test]
fn without_hardware_that_is_required_it_does_not_start() {
    let subject = Settings::default().section(&format!("{ABSENT}\nrequired = true")).prepare();
    let refused = subject.command(&["run"]).exits(1);
    assert!(
        refused.err.contains("no-such-chip") || refused.err.contains("cannot be opened"),
        "{}",
        refused.err
    );
}

#[test]
fn no_panel_at_all_is_a_driver_too() {
    let subject = Settings::default().section("[panel]\ndriver = \"none\"").start();
    eventually("it has started", || (status(&subject)["code"] == "open").then_some(()));
    assert_eq!((&status(&subject)["level"], &status(&subject)["trouble"]), (&().into(), &().into()));
    subject.command(&["panel", "press"]).exits(1);
}

#[test]
fn a_hold_that_nobody_has_the_patience_for_is_bad_usage() {
    let subject = Settings::default().prepare();
    for wrong in ["-1", "61", "x"] {
        subject.command(&["panel", "press", &format!("--hold={wrong}")]).exits(2);
    }
    let refused = subject.command(&["panel", "status"]).exits(1);
    assert!(refused.err.contains("no gateway is running"), "{}", refused.err);
}
