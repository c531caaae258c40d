//! The same `password_file` and `acl_file` in Mosquitto and in the gateway: over the wire, both decide alike.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{PASSWORD, passwd, with_files};
use crate::support::{Client, Connect, Subject, Version, eventually, subject::free_port};

const USERS: [Option<&str>; 5] = [None, Some("ann"), Some("bob"), Some("a b"), Some("w+d")];
const CLIENTS: [&str; 3] = ["c1", "ann", "x+y"];
const TOPICS: [&str; 12] =
    ["a", "a/b", "a/b/c", "b", "a b/c", "ann", "p/ann", "p/bob/c1", "p/c1", "p//c1", "xann", "$own/a"];
const FILTERS: [&str; 16] = [
    "#", "a", "a/#", "+/b", "a/+/c", "+", "b", "a b/#", "p/%u", "p/%u/%c", "p/%c", "x%u", "%u/#", "$own/#",
    "p/+", "/#",
];

/// Debian's Mosquitto with the files of one round.
struct Mosquitto {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Mosquitto {
    fn start(passwd: &str, acl: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        for (name, text) in [("passwd", passwd), ("acl", acl)] {
            std::fs::write(folder.path().join(name), text).expect("write a file");
        }
        let conf = format!(
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npassword_file passwd\nacl_file acl\nlog_dest none\n"
        );
        std::fs::write(folder.path().join("conf"), conf).expect("write a file");
        let child = Command::new("mosquitto")
            .args(["-c", "conf"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto is installed: run tests/run once");
        eventually("mosquitto listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop));
        Mosquitto { child, port, _folder: folder }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A generator that gives the same numbers each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn line(&mut self, word: &str) -> String {
        let access = ["", "read ", "write ", "readwrite ", "deny ", "deny "][self.below(6)];
        // Without a word, a filter with a space would be taken for one.
        let access = if access.is_empty() { "readwrite " } else { access };
        format!("{word} {access}{}\n", FILTERS[self.below(FILTERS.len())])
    }

    fn acl(&mut self) -> String {
        let mut text = String::from("# made by a test\n");
        for _ in 0..self.below(4) {
            text += &self.line("topic");
        }
        for user in ["ann", "bob", "a b", "ann"] {
            text += &format!("user {user}\n");
            for _ in 0..self.below(5) {
                text += &self.line("topic");
            }
        }
        for _ in 0..self.below(5) {
            text += &self.line("pattern");
        }
        text + "user probe\ntopic #\ntopic $own/#\n"
    }
}

fn connect(port: u16, client_id: &str, user: Option<&str>) -> Client {
    let connect = Connect::new(Version::V311, client_id);
    let connect = match user {
        Some(user) => connect.login(user, PASSWORD),
        None => connect,
    };
    let (client, connack) = Client::connect(port, &connect);
    assert_eq!(connack.code, 0, "{user:?} {client_id}");
    client
}

/// What was delivered to `client`, whatever it was, once everything under way has come.
fn delivered(client: &mut Client) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..2 {
        client.send(&[0xC0, 0]);
        loop {
            match client.read() {
                crate::support::Packet::Publish(publish) => texts.push(publish.text().to_owned()),
                crate::support::Packet::PingResp => break,
                other => panic!("{other:?}"),
            }
        }
    }
    texts.sort();
    texts
}

/// For one client: the topics it may publish to, and those it is delivered from.
fn decisions(port: u16, client_id: &str, user: Option<&str>) -> (Vec<String>, Vec<String>) {
    let mut probe = connect(port, "probe", Some("probe"));
    probe.subscribe("#", 0);
    probe.subscribe("$own/#", 0);
    let mut client = connect(port, client_id, user);
    client.subscribe("#", 0);
    client.subscribe("$own/#", 0);
    for topic in TOPICS {
        client.publish(crate::support::Publish::to(topic).payload(topic));
    }
    // A server that has answered a ping has routed what came before it.
    delivered(&mut client);
    let published = delivered(&mut probe);
    for topic in TOPICS {
        probe.publish(crate::support::Publish::to(topic).payload(topic));
    }
    delivered(&mut probe);
    let received = delivered(&mut client);
    (published, received)
}

#[test]
fn the_gateway_decides_as_mosquitto_does_with_the_same_files() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut permitted = 0;
    for round in 0..10 {
        let (acl, passwd) = (numbers.acl(), passwd(&["ann", "bob", "a b", "w+d", "probe"]));
        let mosquitto = Mosquitto::start(&passwd, &acl);
        let settings = Subject::with().section("[auth]\nbackends = [\"files\"]\n");
        let gateway = with_files(settings, &passwd, &acl, "");
        for user in USERS {
            for client_id in CLIENTS {
                let expected = decisions(mosquitto.port, client_id, user);
                let found = decisions(gateway.port(), client_id, user);
                permitted += expected.0.len() + expected.1.len();
                assert_eq!(found, expected, "round {round}, user {user:?}, client {client_id}:\n{acl}");
            }
        }
    }
    assert!(permitted > 300, "the files say something: {permitted}");
}
