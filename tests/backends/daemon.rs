//! Servers of databases as Debian has them, each started by its test: in a folder and at a port of its own, as a user
//! who is not root.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::support::{eventually, subject::free_port};

/// The password of the gateway's account there.
pub const SECRET: &str = "s3cret of the 'gateway'";

/// A server that runs until it is dropped.
pub struct Daemon {
    directory: tempfile::TempDir,
    pub port: u16,
    owner: &'static str,
    arguments: Mutex<Vec<String>>,
    child: Mutex<Option<Child>>,
}

/// A command that runs as `owner`, or as who runs the tests if that is not root.
fn as_owner(owner: &str, program: impl AsRef<Path>) -> Command {
    if !geteuid().is_root() {
        return Command::new(program.as_ref());
    }
    let mut command = Command::new("setpriv");
    let (user, group) = (format!("--reuid={owner}"), format!("--regid={}", group_of(owner)));
    command.args([&user, &group, "--clear-groups", "--"]).arg(program.as_ref());
    command
}

fn group_of(owner: &str) -> &str {
    if owner == "nobody" { "nogroup" } else { owner }
}

fn succeeds(mut command: Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run tests/run once"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

impl Daemon {
    /// A folder that the server's user owns, with a certificate for `localhost` and its authority in it.
    fn new(owner: &'static str) -> Self {
        let directory = tempfile::Builder::new().prefix("db").tempdir_in("/tmp").expect("a directory");
        let path = directory.path();
        let authority = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = parameters.self_signed(&authority).expect("sign");
        let issuer = rcgen::Issuer::new(parameters, &authority);
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned()];
        let own =
            rcgen::CertificateParams::new(names).expect("parameters").signed_by(&key, &issuer).expect("sign");
        let client_key = rcgen::KeyPair::generate().expect("a key");
        let mut names = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        names.distinguished_name.push(rcgen::DnType::CommonName, "gateway");
        let client = names.signed_by(&client_key, &issuer).expect("sign");
        for (name, text) in [
            ("ca.pem", ca.pem()),
            ("server.pem", own.pem()),
            ("server.key", key.serialize_pem()),
            ("client.pem", client.pem()),
            ("client.key", client_key.serialize_pem()),
        ] {
            std::fs::write(path.join(name), text).expect("write a file");
        }
        std::fs::write(path.join("secret"), format!("{SECRET}\n")).expect("write a file");
        succeeds({
            let mut chmod = Command::new("chmod");
            chmod.arg("600").arg(path.join("server.key"));
            chmod
        });
        if geteuid().is_root() {
            let mut chown = Command::new("chown");
            chown.arg("-R").arg(format!("{owner}:{}", group_of(owner))).arg(path);
            succeeds(chown);
            // The gateway and the clients of the tests run as somebody else.
            let mut chmod = Command::new("chmod");
            chmod.arg("755").arg(path);
            succeeds(chmod);
        }
        Daemon { directory, port: free_port(), owner, arguments: Mutex::default(), child: Mutex::default() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn launch(&self) {
        let arguments = self.arguments.lock().clone();
        let mut command = as_owner(self.owner, &arguments[0]);
        let log = std::fs::File::options().append(true).create(true).open(self.path("log")).expect("a log");
        command.args(&arguments[1..]).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}: run tests/run once"));
        *self.child.lock() = Some(child);
    }

    /// The server and its children: each connection may have a process of its own.
    fn family(&self) -> Vec<Pid> {
        let Some(parent) = self.child.lock().as_ref().map(Child::id) else { return Vec::new() };
        let mut family = vec![parent];
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let after = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
            let of = after.split_whitespace().nth(1).and_then(|parent| parent.parse::<u32>().ok());
            if of == Some(parent) {
                family.extend(entry.file_name().to_string_lossy().parse::<u32>().ok());
            }
        }
        family.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())).collect()
    }

    fn signal(&self, signal: Signal) {
        for pid in self.family() {
            let _ = kill_process(pid, signal);
        }
    }

    /// It hangs.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// It goes on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    pub fn stop(&self) {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.lock().take() {
            let _ = child.wait();
        }
    }

    /// Starts it again, in the state in which it was.
    pub fn start_again(&self) {
        self.stop();
        let _ = std::fs::remove_file(self.path("data/postmaster.pid"));
        self.launch();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn is_ready(&self, what: &str, mut ready: impl FnMut() -> bool) {
        eventually(what, || {
            let ended = self.child.lock().as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "{what}: it ended: {}", self.log());
            ready().then_some(())
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a client of the server with `input`; its output if it succeeds.
fn client(mut command: Command, input: &str) -> Result<String, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}: run tests/run once"));
    // It may have ended already.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the client ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Where Debian keeps the programs of PostgreSQL.
fn postgres_program(name: &str) -> PathBuf {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed: run tests/run once");
    let found =
        versions.flatten().map(|version| version.path().join("bin").join(name)).find(|path| path.exists());
    found.expect("PostgreSQL is installed: run tests/run once")
}

pub fn postgres() -> Daemon {
    let daemon = Daemon::new("postgres");
    let mut initdb = as_owner(daemon.owner, postgres_program("initdb"));
    initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--username=gateway"]);
    initdb.arg("-D").arg(daemon.path("data")).arg(format!("--pwfile={}", daemon.text("secret")));
    succeeds(initdb);
    // Who has to show a certificate besides its password.
    let rules = std::fs::read_to_string(daemon.path("data/pg_hba.conf")).expect("read the rules");
    let certified = "hostssl all certified 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n\
                     host all certified 127.0.0.1/32 reject\n";
    std::fs::write(daemon.path("data/pg_hba.conf"), format!("{certified}{rules}")).expect("write the rules");
    let set = |line: String| ["-c".to_owned(), line];
    let mut arguments =
        vec![postgres_program("postgres").display().to_string(), "-D".into(), daemon.text("data")];
    for line in [
        format!("port={}", daemon.port),
        "listen_addresses=127.0.0.1".into(),
        format!("unix_socket_directories={}", daemon.directory.path().display()),
        "fsync=off".into(),
        "shared_buffers=16MB".into(),
        "ssl=on".into(),
        format!("ssl_cert_file={}", daemon.text("server.pem")),
        format!("ssl_key_file={}", daemon.text("server.key")),
        format!("ssl_ca_file={}", daemon.text("ca.pem")),
    ] {
        arguments.extend(set(line));
    }
    *daemon.arguments.lock() = arguments;
    daemon.launch();
    daemon.is_ready("PostgreSQL is ready", || daemon.psql("SELECT 1;").is_ok());
    daemon
}

pub fn mariadb() -> Daemon {
    let daemon = Daemon::new("mysql");
    let mut install = as_owner(daemon.owner, "mariadb-install-db");
    install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
    install.arg(format!("--datadir={}", daemon.text("data")));
    succeeds(install);
    let mut arguments: Vec<String> =
        ["mariadbd", "--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"]
            .map(Into::into)
            .to_vec();
    arguments.extend([
        format!("--datadir={}", daemon.text("data")),
        format!("--port={}", daemon.port),
        format!("--socket={}", daemon.text("mysql.sock")),
        format!("--pid-file={}", daemon.text("pid")),
        "--innodb-flush-log-at-trx-commit=0".into(),
        "--innodb-buffer-pool-size=16M".into(),
        "--performance-schema=OFF".into(),
        format!("--ssl-cert={}", daemon.text("server.pem")),
        format!("--ssl-key={}", daemon.text("server.key")),
        format!("--ssl-ca={}", daemon.text("ca.pem")),
    ]);
    *daemon.arguments.lock() = arguments;
    daemon.launch();
    daemon.is_ready("MariaDB is ready", || daemon.mysql("SELECT 1;").is_ok());
    let secret = SECRET.replace('\'', "''");
    daemon
        .mysql(&format!(
            "CREATE DATABASE iot CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
             CREATE USER gateway@'%' IDENTIFIED BY '{secret}'; GRANT SELECT ON iot.* TO gateway@'%';
             CREATE USER sealed@'%' IDENTIFIED BY '{secret}' REQUIRE SSL; GRANT SELECT ON iot.* TO sealed@'%';
             CREATE USER certified@'%' IDENTIFIED BY '{secret}' REQUIRE X509; GRANT SELECT ON iot.* TO certified@'%';"
        ))
        .expect("make the database");
    daemon
}

pub fn redis() -> Daemon {
    let daemon = Daemon::new("nobody");
    let encrypted = free_port();
    let mut arguments: Vec<String> =
        ["redis-server", "--bind", "127.0.0.1", "--save", ""].map(Into::into).to_vec();
    for (key, value) in [
        ("--port", daemon.port.to_string()),
        ("--dir", daemon.directory.path().display().to_string()),
        ("--unixsocket", daemon.text("redis.sock")),
        ("--unixsocketperm", "777".into()),
        ("--appendonly", "yes".into()),
        ("--tls-port", encrypted.to_string()),
        ("--tls-cert-file", daemon.text("server.pem")),
        ("--tls-key-file", daemon.text("server.key")),
        ("--tls-auth-clients", "no".into()),
        ("--enable-debug-command", "local".into()),
    ] {
        arguments.extend([key.into(), value]);
    }
    std::fs::write(daemon.path("tls-port"), encrypted.to_string()).expect("note the port");
    *daemon.arguments.lock() = arguments;
    daemon.launch();
    daemon.is_ready("Redis is ready", || daemon.redis(&["PING"]).is_ok_and(|said| said.contains("PONG")));
    daemon
}

impl Daemon {
    /// Runs statements in PostgreSQL.
    pub fn psql(&self, sql: &str) -> Result<String, String> {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "gateway", "-d", "postgres"]);
        command.arg("-h").arg(self.directory.path()).arg("-p").arg(self.port.to_string());
        command.env("PGPASSWORD", SECRET);
        client(command, sql)
    }

    /// Runs statements in MariaDB.
    pub fn mysql(&self, sql: &str) -> Result<String, String> {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--default-character-set=utf8mb4", "-uroot", "-N", "-B"]);
        command.arg("-S").arg(self.path("mysql.sock"));
        client(command, sql)
    }

    /// Runs a command in Redis.
    pub fn redis(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("redis-cli");
        command.arg("-s").arg(self.path("redis.sock")).args(words);
        client(command, "")
    }

    /// The port at which Redis expects TLS.
    pub fn redis_tls_port(&self) -> u16 {
        let text = std::fs::read_to_string(self.path("tls-port")).expect("the port was noted");
        text.parse().expect("a port")
    }
}
