//! Whose session what is half done belongs to, and whose row what is counted.

use crate::remote::{PUBREL, Remote, SUBSCRIBE};
use crate::support::{Connect, Publish, Subject, Version, eventually};
use crate::{balances, ledger, route, settings, status};

/// What is in the configuration, changed.
fn reconfigure(subject: &Subject, from: &str, to: &str) {
    let text = std::fs::read_to_string(subject.config()).expect("the configuration");
    assert!(text.contains(from), "{from} in\n{text}");
    std::fs::write(subject.config(), text.replace(from, to)).expect("it can be changed");
}

/// A QoS 2 message out and one in, both half done at the first remote, when the gateway is killed.
fn half_done(first: &Remote, subject: &Subject, version: Version) -> u16 {
    let mut lamp = subject.accept(&Connect::v5("lamp").keep_session());
    lamp.subscribe("t", 1);
    let mut link = first.welcome_as(version, false);
    link.until(SUBSCRIBE);
    subject.v5("sensor").publish(Publish::to("t").qos(2).payload("out"));
    assert_eq!(lamp.receive().text(), "out");
    let (id, ..) = link.publish();
    link.acknowledge(5, id);
    link.until(PUBREL);
    link.send(&Publish::to("devices/b8/t").qos(2).id(7).payload("in from the first").encode(version));
    link.until(5);
    assert_eq!(lamp.receive().text(), "in from the first");
    subject.kill();
    id
}

#[test]
fn what_was_half_done_at_one_remote_when_the_gateway_died_is_sent_anew_to_another_and_not_lost_either_way() {
    for (protocol, version) in [("3.1.1", Version::V311), ("5", Version::V5)] {
        for fails_over in [false, true] {
            let (first, second) = (Remote::start(), Remote::start());
            let (one, other) =
                (format!("'mqtt://127.0.0.1:{}'", first.port), format!("'mqtt://127.0.0.1:{}'", second.port));
            let keys = format!("protocol = '{protocol}'");
            let subject = settings(first.port, &keys, &route("t", "both", 2)).start();
            half_done(&first, &subject, version);
            // The address is another one, or the first of two cannot be reached.
            let dead = format!("'mqtt://127.0.0.1:{}'", crate::support::subject::free_port());
            let to = if fails_over { format!("[{dead}, {other}]") } else { other };
            reconfigure(&subject, &one, &to);
            subject.start_again();
            let mut lamp = subject.accept(&Connect::v5("lamp").keep_session());
            // It has a session, but not ours.
            let mut link = second.welcome_as(version, true);
            let (id, text, dup) = link.publish();
            assert_eq!((&*text, dup), ("out", false), "{protocol}");
            link.send(
                &Publish::to("devices/b8/t").qos(2).id(7).payload("in from the second").encode(version),
            );
            // What it had not acknowledged comes to it again.
            while lamp.receive().text() != "in from the second" {}
            link.acknowledge(5, id);
            link.until(PUBREL);
            link.acknowledge(7, id);
            eventually("delivered", || (ledger(&subject)["delivered"] == 1).then_some(()));
        }
    }
}

#[test]
fn what_was_half_done_when_the_gateway_died_goes_on_where_it_was() {
    let remote = Remote::start();
    let subject = settings(remote.port, "", &route("t", "both", 2)).start();
    let id = half_done(&remote, &subject, Version::V5);
    subject.start_again();
    let mut link = remote.welcome_as(Version::V5, true);
    let release = link.until(PUBREL);
    assert_eq!(release[2..4], id.to_be_bytes());
    link.send(&Publish::to("devices/b8/t").qos(2).id(7).payload("again").encode(Version::V5));
    link.until(5);
    link.acknowledge(7, id);
    eventually("delivered", || (ledger(&subject)["delivered"] == 1).then_some(()));
    assert_eq!(status(&subject)["routes_in"][0]["accepted"], 1, "it was counted once");
}

#[test]
fn routes_in_and_out_with_the_same_topics_here_have_each_their_own_row_which_balances_over_kills() {
    let remote = Remote::start();
    let routes = route("t", "in", 1).replace("devices/", "down/") + &route("t", "out", 1);
    let subject = settings(remote.port, "", &routes).start();
    for round in 1..=3_u64 {
        let mut here = subject.v5("sensor");
        here.publish(Publish::to("t").qos(1).retain().payload(format!("{round}")));
        let mut link = remote.welcome_as(Version::V5, true);
        let (id, text, _) = link.publish();
        assert_eq!(text, round.to_string(), "what is retained is offered once");
        link.acknowledge(4, id);
        for qos in [1, 2] {
            let coming = Publish::to("down/b8/t").qos(qos).id(9).payload("x");
            link.send(&coming.encode(Version::V5));
            link.until(if qos == 1 { 4 } else { 5 });
        }
        link.send(&Publish::to("down/b8/other").qos(1).id(10).payload("x").encode(Version::V5));
        link.until(4);
        link.acknowledge(6, 9);
        link.until(7);
        eventually("delivered", || (ledger(&subject)["delivered"] == round).then_some(()));
        subject.kill();
        remote.forget_waiting();
        subject.start_again();
        let told = status(&subject);
        assert_eq!(told["routes"].as_array().map(Vec::len), Some(1), "{told}");
        balances(&told["routes"][0]);
        assert_eq!(told["routes"][0]["accepted"], round, "{told}");
        let [came, strange] = [&told["routes_in"][0], &told["routes_in"][1]];
        assert_eq!((&came["topic"], &came["accepted"]), (&"down/b8/t".into(), &(2 * round).into()), "{told}");
        assert_eq!(came["published"], 2 * round, "{told}");
        assert_eq!(
            (&strange["topic"], &strange["refused"]["no_route"]),
            (&"".into(), &round.into()),
            "{told}"
        );
    }
    assert!(!subject.log().contains("does not balance"));
    let text = subject.command(&["bridge", "status"]).exits(0).out;
    for line in [
        "in        down/b8/t: accepted 6 = published 6 + refused 0",
        "in        (no route): accepted 3 = published 0 + refused 3 (3 no_route)",
        "out       t: accepted 3 = delivered 3 + queued 0 + expired 0 + dropped 0",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

/// A row that two routes had shared, as an earlier release left it.
#[test]
fn a_row_that_two_routes_had_shared_is_made_to_balance_when_the_file_is_taken_over() {
    let remote = Remote::start();
    let subject = settings(remote.port, "", &route("t", "out", 1)).start();
    for n in 0..3 {
        subject.v5("sensor").publish(Publish::to("t").qos(1).payload(format!("{n}")));
    }
    subject.kill();
    let file = rusqlite::Connection::open(subject.directory().join("state/state.db")).expect("the state");
    file.execute_batch(
        "UPDATE ledger SET accepted = 1, delivered = 5;
         ALTER TABLE bridge DROP COLUMN session; ALTER TABLE ledger DROP COLUMN unacknowledged; DROP TABLE ledger_in;",
    )
    .expect("it is as it was");
    let version: u32 = file.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number");
    file.pragma_update(None, "user_version", version - 1).expect("it is as it was");
    drop(file);
    subject.start_again();
    let told = ledger(&subject);
    assert_eq!((&told["accepted"], &told["queued"]), (&8.into(), &3.into()));
    assert!(!subject.log().contains("does not balance"), "{}", subject.log());
}
