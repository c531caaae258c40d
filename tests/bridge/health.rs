//! What the bridge says of its connection is true, whatever the remote broker does.

use crate::cloud::Cloud;
use crate::remote::{PINGREQ, Remote, SUBSCRIBE};
use crate::support::{Publish, eventually};
use crate::{ledger, route, settings, status, until_connected, until_drained};

const STATE: &str = "$SYS/broker/connection/b8_broker/state";

#[test]
fn the_state_is_retained_on_both_sides_and_follows_the_connection() {
    let mut cloud = Cloud::start("");
    let subject = settings(cloud.port, "", &route("t", "out", 1)).start();
    let mut here = subject.v5("here");
    here.subscribe(STATE, 1);
    eventually("1 here", || (here.receive().text() == "1").then_some(()));
    let mut there = cloud.client("there");
    there.subscribe(STATE, 1);
    eventually("1 there", || (there.receive().text() == "1").then_some(()));
    // The will says it there.
    subject.kill();
    assert_eq!(there.receive().text(), "0");
    subject.start_again();
    assert_eq!(there.receive().text(), "1");
    let mut here = subject.v5("here");
    here.subscribe(STATE, 1);
    eventually("1 here again", || (here.receive().text() == "1").then_some(()));
    cloud.stop();
    eventually("0 here", || (here.receive().text() == "0").then_some(()));
    let led_says_down = || subject.command(&["panel", "status"]).exits(0).out.contains("bridge-down");
    eventually("the LED says that the bridge is down", || led_says_down().then_some(()));
    cloud.begin();
    eventually("1 here once more", || (here.receive().text() == "1").then_some(()));
    eventually("the LED has forgotten it", || (!led_says_down()).then_some(()));
    let mut there = cloud.client("there");
    there.subscribe(STATE, 1);
    eventually("1 there once more", || (there.receive().text() == "1").then_some(()));
    subject.signal(rustix::process::Signal::TERM);
    subject.wait();
    assert_eq!(there.receive().text(), "0", "said before it left");
}

#[test]
fn a_remote_that_falls_silent_without_a_word_is_not_connected_for_longer_than_its_keep_alive() {
    for protocol in ["3.1.1", "5"] {
        let mut cloud = Cloud::start("");
        let keys = format!("keep_alive = 2\nprotocol = '{protocol}'");
        let subject = settings(cloud.port, &keys, &route("t", "out", 2)).start();
        until_connected(&subject);
        cloud.freeze();
        let mut here = subject.v5("sensor");
        here.publish(Publish::to("t").qos(2).payload("x"));
        let told = eventually("the silence is noticed", || {
            // What its socket still takes is no sign of life.
            here.publish(Publish::to("t").qos(0).payload("y"));
            let status = status(&subject);
            status["error"].as_str().is_some_and(|error| error.contains("ping")).then_some(status)
        });
        assert_eq!((&told["queued_messages"], &told["connected"]), (&1.into(), &false.into()));
        cloud.thaw();
        assert_eq!(until_drained(&subject)["delivered"], 1);
    }
}

#[test]
fn a_remote_that_answers_pings_but_brings_the_canary_not_back_does_not_count_as_connected() {
    let remote = Remote::start();
    let keys = "protocol = '3.1.1'\nkeep_alive = 2\ncanary = 'canary/{gateway.id}'";
    let subject = settings(remote.port, keys, &route("t", "out", 1)).start();
    let mut link = remote.welcome(false);
    let subscribe = link.until(SUBSCRIBE);
    link.send(&[0x90, 3, subscribe[2], subscribe[3], 0]);
    let closed = std::thread::spawn(move || {
        while let Some(packet) = link.next() {
            if packet[0] >> 4 == PINGREQ {
                link.send(&[0xD0, 0]);
            }
        }
    });
    assert_eq!(status(&subject)["connected"], false);
    eventually("the bridge leaves it", || closed.is_finished().then_some(()));
    let told = status(&subject);
    assert!(told["error"].as_str().is_some_and(|error| error.contains("canary")), "{told}");

    let cloud = Cloud::start("");
    let subject = settings(cloud.port, keys, &route("t", "out", 1)).start();
    until_connected(&subject);
    assert!(status(&subject)["round_trip_ms"].is_number());
}

#[test]
fn remotes_that_lie_are_left_and_nothing_is_lost() {
    let lies: [(&str, &[u8]); 9] = [
        ("refuses", &[0x20, 2, 0, 5]),
        ("an impossible return code", &[0x20, 2, 0, 99]),
        ("not CONNACK", &[0xD0, 0]),
        ("a length without end", &[0xFF; 1025]),
        ("too large", &[0x30, 0xFF, 0xFF, 0xFF, 0x7F]),
        ("truncated", &[0x20, 2, 0]),
        ("a request", &[0x20, 2, 0, 0, 0x82, 6, 0, 1, 0, 1, b'a', 0]),
        ("an impossible topic", &[0x20, 2, 0, 0, 0x30, 4, 0, 2, b'#', b'+']),
        ("nothing", &[]),
    ];
    let remote = Remote::start();
    let subject =
        settings(remote.port, "protocol = '3.1.1'\nkeep_alive = 2\ntimeout = '1s'", &route("t", "out", 1))
            .start();
    subject.v5("sensor").publish(Publish::to("t").qos(1).payload("x"));
    for (what, bytes) in lies {
        let mut link = remote.accept();
        link.send(bytes);
        if what == "truncated" || what == "nothing" {
            link.stream.shutdown(std::net::Shutdown::Write).expect("close half");
        }
        link.expect_closed();
        subject.still_serves();
        let ledger = ledger(&subject);
        assert_eq!((&ledger["queued"], &ledger["delivered"]), (&1.into(), &0.into()), "{what}");
    }
    // Acknowledgements that nobody asked for change nothing.
    let mut link = remote.welcome(false);
    let (id, text, dup) = link.publish();
    assert_eq!((&*text, dup), ("x", false));
    for kind in [4, 5, 6, 7] {
        link.acknowledge(kind, id.wrapping_add(1).max(1));
    }
    link.acknowledge(5, id);
    link.acknowledge(7, id);
    link.send(&[0x90, 3, 0, 77, 1]);
    assert_eq!(ledger(&subject)["queued"], 1);
    link.acknowledge(4, id);
    eventually("delivered", || (ledger(&subject)["delivered"] == 1).then_some(()));
}

#[test]
fn the_second_address_is_used_and_the_first_returned_to() {
    let mut first = Cloud::prepare("");
    let second = Cloud::start("");
    let subject = crate::support::Subject::with()
        .gateway("id = 'b8'")
        .section(&format!(
            "[[bridge]]\nname = 'cloud'\naddress = ['mqtt://127.0.0.1:{}', 'mqtt://127.0.0.1:{}']\nretry_min = '50ms'\n\
             retry_max = '200ms'\nreturn_after = '200ms'\n{}",
            first.port,
            second.port,
            route("t", "out", 1)
        ))
        .start();
    until_connected(&subject);
    let address = |subject: &crate::support::Subject| {
        status(subject)["address"].as_str().unwrap_or_default().to_owned()
    };
    assert!(address(&subject).ends_with(&second.port.to_string()));
    first.begin();
    eventually("it is back at the first", || {
        let at_first = address(&subject).ends_with(&first.port.to_string());
        (at_first && status(&subject)["connected"] == true).then_some(())
    });
}

/// Bug: a route was not shown before its first message, as if it were not there.
#[test]
fn every_route_is_shown_before_anything_has_travelled() {
    let port = crate::support::subject::free_port();
    let routes = [route("up", "out", 1), route("down", "in", 1), route("lamp/#", "both", 2)].concat();
    let subject = settings(port, "", &routes).start();
    let said = subject.command(&["bridge", "status"]).exits(0).out;
    for line in [
        "  out       up: accepted 0 = delivered 0 + queued 0 + expired 0 + dropped 0",
        "  out       lamp/#: accepted 0 = delivered 0 + queued 0 + expired 0 + dropped 0",
        "  in        devices/b8/down: accepted 0 = published 0 + refused 0",
        "  in        devices/b8/lamp/#: accepted 0 = published 0 + refused 0",
    ] {
        assert!(said.lines().any(|other| other == line), "{line}\n{said}");
    }
    assert!(!said.contains("(no route)"), "{said}");
}

/// Bug: how fast the cloud had answered was still said while it was away.
#[test]
fn how_fast_the_cloud_answers_is_not_said_while_it_is_away() {
    let mut cloud = Cloud::start("");
    let subject = settings(cloud.port, "keep_alive = 2", &route("t", "out", 1)).start();
    let answers = || subject.command(&["bridge", "status"]).exits(0).out.contains("  answers   within ");
    eventually("a ping came back", || {
        (status(&subject)["round_trip_ms"].is_number() && answers()).then_some(())
    });
    cloud.stop();
    let told = eventually("it is away", || {
        let told = status(&subject);
        (told["connected"] == false).then_some(told)
    });
    assert!(told["round_trip_ms"].is_null() && !answers(), "{told}");
}
