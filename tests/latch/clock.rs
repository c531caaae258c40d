//! A clock that is not set: the service, whose certificate could not be judged, is not asked; and is as soon as the clock is set.

use serde_json::Value;

use crate::service::Service;
use crate::support::{Connect, Subject, eventually, subject::Settings};
use crate::{PASSWORD, gateway_with, json, latch, logged, status_of};

/// A gateway by the clock in the file, which asks seldom; lamp is paired.
fn paired(service: &Service, settings: Settings) -> Subject {
    // The wait between two questions would outlast the test.
    let section = service.section().replace("poll = \"250ms\"", "poll = \"1h\"");
    let subject = gateway_with(settings.section(&section));
    latch(&subject, "pair lamp pair01").exits(0);
    subject
}

#[test]
fn the_service_is_asked_as_soon_as_the_clock_is_set_and_not_before() {
    let service = Service::start();
    let home = tempfile::tempdir().expect("a directory");
    let clock = home.path().join("clock");
    std::fs::write(&clock, "@2001-01-01 00:00:00").expect("write");
    let subject = paired(&service, Subject::with().clock(&clock));
    service.requests();
    subject.port();
    logged(
        &subject,
        &["the Latch service is of no help", "not-answering", "the clock is not set: it says 2001"],
    );
    // Nothing that was said before counts: nobody knows how long ago that was.
    let mut lamp = subject.accept(&Connect::v5("lamp").login("lamp", PASSWORD));
    assert_eq!(lamp.say("a", "x"), 0x87, "{}", subject.log());
    let status = json(&latch(&subject, "status --json").exits(0));
    assert_eq!(status["service"], "not-answering", "{status}");
    assert!(status["error"].as_str().is_some_and(|error| error.contains("the clock is not set")), "{status}");
    assert_eq!(service.requests(), Vec::<String>::new());

    let report = subject.command_by_clock(&clock, &["doctor", "--json"]).exits(1).out;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let mut findings = report["findings"].as_array().expect("a list").iter();
    let found = findings.find(|one| one["check"] == "latch").expect("it is looked at");
    assert_eq!(found["level"], "wrong", "{found}");
    assert!(found["what"].as_str().is_some_and(|what| what.contains("the clock is not set")), "{found}");
    assert!(found["help"].as_str().is_some_and(|help| help.contains("timedatectl")), "{found}");
    assert_eq!(service.requests(), Vec::<String>::new());

    std::fs::write(&clock, "+0").expect("write");
    eventually("it is asked", || (status_of(&subject, "lamp")["application"] == "open").then_some(()));
    // The lock follows a moment after the service's word is known.
    eventually("it may publish", || (lamp.say("a", "x") == 0).then_some(()));
    assert!(!subject.log().contains("login ban"), "{}", subject.log());
}
