//! A disk that is full: nothing is promised that cannot be kept, the rest is served, and it ends by itself.

use crate::support::packet::VERSIONS;
use crate::support::small_disk::SmallDisk;
use crate::support::{Connect, Gone, Packet, Publish, Subject, Version, eventually, skip_for_mosquitto};

/// More than what is left of the pages that the files have already.
fn large() -> Vec<u8> {
    vec![b'x'; 40_000]
}

#[test]
fn on_a_full_disk_nothing_is_promised_the_rest_is_served_and_it_recovers_by_itself() {
    skip_for_mosquitto!("it does not notice");
    let subject = Subject::with().lasting().prepare();
    // Unmounted before the subject's directory is removed.
    let Some(disk) = SmallDisk::under(subject.directory()) else { return };
    let keep = Connect::v5("away").keep_session();
    let mut away = subject.accept(&keep);
    away.subscribe("a", 2);
    away.disconnect();
    let mut online = subject.v5("online");
    online.subscribe("a", 0);
    let mut publisher = subject.v5("publisher");
    assert_eq!(publisher.publish(Publish::to("a").qos(1).payload("before")), 0);
    assert_eq!(online.receive().text(), "before");
    disk.fill();

    // The first may find out; whatever is refused is refused by its name.
    for qos in [1, 2] {
        for _ in 0..5 {
            let code = publisher.publish(Publish::to("a").qos(qos).payload(large()));
            assert_eq!(code, 0x97, "QoS {qos} on a full disk");
        }
    }
    for version in VERSIONS.into_iter().filter(|version| *version != Version::V5) {
        let mut old = subject.accept(&Connect::new(version, "old"));
        old.send(&Publish::to("a").qos(1).id(1).payload(large()).encode(version));
        match old.try_read() {
            Err(Gone::Closed) => {}
            other => panic!("{version:?} on a full disk: {other:?}"),
        }
    }
    // QoS 0 and pings are served. What was refused may have been seen by those who are there.
    publisher.publish(Publish::to("a").payload("at QoS 0"));
    publisher.ping();
    eventually("QoS 0 is served", || match online.read() {
        Packet::Publish(publish) => (publish.payload == b"at QoS 0").then_some(()),
        other => panic!("expected PUBLISH, got {other:?}"),
    });
    assert!(subject.log().contains("cannot be written"), "the log says nothing of it:\n{}", subject.log());

    disk.make_room();
    eventually("it recovers by itself", || {
        (publisher.publish(Publish::to("a").qos(2).payload("after")) == 0).then_some(())
    });
    subject.kill();
    subject.start_again();
    let mut away = subject.accept(&keep);
    let mut found = Vec::new();
    while found.last().is_none_or(|payload| payload != b"after") {
        found.push(away.receive().payload);
    }
    assert_eq!(found[0], b"before");
    drop(disk);
}

#[test]
fn a_session_is_not_promised_on_a_full_disk() {
    skip_for_mosquitto!("it does not notice");
    let subject = Subject::with().lasting().prepare();
    let Some(disk) = SmallDisk::under(subject.directory()) else { return };
    let mut there = subject.accept(&Connect::v5("there").keep_session());
    disk.fill();
    // Longer and longer filters, until the pages there are do not hold them any more.
    let mut granted = Vec::new();
    for n in 0..200 {
        let filter = format!("{n}/{}", "x".repeat(8000));
        let packet = crate::support::Subscribe::to(&filter, 1).encode(Version::V5, 1 + n);
        if !there.send_anyway(&packet) {
            break;
        }
        match there.try_read() {
            Ok(Packet::SubAck { codes, .. }) if codes == [1] => granted.push(filter),
            _ => break,
        }
    }
    assert!(granted.len() < 200, "200 filters of 8 kB were promised on a full disk");
    disk.make_room();
    let keep = Connect::v5("there").keep_session();
    eventually("the gateway takes sessions again", || {
        let (_, connack) = crate::support::Client::connect(subject.port(), &keep);
        (connack.code == 0).then_some(())
    });
    subject.kill();
    subject.start_again();
    let (mut client, connack) = subject.accept_with_connack(&keep);
    assert!(connack.session_present);
    let mut publisher = subject.v5("publisher");
    for filter in &granted {
        publisher.say(filter, "x");
        assert_eq!(client.receive().topic, *filter);
    }
    drop(disk);
}
