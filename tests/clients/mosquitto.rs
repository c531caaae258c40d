//! `mosquitto_pub`, `mosquitto_sub`, `mosquitto_rr`.

use super::{finish, start, subject_with_alice};
use crate::support::{Packet, Publish, Subject, Version, eventually};

const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];

/// Arguments that every call shares.
fn arguments<'a>(port: &'a str, version: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["-h", "127.0.0.1", "-p", port, "-V", version][..], more].concat()
}

fn publish(port: &str, version: &str, more: &[&str]) {
    let output = finish(start("mosquitto_pub", &arguments(port, version, more)), "mosquitto_pub ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_qos_and_version_reaches_a_live_subscriber() {
    let subject = Subject::start();
    let port = subject.port().to_string();
    for version in VERSIONS {
        for qos in ["0", "1", "2"] {
            let topic = format!("live/{version}/{qos}");
            // The second filter is for the probe, whose messages are not printed.
            let ready = format!("{topic}/ready");
            let more = ["-q", qos, "-t", &topic, "-t", &ready, "-T", &ready, "-C", "2", "-F", "%t %q %r %p"];
            let sub = start("mosquitto_sub", &arguments(&port, version, &more));
            // Retained, so that it does not matter who is first; the second message is a live one.
            publish(&port, version, &["-q", qos, "-t", &topic, "-r", "-m", "first"]);
            wait_for_subscriber(&subject, &ready);
            publish(&port, version, &["-q", qos, "-t", &topic, "-m", "second"]);
            let output = finish(sub, "mosquitto_sub got its two messages");
            let text = String::from_utf8_lossy(&output.stdout);
            let lines: Vec<_> = text.lines().collect();
            assert_eq!(lines.len(), 2, "{text}");
            assert!(
                lines[0] == format!("{topic} {qos} 0 first") || lines[0] == format!("{topic} {qos} 1 first")
            );
            assert_eq!(lines[1], format!("{topic} {qos} 0 second"));
        }
    }
}

/// Returns when somebody is subscribed to the topic: the answer to a v5 publish says so.
fn wait_for_subscriber(subject: &Subject, topic: &str) {
    let mut prober = subject.v5("prober");
    eventually("the subscriber is there", || {
        prober.send(&Publish::to(topic).qos(1).id(1).encode(Version::V5));
        matches!(prober.read(), Packet::PubAck { code: 0, .. }).then_some(())
    });
}

#[test]
fn a_retained_message_and_a_will_reach_every_version() {
    let subject = Subject::start();
    let port = subject.port().to_string();
    for version in VERSIONS {
        let (kept, will) = (format!("kept/{version}"), format!("will/{version}"));
        publish(&port, version, &["-q", "1", "-t", &kept, "-r", "-m", "kept"]);
        let mortal = [
            "-t",
            "nothing",
            "--will-topic",
            &will,
            "--will-payload",
            "gone",
            "--will-retain",
            "--will-qos",
            "1",
        ];
        let mut child = start("mosquitto_sub", &arguments(&port, version, &mortal));
        let mut watcher = subject.v311("watcher");
        watcher.subscribe(&will, 1);
        // The will exists once the connection does, and the connection once its subscription does.
        wait_for_subscriber(&subject, "nothing");
        child.kill().expect("end it without a word");
        child.wait().expect("it ended");
        assert_eq!(watcher.receive().text(), "gone");
        for (topic, text) in [(&kept, "kept"), (&will, "gone")] {
            let more = ["-t", topic, "-C", "1", "-F", "%r %p"];
            let sub = finish(start("mosquitto_sub", &arguments(&port, version, &more)), "mosquitto_sub ends");
            assert_eq!(String::from_utf8_lossy(&sub.stdout).trim_end(), format!("1 {text}"));
        }
    }
}

#[test]
fn a_session_kept_by_mosquitto_sub_is_there_when_it_returns() {
    let subject = Subject::start();
    let port = subject.port().to_string();
    for version in ["mqttv311", "mqttv5"] {
        let topic = format!("queue/{version}");
        let mut session = vec!["-i", version, "-c", "-q", "1", "-t", &topic];
        if version == "mqttv5" {
            session.extend(["-x", "600"]);
        }
        let once = [&session[..], &["-E"]].concat();
        assert!(
            finish(start("mosquitto_sub", &arguments(&port, version, &once)), "it subscribes")
                .status
                .success()
        );
        for text in ["one", "two", "three"] {
            publish(&port, version, &["-q", "1", "-t", &topic, "-m", text]);
        }
        let again = [&session[..], &["-C", "3"]].concat();
        let output =
            finish(start("mosquitto_sub", &arguments(&port, version, &again)), "it gets what waited");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "one\ntwo\nthree\n");
    }
}

#[test]
fn mosquitto_rr_gets_its_answer() {
    let subject = Subject::start();
    let port = subject.port().to_string();
    let mut responder = subject.v5("responder");
    responder.subscribe("questions", 1);
    let more = ["-t", "questions", "-e", "answers", "-m", "6*7", "-q", "1"];
    let rr = start("mosquitto_rr", &arguments(&port, "mqttv5", &more));
    let question = responder.receive();
    assert_eq!(question.text(), "6*7");
    responder.say("answers", "42");
    let output = finish(rr, "mosquitto_rr ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), "42");
}

#[test]
fn a_wrong_password_is_reported_by_mosquitto_pub() {
    let subject = subject_with_alice();
    let port = subject.port().to_string();
    for version in VERSIONS {
        let good = ["-u", "alice", "-P", "secret", "-t", "a", "-m", "x", "-q", "1"];
        publish(&port, version, &good);
        let bad = ["-u", "alice", "-P", "wrong", "-t", "a", "-m", "x", "-q", "1"];
        let output = finish(start("mosquitto_pub", &arguments(&port, version, &bad)), "it is refused");
        assert!(!output.status.success());
    }
}
