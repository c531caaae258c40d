//! The doors over real sockets: how a client comes in, and what is kept out before it says CONNECT. TLS, certificates of
//! the gateway and of its clients, and what happens when they change; WebSocket. Certificates are made by each test.
//!
//! A tool that is missing is a failure, not a skip: `tests/run` installs them all.

#[path = "../support/mod.rs"]
mod support;

mod authority;
mod browser;
mod clock;
mod reload;
mod rush;
mod tls;
mod tls_client;
mod tls_files;
mod tls_tools;
mod tls_watch;
mod tunnel;
mod websocket;
mod websocket_http;
mod websocket_tls;

use std::os::unix::fs::PermissionsExt;

use authority::Authority;
use support::subject::Settings;
use support::{Answer, Client, Connect, Subject};
use tunnel::Dialer;

/// A gateway whose listener has TLS: `more` are further lines of `[listener.tls]`. Everything is permitted to everyone,
/// and clients without a login are called `guest`.
fn gateway(authority: &Authority, more: &str) -> Subject {
    gateway_with(Subject::with(), authority, more)
}

fn gateway_with(settings: Settings, authority: &Authority, more: &str) -> Subject {
    gateway_speaking("mqtt", settings, authority, more)
}

fn gateway_speaking(protocol: &str, settings: Settings, authority: &Authority, more: &str) -> Subject {
    let tls = format!(
        "protocol = \"{protocol}\"\nanonymous = \"guest\"\n\
         [listener.tls]\ncertificate = \"server.crt\"\nkey = \"server.key\"\n{more}"
    );
    let subject = settings.listener(&tls).prepare();
    authority.server(365).save(&subject, "server");
    save(&subject, "ca.crt", &authority.pem());
    subject
}

/// Writes a file beside the configuration, in one step for whoever reads it; nobody else may.
fn save(subject: &Subject, name: &str, text: &str) {
    let path = subject.directory().join(name);
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("write a file");
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).expect("protect the file");
    std::fs::rename(new, path).expect("put the file in place");
}

/// The lines of `[listener.tls]` for clients with certificates.
const REQUIRED: &str =
    "client_ca = \"ca.crt\"\nclient_certificate = \"required\"\nusername_from = \"common-name\"\n";

/// Connects; the gateway must accept.
fn accept(subject: &Subject, dialer: &Dialer, connect: &Connect) -> Client {
    let (client, code) = dialer.connect(subject.port(), connect).expect("the connection is accepted");
    assert_eq!(code, 0, "{connect:?} was refused with {code:#04x}");
    client
}

/// Connects; it must not come to a CONNACK. What ended the connection, as the client saw it.
fn reject(subject: &Subject, dialer: &Dialer, connect: &Connect) -> String {
    match dialer.connect(subject.port(), connect) {
        Ok((_, code)) => panic!("{connect:?} was answered with {code:#04x}"),
        Err(why) => why,
    }
}

/// Who the gateway takes the connected client `id` for, and how it logged in: what `explain` answers.
fn explain(subject: &Subject, id: &str) -> Answer {
    subject.command(&["explain", "--client", id, "publish", "any/topic"])
}
