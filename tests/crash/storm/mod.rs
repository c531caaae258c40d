//! Storms: publishers and subscribers under load, and a server that ends again and again. A checker knows every
//! message that was acknowledged.
//!
//! `CRASH_ROUNDS` is how often the server ends, `CRASH_SEED` repeats what chance decided; what the system's
//! scheduler decides it cannot repeat.

mod publisher;
mod retained;
mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::powercut::{self, Unsynced};
use crate::random::Random;
use crate::support::{Client, Connect, Packet, Subject, Version, skip_for_mosquitto};
use publisher::Publisher;
use subscriber::{Manner, Subscriber};

/// Ends of the server when nothing else is said.
const ROUNDS: u64 = 6;
/// How long everything may take to arrive after the last end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the threads of a storm share.
pub struct Shared {
    pub port: u16,
    /// Counts acknowledgements: the storm goes by it, and not by the clock.
    pub acknowledged: AtomicU64,
    /// No more new messages.
    pub closing: AtomicBool,
    /// Everything was received, or somebody failed.
    pub over: AtomicBool,
}

impl Shared {
    /// Connects, as soon as the server is there; `None` when the storm is over.
    pub fn connect(&self, connect: &Connect) -> Option<(Client, bool)> {
        while !self.over.load(Ordering::Relaxed) {
            if let Ok(stream) = std::net::TcpStream::connect(("127.0.0.1", self.port)) {
                let mut client = Client::over(stream, connect.version);
                client.client_id = connect.client_id.clone();
                if client.send_anyway(&connect.encode())
                    && let Ok(Packet::ConnAck { session_present, code, .. }) = client.try_read()
                {
                    assert_eq!(code, 0, "{:?} was refused", connect.client_id);
                    return Some((client, session_present));
                }
            }
            thread::park_timeout(Duration::from_millis(5));
        }
        None
    }
}

/// How the server ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Weather {
    Kills,
    /// With each fsync taking as long as on a slow card.
    PowerCuts,
    /// What was not synced is there in part.
    TornWrites,
    /// It dies at the named places around a commit.
    FailPoints,
}

#[test]
fn kills_under_load_lose_nothing_acknowledged_and_repeat_nothing_of_qos2() {
    skip_for_mosquitto!("after a restart it gives QoS 2 messages identifiers that are in use");
    storm(Weather::Kills);
}

#[test]
fn power_cuts_under_load_lose_nothing_acknowledged_and_repeat_nothing_of_qos2() {
    skip_for_mosquitto!("it writes when it is asked");
    storm(Weather::PowerCuts);
}

#[test]
fn torn_writes_lose_nothing_acknowledged_and_repeat_nothing_of_qos2() {
    skip_for_mosquitto!("it writes when it is asked");
    storm(Weather::TornWrites);
}

#[test]
fn death_around_a_commit_loses_nothing_acknowledged_and_repeats_nothing_of_qos2() {
    skip_for_mosquitto!("it has no such places");
    storm(Weather::FailPoints);
}

fn storm(weather: Weather) {
    let seed = Random::seed_of("CRASH_SEED");
    // Shown only if the test fails.
    println!("{weather:?}: again with CRASH_SEED={seed}");
    let rounds = std::env::var("CRASH_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("CRASH_ROUNDS"));
    let mut random = Random::new(seed);
    let mut settings =
        Subject::with().limit("queued_messages", 0).limit("queued_bytes", 0).limit("memory", 0).lasting();
    if matches!(weather, Weather::PowerCuts | Weather::TornWrites) {
        settings = powercut::watched(settings, random.pick(&[0, 2_000, 10_000]));
    }
    let subject = settings.start();
    let shared = Arc::new(Shared {
        port: subject.port(),
        acknowledged: AtomicU64::new(0),
        closing: AtomicBool::new(false),
        over: AtomicBool::new(false),
    });
    let manners = [Manner::Attentive, Manner::Slow, Manner::Fickle, Manner::Away];
    let subscribers: Vec<_> = manners
        .into_iter()
        .enumerate()
        .map(|(n, manner)| {
            let version = [Version::V5, Version::V311][n % 2];
            Subscriber::new(version, manner, random.branch(), shared.clone())
        })
        .collect();
    let subscribers: Vec<_> =
        subscribers.into_iter().map(|subscriber| thread::spawn(move || subscriber.run())).collect();
    let publishers: Vec<_> = (0..4)
        .map(|n| {
            let publisher = Publisher::new(n, random.branch(), shared.clone());
            thread::spawn(move || publisher.run())
        })
        .collect();
    let speaker = retained::Speaker::new(shared.clone());
    let spoken = speaker.spoken.clone();
    let speaker = thread::spawn(move || speaker.run());

    let workers =
        || publishers.iter().map(|t| t.is_finished()).chain(subscribers.iter().map(|t| t.is_finished()));
    let mut unsynced = match weather {
        Weather::TornWrites => Unsynced::Torn(random.branch()),
        _ => Unsynced::Lost,
    };
    let mut died = 0;
    for round in 0..rounds {
        // Where it is to die by itself it gets the time for it.
        let least = if weather == Weather::FailPoints && round > 0 { 3000 } else { 20 };
        let target = shared.acknowledged.load(Ordering::Relaxed) + least + random.below(400);
        let deadline = Instant::now() + PATIENCE;
        while shared.acknowledged.load(Ordering::Relaxed) < target && !subject.has_ended() {
            assert!(Instant::now() < deadline, "nothing is acknowledged any more; seed {seed}");
            if workers().any(|finished| finished) {
                break;
            }
            thread::park_timeout(Duration::from_micros(random.below(3000)));
        }
        if subject.has_ended() {
            // It died by itself, as the fail point asked.
            subject.wait();
            assert_eq!(weather, Weather::FailPoints, "it died by itself; seed {seed}");
            died += 1;
        } else {
            subject.save();
            subject.kill();
        }
        if matches!(weather, Weather::PowerCuts | Weather::TornWrites) {
            powercut::cut(subject.directory(), &mut unsynced);
        }
        let point = format!(
            "{}:{}",
            random.pick(&["halfway", "before-commit", "after-commit", "before-answer"]),
            5 + random.below(60)
        );
        match weather {
            Weather::FailPoints if round + 1 < rounds => {
                // The clients are there at once: it may die before anybody has seen that it is ready.
                if subject.try_start_again(&[("LATCHGATE_FAIL", &point)]).is_err() {
                    died += 1;
                    subject.start_again();
                }
            }
            _ => subject.start_again(),
        }
        retained::check(&subject, &spoken, weather == Weather::FailPoints);
    }

    shared.closing.store(true, Ordering::Relaxed);
    let deadline = Instant::now() + PATIENCE;
    let sent: Vec<_> = publishers
        .into_iter()
        .map(|publisher| {
            while !publisher.is_finished() && Instant::now() < deadline {
                thread::park_timeout(Duration::from_millis(5));
            }
            if !publisher.is_finished() {
                shared.over.store(true, Ordering::Relaxed);
            }
            publisher.join().unwrap_or_else(|_| panic!("a publisher failed; seed {seed}"))
        })
        .collect();
    speaker.join().expect("the speaker of retained messages ends");
    retained::check(&subject, &spoken, false);
    // The marker is the last message of all: whoever has it has everything.
    subject.v5("marker").publish(crate::support::Publish::to("storm/end/2/0").qos(2).payload("end"));
    for (manner, subscriber) in manners.into_iter().zip(subscribers) {
        while !subscriber.is_finished() && Instant::now() < deadline {
            thread::park_timeout(Duration::from_millis(5));
        }
        if !subscriber.is_finished() {
            shared.over.store(true, Ordering::Relaxed);
        }
        let received =
            subscriber.join().unwrap_or_else(|_| panic!("the {manner:?} subscriber failed; seed {seed}"));
        for publisher in &sent {
            if let Err(wrong) = publisher.check(&received) {
                panic!("{manner:?}: {wrong}; {weather:?}, seed {seed}");
            }
        }
    }
    let acknowledged = shared.acknowledged.load(Ordering::Relaxed);
    println!("{weather:?}: {acknowledged} acknowledged, the server ended {rounds} times");
    assert!(weather != Weather::FailPoints || rounds < 2 || died > 0, "it never died at a fail point");
}
