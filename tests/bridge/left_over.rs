//! Bridges that were renamed or taken out, with messages that still wait for them; keys that do not go together.

use crate::remote::Remote;
use crate::support::{Publish, Subject, Version, eventually};
use crate::{ledger, route, settings, status};

/// What is in the configuration, changed.
fn reconfigure(subject: &Subject, from: &str, to: &str) {
    let text = std::fs::read_to_string(subject.config()).expect("the configuration");
    assert!(text.contains(from), "{from} in\n{text}");
    std::fs::write(subject.config(), text.replace(from, to)).expect("it can be changed");
}

#[test]
fn messages_that_wait_for_a_bridge_that_was_renamed_are_told_of_until_it_is_there_again_or_they_are_dropped()
{
    let remote = Remote::start();
    let subject = settings(remote.port, "", &route("t", "out", 1)).start();
    let mut here = subject.v5("sensor");
    for n in 0..3 {
        here.publish(Publish::to("t").qos(1).payload(format!("{n}")));
    }
    let refused = subject.command(&["bridge", "forget", "cloud"]).exits(1);
    assert!(refused.err.contains("in the configuration"), "{}", refused.err);
    subject.kill();
    remote.forget_waiting();
    reconfigure(&subject, "name = 'cloud'", "name = 'sky'");
    let told = "3 messages wait for a bridge \"cloud\"";
    let answer = subject.command(&["check"]).exits(0);
    assert!(answer.out.contains(told) && answer.out.contains("bridge forget cloud"), "{}", answer.out);
    subject.start_again();
    eventually("it is told", || subject.log().contains("not in the configuration").then_some(()));
    assert_eq!(status(&subject)["queued_messages"], 0);
    // While the gateway runs too.
    assert!(subject.command(&["check"]).exits(0).out.contains(told));
    // Doctor finds other things as well, in a test.
    assert!(subject.command(&["doctor"]).out.contains(told));
    // The name again: they go.
    subject.kill();
    remote.forget_waiting();
    reconfigure(&subject, "name = 'sky'", "name = 'cloud'");
    subject.start_again();
    let mut link = remote.welcome_as(Version::V5, true);
    let (id, text, _) = link.publish();
    assert_eq!(text, "0");
    link.acknowledge(4, id);
    eventually("one went", || (ledger(&subject)["delivered"] == 1).then_some(()));
    // Or they are dropped on purpose.
    subject.signal(rustix::process::Signal::TERM);
    subject.wait();
    reconfigure(&subject, "name = 'cloud'", "name = 'sky'");
    subject.start_again();
    assert_eq!(subject.command(&["bridge", "forget", "cloud"]).exits(0).out, "2 messages are dropped\n");
    assert!(!subject.command(&["check"]).exits(0).out.contains("messages wait"));
    subject.command(&["bridge", "forget", "nobody"]).exits(1);
    subject.kill();
    reconfigure(&subject, "name = 'sky'", "name = 'cloud'");
    subject.start_again();
    let told = status(&subject);
    assert_eq!((&told["queued_messages"], &told["routes"][0]["accepted"]), (&0.into(), &0.into()));
}

#[test]
fn a_canary_whose_topic_a_route_brings_in_is_refused_since_it_would_swallow_messages() {
    for (way, code) in [("in", 2), ("both", 2), ("out", 0)] {
        let keys = "canary = 'devices/{gateway.id}/t/canary'";
        let subject = settings(1, keys, &route("t/#", way, 1)).prepare();
        let answer = subject.command(&["check"]).exits(code);
        assert_eq!(
            answer.err.contains("`canary` is a topic of the route"),
            code == 2,
            "{way}: {}",
            answer.err
        );
    }
}

#[test]
fn a_password_file_that_is_not_there_is_not_asked_for_as_a_pem_file() {
    let keys = "username = 'u'\npassword_file = 'nowhere'";
    let subject = settings(1, keys, &route("t", "out", 1)).prepare();
    let answer = subject.command(&["check"]).exits(2);
    assert!(answer.err.contains("holds the password") && !answer.err.contains("PEM"), "{}", answer.err);
}
