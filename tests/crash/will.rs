//! Wills that were pending when the server ended, and those of clients it took with it.

use std::time::{Duration, Instant};

use crate::support::property;
use crate::support::{Client, Connect, Publish, Will, skip_for_mosquitto};
use crate::world::{Ending, World, stories};

stories! {
    a_delayed_will_comes_at_its_time;
    a_delayed_will_whose_time_passed_meanwhile_comes_at_once;
    a_will_whose_client_came_back_does_not_come;
    a_client_that_was_connected_when_the_server_ended_leaves_its_will;
    a_will_that_came_does_not_come_again;
}

/// Sees what is published later.
fn watcher(world: &World) -> Client {
    let mut watcher = world.subject.v5("watcher");
    watcher.subscribe("will/#", 1);
    watcher
}

/// CONNECT of a client with a session and a will that waits.
fn mortal(id: &str, delay: u32) -> Connect {
    let will = Will::new(&format!("will/{id}"), "gone").qos(1).with(property::will_delay(delay));
    Connect::v5(id).keep_session().will(will)
}

/// What is acknowledged now was written after what happened before.
fn settle(world: &World) {
    world.subject.v5("settler").publish(Publish::to("settled").qos(1).retain().payload("x"));
}

/// Connects, and loses its connection; the server has noticed.
fn die(world: &World, connect: &Connect) {
    let client = world.subject.accept(connect);
    client.drop_connection();
    // Taking it over waits for the end of the first; a second that is cut leaves the same will.
    let again = world.resume(connect);
    again.drop_connection();
    settle(world);
}

fn a_delayed_will_comes_at_its_time(ending: Ending) {
    skip_for_mosquitto!("it keeps no wills");
    let world = World::start(ending);
    let died = Instant::now();
    die(&world, &mortal("m", 4));
    world.crash();
    let mut watcher = watcher(&world);
    let message = watcher.receive();
    assert_eq!((message.topic.as_str(), message.text()), ("will/m", "gone"));
    assert!(died.elapsed() > Duration::from_millis(3900), "it came after {:?}", died.elapsed());
    watcher.nothing_arrives();
}

fn a_delayed_will_whose_time_passed_meanwhile_comes_at_once(ending: Ending) {
    skip_for_mosquitto!("it keeps no wills");
    let world = World::start(ending);
    let keep = Connect::v5("away").keep_session();
    world.leave_session(&keep, &[("will/#", 1)]);
    let died = Instant::now();
    die(&world, &mortal("m", 1));
    world.end();
    crate::support::eventually("two seconds pass", || {
        (died.elapsed() > Duration::from_secs(2)).then_some(())
    });
    world.begin();
    let mut watcher = world.resume(&keep);
    assert_eq!(watcher.receive().text(), "gone");
    watcher.nothing_arrives();
}

fn a_will_whose_client_came_back_does_not_come(ending: Ending) {
    skip_for_mosquitto!("it keeps no wills");
    let world = World::start(ending);
    let keep = Connect::v5("away").keep_session();
    world.leave_session(&keep, &[("will/#", 1)]);
    // One comes back before the end of the server, one after it; a third tells when the time is over.
    die(&world, &mortal("before", 3));
    die(&world, &mortal("after", 3));
    let before = world.resume(&Connect::v5("before").keep_session());
    before.disconnect();
    settle(&world);
    world.crash();
    world.resume(&Connect::v5("after").keep_session()).disconnect();
    die(&world, &mortal_new("clock", 4, &world));
    let mut watcher = world.resume(&keep);
    assert_eq!(watcher.receive().topic, "will/clock");
    watcher.nothing_arrives();
}

/// As [`mortal`], with a session that is there already.
fn mortal_new(id: &str, delay: u32, world: &World) -> Connect {
    world.subject.accept(&Connect::v5(id).keep_session()).disconnect();
    mortal(id, delay)
}

fn a_client_that_was_connected_when_the_server_ended_leaves_its_will(ending: Ending) {
    skip_for_mosquitto!("it keeps no wills");
    let world = World::start(ending);
    let keep = Connect::v5("away").keep_session();
    world.leave_session(&keep, &[("will/#", 1)]);
    let _mortals = [("at once", 0), ("delayed", 2), ("returned", 20)]
        .map(|(id, delay)| world.subject.accept(&mortal(id, delay)));
    world.crash();
    world.resume(&Connect::v5("returned").keep_session()).disconnect();
    let mut watcher = world.resume(&keep);
    assert_eq!(watcher.receive().topic, "will/at once");
    assert_eq!(watcher.receive().topic, "will/delayed");
    watcher.nothing_arrives();
}

fn a_will_that_came_does_not_come_again(ending: Ending) {
    skip_for_mosquitto!("it keeps no wills");
    let world = World::start(ending);
    let mut watcher = watcher(&world);
    die(&world, &mortal("m", 1));
    assert_eq!(watcher.receive().text(), "gone");
    settle(&world);
    let keep = Connect::v5("away").keep_session();
    world.leave_session(&keep, &[("will/#", 1)]);
    world.crash();
    world.resume(&keep).nothing_arrives();
}
