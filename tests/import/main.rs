//! The way over from Mosquitto: its configuration is imported unchanged, and then the gateway runs on what was made.

#[path = "../support/mod.rs"]
mod support;

mod afterwards;
mod bridge;
mod databases;
mod differential;
mod dynsec;
mod folder;
mod lampi;
mod left_out;
mod plugins;
mod tls;
mod words;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use support::{
    Client, Connect, Version, eventually,
    subject::{Answer, EXECUTABLE, latchgate},
};
use tempfile::TempDir;

/// `password`, as mosquitto_passwd stores it.
pub const STORED: &str = "$7$101$AAECAwQFBgcICQoL$DEO14ViPofBJRJpN8uZINnuFUWj8eUeWhlyZ2QOQ+5LgiM0kGXMwv2HwhIvlBQTsHkd+uve2/GFOr/KZ8Y/8Hw==";
pub const PASSWORD: &str = "password";

/// Lines of a `password_file`.
pub fn passwd(users: &[&str]) -> String {
    users.iter().map(|user| format!("{user}:{STORED}\n")).collect()
}

/// A folder with files of Mosquitto.
pub struct Origin {
    folder: TempDir,
}

impl Origin {
    /// With a `mosquitto.conf` of these lines.
    pub fn new(conf: &str) -> Self {
        let origin = Origin { folder: tempfile::tempdir().expect("a temporary directory") };
        origin.with("mosquitto.conf", conf)
    }

    /// With another file.
    pub fn with(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
        std::fs::write(path, text).expect("write a file");
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the import in the folder.
    pub fn import(&self, more: &[&str]) -> Answer {
        let mut words = vec!["import", "mosquitto", "mosquitto.conf", "--out", "new"];
        words.extend(more);
        latchgate(self.folder(), &words, "")
    }

    /// Imports, and checks what must hold in any case: the report knows every line once, and what was made is right.
    pub fn imported(&self) -> Imported<'_> {
        let answer = self.import(&["--json"]);
        let report: Value =
            serde_json::from_str(&answer.out).unwrap_or_else(|e| panic!("{e}: {}{}", answer.out, answer.err));
        let imported = Imported { origin: self, report, code: answer.code };
        imported.check();
        imported
    }

    /// What the servers wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Mosquitto itself on these files.
    pub fn mosquitto(&self, port: u16) -> Running {
        Running::start(
            Command::new("mosquitto").args(["-c", "mosquitto.conf"]).current_dir(self.folder()),
            self,
            port,
        )
    }
}

/// What an import made.
pub struct Imported<'a> {
    origin: &'a Origin,
    pub report: Value,
    pub code: i32,
}

impl Imported<'_> {
    /// The text of the configuration.
    pub fn toml(&self) -> String {
        std::fs::read_to_string(self.origin.path("new/latchgate.toml")).expect("read the configuration")
    }

    fn lines(&self) -> &[Value] {
        self.report["lines"].as_array().expect("a list of lines")
    }

    /// Verdict and note of a line.
    pub fn line(&self, file: &str, number: usize) -> (&str, &str) {
        let at = |line: &&Value| {
            line["line"] == number && Path::new(line["file"].as_str().expect("a file")).ends_with(file)
        };
        let line =
            self.lines().iter().find(at).unwrap_or_else(|| panic!("{file}:{number} in {:#}", self.report));
        (line["verdict"].as_str().expect("a verdict"), line["note"].as_str().expect("a note"))
    }

    /// The verdicts of one file's lines that say something.
    pub fn verdicts(&self, file: &str) -> Vec<&str> {
        let of = |line: &&Value| {
            Path::new(line["file"].as_str().expect("a file")).ends_with(file)
                && line["blank_or_comment"] == false
        };
        self.lines().iter().filter(of).map(|line| line["verdict"].as_str().expect("a verdict")).collect()
    }

    fn check(&self) {
        let mut seen = std::collections::HashSet::new();
        let mut lacks = false;
        for line in self.lines() {
            let place = (line["file"].to_string(), line["line"].to_string());
            assert!(seen.insert(place), "a line comes twice: {line}");
            let verdict = line["verdict"].as_str().expect("each line has a verdict");
            assert!(["translated", "changed", "not needed", "not possible"].contains(&verdict), "{verdict}");
            let explains = verdict == "translated" || verdict == "not needed" || line["note"] != "";
            assert!(explains, "no word of what differs or what to do: {line}");
            assert!(!line["note"].as_str().expect("a note").contains("is not understood"), "{line}");
            lacks |= verdict == "not possible";
        }
        // Where no listener could be made the gateway must not start, as if all were well.
        let shut = !self.toml().contains("[[listener]]");
        assert_eq!(self.code, if shut { 2 } else { i32::from(lacks) }, "{:#}", self.report);
        let answer = latchgate(self.origin.folder(), &["--config", "new/latchgate.toml", "check"], "");
        assert_eq!(answer.code, if shut { 2 } else { 0 }, "{}\n{}", answer.err, self.toml());
        assert_eq!(answer.err.contains("there is no listener, so nobody could connect"), shut, "{answer:?}");
    }

    /// The gateway on what was made; it listens on `port`.
    pub fn run(&self, port: u16) -> Running {
        let mut command = Command::new(EXECUTABLE);
        let config = self.origin.path("new/latchgate.toml");
        Running::start(command.arg("--config").arg(config).arg("run").current_dir("/"), self.origin, port)
    }

    /// A command on what was made.
    pub fn command(&self, words: &[&str]) -> Answer {
        let config = self.origin.path("new/latchgate.toml");
        let mut all = vec!["--config", config.to_str().expect("a plain path")];
        all.extend(words);
        latchgate(self.origin.folder(), &all, "")
    }
}

/// A broker that runs until it is dropped.
pub struct Running {
    child: Child,
}

/// Connects with version 5; none if that is refused.
pub fn enter(port: u16, client_id: &str, login: Option<(&str, &str)>) -> Option<Client> {
    let connect = Connect::new(Version::V5, client_id);
    let connect = match login {
        Some((user, password)) => connect.login(user, password),
        None => connect,
    };
    let (client, connack) = Client::connect(port, &connect);
    (connack.code == 0).then_some(client)
}

impl Running {
    fn start(command: &mut Command, origin: &Origin, port: u16) -> Self {
        let path = origin.path("log");
        let log = File::options().create(true).append(true).open(&path).expect("a log file");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the server is there: run tests/run once");
        eventually("the server listens", || {
            if let Some(status) = child.try_wait().expect("ask for its status") {
                panic!("the server ended ({status}): {}", std::fs::read_to_string(&path).unwrap_or_default());
            }
            std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
        });
        Running { child }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
