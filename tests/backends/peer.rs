//! Programs of `tests/peers/backends` as processes of their own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use parking_lot::Mutex;
use serde_json::Value;

use crate::support::subject::free_port;

/// A program that runs until it is dropped. Its first line is its port.
pub struct Peer {
    child: Mutex<Option<Child>>,
    pub port: u16,
    /// What it says after its port, line by line.
    pub says: Vec<String>,
}

fn python(program: &str, arguments: &[&str]) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/backends").join(program);
    let python = std::env::var("LATCHGATE_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(python);
    command.arg(path).args(arguments);
    command
}

/// Starts a program and reads the first lines that it says.
fn launch(mut command: Command, lines: usize) -> (Child, Vec<String>) {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}: run tests/run once"));
    let mut out: BufReader<ChildStdout> = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let read = |_| {
        let mut line = String::new();
        out.read_line(&mut line).expect("the program says its lines");
        line.trim_end().to_owned()
    };
    let said = (0..lines).map(read).collect();
    (child, said)
}

impl Peer {
    pub fn start(program: &str, arguments: &[&str], lines: usize) -> Self {
        Self::of(launch(python(program, arguments), lines))
    }

    fn of((child, mut says): (Child, Vec<String>)) -> Self {
        let port =
            says.remove(0).parse().expect("a port: is what the program needs installed? run tests/run once");
        Peer { child: Mutex::new(Some(child)), port, says }
    }

    /// A program for node, with the packages that tests/run installs.
    pub fn node(program: &str, arguments: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = root.join("tests/peers/backends").join(program);
        let mut command = Command::new("node");
        command.arg(path).arg(root.join("target/node-backends")).args(arguments).stderr(Stdio::null());
        Self::of(launch(command, 1))
    }

    /// The scriptable service.
    pub fn service() -> Self {
        Self::start("service.py", &[&free_port().to_string()], 1)
    }

    pub fn stop(&self) {
        if let Some(mut child) = self.child.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the service again at its port.
    pub fn start_again(&self) {
        self.stop();
        *self.child.lock() = Some(launch(python("service.py", &[&self.port.to_string()]), 1).0);
    }

    /// Has the service behave otherwise.
    pub fn script(&self, script: &str) {
        self.request("POST", "/script", script);
    }

    /// What the service was asked since the last time.
    pub fn asked(&self) -> Vec<Value> {
        serde_json::from_str(&self.request("GET", "/asked", "")).expect("JSON")
    }

    fn request(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the service listens");
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .expect("write the request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read the answer");
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop();
    }
}
