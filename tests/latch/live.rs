//! What the phone does to live sessions, and what becomes of them when nobody answers.

use std::time::{Duration, Instant};

use crate::service::{Service, account};
use crate::support::{Client, Subject, eventually};
use crate::{gateway, gateway_with, json, latch, logged, status_of, v5};

/// Waits until a publish of the client's to the topic is answered so.
fn publishes(client: &mut Client, topic: &str, code: u8) {
    eventually(&format!("publishing to {topic} is answered {code:#04x}"), || {
        (client.say(topic, "x") == code).then_some(())
    });
}

/// Waits until a subscription of the client's is answered so.
fn subscribes(client: &mut Client, filter: &str, code: u8) {
    let subscribe = crate::support::Subscribe::to(filter, 0);
    eventually(&format!("subscribing to {filter} is answered {code:#04x}"), || {
        (client.subscribe_all(&subscribe) == [code]).then_some(())
    });
}

/// A gateway in which lamp is paired, and its client.
fn paired(section: &str) -> (Subject, Client) {
    let subject = gateway_with(Subject::with().section(section));
    latch(&subject, "pair lamp pair01").exits(0);
    let mut lamp = v5(&subject, "lamp");
    publishes(&mut lamp, "a", 0);
    (subject, lamp)
}

#[test]
fn application_operations_and_instances_are_obeyed_in_a_live_session() {
    let service = Service::start();
    let (subject, mut lamp) = paired(&service.section_with_operations());
    latch(&subject, "instance add lamp door/+").exits(0);
    let mut phone = v5(&subject, "phone");
    let instance = status_of(&subject, "lamp")["instances"][0]["id"].as_str().map(str::to_owned);
    let instance = instance.unwrap_or_else(|| {
        eventually("the instance is known", || {
            status_of(&subject, "lamp")["instances"][0]["id"].as_str().map(str::to_owned)
        })
    });
    let account = account('a');

    service.switch(&account, "app", "off");
    publishes(&mut lamp, "a", 0x87);
    subscribes(&mut lamp, "a", 0x87);
    assert_eq!(phone.say("a", "others go on"), 0);
    service.switch(&account, "app", "on");
    publishes(&mut lamp, "a", 0);

    service.switch(&account, &service.operation("publish"), "off");
    publishes(&mut lamp, "a", 0x87);
    subscribes(&mut lamp, "a", 0);
    service.switch(&account, &service.operation("publish"), "on");
    publishes(&mut lamp, "a", 0);

    service.switch(&account, &service.operation("subscribe"), "off");
    subscribes(&mut lamp, "b", 0x87);
    assert_eq!(lamp.say("b", "x"), 0);
    service.switch(&account, &service.operation("subscribe"), "on");
    subscribes(&mut lamp, "b", 0);

    service.switch(&account, &instance, "off");
    publishes(&mut lamp, "door/front", 0x87);
    assert_eq!(lamp.say("window", "x"), 0);
    assert_eq!(phone.say("door/front", "others go on"), 0);
    service.switch(&account, &instance, "on");
    publishes(&mut lamp, "door/front", 0);

    latch(&subject, "unpair lamp").exits(0);
    service.switch(&account, "app", "off");
    eventually("it is no longer asked about", || status_of(&subject, "lamp").is_null().then_some(()));
    publishes(&mut lamp, "a", 0);
    let asked = service.requests();
    assert!(asked.iter().all(|request| !request.ends_with("rang")), "{asked:?}");
    assert!(asked.iter().filter(|request| request.contains("/status/")).count() > 10);
}

#[test]
fn a_refusal_is_announced_with_its_kind() {
    let service = Service::start();
    let (subject, mut lamp) = paired(&service.section());
    let mut phone = v5(&subject, "phone");
    phone.subscribe("LATCH/status", 0);
    service.switch(&account('a'), "app", "off");
    publishes(&mut lamp, "door/front", 0x87);
    assert_eq!(phone.receive().text(), "door/front,ND=2");
    service.refuse(102);
    logged(&subject, &["WARN", "bad-signature"]);
    let announced = eventually("it is announced as unavailable", || {
        lamp.say("door/back", "x");
        let text = phone.receive().text().to_owned();
        (text == "door/back,ND=1").then_some(text)
    });
    assert_eq!(announced, "door/back,ND=1");
}

#[test]
fn a_silence_keeps_what_was_known_for_the_grace_and_then_closes() {
    let service = Service::start();
    let (subject, mut lamp) = paired(&format!("{}grace = \"4s\"\n", service.section()));
    service.end();
    let since = Instant::now();
    logged(&subject, &["WARN", "not-answering"]);
    assert_eq!(lamp.say("a", "x"), 0, "within the grace");
    publishes(&mut lamp, "a", 0x87);
    // It cannot have been shorter: the last answer was there before the service ended.
    assert!(since.elapsed() > Duration::from_secs(2));
    service.run();
    logged(&subject, &["INFO", "the Latch service answers"]);
    // The stand-in has forgotten everything, so the account is unpaired there.
    logged(&subject, &["WARN", "user=\"lamp\"", "fault=unpaired"]);
}

#[test]
fn a_silence_closes_at_once_or_opens_if_that_is_asked_for() {
    for (on_error, code) in [("closed", 0x87), ("open", 0)] {
        let service = Service::start();
        let (subject, mut lamp) = paired(&format!("{}on_error = \"{on_error}\"\n", service.section()));
        service.switch(&account('a'), "app", if on_error == "open" { "off" } else { "on" });
        publishes(&mut lamp, "a", if on_error == "open" { 0x87 } else { 0 });
        service.behave("silent");
        publishes(&mut lamp, "a", code);
        service.behave("right");
        publishes(&mut lamp, "a", 0x87 - code);
        assert_eq!(json(&latch(&subject, "status --json").exits(0))["service"], "answering");
    }
}

#[test]
fn slow_wrong_and_giant_answers_are_no_answers() {
    let service = Service::start();
    let (subject, mut lamp) = paired(&format!("{}on_error = \"closed\"\n", service.section()));
    for mode in ["slow", "garbage", "giant", "endless", "redirect", "error500", "empty", "reset"] {
        service.behave(mode);
        publishes(&mut lamp, "a", 0x87);
        service.behave("right");
        publishes(&mut lamp, "a", 0);
    }
    assert_eq!(v5(&subject, "phone").say("a", "x"), 0, "nobody else notices");
}

#[test]
fn faults_that_the_service_tells_of_never_open() {
    let service = Service::start();
    let (subject, mut lamp) = paired(&format!("{}on_error = \"open\"\n", service.section()));
    for (code, word) in [(102, "bad-signature"), (109, "clock-skew"), (207, "refused")] {
        service.refuse(code);
        publishes(&mut lamp, "a", 0x87);
        logged(&subject, &["WARN", &format!("fault={word}")]);
        service.behave("right");
        publishes(&mut lamp, "a", 0);
    }
    service.skew(-3600);
    publishes(&mut lamp, "a", 0x87);
    let status = json(&latch(&subject, "status --json").exits(0));
    assert_eq!(status["service"], "clock-skew");
    service.skew(0);
    publishes(&mut lamp, "a", 0);
    service.unpair(&account('a'));
    publishes(&mut lamp, "a", 0x87);
    assert_eq!(status_of(&subject, "lamp")["fault"], "unpaired");
    latch(&subject, "unpair lamp").exits(0);
    publishes(&mut lamp, "a", 0);
}

#[test]
fn a_restart_without_the_service_goes_on_with_what_was_known() {
    let service = Service::start();
    let (subject, lamp) = paired(&format!("{}grace = \"6s\"\n", service.section()));
    service.end();
    drop(lamp);
    subject.kill();
    subject.start_again();
    let mut lamp = v5(&subject, "lamp");
    assert_eq!(lamp.say("a", "x"), 0, "open within the grace");
    publishes(&mut lamp, "a", 0x87);
    subject.kill();
    subject.start_again();
    let mut lamp = v5(&subject, "lamp");
    assert_eq!(lamp.say("a", "x"), 0x87, "a restart is no way round the grace");
}

#[test]
fn what_was_locked_is_locked_after_a_restart_without_the_service() {
    let service = Service::start();
    let (subject, mut lamp) = paired(&service.section());
    service.switch(&account('a'), "app", "off");
    publishes(&mut lamp, "a", 0x87);
    service.end();
    subject.kill();
    subject.start_again();
    let mut lamp = v5(&subject, "lamp");
    assert_eq!(lamp.say("a", "x"), 0x87);
}

#[test]
fn a_user_paired_while_the_gateway_was_down_is_not_open_before_it_was_asked_about() {
    let service = Service::start();
    let subject = gateway_with(Subject::with().section(&service.section()));
    latch(&subject, "pair lamp pair01").exits(0);
    service.switch(&account('a'), "app", "off");
    service.behave("silent");
    let mut lamp = v5(&subject, "lamp");
    assert_eq!(lamp.say("a", "x"), 0x87);
    service.switch(&account('a'), "app", "on");
    service.behave("right");
    publishes(&mut lamp, "a", 0);
}

#[test]
fn whoever_must_be_paired_is_shut_out_until_then() {
    let service = Service::start();
    let subject = gateway(&format!("{}must_be_paired = true\n", service.section()));
    let mut lamp = v5(&subject, "lamp");
    assert_eq!(lamp.say("a", "x"), 0x87);
    assert_eq!(lamp.say("LATCH/unpairing", ""), 0x87, "only pairing goes through");
    assert_eq!(lamp.say("LATCH/pairing", "pair01"), 0);
    publishes(&mut lamp, "a", 0);
    let mut phone = v5(&subject, "phone");
    assert_eq!(phone.say("a", "x"), 0x87);
    service.switch(&account('a'), "app", "off");
    publishes(&mut lamp, "a", 0x87);
    assert_eq!(lamp.say("LATCH/unpairing", ""), 0x87, "what is closed cannot free itself");
    assert_eq!(service.state()["accounts"][account('a')]["paired"], true);
}

#[test]
fn another_configuration_is_obeyed_without_a_restart() {
    let service = Service::start();
    let (subject, mut lamp) = paired(&service.section());
    service.behave("silent");
    logged(&subject, &["not-answering"]);
    assert_eq!(lamp.say("a", "x"), 0);
    let text = std::fs::read_to_string(subject.config()).unwrap();
    std::fs::write(subject.config(), format!("{text}on_error = \"closed\"\n")).unwrap();
    let answer = subject.command(&["reload"]).exits(0);
    assert!(answer.out.contains("latch.on_error"), "{}", answer.out);
    publishes(&mut lamp, "a", 0x87);
    let secret = service.file("secret");
    std::fs::rename(&secret, service.file("elsewhere")).unwrap();
    let answer = subject.command(&["reload"]).exits(2);
    assert!(answer.err.contains("latch.secret_file"), "{}", answer.err);
}

#[test]
fn neither_secret_nor_token_is_ever_logged() {
    let service = Service::start();
    let section = format!("{}[log]\nlevel = \"trace\"\n", service.section());
    let (subject, mut lamp) = paired(&section);
    let mut phone = v5(&subject, "phone");
    assert_eq!(phone.say("LATCH/pairing", "pair02"), 0);
    eventually("it is paired", || (!status_of(&subject, "phone").is_null()).then_some(()));
    assert_eq!(phone.say("LATCH/pairing", "pair03"), 0);
    logged(&subject, &["command not obeyed"]);
    service.refuse(102);
    publishes(&mut lamp, "a", 0x87);
    let log = subject.log();
    let shown = latch(&subject, "status").out + &subject.command(&["check", "--json"]).out;
    for text in [log, shown] {
        for secret in [crate::service::SECRET, "pair01", "pair02", "pair03", "11PATHS"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn what_latch_closed_opens_when_it_is_no_longer_configured() {
    let service = Service::start();
    let (subject, mut lamp) = paired(&service.section());
    service.switch(&account('a'), "app", "off");
    publishes(&mut lamp, "a", 0x87);
    subject.kill();
    let text = std::fs::read_to_string(subject.config()).unwrap();
    let (before, _) = text.split_once("[latch]").unwrap();
    std::fs::write(subject.config(), before).unwrap();
    subject.start_again();
    let mut lamp = v5(&subject, "lamp");
    assert_eq!(lamp.say("a", "x"), 0);
    assert!(latch(&subject, "status").exits(1).err.contains("does not use Latch"));
}
