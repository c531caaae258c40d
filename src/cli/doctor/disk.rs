//! The disk that the state directory is on: room, and how long it takes until something is certainly written.

use std::{
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use super::finding::Findings;

/// Less than this is too little to go on, in bytes: the journal of the state alone grows to some of it.
const TOO_LITTLE: u64 = 16 << 20;
/// Less than this is to be told.
const LITTLE: u64 = 200 << 20;
/// Files that can be made: fewer are to be told.
const FEW_FILES: u64 = 100;
/// Writes that are timed, each of one page of the database.
const WRITES: usize = 16;
/// No more are begun after so long.
const LONG_ENOUGH: Duration = Duration::from_secs(3);
const PAGE: [u8; 4096] = [0x5A; 4096];
/// Every acknowledgement of QoS 1 and 2 waits for one of these. A worn SD card takes hundreds of milliseconds.
const SLOW: Duration = Duration::from_millis(100);
/// Longer than this, and clients give up.
const TOO_SLOW: Duration = Duration::from_secs(2);

/// Measures the disk under `state`. Leaves nothing behind.
pub fn look(state: &Path, findings: &mut Findings) {
    let place = state.display();
    if !state.exists() {
        let help = "it is made by the first `latchgate run`, `latchgate setup` or `latchgate user add`; --config names another";
        findings.wrong(place, "there is no state directory", help);
        return;
    }
    match rustix::fs::statvfs(state) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let what = format!("{} MiB are free", free >> 20);
            let help = "remove what is not needed (journalctl --vacuum-size=100M), lower the limits of queues and spools, or take a \
                        larger disk";
            // File systems that make files as they need them say that they have none at all.
            let has_files = disk.f_files == 0 || disk.f_favail >= FEW_FILES;
            match free {
                _ if !has_files => findings.wrong(&place, "hardly any file can be made (inodes)", help),
                0..TOO_LITTLE => {
                    findings.wrong(&place, format!("{what}: messages of QoS 1 and 2 will be refused"), help);
                }
                TOO_LITTLE..LITTLE => findings.warn(&place, what, help),
                _ => findings.fine(&place, what),
            }
        }
        Err(error) => findings.wrong(&place, format!("it cannot be asked about its room: {error}"), ""),
    }
    match syncs(state) {
        Ok(mut times) => {
            times.sort_unstable();
            let (middle, worst) = (times[times.len() / 2], times[times.len() - 1]);
            let what = format!(
                "a write is on disk after {} ms, {} ms at worst",
                milliseconds(middle),
                milliseconds(worst)
            );
            let help = "every acknowledgement of QoS 1 and 2 waits for that: use an SD card made for many writes (class A1/A2, \
                        \"endurance\") or an SSD, and keep other writers off it";
            if worst >= TOO_SLOW {
                findings.wrong(&place, what, help);
            } else if middle >= SLOW {
                findings.warn(&place, what, help);
            } else {
                findings.fine(&place, what);
            }
        }
        Err(error) => {
            let help = "the gateway's user must be able to write there: see the owner, whether the disk is full, and whether it is \
                        mounted read-only (mount, dmesg)";
            findings.wrong(&place, format!("nothing can be written: {error}"), help);
        }
    }
}

/// How long each of some writes took; of a file without a name, which is gone when this returns.
fn syncs(state: &Path) -> std::io::Result<Vec<Duration>> {
    let mut file = tempfile::tempfile_in(state)?;
    let mut times = Vec::with_capacity(WRITES);
    let begin = Instant::now();
    while times.len() < WRITES && (times.is_empty() || begin.elapsed() < LONG_ENOUGH) {
        let since = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        times.push(since.elapsed());
    }
    Ok(times)
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}
