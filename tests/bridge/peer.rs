//! Brokers of other houses, each in a process and a folder of its own: RabbitMQ with its MQTT plugin, NATS with JetStream,
//! stock rumqttd. `tests/run bridges` installs or builds them.

use std::{
    fs::{self, OpenOptions, Permissions},
    net::TcpStream,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::subject::free_port;
use crate::within;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    RabbitMq,
    Nats,
    Rumqttd,
}

pub struct Peer {
    pub kind: Kind,
    /// Where it speaks version 3.1.1.
    pub port: u16,
    /// Ports of what it needs besides.
    others: [u16; 2],
    directory: tempfile::TempDir,
    children: Vec<Child>,
}

impl Peer {
    pub fn start(kind: Kind) -> Self {
        let mut peer = Peer {
            kind,
            port: free_port(),
            others: [free_port(), free_port()],
            directory: tempfile::tempdir().expect("a directory"),
            children: Vec::new(),
        };
        peer.prepare();
        peer.begin();
        peer
    }

    /// The highest QoS it takes without refusing or lowering it.
    pub fn most_qos(&self) -> u8 {
        match self.kind {
            Kind::RabbitMq | Kind::Nats => 1,
            Kind::Rumqttd => 2,
        }
    }

    /// The QoS at which a message of this one comes from it, by a subscription of the highest.
    pub fn delivers(&self, qos: u8) -> u8 {
        // rumqttd looks at the subscription alone.
        if self.kind == Kind::Rumqttd { self.most_qos() } else { qos }
    }

    /// Whether sessions and messages outlive it.
    pub fn remembers(&self) -> bool {
        self.kind != Kind::Rumqttd
    }

    fn prepare(&self) {
        let (home, port, [other, _]) = (self.directory.path(), self.port, self.others);
        let write = |name: &str, text: String| fs::write(home.join(name), text).expect("write its file");
        match self.kind {
            Kind::RabbitMq => {
                write("enabled_plugins", "[rabbitmq_mqtt].\n".into());
                write(
                    "rabbitmq.conf",
                    format!(
                        "listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{port}\nmqtt.allow_anonymous = true\n\
                         mqtt.prefetch = 100\nlog.file.level = info\n"
                    ),
                );
                write(".erlang.cookie", "a-cookie-of-this-test".into());
                let cookie = Permissions::from_mode(0o400);
                fs::set_permissions(home.join(".erlang.cookie"), cookie).expect("only its owner reads it");
            }
            Kind::Nats => write(
                "nats.conf",
                format!(
                    "host: 127.0.0.1\nport: {other}\nserver_name: peer\njetstream {{ store_dir: \"{}\" }}\n\
                     mqtt {{ host: 127.0.0.1, port: {port} }}\n",
                    home.join("store").display()
                ),
            ),
            Kind::Rumqttd => {}
        }
        if let Some((user, group)) = self.owner() {
            for path in [home.to_owned(), home.join(".erlang.cookie")] {
                chown(path, Some(user), Some(group)).expect("it may be given away");
            }
        }
    }

    /// RabbitMQ's own user, if we are root, whom it does not like.
    fn owner(&self) -> Option<(u32, u32)> {
        (self.kind == Kind::RabbitMq && rustix::process::geteuid().is_root()).then(|| {
            let id = |option| {
                let answer = Command::new("id").args([option, "rabbitmq"]).output().expect("id runs");
                String::from_utf8_lossy(&answer.stdout)
                    .trim()
                    .parse()
                    .expect("RabbitMQ has a user: run tests/run bridges")
            };
            (id("-u"), id("-g"))
        })
    }

    fn spawn(&mut self, command: &mut Command) {
        let log = self.directory.path().join("log");
        let log = OpenOptions::new().create(true).append(true).open(log).expect("its log");
        if let Some((user, group)) = self.owner() {
            command.uid(user).gid(group);
        }
        let child = command
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("duplicate it"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start ({error}): run tests/run bridges"));
        self.children.push(child);
    }

    /// Runs it, in the same folder and on the same port.
    pub fn begin(&mut self) {
        let home = self.directory.path().to_owned();
        let [first, second] = self.others;
        match self.kind {
            Kind::RabbitMq => {
                // Erlang's register of names: one of our own, which ends with us.
                let epmd = |command: &mut Command| {
                    command
                        .env("ERL_EPMD_PORT", first.to_string())
                        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
                        .env("HOME", &home);
                };
                let mut names = Command::new("epmd");
                epmd(&mut names);
                self.spawn(&mut names);
                within(10, "epmd listens", || TcpStream::connect(("127.0.0.1", first)).ok());
                let mut server = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
                epmd(&mut server);
                server
                    .env("RABBITMQ_NODENAME", format!("peer{first}@localhost"))
                    .env("RABBITMQ_CONF_ENV_FILE", home.join("none"))
                    .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq.conf"))
                    .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("enabled_plugins"))
                    .env("RABBITMQ_MNESIA_BASE", home.join("mnesia"))
                    .env("RABBITMQ_LOG_BASE", home.join("logs"))
                    .env("RABBITMQ_DIST_PORT", second.to_string())
                    .env("RABBITMQ_PID_FILE", home.join("pid"));
                self.spawn(&mut server);
            }
            Kind::Nats => {
                self.spawn(Command::new("nats-server").arg("-c").arg("nats.conf"));
            }
            Kind::Rumqttd => {
                let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/rumqttd/debug/rumqttd-peer");
                self.spawn(Command::new(built).arg(self.port.to_string()));
            }
        }
        let port = self.port;
        within(90, "the peer lets a client in", || {
            let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
            is_let_in(stream)
        });
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        for mut child in self.children.drain(..).rev() {
            let _ = kill_process_group(Pid::from_child(&child), Signal::TERM);
            let mut ended = false;
            for _ in 0..3000 {
                ended = child.try_wait().expect("ask for its status").is_some();
                if ended {
                    break;
                }
                std::thread::park_timeout(Duration::from_millis(10));
            }
            if !ended {
                let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
                child.wait().expect("it ends");
            }
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the peer's log ---\n{}", self.log());
        }
    }
}

/// Whether a broker that listens takes a client as well.
fn is_let_in(mut stream: TcpStream) -> Option<()> {
    use std::io::{Read, Write};
    stream.write_all(&crate::support::Connect::v311("probe").encode()).ok()?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).ok()?;
    (answer == [0x20, 2, 0, 0]).then_some(())
}
