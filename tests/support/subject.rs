//! The server under test as a process of its own, on a free loopback port, stopped on drop.
//!
//! `MQTT_TEST_SUBJECT` chooses it: `latchgate` (default) or `mosquitto`, which proves the tests themselves.
//! `MQTT_TEST_DOOR=websocket` has its clients come in over WebSocket, through a relay.
//! A server that died, or that wrote of a panic, fails the test that used it. What it has to remember over
//! [`Subject::kill`] and [`Subject::start_again`] lies in its directory.

use std::cell::OnceCell;
use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::client::{Client, ConnAck};
use super::eventually;
use super::packet::Connect;
use super::relay;

pub const EXECUTABLE: &str = env!("CARGO_BIN_EXE_latchgate");

pub fn is_mosquitto() -> bool {
    match std::env::var("MQTT_TEST_SUBJECT").as_deref() {
        Ok("mosquitto") => true,
        Ok("latchgate") | Err(_) => false,
        Ok(other) => panic!("MQTT_TEST_SUBJECT is latchgate or mosquitto, not {other:?}"),
    }
}

/// Whether clients come in over WebSocket.
fn is_websocket() -> bool {
    match std::env::var("MQTT_TEST_DOOR").as_deref() {
        Ok("websocket") => true,
        Ok("tcp") | Err(_) => false,
        Ok(other) => panic!("MQTT_TEST_DOOR is tcp or websocket, not {other:?}"),
    }
}

/// What a command of the executable answered.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Answer {
    /// Fails unless the exit status is this one.
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit status; stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

/// Runs the executable under test with `input` on its standard input.
pub fn latchgate(directory: &Path, arguments: &[&str], input: &str) -> Answer {
    latchgate_with(directory, arguments, input, &[])
}

/// The same with more in its environment.
pub fn latchgate_with(
    directory: &Path,
    arguments: &[&str],
    input: &str,
    environment: &[(&str, String)],
) -> Answer {
    let mut child = Command::new(EXECUTABLE)
        .args(arguments)
        .current_dir(directory)
        .env_remove("LATCHGATE_CONFIG")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the executable starts");
    // A command that does not read its input may have closed it already.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the command ends");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!err.contains("panicked at"), "{arguments:?} panicked: {err}");
    Answer {
        code: output.status.code().expect("the command ends by itself"),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err,
    }
}

/// A loopback port that no other test has while this process lives. It lies below those that the kernel gives away, so
/// that nobody else's connection has it either: while a server is down, a client that tries again would else meet itself.
pub fn free_port() -> u16 {
    // Tests run in processes of their own: a name in the abstract namespace is one's own until the process ends.
    static MINE: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());
    let seed = RandomState::new().build_hasher().finish();
    for step in 0..20_000 {
        let port = 12_000 + (seed.wrapping_add(step) % 20_000) as u16;
        let name =
            SocketAddr::from_abstract_name(format!("latchgate-test-port-{port}")).expect("a short name");
        let Ok(claim) = UnixDatagram::bind_addr(&name) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            MINE.lock().push(claim);
            return port;
        }
    }
    panic!("none of 20,000 ports is free");
}

/// The environment of a program whose clock is what this file says.
pub fn clock(file: &Path) -> [(&'static str, String); 4] {
    [
        ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1".to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// Settings of the server, made before it starts.
#[derive(Default)]
pub struct Settings {
    limits: Vec<(String, u64)>,
    sections: String,
    listener: String,
    gateway: String,
    nobody: bool,
    mosquitto: String,
    environment: Vec<(String, String)>,
}

impl Settings {
    /// A key of `[limits]`. Those that Mosquitto knows are translated for it.
    pub fn limit(mut self, key: &str, value: u64) -> Self {
        self.limits.push((key.into(), value));
        self
    }

    /// More TOML at the end of the configuration (Latchgate only).
    pub fn section(mut self, toml: &str) -> Self {
        writeln!(self.sections, "{toml}").expect("a string grows");
        self
    }

    /// The listener's lines after name and address; default `anonymous = "guest"` (Latchgate only).
    pub fn listener(mut self, toml: &str) -> Self {
        self.listener = toml.into();
        self
    }

    /// Lines of `[gateway]` (Latchgate only).
    pub fn gateway(mut self, toml: &str) -> Self {
        self.gateway = toml.into();
        self
    }

    /// Without the rules that permit everything to everyone (Latchgate only).
    pub fn without_rules(mut self) -> Self {
        self.nobody = true;
        self
    }

    /// Mosquitto too keeps what it has to, in its directory, and writes it when it ends in order or
    /// [`Subject::save`] asks for it.
    pub fn lasting(self) -> Self {
        self.mosquitto("persistence true\npersistence_location ./\nautosave_interval 0")
    }

    /// More lines of Mosquitto's configuration.
    pub fn mosquitto(mut self, lines: &str) -> Self {
        writeln!(self.mosquitto, "{lines}").expect("a string grows");
        self
    }

    /// A variable of the server's environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The server's clock is what this file says, as `faketime` understands it; it may be written anew.
    pub fn clock(self, file: &Path) -> Self {
        clock(file).iter().fold(self, |settings, (name, value)| settings.environment(name, value))
    }

    /// Makes the server and starts it.
    pub fn start(self) -> Subject {
        let subject = self.prepare();
        subject.port();
        subject
    }

    /// Makes the server; it starts when its port is first asked for, so that commands given before the first
    /// client are obeyed from the beginning.
    pub fn prepare(self) -> Subject {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = directory.path().join("server.conf");
        let subject = Subject { settings: self, config, running: OnceCell::new(), directory };
        subject.configure(1);
        if !is_mosquitto() && !subject.settings.nobody {
            for filter in ["#", "$SYS/#", "$own/#"] {
                subject.command(&["acl", "allow", "*", "all", filter]).exits(0);
            }
        }
        subject
    }

    fn toml(&self, port: u16) -> String {
        let listener = if self.listener.is_empty() { "anonymous = \"guest\"" } else { &self.listener };
        let protocol = if is_websocket() { "protocol = \"websocket\"" } else { "" };
        let mut text = format!(
            "[gateway]\nstate = \"state\"\n{}\n\n[[listener]]\nname = \"plain\"\naddress = \"127.0.0.1:{port}\"\n\
             {protocol}\n{listener}\n\n[limits]\n",
            self.gateway
        );
        for (key, value) in &self.limits {
            writeln!(text, "{key} = {value}").expect("a string grows");
        }
        text + &self.sections
    }

    fn mosquitto_conf(&self, port: u16) -> String {
        let mut text = format!(
            "user root\nlog_dest stderr\nmax_queued_messages 0\nlistener {port} 127.0.0.1\nallow_anonymous true\n"
        );
        if is_websocket() {
            text += "protocol websockets\n";
        }
        for (key, value) in &self.limits {
            let name = match key.as_str() {
                "connections" => "max_connections",
                "packet_size" => "max_packet_size",
                "inflight" => "max_inflight_messages",
                "queued_messages" => "max_queued_messages",
                _ => continue,
            };
            writeln!(text, "{name} {value}").expect("a string grows");
        }
        text + &self.mosquitto
    }
}

pub struct Subject {
    settings: Settings,
    config: PathBuf,
    running: OnceCell<(u16, Mutex<Option<Child>>)>,
    directory: TempDir,
}

impl Subject {
    /// A server that permits everything to everyone.
    pub fn start() -> Self {
        Settings::default().start()
    }

    pub fn with() -> Settings {
        Settings::default()
    }

    /// Where the server listens; starts it if it does not run yet.
    pub fn port(&self) -> u16 {
        self.running.get_or_init(|| self.run()).0
    }

    fn configure(&self, port: u16) {
        let text = if is_mosquitto() { self.settings.mosquitto_conf(port) } else { self.settings.toml(port) };
        std::fs::write(&self.config, text).expect("write the configuration");
    }

    fn run(&self) -> (u16, Mutex<Option<Child>>) {
        let port = free_port();
        self.configure(port);
        match self.launch(port, &[]) {
            Ok(child) => (if is_websocket() { relay::start(port) } else { port }, Mutex::new(Some(child))),
            Err(status) => panic!("the server did not start ({status}):\n{}", self.log()),
        }
    }

    /// Starts the server and waits until it listens, or has ended.
    fn launch(&self, port: u16, environment: &[(&str, &str)]) -> Result<Child, ExitStatus> {
        let mut child = self.spawn(environment);
        eventually("the server accepts connections or ends", || {
            if let Some(status) = child.try_wait().expect("ask for the server's status") {
                return Some(Err(status));
            }
            TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(Ok(()))
        })?;
        Ok(child)
    }

    fn spawn(&self, environment: &[(&str, &str)]) -> Child {
        let mut command = if is_mosquitto() {
            let mut command = Command::new("mosquitto");
            command.arg("-c").arg(&self.config);
            command
        } else {
            let mut command = Command::new(EXECUTABLE);
            command.arg("--config").arg(&self.config).arg("run");
            command
        };
        let log = self.directory.path().join("stderr");
        let log = OpenOptions::new().create(true).append(true).open(log).expect("open the log file");
        command
            .current_dir(self.directory.path())
            .envs(self.settings.environment.iter().map(|(name, value)| (name, value)))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("duplicate the log file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?} does not start ({e}): run tests/run once"))
    }

    fn child(&self) -> &Mutex<Option<Child>> {
        &self.running.get_or_init(|| self.run()).1
    }

    /// Connects; the server must accept.
    pub fn accept(&self, connect: &Connect) -> Client {
        self.accept_with_connack(connect).0
    }

    pub fn accept_with_connack(&self, connect: &Connect) -> (Client, ConnAck) {
        let (client, connack) = Client::connect(self.port(), connect);
        assert_eq!(connack.code, 0, "{connect:?} was refused with {:#04x}", connack.code);
        (client, connack)
    }

    /// A clean 3.1.1 client.
    pub fn v311(&self, client_id: &str) -> Client {
        self.accept(&Connect::v311(client_id))
    }

    /// A clean v5 client.
    pub fn v5(&self, client_id: &str) -> Client {
        self.accept(&Connect::v5(client_id))
    }

    /// The server must refuse this CONNECT; the code of its CONNACK. The connection is then closed.
    pub fn refuse(&self, connect: &Connect) -> ConnAck {
        let (mut client, connack) = Client::connect(self.port(), connect);
        assert_ne!(connack.code, 0, "{connect:?} was accepted");
        assert!(!connack.session_present, "a refusal says session present 0 [MQTT-3.2.2-6]");
        client.expect_closed();
        connack
    }

    /// The server still serves somebody new.
    pub fn still_serves(&self) {
        let mut fresh = self.v311("still-serves");
        fresh.nothing_arrives();
        fresh.disconnect();
    }

    /// Runs a command of the executable on this server's configuration.
    pub fn command(&self, arguments: &[&str]) -> Answer {
        self.command_with_input(arguments, "")
    }

    pub fn command_with_input(&self, arguments: &[&str], input: &str) -> Answer {
        let mut all = vec!["--config", path_text(&self.config)];
        all.extend(arguments);
        latchgate(self.directory.path(), &all, input)
    }

    /// Runs a command whose clock is what the file says.
    pub fn command_by_clock(&self, file: &Path, arguments: &[&str]) -> Answer {
        let mut all = vec!["--config", path_text(&self.config)];
        all.extend(arguments);
        latchgate_with(self.directory.path(), &all, "", &clock(file))
    }

    pub fn config(&self) -> &Path {
        &self.config
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default()
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.child().lock().as_ref().expect("the server was not waited for").id()
    }

    pub fn signal(&self, signal: Signal) {
        let child = self.child().lock();
        let child = child.as_ref().expect("the server was not waited for");
        kill_process(Pid::from_child(child), signal).expect("signal the server");
    }

    /// Ends the server at once, as `kill -9` does; it can be started again.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Whether the server has ended by itself.
    pub fn has_ended(&self) -> bool {
        let mut child = self.child().lock();
        let child = child.as_mut().expect("the server was not waited for");
        child.try_wait().expect("ask for the server's status").is_some()
    }

    /// Starts a server that has ended, in the same directory and at the same port.
    pub fn start_again(&self) {
        if let Err(status) = self.try_start_again(&[]) {
            panic!("the server did not start again ({status}):\n{}", self.log());
        }
    }

    /// The same, with more in its environment this time, for one that may not start: how it ended then.
    pub fn try_start_again(&self, environment: &[(&str, &str)]) -> Result<(), ExitStatus> {
        let mut running = self.child().lock();
        assert!(running.is_none(), "the server still runs");
        *running = Some(self.launch(self.port(), environment)?);
        Ok(())
    }

    /// Has Mosquitto write what it keeps; Latchgate needs no asking.
    pub fn save(&self) {
        if !is_mosquitto() {
            return;
        }
        let file = self.directory.path().join("mosquitto.db");
        let _ = std::fs::remove_file(&file);
        self.signal(Signal::USR1);
        eventually("mosquitto writes its file", || file.exists().then_some(()));
    }

    /// Waits for the server to end by itself.
    pub fn wait(&self) -> ExitStatus {
        let mut child = self.child().lock().take().expect("the server was not waited for");
        eventually("the server ends", || child.try_wait().expect("ask for the server's status"))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let Some(mut child) = self.running.get().and_then(|(_, child)| child.lock().take()) else { return };
        let died = child.try_wait().ok().flatten();
        if died.is_none() {
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            let deadline = std::time::Instant::now() + super::BOUND;
            while child.try_wait().ok().flatten().is_none() {
                if std::time::Instant::now() > deadline {
                    let _ = child.kill();
                }
                std::thread::park_timeout(std::time::Duration::from_millis(5));
            }
        }
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", log_tail(self.directory.path()));
            return;
        }
        assert!(died.is_none(), "the server ended during the test ({died:?}):\n{log}");
        assert!(!log.contains("panicked at"), "the server panicked:\n{log}");
    }
}

fn log_tail(directory: &Path) -> String {
    let log = std::fs::read_to_string(directory.join("stderr")).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("a temporary directory has a name in UTF-8")
}
