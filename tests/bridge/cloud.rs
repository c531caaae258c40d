//! Debian's Mosquitto as the cloud, on a port that stays its own when it is ended and started again.

use std::{
    fs::OpenOptions,
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::subject::free_port;
use crate::support::{Client, Connect, eventually};

pub struct Cloud {
    pub port: u16,
    directory: tempfile::TempDir,
    child: Option<Child>,
}

impl Cloud {
    /// Runs, with these lines after its listener's.
    pub fn start(lines: &str) -> Self {
        let mut cloud = Cloud::prepare(lines);
        cloud.begin();
        cloud
    }

    /// Does not run yet.
    pub fn prepare(lines: &str) -> Self {
        Cloud::on(free_port(), lines)
    }

    pub fn on(port: u16, lines: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        // What is said of all listeners comes before the first.
        let (general, lines) = match lines.strip_prefix("per_listener_settings true\n") {
            Some(lines) => ("per_listener_settings true\n", lines),
            None => ("", lines),
        };
        let config = format!(
            "{general}user root\nlog_dest stderr\nlog_type all\nmax_queued_messages 0\npersistence true\npersistence_location ./\n\
             autosave_interval 0\nlistener {port} 127.0.0.1\nallow_anonymous true\n{lines}\n"
        );
        std::fs::write(directory.path().join("cloud.conf"), config).expect("write its configuration");
        Cloud { port, directory, child: None }
    }

    /// What it says.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default()
    }

    pub fn begin(&mut self) {
        let log = self.directory.path().join("stderr");
        let log = OpenOptions::new().create(true).append(true).open(log).expect("its log");
        let child = Command::new("mosquitto")
            .args(["-c", "cloud.conf"])
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mosquitto starts");
        self.child = Some(child);
        eventually("mosquitto listens", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    fn signal(&mut self, signal: Signal) {
        let child = self.child.as_mut().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it is there");
    }

    /// It forgets everything since it was last asked to write.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.take().expect("it runs").wait().expect("it ends");
    }

    /// It keeps everything.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.child.take().expect("it runs").wait().expect("it ends");
    }

    /// It neither answers nor closes.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    pub fn client(&self, name: &str) -> Client {
        let (client, connack) = Client::connect(self.port, &Connect::v5(name));
        assert_eq!(connack.code, 0);
        client
    }

    /// A client with a session that is kept.
    pub fn keeper(&self, name: &str) -> Client {
        Client::connect(self.port, &Connect::v5(name).keep_session()).0
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
