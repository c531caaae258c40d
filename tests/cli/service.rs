//! As a service: what systemd is told, what it hands over, and its watchdog.

use std::{
    fs::File,
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;

use super::{workplace, write};
use crate::support::client::Client;
use crate::support::subject::EXECUTABLE;
use crate::support::{BOUND, Connect, Subject, Version, eventually};

/// What a service manager hears.
struct Manager {
    socket: UnixDatagram,
    _directory: tempfile::TempDir,
    path: String,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bind the socket");
        socket.set_read_timeout(Some(BOUND)).expect("set the bound");
        Manager { socket, _directory: directory, path: path.to_str().expect("UTF-8").to_owned() }
    }

    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let size = self.socket.recv(&mut buffer).expect("the gateway tells something");
        String::from_utf8_lossy(&buffer[..size]).into_owned()
    }

    /// The next message that begins so.
    fn hears(&self, begin: &str) -> String {
        let next = || {
            let next = self.next();
            next.starts_with(begin).then_some(next)
        };
        eventually(begin, next)
    }
}

#[test]
fn ready_is_told_when_clients_are_served_and_stopping_when_it_ends() {
    let manager = Manager::new();
    let subject = Subject::with().environment("NOTIFY_SOCKET", &manager.path).start();
    let ready = manager.next();
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    assert!(ready.contains(&format!("plain 127.0.0.1:{}", subject.port())), "{ready}");
    subject.v5("x").ping();
    subject.signal(Signal::TERM);
    assert!(manager.next().starts_with("STOPPING=1"));
    assert_eq!(subject.wait().code(), Some(0));
}

#[test]
fn every_reload_is_told_from_its_beginning_to_its_end_even_if_it_fails() {
    let manager = Manager::new();
    let subject = Subject::with().environment("NOTIFY_SOCKET", &manager.path).start();
    manager.hears("READY=1");
    let reload = || {
        let begin = manager.next();
        assert!(begin.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{begin}");
        manager.hears("READY=1");
    };
    subject.signal(Signal::HUP);
    reload();
    subject.command(&["reload"]).exits(0);
    reload();
    std::fs::write(subject.config(), "nonsense").expect("write the configuration");
    subject.signal(Signal::HUP);
    reload();
    subject.v5("still there").ping();
}

#[test]
fn the_watchdog_hears_of_it_again_and_again_as_long_as_broker_and_store_answer() {
    let manager = Manager::new();
    let watched = Subject::with()
        .environment("NOTIFY_SOCKET", &manager.path)
        .environment("WATCHDOG_USEC", "150000")
        .without_rules()
        .start();
    manager.hears("READY=1");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    // What cannot be written is told to clients. It is no reason to be killed: nothing would be better after that.
    let database = rusqlite::Connection::open(watched.directory().join("state/state.db")).expect("open");
    database.execute_batch("DROP TABLE session").expect("damage the database");
    let mut client = Client::open(watched.port(), Version::V5);
    client.send(&Connect::v5("kept").keep_session().encode());
    eventually("the store cannot be written", || {
        watched.log().contains("the state cannot be written").then_some(())
    });
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
}

#[test]
fn without_a_watchdog_no_sign_of_life_is_given() {
    let manager = Manager::new();
    let subject = Subject::with().environment("NOTIFY_SOCKET", &manager.path).start();
    manager.hears("READY=1");
    subject.v5("x").nothing_arrives();
    subject.signal(Signal::HUP);
    // The next that is told is the reload.
    assert!(manager.next().starts_with("RELOADING=1"));
}

/// A gateway that is handed one open file, as descriptor 3 and under a name; stopped on drop.
struct Handed(Child);

impl Handed {
    fn start(directory: &Path, name: &str, handed: impl Into<OwnedFd>, log: &Path) -> Self {
        let script =
            "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" --config latchgate.toml run";
        let child = Command::new("sh")
            .args(["-c", script, EXECUTABLE])
            .current_dir(directory)
            .env("LISTEN_FDNAMES", name)
            .stdin(Stdio::from(handed.into()))
            .stderr(File::create(log).expect("the log"))
            .spawn()
            .expect("sh starts");
        Handed(child)
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn socket() -> (TcpListener, u16) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = socket.local_addr().expect("it is bound").port();
    (socket, port)
}

#[test]
fn a_listener_takes_the_socket_that_has_its_name_and_keeps_it_over_a_reload() {
    let place = workplace();
    let log = place.path().join("log");
    let listener = |limits: &str| {
        let toml = format!(
            "[gateway]\nstate = \"state\"\n[[listener]]\nname = \"door\"\naddress = \"127.0.0.1:0\"\nanonymous = \"guest\"\n{limits}"
        );
        write(place.path(), &toml);
    };
    listener("");
    let (socket, port) = socket();
    // It waits in the socket before there is a gateway.
    let early = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the socket listens");
    let _gateway = Handed::start(place.path(), "door", socket, &log);
    let (mut client, _) = Client::connect(port, &Connect::v311("x"));
    client.ping();
    drop(early);
    listener("limits.inflight = 7");
    super::command(&place, "reload").exits(0);
    client.expect_closed();
    let (mut client, connack) = Client::connect(port, &Connect::v5("x"));
    assert_eq!(connack.code, 0);
    client.ping();
}

#[test]
fn a_socket_that_is_no_listeners_is_refused_and_the_unit_named() {
    let place = workplace();
    let log = place.path().join("log");
    let (socket, _) = socket();
    let mut gateway = Handed::start(place.path(), "latchgate.socket", socket, &log);
    let status = eventually("it ends", || gateway.0.try_wait().expect("ask for its status"));
    let log = std::fs::read_to_string(log).expect("the log");
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("\"latchgate.socket\"") && log.contains("FileDescriptorName="), "{log}");
}

#[test]
fn what_is_no_listening_tcp_socket_is_refused() {
    let place = workplace();
    let log = place.path().join("log");
    let mut gateway = Handed::start(place.path(), "plain", File::open("/dev/null").expect("open"), &log);
    let status = eventually("it ends", || gateway.0.try_wait().expect("ask for its status"));
    let log = std::fs::read_to_string(log).expect("the log");
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("no listening TCP socket"), "{log}");
}

#[test]
fn a_key_can_be_a_credential_that_only_the_service_can_read() {
    let place = workplace();
    let credentials = place.path().join("credentials");
    std::fs::create_dir(&credentials).expect("make the directory");
    let tls = "[gateway]\nstate = \"state\"\n[[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:0\"\n[listener.tls]\n\
               certificate = \"pki/issued/gate.crt\"\nkey = \"$CREDENTIALS_DIRECTORY/gate.key\"\n";
    write(place.path(), tls);
    for line in ["pki init", "pki issue gate --server --san localhost"] {
        super::command(&place, line).exits(0);
    }
    let key = place.path().join("pki/issued/gate.key");
    let check = || {
        let output = Command::new(EXECUTABLE)
            .args(["--config", "latchgate.toml", "check"])
            .current_dir(place.path())
            .env("CREDENTIALS_DIRECTORY", &credentials)
            .output();
        let output = output.expect("the command runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, err) = check();
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("credentials/gate.key"), "{err}");
    std::fs::rename(key, credentials.join("gate.key")).expect("move the key");
    assert_eq!(check().0, Some(0));
}
