//! Disks that are full, clocks that are set, brokers that lie: what was acknowledged arrives all the same.

use std::fs::File;
use std::time::{Duration, SystemTime};

use crate::remote::{PUBREL, Remote, SUBSCRIBE};
use crate::support::small_disk::SmallDisk;
use crate::support::{Connect, Publish, Subject, Version, eventually};
use crate::{ledger, route, settings, status};

const BOTH: [(&str, Version); 2] = [("3.1.1", Version::V311), ("5", Version::V5)];

/// A gateway with a small disk, and the disk; `None` where that is not permitted.
fn on_a_small_disk(port: u16, protocol: &str, routes: &str) -> Option<(Subject, SmallDisk)> {
    let keys = format!("protocol = '{protocol}'\nkeep_alive = 4");
    let subject = settings(port, &keys, routes).prepare();
    let disk = SmallDisk::under(subject.directory())?;
    subject.port();
    Some((subject, disk))
}

/// Publishes elsewhere until the gateway says that it can store nothing.
fn until_full(subject: &Subject, disk: &SmallDisk) {
    disk.fill();
    let mut here = subject.v5("filler");
    let large = || Publish::to("elsewhere").qos(1).retain().payload(vec![b'x'; 40_000]);
    eventually("the disk is full", || match here.publish(large()) {
        0 => None,
        0x97 => Some(()),
        code => panic!("{code:#04x} on a full disk"),
    });
}

#[test]
fn on_a_full_disk_nothing_is_taken_on_and_what_was_leaves_when_there_is_room() {
    for (protocol, version) in BOTH {
        let remote = Remote::start();
        let Some((subject, disk)) = on_a_small_disk(remote.port, protocol, &route("t", "out", 2)) else {
            return;
        };
        let mut here = subject.v5("sensor");
        for n in 0..3 {
            assert_eq!(here.publish(Publish::to("t").qos(2).payload(format!("{n}"))), 0);
        }
        until_full(&subject, &disk);
        for qos in [1, 2] {
            assert_eq!(here.publish(Publish::to("t").qos(qos).payload(vec![b'y'; 40_000])), 0x97);
        }
        // A promise of identifiers cannot be kept, so QoS 2 does not leave; the ledger is right all the same.
        ledger(&subject);
        disk.make_room();
        eventually("it stores again", || {
            (here.publish(Publish::to("t").qos(2).payload("after")) == 0).then_some(())
        });
        let mut seen = Vec::new();
        let mut session_present = false;
        let mut link = remote.welcome_as(version, session_present);
        // It may still lose its connection for what could not be stored a moment ago.
        while seen.last().is_none_or(|last| last != "after") {
            let Some((id, text, _)) = link.try_publish() else {
                session_present = true;
                link = remote.welcome_as(version, session_present);
                continue;
            };
            seen.push(text);
            // Whichever is right; the others mean nothing.
            [4, 5, 7].into_iter().for_each(|kind| link.acknowledge(kind, id));
        }
        seen.retain(|text| text.len() < 10);
        assert_eq!(seen, ["0", "1", "2", "after"], "{protocol}");
        let told = eventually("all are delivered", || {
            let told = ledger(&subject);
            (told["queued"] == 0).then_some(told)
        });
        assert_eq!(told["dropped"]["full"], 0, "{told}");
    }
}

#[test]
fn a_release_waits_for_the_disk_also_on_the_next_connection() {
    for (protocol, version) in BOTH {
        let remote = Remote::start();
        let Some((subject, disk)) = on_a_small_disk(remote.port, protocol, &route("t", "out", 2)) else {
            return;
        };
        let mut link = remote.welcome_as(version, false);
        subject.v5("sensor").publish(Publish::to("t").qos(2).payload("once"));
        let (id, text, _) = link.publish();
        assert_eq!(text, "once");
        until_full(&subject, &disk);
        link.acknowledge(5, id);
        // That PUBREC came cannot be stored: after a crash the message would be sent again, when the remote broker has
        // forgotten it.
        link.expect_closed();
        let mut link = remote.welcome_as(version, true);
        while let Some(packet) = link.next() {
            assert_ne!(packet[0] >> 4, PUBREL, "{protocol}: released while nothing can be stored");
        }
        disk.make_room();
        loop {
            let mut link = remote.welcome_as(version, true);
            if link.next_of(PUBREL).is_some() {
                link.acknowledge(7, id);
                eventually("delivered", || (ledger(&subject)["delivered"] == 1).then_some(()));
                break;
            }
        }
    }
}

#[test]
fn an_identifier_of_the_cloud_is_free_only_when_that_is_on_disk() {
    for (protocol, version) in BOTH {
        let remote = Remote::start();
        let routes = route("cmd", "in", 2);
        let Some((subject, disk)) = on_a_small_disk(remote.port, protocol, &routes) else { return };
        let mut link = remote.welcome_as(version, false);
        link.until(SUBSCRIBE);
        let publish = |text: &str| Publish::to("devices/b8/cmd").qos(2).id(7).payload(text).encode(version);
        link.send(&publish("first"));
        link.until(5);
        until_full(&subject, &disk);
        link.acknowledge(6, 7);
        link.expect_closed();
        let mut link = remote.welcome_as(version, true);
        link.acknowledge(6, 7);
        assert!(link.next_of(7).is_none(), "{protocol}: PUBCOMP while nothing can be stored");
        disk.make_room();
        loop {
            let mut link = remote.welcome_as(version, true);
            link.acknowledge(6, 7);
            if link.next_of(7).is_some() {
                break;
            }
        }
        // The identifier means another message now, over a crash too.
        subject.kill();
        subject.start_again();
        let mut here = subject.v5("lamp");
        here.subscribe("cmd", 2);
        let mut link = remote.welcome_as(version, true);
        link.send(&publish("second"));
        assert_eq!(here.receive().text(), "second", "{protocol}");
    }
}

#[test]
fn a_clock_that_was_set_while_the_gateway_was_off_lets_nothing_expire_and_nothing_stay() {
    for hours in [-2_i64, 2] {
        let remote = Remote::start();
        let subject = settings(remote.port, "", &route("t", "out", 1)).start();
        let mut here = subject.v5("sensor");
        for (seconds, text) in [(600, "in time"), (1, "too late")] {
            let expiry = crate::support::property::message_expiry(seconds);
            here.publish(Publish::to("t").qos(1).with(expiry).payload(text));
        }
        eventually("a second has passed", || {
            (status(&subject)["oldest_seconds"].as_u64() >= Some(2)).then_some(())
        });
        subject.kill();
        remote.forget_waiting();
        // Everything was written by a clock that was ahead by so much; a board that keeps no time is behind then. A clock
        // that was behind cannot be told from time that passed.
        let file = subject.directory().join("state/state.db");
        let written = SystemTime::now() + Duration::from_secs(hours.max(0).unsigned_abs() * 3600);
        let moved = hours.max(0) * 3_600_000;
        let database = rusqlite::Connection::open(&file).expect("the state is there");
        let sql = "UPDATE spool SET at = at + ?1, expires = expires + ?1";
        assert_eq!(database.execute(sql, [moved]).expect("it can be written"), 2);
        drop(database);
        for name in ["state.db", "state.db-wal"] {
            if let Ok(file) = File::options().append(true).open(subject.directory().join("state").join(name))
            {
                file.set_modified(written).expect("its time can be set");
            }
        }
        subject.start_again();
        let age = status(&subject)["oldest_seconds"].as_u64();
        assert!(age >= Some(2) && age < Some(600), "{hours} h: {age:?}");
        let mut link = remote.welcome_as(Version::V5, false);
        let (id, text, _) = link.publish();
        assert_eq!(text, "in time");
        link.acknowledge(4, id);
        eventually("one went and one expired", || {
            let told = ledger(&subject);
            (told["delivered"] == 1 && told["expired"] == 1).then_some(())
        });
    }
}

#[test]
fn remotes_that_lie_in_version_5_are_left_and_nothing_is_lost() {
    let lies: [(&str, &[u8]); 17] = [
        ("refuses, with a reason", &[0x20, 8, 0, 0x87, 5, 0x1F, 0, 2, b'n', b'o']),
        ("a success with a code of its own", &[0x20, 3, 0, 1, 0]),
        ("CONNACK without properties", &[0x20, 2, 0, 0]),
        ("a session and a refusal", &[0x20, 3, 1, 0x87, 0]),
        ("receive maximum 0", &[0x20, 6, 0, 0, 3, 0x21, 0, 0]),
        ("a property twice", &[0x20, 9, 0, 0, 6, 0x21, 0, 5, 0x21, 0, 5]),
        ("a property of other packets", &[0x20, 6, 0, 0, 3, 0x23, 0, 1]),
        ("packets of no bytes at most", &[0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 0]),
        ("properties longer than the packet", &[0x20, 3, 0, 0, 9]),
        ("CONNACK twice", &[0x20, 3, 0, 0, 0, 0x20, 3, 0, 0, 0]),
        ("AUTH that nobody began", &[0x20, 3, 0, 0, 0, 0xF0, 2, 0x18, 0]),
        ("sends it away", &[0x20, 3, 0, 0, 0, 0xE0, 1, 0x8E]),
        ("a topic alias that was not allowed", &[0x20, 3, 0, 0, 0, 0x30, 7, 0, 1, b'x', 3, 0x23, 0, 1]),
        ("no topic", &[0x20, 3, 0, 0, 0, 0x30, 3, 0, 0, 0]),
        ("PUBREL with wrong flags", &[0x20, 3, 0, 0, 0, 0x60, 2, 0, 1]),
        ("identifier 0", &[0x20, 3, 0, 0, 0, 0x40, 2, 0, 0]),
        ("PINGREQ", &[0x20, 3, 0, 0, 0, 0xC0, 0]),
    ];
    let remote = Remote::start();
    let keys = "keep_alive = 2\ntimeout = '1s'";
    let subject = settings(remote.port, keys, &route("t", "both", 1)).start();
    subject.v5("sensor").publish(Publish::to("t").qos(1).payload("x"));
    for (what, bytes) in lies {
        let mut link = remote.accept();
        link.send(bytes);
        link.expect_closed();
        let told = ledger(&subject);
        assert_eq!((&told["queued"], &told["delivered"]), (&1.into(), &0.into()), "{what}");
        let told = status(&subject);
        assert!(told["connected"] == false && told["error"].is_string(), "{what}: {told}");
    }
    // A packet that is cut off by the end.
    let mut link = remote.welcome_as(Version::V5, false);
    link.send(&[0x30, 100, 0, 1, b'x']);
    link.cut();
    // Acknowledgements of nothing, refusals of nothing, and of what is in another stage.
    let mut link = remote.welcome_as(Version::V5, true);
    let (id, text, dup) = link.publish();
    assert_eq!((&*text, dup), ("x", true));
    for kind in [4, 5, 6, 7] {
        link.acknowledge(kind, id.wrapping_add(1).max(1));
        let [high, low] = id.wrapping_add(2).max(1).to_be_bytes();
        let code = if kind < 6 { 0x80 } else { 0x92 };
        link.send(&[if kind == 6 { 0x62 } else { kind << 4 }, 4, high, low, code, 0]);
    }
    link.acknowledge(5, id);
    link.acknowledge(7, id);
    link.send(&[0x90, 4, 0, 77, 0, 1]);
    link.send(&[0xB0, 4, 0, 77, 0, 0]);
    assert_eq!(ledger(&subject)["queued"], 1);
    link.acknowledge(4, id);
    eventually("delivered", || (ledger(&subject)["delivered"] == 1).then_some(()));
    subject.still_serves();
}

/// Mosquitto 2.0.11 does so when a session resumes with messages under way; to leave it then would be for ever.
#[test]
fn a_remote_that_sends_more_at_a_time_than_it_was_told_is_served_all_the_same() {
    let remote = Remote::start();
    let subject = settings(remote.port, "inflight = 20", &route("t", "in", 1)).start();
    let mut link = remote.welcome_as(Version::V5, true);
    let subscribe = link.until(SUBSCRIBE);
    link.send(&[0x90, 4, subscribe[2], subscribe[3], 0, 1]);
    let publish = |id: u16| [&[0x32, 18, 0, 12][..], b"devices/b8/t", &id.to_be_bytes(), &[0, b'x']].concat();
    link.send(&(1..=300).flat_map(publish).collect::<Vec<_>>());
    for id in 1..=300_u16 {
        let acknowledged = link.until(4);
        assert_eq!(acknowledged[2..4], id.to_be_bytes());
    }
    eventually("all of them are counted", || (status(&subject)["in_published"] == 300).then_some(()));
}

#[test]
fn a_remote_that_has_no_room_now_gets_it_again_and_one_that_refuses_it_does_not() {
    let remote = Remote::start();
    let subject = settings(remote.port, "inflight = 1", &route("t", "out", 2)).start();
    let mut here = subject.v5("sensor");
    for (qos, answer) in [(1, 4), (2, 5)] {
        here.publish(Publish::to("t").qos(qos).payload("busy"));
        let mut link = remote.welcome_as(Version::V5, qos == 2);
        let reply = |id: u16, code: u8| [answer << 4, 3, (id >> 8) as u8, id as u8, code];
        let (id, ..) = link.publish();
        // 0x97: quota exceeded.
        link.send(&reply(id, 0x97));
        link.expect_closed();
        let mut link = remote.welcome_as(Version::V5, true);
        let (id, text, _) = link.publish();
        assert_eq!(text, "busy");
        // 0x99: payload format invalid.
        link.send(&reply(id, 0x99));
        here.publish(Publish::to("t").qos(1).payload("next"));
        let (id, text, _) = link.publish();
        assert_eq!(text, "next");
        link.acknowledge(4, id);
        eventually("both have their fate", || {
            let told = ledger(&subject);
            (told["queued"] == 0 && told["dropped"]["refused"] == u64::from(qos)).then_some(())
        });
        link.cut();
    }
    assert_eq!(subject.log().matches("the remote broker refuses a message").count(), 1, "once a minute");
    let kept = subject.accept_with_connack(&Connect::v5("sensor")).1;
    assert_eq!(kept.code, 0);
}

#[test]
fn a_remote_without_qos2_that_acknowledges_it_as_qos1_has_the_message() {
    for (protocol, version) in BOTH {
        let remote = Remote::start();
        let subject =
            settings(remote.port, &format!("protocol = '{protocol}'"), &route("t", "out", 2)).start();
        let mut link = remote.welcome_as(version, false);
        let mut here = subject.v5("sensor");
        for n in 1..=3 {
            here.publish(Publish::to("t").qos(2).payload(format!("{n}")));
            let (id, text, dup) = link.publish();
            assert_eq!((text, dup), (n.to_string(), false));
            link.acknowledge(4, id);
            eventually("delivered", || (ledger(&subject)["delivered"] == n).then_some(()));
        }
    }
}
