//! What a module prints and logs, on its way to the gateway's log: bounded, whatever the module does.

use std::{
    io::{BufRead, BufReader, PipeReader, Read},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Lines that are passed on in a second; the others are counted.
const LINES: u32 = 100;
/// Bytes of a line that are passed on.
const LONGEST: usize = 2000;

/// The way of one module's words to the log.
#[derive(Debug)]
pub(super) struct Print {
    module: String,
    second: Mutex<Second>,
}

#[derive(Debug)]
struct Second {
    began: Instant,
    lines: u32,
}

impl Print {
    pub fn new(module: &str) -> Self {
        let second = Second { began: Instant::now(), lines: 0 };
        Print { module: module.to_owned(), second: Mutex::new(second) }
    }

    /// Passes on what came by `mosquitto_auth.log`, with that level.
    pub fn say(&self, level: i64, words: &str) {
        if !self.admits(Instant::now()) {
            return;
        }
        let (module, words) = (&*self.module, escaped(words));
        match level {
            8 => tracing::error!(module, "{words}"),
            4 => tracing::warn!(module, "{words}"),
            16 => tracing::debug!(module, "{words}"),
            _ => tracing::info!(module, "{words}"),
        }
    }

    /// Passes on where an exception was raised, line by line.
    pub fn trace(&self, traceback: &str) {
        traceback.lines().filter(|line| !line.trim().is_empty()).for_each(|line| self.say(4, line));
    }

    /// Passes on each line that is printed, until nobody can print any more.
    pub fn pass_on(&self, printed: PipeReader) {
        let mut printed = BufReader::new(printed);
        loop {
            let mut line = Vec::new();
            let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
            match printed.by_ref().take(most).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let line = String::from_utf8_lossy(&line);
                    if !line.trim().is_empty() {
                        self.say(1, line.trim_end());
                    }
                }
            }
        }
    }

    /// Whether a line is passed on; now and then says how many were not.
    fn admits(&self, now: Instant) -> bool {
        let mut second = self.second.lock();
        if now.duration_since(second.began) >= Duration::from_secs(1) {
            if second.lines > LINES {
                let left_out = second.lines - LINES;
                tracing::warn!(module = &*self.module, left_out, "it printed too many lines");
            }
            *second = Second { began: now, lines: 0 };
        }
        second.lines = second.lines.saturating_add(1);
        second.lines <= LINES
    }
}

/// Without control characters, which could forge lines, and at most so long.
fn escaped(words: &str) -> String {
    let mut out = String::new();
    for c in words.chars() {
        if out.len() >= LONGEST {
            break;
        }
        if c.is_control() && c != '\t' { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_prints_without_end_fills_no_log() {
        let (print, now) = (Print::new("m"), Instant::now());
        let admitted = (0..10_000).filter(|_| print.admits(now)).count();
        assert_eq!(admitted, 100);
        assert!(print.admits(now + Duration::from_secs(1)));
    }

    #[test]
    fn what_is_printed_forges_no_lines() {
        assert_eq!(escaped("a\n\u{1b}[2Jb"), "a\\n\\u{1b}[2Jb");
        assert_eq!(escaped(&"x".repeat(5000)).len(), LONGEST);
    }
}
