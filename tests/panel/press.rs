//! What the button does to the traffic.

use super::support::property::REASON_STRING;
use super::support::{Packet, Publish, Value, Version, eventually};
use super::{gateway, hold, json, press, status};

const LOCKED: u8 = 0x87;

#[test]
fn a_press_stops_the_traffic_of_live_sessions_and_the_next_one_lets_it_go_on() {
    let subject = gateway();
    let (mut reader, mut writer) = (subject.v5("reader"), subject.v5("writer"));
    reader.subscribe("lamp/#", 1);
    assert_eq!(writer.say("lamp/on", "1"), 0);
    assert_eq!(reader.receive().text(), "1");

    let closed = press(&subject);
    assert_eq!((closed["code"].as_str(), closed["level"].as_str()), (Some("closed-by-panel"), Some("on")));
    assert_eq!(closed["button"], "released");
    let id = writer.fresh_id();
    writer.send(&Publish::to("lamp/on").qos(1).id(id).payload("2").encode(Version::V5));
    let Packet::PubAck { code, properties, .. } = writer.read() else { panic!("a PUBACK is expected") };
    assert_eq!(code, LOCKED);
    let text = |value: &Value| matches!(value, Value::Text(text) if text.starts_with("locked: gateway"));
    let said = properties.iter().any(|property| property.id == REASON_STRING && text(&property.value));
    assert!(said, "{properties:?}");

    let open = press(&subject);
    assert_eq!(open["code"], "open");
    assert_eq!(writer.say("lamp/on", "3"), 0);
    assert_eq!(reader.receive().text(), "3");
}

#[test]
fn held_for_three_seconds_it_closes_whatever_it_was() {
    let subject = gateway();
    let mut writer = subject.v5("writer");
    for _ in 0..2 {
        assert_eq!(hold(&subject, "3")["code"], "closed-by-panel");
        assert_eq!(writer.say("a", "x"), LOCKED);
    }
    assert_eq!(hold(&subject, "2")["code"], "open");
    assert_eq!(writer.say("a", "x"), 0);
}

#[test]
fn what_the_button_closed_survives_a_kill_and_is_opened_by_the_button() {
    let subject = gateway();
    press(&subject);
    subject.kill();
    subject.start_again();
    let mut writer = subject.v5("writer");
    assert_eq!(writer.say("a", "x"), LOCKED);
    eventually("the LED follows", || (status(&subject)["code"] == "closed-by-panel").then_some(()));
    assert_eq!(press(&subject)["code"], "open");
    assert_eq!(writer.say("a", "x"), 0);
}

#[test]
fn a_command_cannot_open_what_the_button_closed_but_root_can_release_it() {
    let subject = gateway();
    let mut writer = subject.v5("writer");
    press(&subject);
    subject.command(&["lock", "open"]);
    assert_eq!(writer.say("a", "x"), LOCKED);
    let lock = json(&subject, "lock status");
    assert_eq!(lock["gateway"], "closed");
    assert_eq!(lock["holders"], serde_json::json!(["panel"]));
    if rustix::process::geteuid().is_root() {
        subject.command(&["lock", "release", "panel"]).exits(0);
        assert_eq!(writer.say("a", "x"), 0);
        eventually("the LED follows", || (status(&subject)["code"] == "open").then_some(()));
    }
}

#[test]
fn the_button_opens_only_what_it_closed_itself() {
    let subject = gateway();
    let mut writer = subject.v5("writer");
    subject.command(&["lock", "close"]).exits(0);
    eventually("the LED follows", || (status(&subject)["code"] == "closed-by-another").then_some(()));
    // The panel does not hold it: a press takes hold, the next one lets go, and the command's hold stays.
    assert_eq!(press(&subject)["code"], "closed-by-panel");
    assert_eq!(press(&subject)["code"], "closed-by-another");
    assert_eq!(writer.say("a", "x"), LOCKED);
    subject.command(&["lock", "open"]).exits(0);
    assert_eq!(writer.say("a", "x"), 0);
}
