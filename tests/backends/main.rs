//! Backends: who is asked about logins and rights, and what becomes of the answers. Each against the real thing.

#[path = "../support/mod.rs"]
mod support;

mod cdb;
mod chain;
mod clock;
mod daemon;
mod differential;
mod files;
mod http;
mod lampi;
mod latency;
mod oauth2;
mod parity;
mod peer;
mod python;
mod servers;
mod sql;
mod sqlite;

use support::subject::Settings;
use support::{Client, Connect, Subject, Version};

/// `password`, as mosquitto_passwd stores it.
const STORED: &str = "$7$101$AAECAwQFBgcICQoL$DEO14ViPofBJRJpN8uZINnuFUWj8eUeWhlyZ2QOQ+5LgiM0kGXMwv2HwhIvlBQTsHkd+uve2/GFOr/KZ8Y/8Hw==";
/// The same, as the gateway stores it, with few rounds.
const HASH: &str = "$pbkdf2-sha512$i=1000,l=64$AAECAwQFBgcICQoL$jAnlt4INwu46PWkRm7yyEckCn4J4haQ0yppM1ySyIKkitAwJUNUFispqMVpKFPJ0N2Xchh5AVd80PCB3xTcE6Q";
const PASSWORD: &str = "password";

/// A gateway with `[auth.files]`; the files are written before it starts.
fn with_files(settings: Settings, passwd: &str, acl: &str, more: &str) -> Subject {
    let section = format!("[auth.files]\npassword_file = \"passwd\"\nacl_file = \"acl\"\n{more}");
    let subject = settings.without_rules().section(&section).prepare();
    write(&subject, "passwd", passwd);
    write(&subject, "acl", acl);
    subject
}

/// Replaces a file of the gateway's directory, as an editor does.
fn write(subject: &Subject, name: &str, text: &str) {
    let (file, new) = (subject.directory().join(name), subject.directory().join(format!("{name}.new")));
    std::fs::write(&new, text).expect("write a file");
    std::fs::rename(new, file).expect("put it in its place");
}

fn passwd(users: &[&str]) -> String {
    users.iter().map(|user| format!("{user}:{STORED}\n")).collect()
}

fn login(user: &str) -> Connect {
    Connect::new(Version::V5, user).login(user, PASSWORD)
}

fn acl(subject: &Subject, arguments: &str) {
    let mut words = vec!["acl"];
    words.extend(arguments.split(' '));
    subject.command(&words).exits(0);
}

/// Whether a QoS 1 publish is permitted.
fn may_publish(client: &mut Client, topic: &str) -> bool {
    !matches!(client.say(topic, "x"), 0x87)
}

/// Repeats `step` until it says yes: a change may take a second to be obeyed, and no longer.
fn within_a_second(what: &str, mut step: impl FnMut() -> bool) {
    // Twice the promise, because the machine may be busy with other tests.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
    support::eventually(what, || {
        let done = step();
        assert!(done || std::time::Instant::now() < deadline, "not within a second: {what}");
        done.then_some(())
    });
}
