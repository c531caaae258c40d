//! What the server holds: resident memory, and its own counts.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use std::{collections::HashMap, io::Read, io::Write};

use crate::support::{BOUND, Subject, eventually};

/// Time between two looks at the memory.
const PACE: Duration = Duration::from_millis(100);

/// Resident memory of the server in KiB.
pub fn resident(subject: &Subject) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", subject.pid())).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its status names VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("VmRSS is a number of kB")
}

/// Every sample of `/metrics`, by name with labels.
pub fn metrics(subject: &Subject) -> HashMap<String, f64> {
    let mut stream =
        UnixStream::connect(subject.directory().join("state/admin.sock")).expect("the admin socket is there");
    stream.set_read_timeout(Some(BOUND)).expect("set the bound");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("send the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read the answer");
    let samples = answer.lines().filter(|line| line.starts_with("latchgate_"));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
            (name.to_owned(), value.parse().expect("a sample is a number"))
        })
        .collect()
}

/// One count of the broker.
pub fn count(subject: &Subject, name: &str) -> u64 {
    let all = metrics(subject);
    *all.get(&format!("latchgate_broker_{name}")).unwrap_or_else(|| panic!("no {name} in {all:?}")) as u64
}

/// How many messages, or connections, were dropped for a reason.
pub fn dropped(subject: &Subject, what: &str, reason: &str) -> u64 {
    count(subject, &format!("{what}_dropped_total{{reason=\"{reason}\"}}"))
}

/// Waits until a gauge of the broker says `value`.
pub fn until(subject: &Subject, name: &str, value: u64) {
    eventually(&format!("{name} is {value}"), || (count(subject, name) == value).then_some(()));
}

/// Resident memory of a load that comes again and again, in KiB.
pub struct Memory {
    before: u64,
    tops: Vec<u64>,
}

impl Memory {
    /// Notes what there is before anything happened.
    pub fn before(subject: &Subject) -> Self {
        Memory { before: resident(subject), tops: Vec::new() }
    }

    /// Notes the top of a round.
    pub fn top(&mut self, subject: &Subject) {
        self.tops.push(resident(subject));
    }

    /// Tells the figures, when everything that caused them is gone. Fails unless all but `left` MiB of what was taken
    /// is given back within a while (the server does so every few seconds).
    pub fn settle(self, what: &str, subject: &Subject, left: u64) {
        let mib = |kib: &u64| format!("{:.1}", *kib as f64 / 1024.0);
        let since = Instant::now();
        let mut after = resident(subject);
        while after > self.before + left * 1024 && since.elapsed() < 2 * BOUND {
            std::thread::park_timeout(PACE);
            after = resident(subject);
        }
        let tops: Vec<_> = self.tops.iter().map(mib).collect();
        eprintln!(
            "{what}: resident MiB before {}, at the top {}, after {}",
            mib(&self.before),
            tops.join(", "),
            mib(&after)
        );
        assert!(after <= self.before + left * 1024, "{what}: more than {left} MiB are left");
    }
}
