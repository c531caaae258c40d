//! Wakes the publishers of a run at a fixed rate, finer than the runtime's timer of a millisecond could.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;

/// Time between two pulses.
const PULSE: Duration = Duration::from_micros(100);

/// A thread that gives pulses until it is dropped.
#[derive(Debug)]
pub struct Pacemaker {
    pulse: Arc<Notify>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pacemaker {
    /// # Errors
    /// If no thread can be had.
    pub fn start() -> std::io::Result<Self> {
        let (pulse, stop) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let (given, stopped) = (pulse.clone(), stop.clone());
        let beat = move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::park_timeout(PULSE);
                given.notify_waiters();
            }
        };
        let thread = std::thread::Builder::new().name("pacemaker".into()).spawn(beat)?;
        Ok(Pacemaker { pulse, stop, thread: Some(thread) })
    }

    /// What is notified at each pulse. Whoever does not wait at that moment misses it, and needs to: being late, it
    /// has something to do.
    pub fn pulse(&self) -> Arc<Notify> {
        self.pulse.clone()
    }
}

impl Drop for Pacemaker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It cannot have panicked, and if it had, the run is over anyway.
            let _ = thread.join();
        }
    }
}
