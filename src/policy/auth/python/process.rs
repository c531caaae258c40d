//! One process that runs the module: how it is started, asked and ended. Nothing it writes is believed.

use std::{
    io::{self, PipeWriter, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getpid, getppid, kill_process_group, setrlimit,
    waitid,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{PythonSettings, print::Print};

/// What runs in the process.
const WORKER: &str = include_str!("worker.py");
/// Has the process read the rest: the arguments of a process are for everybody to see, and a script is long.
const BOOT: &str = "import os\ndef read(size):\n b = b''\n while len(b) < size:\n  part = os.read(0, size - len(b))\n  part or \
                    os._exit(0)\n  b += part\n return b\nexec(compile(read(int.from_bytes(read(4), 'big')), 'latchgate', 'exec'))";
/// The longest message of a process in bytes.
const LONGEST: usize = 64 * 1024;
/// How long a process may take to start: imports, and whatever `plugin_init` does.
const START: Duration = Duration::from_secs(30);
/// How long a process may take to say farewell; and, before that, with what it is about when it is to stop.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often whoever waits for a process looks whether it is to stop.
const GLANCE: Duration = Duration::from_millis(50);
/// What of the gateway's environment a process gets; the rest may be secrets.
const ENVIRONMENT: [&str; 7] = ["PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// When all processes of a module were told to stop.
pub(super) type Stopping = Arc<OnceLock<Instant>>;

/// A running process.
pub(super) struct Process {
    child: Child,
    wire: UnixStream,
    stopping: Stopping,
    /// How long it is still waited for once it is to stop; `None`: it is told to.
    grace: Option<Duration>,
    asked: u64,
    pub able: Able,
}

/// What a module can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Able {
    /// Whether it has `unpwd_check`.
    pub login: bool,
    /// Whether it has `acl_check`.
    pub acl: bool,
    /// Whether that gets the payload.
    pub minds_payload: bool,
}

/// What a process is asked.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// A function of the module, `reload` or `stop`.
    pub name: &'static str,
    /// Its arguments.
    pub arguments: Value,
    /// The payload, which may be any bytes.
    pub payload: Vec<u8>,
}

/// What the module returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Returned {
    /// Something that counts as true, or not.
    Value(bool),
    /// Nothing: it raised this.
    Raised(String),
}

/// What a process says.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    number: Option<u64>,
    answer: Option<bool>,
    raised: Option<String>,
    traceback: Option<String>,
    failed: Option<String>,
    log: Option<String>,
    level: i64,
    ready: Option<String>,
    login: bool,
    acl: bool,
    minds_payload: bool,
}

impl Process {
    /// Starts a process whose output goes to `output`, and waits until the module is ready. It dies with this thread.
    ///
    /// # Errors
    /// In words, why the module cannot be used.
    pub fn start(
        settings: &PythonSettings,
        output: &PipeWriter,
        print: &Print,
        stopping: &Stopping,
    ) -> Result<Self, String> {
        let cannot = |error: io::Error| format!("{} cannot be started: {error}", settings.interpreter);
        let (wire, theirs) = UnixStream::pair().map_err(cannot)?;
        let mut command = Command::new(&settings.interpreter);
        command
            .args(["-I", "-B", "-u", "-c", BOOT])
            .env_clear()
            .envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(output.try_clone().map_err(cannot)?)
            .stderr(output.try_clone().map_err(cannot)?);
        if let Some(user) = &settings.user {
            command.uid(user.uid).gid(user.gid);
        }
        confine(&mut command, settings.memory);
        let child = command.spawn().map_err(cannot)?;
        let able = Able { login: false, acl: false, minds_payload: false };
        // A module that hangs while it is imported has nothing to clean up.
        let (stopping, grace) = (stopping.clone(), Some(Duration::ZERO));
        let mut process = Process { child, wire, stopping, grace, asked: 0, able };
        drop(command);
        process.able = process.set_up(settings, print)?;
        process.grace = Some(FAREWELL);
        Ok(process)
    }

    fn set_up(&mut self, settings: &PythonSettings, print: &Print) -> Result<Able, String> {
        let until = Instant::now() + START;
        let setup = json!({
            "module": settings.module, "path": settings.path, "opts": settings.opts,
            "subscribe": settings.subscribe,
        });
        let mut script = length(WORKER.len()).to_vec();
        script.extend(WORKER.as_bytes());
        self.write(&script, until).and_then(|()| self.write(&frame(&setup, &[]), until)).map_err(
            |fault| format!("the process of the module {} could not be set up: {fault}", settings.module),
        )?;
        loop {
            let said = self.read(until, print);
            let said =
                said.map_err(|fault| format!("the module {} did not start: {fault}", settings.module))?;
            if let Some(failed) = said.failed {
                print.trace(&said.traceback.unwrap_or_default());
                return Err(failed);
            }
            if said.ready.is_some() {
                let Message { login, acl, minds_payload, .. } = said;
                return Ok(Able { login, acl, minds_payload });
            }
        }
    }

    /// Whether it still runs. One that does not has not been waited for, so that its number is not another's.
    pub fn is_alive(&self) -> bool {
        let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) else { return false };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(pid), options), Ok(None))
    }

    /// Calls a function and waits for what it returns, at most so long.
    ///
    /// # Errors
    /// In words, if there is no answer or none that can be understood; the process is of no use then.
    pub fn call(&mut self, call: &Call, time: Duration, print: &Print) -> Result<Returned, String> {
        let until = Instant::now() + time;
        self.asked += 1;
        let Call { name, arguments, payload } = call;
        let asked = json!({ "number": self.asked, "call": name, "args": arguments });
        self.write(&frame(&asked, payload), until)?;
        loop {
            let said = self.read(until, print)?;
            match said {
                Message { number: Some(number), .. } if number != self.asked => {
                    return Err("it answered what was not asked".to_owned());
                }
                Message { number: Some(_), answer: Some(answer), .. } => return Ok(Returned::Value(answer)),
                Message { number: Some(_), raised: Some(raised), traceback, .. } => {
                    print.trace(&traceback.unwrap_or_default());
                    return Ok(Returned::Raised(raised));
                }
                Message { log: Some(_), .. } => {}
                _ => return Err("it wrote what is no answer".to_owned()),
            }
        }
    }

    /// Has the module clean up, and ends the process.
    pub fn stop(mut self, print: &Print) {
        self.grace = None;
        let stop = Call { name: "stop", arguments: json!([]), payload: Vec::new() };
        if let Err(fault) = self.call(&stop, FAREWELL, print) {
            print.say(4, &format!("the module did not clean up: {fault}"));
        }
    }

    fn write(&mut self, bytes: &[u8], until: Instant) -> Result<(), String> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.wire.set_write_timeout(Some(self.left(until)?)).map_err(|error| error.to_string())?;
            match self.wire.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if is_passing(&error) => {}
                Err(_) => return Err(self.ended()),
            }
        }
        Ok(())
    }

    /// The next message; what it logs is passed on.
    fn read(&mut self, until: Instant, print: &Print) -> Result<Message, String> {
        let mut head = [0; 4];
        self.read_exact(&mut head, until)?;
        let size = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
        if size > LONGEST {
            return Err("it wrote what is no answer".to_owned());
        }
        let mut body = vec![0; size];
        self.read_exact(&mut body, until)?;
        let said: Message =
            serde_json::from_slice(&body).map_err(|_| "it wrote what is no answer".to_owned())?;
        if let Some(words) = &said.log {
            print.say(said.level, words);
        }
        Ok(said)
    }

    fn read_exact(&mut self, buffer: &mut [u8], until: Instant) -> Result<(), String> {
        let mut filled = 0;
        while filled < buffer.len() {
            self.wire.set_read_timeout(Some(self.left(until)?)).map_err(|error| error.to_string())?;
            match self.wire.read(&mut buffer[filled..]) {
                Ok(0) => return Err(self.ended()),
                Ok(count) => filled += count,
                Err(error) if is_passing(&error) => {}
                Err(_) => return Err(self.ended()),
            }
        }
        Ok(())
    }

    /// How long one read or write may take.
    fn left(&self, until: Instant) -> Result<Duration, String> {
        let now = Instant::now();
        let left = until.saturating_duration_since(now);
        let Some(grace) = self.grace else { return in_time(left) };
        match self.stopping.get() {
            Some(since) if now >= *since + grace => Err("the gateway is stopping".to_owned()),
            _ => in_time(left.min(GLANCE)),
        }
    }

    /// How it ended, or that it closed its end.
    fn ended(&self) -> String {
        match self.is_alive() {
            true => "its process does not speak any more".to_owned(),
            false => "its process ended".to_owned(),
        }
    }
}

impl Drop for Process {
    /// Kills it with all that it started in its group, and waits for it.
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended by itself.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has the process die with the thread that starts it, leave no core file with passwords, gain no rights and take no more
/// than `memory` bytes.
#[expect(
    unsafe_code,
    reason = "what is done between fork and exec are system calls alone, which may be made there"
)]
fn confine(command: &mut Command, memory: usize) {
    let gateway = getpid();
    let limit = |bytes: u64| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    let memory = (memory != usize::MAX).then(|| limit(memory as u64));
    let confine = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have ended before that.
        if getppid() != Some(gateway) {
            return Err(io::ErrorKind::NotFound.into());
        }
        rustix::thread::set_no_new_privs(true)?;
        setrlimit(Resource::Core, limit(0))?;
        memory.map_or(Ok(()), |memory| setrlimit(Resource::As, memory))?;
        Ok(())
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(confine) };
}

fn frame(head: &Value, payload: &[u8]) -> Vec<u8> {
    let head = head.to_string();
    let mut frame = Vec::with_capacity(8 + head.len() + payload.len());
    frame.extend(length(head.len()));
    frame.extend(length(payload.len()));
    frame.extend(head.as_bytes());
    frame.extend(payload);
    frame
}

/// A length as it is written. An MQTT packet, and so all that is sent, is shorter than 2^28.
fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

fn in_time(left: Duration) -> Result<Duration, String> {
    if left.is_zero() { Err("it did not answer in time".to_owned()) } else { Ok(left) }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
