//! A client that nobody here wrote, in a process of its own that obeys one command a line.
//!
//! `drive_*` are the programs: one for each client, started with the port and the protocol version. A command is a
//! verb and `key=value` words between spaces; each is answered by one line, in the same form:
//!
//! | command | answer |
//! |---|---|
//! | `connect id= clean=0,1 [user= password= will= expiry= aliases=]` | `connected session=0,1` or `refused code=` |
//! | `subscribe filter= qos=` | `subscribed code=` |
//! | `unsubscribe filter=` | `unsubscribed` |
//! | `publish topic= qos= retain=0,1 payload= [user= type= response= correlation= expiry= alias=]` | `published code=`, once it is acknowledged |
//! | `receive` waits for the next message | `message topic= qos= retain= payload= [user= type= response= correlation= expiry=]` |
//! | `disconnect` | `disconnected` |
//!
//! A will says "gone". Dropping the value kills the process, which cuts the connection without a word.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use super::python;
use crate::support::{BOUND, Subject, Version};

/// The clients there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gmqtt,
    MqttJs,
    PahoC,
    PahoPython,
}

impl Kind {
    /// Whether the client puts the topic back that a broker sent as an alias; the others leave it to the application.
    pub fn resolves_aliases(self) -> bool {
        matches!(self, Kind::Gmqtt | Kind::MqttJs)
    }

    /// How the client reports that name or password is wrong.
    pub fn wrong_password(self, version: Version) -> u8 {
        // paho for Python translates the return codes of 3.1.1 into reason codes.
        if version == Version::V5 || self == Kind::PahoPython { 0x86 } else { 4 }
    }

    /// What the client reports of a version 5 publish that was refused with 0x87.
    pub fn denied(self, qos: u8) -> u8 {
        // paho for Python passes over the refusal of a QoS 2 message in PUBREC, sends PUBREL, and reports that
        // PUBCOMP does not know the identifier.
        if self == Kind::PahoPython && qos == 2 { 0x92 } else { 0x87 }
    }

    /// How the client reports that it found its session again.
    pub fn connected_again(self, version: Version) -> &'static str {
        // paho's synchronous client for C has no way to tell it in version 5.
        if self == Kind::PahoC && version == Version::V5 {
            "connected session=0"
        } else {
            "connected session=1"
        }
    }

    /// A process of this client for the server, not connected yet.
    pub fn start(self, subject: &Subject, version: Version) -> Foreign {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let mut command = match self {
            Kind::Gmqtt => with_script(&python(), &folder.join("drive_gmqtt.py")),
            Kind::PahoPython => with_script(&python(), &folder.join("drive_paho.py")),
            Kind::MqttJs => with_script("node", &folder.join("drive_mqttjs.mjs")),
            Kind::PahoC => Command::new(compiled(&folder.join("drive_paho.c"))),
        };
        command.args([subject.port().to_string(), if version == Version::V5 { "5" } else { "4" }.into()]);
        Foreign::spawn(command)
    }

    /// A connected client with a clean session.
    pub fn connect(self, subject: &Subject, version: Version, id: &str) -> Foreign {
        self.connect_with(subject, version, &format!("id={id} clean=1"))
    }

    /// A connected client; the words of `connect`. There must be no session of before.
    pub fn connect_with(self, subject: &Subject, version: Version, words: &str) -> Foreign {
        let mut client = self.start(subject, version);
        assert_eq!(client.tell(&format!("connect {words}")), "connected session=0");
        client
    }
}

fn with_script(interpreter: &str, script: &Path) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(script);
    command
}

/// The program made of this C source and paho's library.
fn compiled(source: &Path) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drive-paho");
    let made = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    if made(&program) > made(source) {
        return program;
    }
    // Made aside and moved into place: tests in other processes may do the same.
    let fresh = program.with_extension(std::process::id().to_string());
    let output = Command::new("cc")
        .args(["-O1", "-Wall", "-o"])
        .arg(&fresh)
        .arg(source)
        .args(["-lpaho-mqtt3c", "-lpthread"])
        .output()
        .unwrap_or_else(|e| panic!("cc does not start ({e}): tests/run installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "paho's client for C cannot be built; tests/run installs it:\n{said}");
    std::fs::rename(&fresh, &program).expect("move the program into place");
    program
}

/// One process, and so one client.
pub struct Foreign {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Foreign {
    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?} does not start ({e}): tests/run installs it"));
        let input = child.stdin.take().expect("stdin is piped");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Foreign { child, input, lines }
    }

    /// Gives a command and returns its answer, which must come within the bound.
    pub fn tell(&mut self, command: &str) -> String {
        let given = writeln!(self.input, "{command}");
        let answer = self.lines.recv_timeout(BOUND);
        match (given, answer) {
            (Ok(()), Ok(line)) => line,
            (given, answer) => {
                let _ = self.child.kill();
                let mut said = String::new();
                let _ = self.child.stderr.take().expect("stderr is piped").read_to_string(&mut said);
                let command = &command[..command.len().min(200)];
                panic!(
                    "no answer to {command:?} ({given:?}, {answer:?}); if a module is missing, tests/run installs it:\n{said}"
                )
            }
        }
    }

    /// Subscribes; the code of the answer, which is the quality of service if it was granted.
    pub fn ask_to_subscribe(&mut self, filter: &str, qos: u8) -> u8 {
        code(&self.tell(&format!("subscribe filter={filter} qos={qos}")), "subscribed")
    }

    /// Subscribes, and must get what it asked for.
    pub fn subscribe(&mut self, filter: &str, qos: u8) {
        assert_eq!(self.ask_to_subscribe(filter, qos), qos, "{filter}");
    }

    pub fn unsubscribe(&mut self, filter: &str) {
        assert_eq!(self.tell(&format!("unsubscribe filter={filter}")), "unsubscribed");
    }

    /// Publishes, with more words if need be; the code of the acknowledgement, 0 at QoS 0.
    pub fn ask_to_publish(&mut self, topic: &str, qos: u8, payload: &str, words: &str) -> u8 {
        let command = format!("publish topic={topic} qos={qos} retain=0 payload={payload} {words}");
        code(&self.tell(&command), "published")
    }

    /// Publishes; it must be accepted.
    pub fn publish(&mut self, topic: &str, qos: u8, payload: &str) {
        accepted(self.ask_to_publish(topic, qos, payload, ""), topic);
    }

    /// Publishes a message to be retained; it must be accepted.
    pub fn retain(&mut self, topic: &str, qos: u8, payload: &str) {
        let command = format!("publish topic={topic} qos={qos} retain=1 payload={payload}");
        accepted(code(&self.tell(&command), "published"), topic);
    }

    /// The next message must be this one, without the retain flag and without properties.
    pub fn expect(&mut self, topic: &str, qos: u8, payload: &str) {
        let expected = format!("message topic={topic} qos={qos} retain=0 payload={payload}");
        assert_eq!(self.tell("receive"), expected);
    }

    pub fn disconnect(mut self) {
        assert_eq!(self.tell("disconnect"), "disconnected");
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn accepted(code: u8, topic: &str) {
    // Version 5 may say that nobody is subscribed (0x10), which is no refusal.
    assert!([0, 0x10].contains(&code), "publishing to {topic} was answered {code:#04x}");
}

fn code(answer: &str, verb: &str) -> u8 {
    let code = answer.strip_prefix(verb).and_then(|rest| rest.strip_prefix(" code="));
    code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{verb} expected, not {answer:?}"))
}
