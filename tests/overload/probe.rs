//! Two clients that have nothing to do with the load: how long does a message take between them?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::{Connect, Publish, Subject};

/// Time between two messages.
const PACE: Duration = Duration::from_millis(2);
/// How long is measured before the load.
const QUIET: usize = 250;

/// Measures in a thread of its own until it is told to stop.
pub struct Probe {
    quiet: Times,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

/// Some of the times that were measured.
#[derive(Debug)]
pub struct Times {
    half: Duration,
    ninety_nine: Duration,
    longest: Duration,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        Times { half: at(50), ninety_nine: at(99), longest: at(100) }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Times { half, ninety_nine, longest } = self;
        write!(f, "p50 {half:.1?}, p99 {ninety_nine:.1?}, longest {longest:.1?}")
    }
}

impl Probe {
    /// Connects both clients, measures without load, and begins to measure under it.
    pub fn start(subject: &Subject) -> Self {
        // It never says a word.
        let mut listener = subject.accept(&Connect::v311("probe-listener").keep_alive(0));
        listener.subscribe("probe", 0);
        let mut speaker = subject.v311("probe-speaker");
        let mut once = move || {
            let began = Instant::now();
            speaker.publish(Publish::to("probe").payload("x"));
            listener.expect_publish();
            let took = began.elapsed();
            std::thread::park_timeout(PACE);
            took
        };
        let quiet = Times::of((0..QUIET).map(|_| once()).collect());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut times = vec![once()];
            while !stopped.load(Ordering::Relaxed) {
                times.push(once());
            }
            times
        });
        Probe { quiet, stop, thread }
    }

    /// Tells the figures. Fails if the load was felt: half of all messages took more than `factor` times as long as
    /// without it (or 100 ms, where that is more: other things run on the machine), or one took longer than 5 s.
    pub fn finish(self, what: &str, factor: u32) {
        self.stop.store(true, Ordering::Relaxed);
        let loaded = Times::of(self.thread.join().expect("the two are not cut off"));
        eprintln!("{what}: latency without load {}; under load {loaded}", self.quiet);
        let most = (self.quiet.half * factor).max(Duration::from_millis(100));
        assert!(loaded.half <= most, "{what}: {:?} and not {:?}", loaded.half, self.quiet.half);
        assert!(loaded.longest <= Duration::from_secs(5), "{what}: {:?}", loaded.longest);
    }
}
