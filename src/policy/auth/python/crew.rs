//! The processes of one module, each with a thread that asks it one thing after the other and replaces it when it fails.

use std::{
    collections::VecDeque,
    io::PipeWriter,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use serde_json::json;
use tokio::sync::oneshot;

use super::{
    PythonSettings,
    print::Print,
    process::{Able, Call, Process, Returned, Stopping},
};

/// The wait before a process is replaced; each further one is twice as long, until a question is answered.
const BACK_OFF: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(5);

/// Something to be asked, and where the answer goes.
struct Job {
    call: Call,
    reply: oneshot::Sender<Result<Returned, String>>,
}

/// What the threads share.
struct Shared {
    settings: PythonSettings,
    print: Arc<Print>,
    desk: Mutex<Desk>,
    bell: Condvar,
    /// The same as `desk.stopping`, for whoever waits for a process.
    stopping: Stopping,
}

#[derive(Default)]
struct Desk {
    jobs: VecDeque<Job>,
    /// How often the module was to look at its settings again.
    reloads: u64,
    stopping: bool,
}

/// What a thread does next.
enum Next {
    Ask(Job),
    Reload,
    Stop,
}

/// All processes of a module. They end when it is dropped, in order only by [`Crew::stop`].
pub(super) struct Crew {
    shared: Arc<Shared>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    pub able: Able,
}

impl Crew {
    /// Starts all processes and waits until the module is ready in each. Blocks.
    ///
    /// # Errors
    /// In words, why the module cannot be used; nothing is left running then.
    pub fn start(settings: PythonSettings) -> Result<Self, String> {
        let print = Arc::new(Print::new(&settings.module));
        let workers = settings.workers;
        let (desk, bell, stopping) = (Mutex::default(), Condvar::new(), Stopping::default());
        let shared = Arc::new(Shared { settings, print, desk, bell, stopping });
        let (ready, started) = mpsc::channel();
        let mut crew = Crew {
            shared: shared.clone(),
            threads: Mutex::default(),
            able: Able { login: false, acl: false, minds_payload: false },
        };
        for number in 0..workers {
            let (shared, ready) = (shared.clone(), ready.clone());
            let name = format!("python-{number}");
            let spawned = thread::Builder::new().name(name).spawn(move || work(&shared, &ready));
            crew.threads.lock().push(spawned.map_err(|error| format!("no thread can be started: {error}"))?);
        }
        drop(ready);
        // Dropped at an error, the crew has the others stop.
        for able in started.iter().take(workers) {
            crew.able = able?;
        }
        Ok(crew)
    }

    /// Has one of the processes answer. Whoever stops waiting is not asked for any more, if that has not begun yet.
    pub async fn ask(&self, call: Call) -> Result<Returned, String> {
        let (reply, answer) = oneshot::channel();
        {
            let mut desk = self.shared.desk.lock();
            if desk.stopping {
                return Err("the gateway is stopping".to_owned());
            }
            desk.jobs.push_back(Job { call, reply });
        }
        self.shared.bell.notify_one();
        answer.await.unwrap_or_else(|_| Err("the gateway is stopping".to_owned()))
    }

    /// Has the module look at its settings again, in every process.
    pub fn reload(&self) {
        self.shared.desk.lock().reloads += 1;
        self.shared.bell.notify_all();
    }

    /// Has the module clean up in every process, and waits for that. Blocks.
    pub fn stop(&self) {
        self.begin_to_stop();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A thread that panicked has left a message.
            let _ = thread.join();
        }
    }

    fn begin_to_stop(&self) {
        self.shared.stopping.get_or_init(Instant::now);
        let mut desk = self.shared.desk.lock();
        desk.stopping = true;
        desk.jobs.clear();
        drop(desk);
        self.shared.bell.notify_all();
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.begin_to_stop();
    }
}

impl Shared {
    /// Waits for something to do. `reloads` is how often this thread has reloaded.
    fn next(&self, reloads: &mut u64) -> Next {
        let mut desk = self.desk.lock();
        loop {
            if desk.stopping {
                return Next::Stop;
            }
            if desk.reloads > *reloads {
                *reloads = desk.reloads;
                return Next::Reload;
            }
            while let Some(job) = desk.jobs.pop_front() {
                if !job.reply.is_closed() {
                    return Next::Ask(job);
                }
            }
            self.bell.wait(&mut desk);
        }
    }

    /// Waits so long, or until it is to stop; whether it is.
    fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut desk = self.desk.lock();
        while !desk.stopping && !self.bell.wait_until(&mut desk, until).timed_out() {}
        desk.stopping
    }
}

/// One process after the other. The thread lives as long as they do: they die with it.
fn work(shared: &Shared, ready: &mpsc::Sender<Result<Able, String>>) {
    let Shared { settings, print, stopping, .. } = shared;
    let first =
        listen(print).and_then(|output| Ok((Process::start(settings, &output, print, stopping)?, output)));
    let (first, output) = match first {
        Ok(started) => started,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let able = first.able;
    let _ = ready.send(Ok(able));
    let (mut running, mut wait, mut reloads) = (Some(first), BACK_OFF, 0);
    loop {
        let Some(process) = &mut running else {
            if shared.pause(wait) {
                return;
            }
            wait = (wait * 2).min(LONGEST);
            running = replace(shared, &output, able);
            continue;
        };
        match shared.next(&mut reloads) {
            Next::Stop => {
                if let Some(process) = running.take() {
                    process.stop(print);
                }
                return;
            }
            Next::Reload => {
                let reload = Call { name: "reload", arguments: json!([]), payload: Vec::new() };
                match process.call(&reload, settings.timeout, print) {
                    Ok(Returned::Value(_)) => {}
                    Ok(Returned::Raised(what)) => print.say(4, &format!("its security_init raised {what}")),
                    Err(fault) => running = lost(print, &fault),
                }
            }
            Next::Ask(job) if !process.is_alive() => {
                running = lost(print, "its process ended");
                // It did nothing to this one.
                shared.desk.lock().jobs.push_front(job);
            }
            Next::Ask(job) => {
                let answer = process.call(&job.call, settings.timeout, print);
                match &answer {
                    Ok(_) => wait = BACK_OFF,
                    Err(fault) => running = lost(print, fault),
                }
                // Whoever asked may have gone.
                let _ = job.reply.send(answer);
            }
        }
    }
}

/// Says why a process is of no use any more.
fn lost(print: &Print, fault: &str) -> Option<Process> {
    print.say(4, &format!("{fault}: it is killed and started again"));
    None
}

/// A process in place of one that failed, if it can be had.
fn replace(shared: &Shared, output: &PipeWriter, able: Able) -> Option<Process> {
    let Shared { settings, print, stopping, .. } = shared;
    match Process::start(settings, output, print, stopping) {
        Ok(process) if process.able == able => Some(process),
        Ok(_) => {
            print.say(8, "the module has other functions now: restart the gateway");
            None
        }
        Err(error) => {
            if stopping.get().is_none() {
                print.say(8, &error);
            }
            None
        }
    }
}

/// Where a process prints; a thread passes it on to the log.
fn listen(print: &Arc<Print>) -> Result<PipeWriter, String> {
    let no_pipe = |error: std::io::Error| format!("no pipe can be made: {error}");
    let (reader, writer) = std::io::pipe().map_err(no_pipe)?;
    let print = print.clone();
    thread::Builder::new()
        .name("python-print".to_owned())
        .spawn(move || print.pass_on(reader))
        .map_err(|error| format!("no thread can be started: {error}"))?;
    Ok(writer)
}
