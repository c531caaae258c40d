//! What a server loses of what it acknowledged when it is killed, as a figure and for any subject:
//! `cargo test --test crash compare -- --ignored --nocapture`, and again with `MQTT_TEST_SUBJECT=mosquitto`.

use crate::support::subject::{Settings, is_mosquitto};
use crate::support::{Client, Connect, Gone, Packet, Publish, Subject, Version};

const KILLS: usize = 10;
/// Messages acknowledged before each kill.
const MESSAGES: u16 = 500;

#[test]
#[ignore = "it prints figures"]
fn what_is_lost_of_what_was_acknowledged() {
    let subjects: &[(&str, &str)] = match is_mosquitto() {
        false => &[("latchgate", "")],
        true => &[
            ("mosquitto, persistence as it comes", "persistence true\npersistence_location ./"),
            (
                "mosquitto, saving after every change",
                "persistence true\npersistence_location ./\nautosave_on_changes true\nautosave_interval 1",
            ),
        ],
    };
    for (name, lines) in subjects {
        let lost: usize = (0..KILLS).map(|_| lost_by_a_kill(Subject::with().mosquitto(lines))).sum();
        println!(
            "{name}: {lost} of {} acknowledged messages lost in {KILLS} kills",
            KILLS * usize::from(MESSAGES)
        );
        assert!(is_mosquitto() || lost == 0);
    }
}

fn lost_by_a_kill(settings: Settings) -> usize {
    let subject = settings.start();
    let keep = Connect::v311("away").keep_session();
    let mut away = subject.accept(&keep);
    away.subscribe("a", 1);
    away.disconnect();
    let mut publisher = subject.v311("publisher");
    for batch in 0..MESSAGES / 50 {
        let ids = (1..=50).map(|n| batch * 50 + n);
        let bytes =
            ids.clone().flat_map(|id| Publish::to("a").qos(1).id(id).payload("x").encode(Version::V311));
        publisher.send(&bytes.collect::<Vec<_>>());
        ids.for_each(|id| assert_eq!(publisher.await_puback(id), 0));
    }
    subject.kill();
    subject.start_again();
    let (mut away, _) = subject.accept_with_connack(&keep);
    usize::from(MESSAGES) - arrived(&mut away)
}

/// How many messages come before a message to itself.
fn arrived(client: &mut Client) -> usize {
    client.subscribe("the end", 1);
    client.publish(Publish::to("the end").qos(1).payload("end"));
    let mut count = 0;
    loop {
        match client.try_read() {
            Ok(Packet::Publish(publish)) => {
                client.acknowledge(&publish);
                if publish.topic == "the end" {
                    return count;
                }
                count += 1;
            }
            Ok(_) => {}
            Err(gone @ (Gone::Closed | Gone::TimedOut)) => panic!("the end does not come: {gone:?}"),
        }
    }
}
