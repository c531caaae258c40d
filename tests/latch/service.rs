//! The stand-in for the Latch service (`tests/peers/latch/service.py`) as a process of its own, with a certificate of
//! its own authority.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::subject::{free_port, latchgate};

/// What the stand-in knows the application by; it has them in its own text.
pub const APPLICATION: &str = "APPIDAPPIDAPPIDAPPID";
pub const SECRET: &str = "0123456789abcdef0123456789abcdef01234567";

/// The account that the phone with the token `pair0N` has.
pub fn account(letter: char) -> String {
    letter.to_string().repeat(64)
}

pub struct Service {
    folder: TempDir,
    port: u16,
    running: RefCell<Option<(Child, u16)>>,
}

impl Service {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        latchgate(folder.path(), &["pki", "init"], "").exits(0);
        latchgate(folder.path(), &["pki", "issue", "service", "--server", "--san", "localhost"], "").exits(0);
        std::fs::write(folder.path().join("secret"), SECRET).expect("write the secret");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.path().join("secret"), private).expect("make it private");
        let service = Service { folder, port: free_port(), running: RefCell::default() };
        service.run();
        service
    }

    /// Starts it at its port.
    pub fn run(&self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/latch/service.py");
        let mut child = Command::new("python3")
            .arg(path)
            .args(["pki/issued/service.crt", "pki/issued/service.key", &self.port.to_string()])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts: run tests/run once");
        let mut line = String::new();
        let out = child.stdout.take().expect("stdout is piped");
        BufReader::new(out).read_line(&mut line).expect("the stand-in says its ports");
        let control = line.split_whitespace().nth(1).and_then(|port| port.parse().ok());
        *self.running.borrow_mut() = Some((child, control.expect("two ports")));
    }

    /// Ends it; what it knows is handed back, for [`Service::load`].
    pub fn end(&self) -> Value {
        let known = self.state();
        self.stop();
        known
    }

    fn stop(&self) {
        if let Some((mut child, _)) = self.running.borrow_mut().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `[latch]` with how to get there, the application left out.
    pub fn place(&self) -> String {
        format!(
            "[latch]\nhost = \"https://localhost:{}\"\nca = \"{}\"\npoll = \"250ms\"\ntimeout = \"1s\"\n",
            self.port,
            self.file("pki/ca.crt").display()
        )
    }

    /// The whole section, with an application that has no operations.
    pub fn section(&self) -> String {
        format!(
            "{}application_id = \"{APPLICATION}\"\nsecret_file = \"{}\"\n",
            self.place(),
            self.file("secret").display()
        )
    }

    /// The same with the two operations that `latch setup` makes.
    pub fn section_with_operations(&self) -> String {
        std::fs::write(self.file("setup.toml"), self.place()).expect("write a configuration");
        let input = format!("{APPLICATION}\n{SECRET}\n");
        let words = ["--config", "setup.toml", "latch", "setup", "--secret-file", "made.secret"];
        let answer = latchgate(self.folder.path(), &words, &input).exits(0);
        let lines = answer.out.strip_prefix("[latch]\n").expect("the section's lines").to_owned();
        let absolute = self.file("made.secret").display().to_string();
        self.place() + &lines.replace("made.secret", &absolute)
    }

    // ---- working it ---------------------------------------------------------------------------------

    fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let port = self.running.borrow().as_ref().expect("the stand-in runs").1;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the stand-in can be worked");
        let body = body.to_string();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}").expect("ask");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("head and body");
        serde_json::from_str(body).expect("JSON")
    }

    pub fn behave(&self, mode: &str) {
        self.control("POST", "/behave", &json!({ "mode": mode, "seconds": 30 }));
    }

    /// Otherwise right, with these settings of the stand-in.
    pub fn adjust(&self, settings: &Value) {
        self.control("POST", "/behave", settings);
    }

    /// What it counts: `connections`, `at_once`, `of_one_account`.
    pub fn gauge(&self, name: &str) -> u64 {
        self.control("GET", "/gauges", &Value::Null)[name].as_u64().expect("a number")
    }

    /// Every request is answered with this error from now on.
    pub fn refuse(&self, code: u64) {
        self.control("POST", "/behave", &json!({ "mode": "code", "code": code }));
    }

    /// The phone switches the application (`app`), an operation or an instance.
    pub fn switch(&self, account: &str, what: &str, status: &str) {
        self.control("POST", "/set", &json!({ "account": account, "what": what, "status": status }));
    }

    /// The phone's owner ends the pairing.
    pub fn unpair(&self, account: &str) {
        self.control("POST", "/unpair", &json!({ "account": account }));
    }

    /// Its clock runs ahead of this machine's.
    pub fn skew(&self, seconds: i64) {
        self.control("POST", "/skew", &json!({ "seconds": seconds }));
    }

    pub fn state(&self) -> Value {
        self.control("GET", "/state", &Value::Null)
    }

    pub fn load(&self, state: &Value) {
        self.control("POST", "/load", state);
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<String> {
        let list = self.control("GET", "/requests", &Value::Null);
        list.as_array().expect("a list").iter().map(|line| line.as_str().expect("text").to_owned()).collect()
    }

    /// The identifier of the operation or instance of this name.
    pub fn operation(&self, name: &str) -> String {
        let state = self.state();
        let operations = state["operations"].as_object().expect("operations");
        operations.iter().find(|(_, known)| *known == name).expect("there is one").0.clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}
