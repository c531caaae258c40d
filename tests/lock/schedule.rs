//! `[[lock.schedule]]`: closed by the clock of the wall.

use super::{gateway_with, lock, state};
use crate::support::eventually;

#[test]
fn what_the_schedule_closes_now_is_closed_and_a_reload_changes_it() {
    let entry = |days: &str| {
        format!(
            "[[lock.schedule]]\nclose = \"topic:doors/#\"\nfrom = \"00:00\"\nto = \"00:00\"\ntime_zone = \"Europe/Berlin\"\n{days}"
        )
    };
    let subject = gateway_with(&entry(""));
    let mut client = subject.v5("a");
    eventually("it is closed", || (client.say("doors/1", "x") == 0x87).then_some(()));
    assert_eq!(client.say("lamps", "x"), 0);
    assert_eq!(state(&subject)["scopes"][0]["holders"][0], "schedule");
    assert!(lock(&subject, "log").contains("schedule  closed    topic:doors/#  by schedule"));
    let text = std::fs::read_to_string(subject.config()).expect("read the configuration");
    let text = text.replace(&entry(""), "");
    std::fs::write(subject.config(), text).expect("write the configuration");
    let said = subject.command(&["reload"]).exits(0).out;
    assert!(said.contains("lock.schedule"), "{said}");
    eventually("it is open", || (client.say("doors/1", "x") == 0).then_some(()));
}

#[test]
fn what_is_wrong_with_an_entry_is_told_with_its_place() {
    let subject = gateway_with("");
    for (entry, wrong) in [
        ("from = \"1:00\"\nto = \"2:00\"", "needs `close`"),
        ("close = \"doors\"\nfrom = \"01:00\"\nto = \"02:00\"", "is no scope"),
        ("close = \"topic:a#\"\nfrom = \"01:00\"\nto = \"02:00\"", "names no topic filter"),
        ("close = \"gateway\"\nfrom = \"25:00\"\nto = \"02:00\"", "is no time"),
        ("close = \"gateway\"\nfrom = \"01:00\"", "needs `close`, `from` and `to`"),
        (
            "close = \"gateway\"\nfrom = \"01:00\"\nto = \"02:00\"\ntime_zone = \"Europe/Nowhere\"",
            "is not known",
        ),
        ("close = \"gateway\"\nfrom = \"01:00\"\nto = \"02:00\"\ndays = [\"monday\"]", "is a list of days"),
        ("close = \"gateway\"\nfrom = \"01:00\"\nto = \"02:00\"\nzone = \"UTC\"", "unknown key"),
    ] {
        let file = subject.directory().join("wrong.toml");
        std::fs::write(&file, format!("[[lock.schedule]]\n{entry}\n")).expect("write");
        let path = file.to_str().expect("UTF-8");
        let answer =
            crate::support::subject::latchgate(subject.directory(), &["--config", path, "check"], "")
                .exits(2);
        assert!(answer.err.contains(wrong) && answer.err.contains("wrong.toml:"), "{entry}: {}", answer.err);
    }
}
