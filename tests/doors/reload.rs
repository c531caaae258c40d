//! Listeners that change what they speak, or change places, while others stay.

use std::fs;

use super::{Authority, Dialer, REQUIRED, save};
use crate::support::subject::free_port;
use crate::support::{Client, Connect, Subject, eventually};

fn listener(name: &str, port: u16, more: &str) -> String {
    format!(
        "\n[[listener]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\nanonymous = \"{name}-guest\"\n{more}\n"
    )
}

/// Writes further listeners behind what the gateway began with, and has it read them.
fn reload(subject: &Subject, first: &str, more: &str, code: i32) -> String {
    fs::write(subject.config(), format!("{first}{more}")).expect("write the configuration");
    let answer = subject.command(&["reload"]).exits(code);
    answer.out + &answer.err
}

fn begin(subject: &Subject) -> (String, Client) {
    let stays = subject.v5("stays");
    (fs::read_to_string(subject.config()).expect("read the configuration"), stays)
}

/// Who a client of this port is.
fn guest_of(subject: &Subject, port: u16) -> String {
    let (client, connack) = Client::connect(port, &Connect::v5("probe"));
    assert_eq!(connack.code, 0);
    let out = subject.command(&["explain", "--client", "probe", "publish", "a"]).out;
    client.disconnect();
    out.split(" by ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a user").to_owned()
}

#[test]
fn a_listener_takes_up_tls_at_its_address_and_lays_it_down_again() {
    let authority = Authority::new("home");
    let subject = Subject::start();
    let (first, mut stays) = begin(&subject);
    authority.server(100).save(&subject, "server");
    save(&subject, "ca.crt", &authority.pem());
    let port = free_port();
    reload(&subject, &first, &listener("door", port, ""), 0);
    let (mut plain, _) = Client::connect(port, &Connect::v5("plain"));

    let tls = format!("[listener.tls]\ncertificate = \"server.crt\"\nkey = \"server.key\"\n{REQUIRED}");
    // A key that belongs to another certificate: nothing happens to anybody.
    Authority::new("other").server(100).save(&subject, "wrong");
    let said = reload(&subject, &first, &listener("door", port, &tls.replace("server.key", "wrong.key")), 2);
    assert!(said.contains("is not the key of the certificate in"), "{said}");
    plain.ping();

    reload(&subject, &first, &listener("door", port, &tls), 0);
    plain.expect_disconnect(0x98);
    let dialer = Dialer::showing(&authority, &authority.client("lamp"));
    let (mut secure, code) = dialer.connect(port, &Connect::v5("secure")).expect("TLS is spoken");
    assert_eq!(code, 0);
    assert!(dialer.again().connect(subject.port(), &Connect::v5("x")).is_err(), "the other one is plain");

    reload(&subject, &first, &listener("door", port, "protocol = \"websocket\""), 0);
    secure.expect_disconnect(0x98);
    super::websocket::pong(&mut super::websocket::client(port, &Connect::v5("socket")));
    stays.ping();
}

#[test]
fn two_listeners_change_places() {
    let subject = Subject::start();
    let (first, mut stays) = begin(&subject);
    let (here, there) = (free_port(), free_port());
    reload(&subject, &first, &(listener("one", here, "") + &listener("two", there, "")), 0);
    assert_eq!([here, there].map(|port| guest_of(&subject, port)), ["one-guest", "two-guest"]);
    reload(&subject, &first, &(listener("one", there, "") + &listener("two", here, "")), 0);
    assert_eq!([here, there].map(|port| guest_of(&subject, port)), ["two-guest", "one-guest"]);
    // One takes the other's place, and leaves its own.
    reload(&subject, &first, &listener("one", here, ""), 0);
    assert_eq!(guest_of(&subject, here), "one-guest");
    eventually("nobody listens there", || std::net::TcpStream::connect(("127.0.0.1", there)).err());
    stays.ping();
}
