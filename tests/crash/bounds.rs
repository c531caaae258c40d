//! Bounds count what waited before the server ended.

use crate::support::{Connect, Publish, Subject};
use crate::world::{Ending, World, stories};

stories! {
    queued_messages_is_a_bound_over_all_the_servers_lives;
    queued_bytes_is_a_bound_over_all_the_servers_lives;
}

fn queued_messages_is_a_bound_over_all_the_servers_lives(ending: Ending) {
    let world = World::with(Subject::with().limit("queued_messages", 10), ending);
    let keep = Connect::v311("away").keep_session();
    world.leave_session(&keep, &[("a", 1)]);
    for life in 0..3 {
        let mut publisher = world.subject.v5("publisher");
        for n in 0..7 {
            publisher.say("a", &(life * 7 + n).to_string());
        }
        world.crash();
    }
    let mut client = world.resume(&keep);
    let expected: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(client.receive_texts(10), expected);
    client.nothing_arrives();
    client.disconnect();
    // There is room again, after another life too.
    world.crash();
    world.subject.v5("publisher").say("a", "room");
    assert_eq!(world.resume(&keep).receive().text(), "room");
}

fn queued_bytes_is_a_bound_over_all_the_servers_lives(ending: Ending) {
    crate::support::skip_for_mosquitto!("it counts other bytes");
    let world = World::with(Subject::with().limit("queued_bytes", 50_000), ending);
    let keep = Connect::v311("away").keep_session();
    world.leave_session(&keep, &[("a", 1)]);
    for life in 0..3u8 {
        let mut publisher = world.subject.v5("publisher");
        for _ in 0..3 {
            publisher.publish(Publish::to("a").qos(1).payload(vec![b'0' + life; 10_000]));
        }
        world.crash();
    }
    let mut client = world.resume(&keep);
    client.subscribe("the end", 1);
    world.subject.v5("publisher").say("the end", "end");
    let mut waited = 0;
    loop {
        let message = client.receive();
        if message.topic == "the end" {
            break;
        }
        waited += message.payload.len();
    }
    assert!((30_000..=50_000).contains(&waited), "{waited} bytes waited");
}
