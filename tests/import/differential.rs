//! Mosquitto and the gateway on the same files: both let the same clients in, and let them do the same.

use super::{Origin, PASSWORD, enter, passwd};
use crate::support::{Client, Packet, Publish, subject::free_port};

const TOPICS: [&str; 9] = ["a", "a/b", "news/x", "s/ann", "s/bob", "s/c-ann", "deny/x", "$SYS/x", "b c/d"];

/// What was delivered, once everything under way has come.
fn delivered(client: &mut Client) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..2 {
        client.send(&[0xC0, 0]);
        loop {
            match client.read() {
                Packet::Publish(publish) if publish.text().starts_with("t:") => {
                    texts.push(publish.text().to_owned())
                }
                Packet::Publish(_) => {}
                Packet::PingResp => break,
                other => panic!("{other:?}"),
            }
        }
    }
    texts.sort();
    texts
}

/// What one client may do: topics that arrive at the probe, and topics that it gets.
type Rights = (Vec<String>, Vec<String>);

/// Of each client whether it is let in, and what it may do.
fn matrix(port: u16, clients: &[Option<(&str, &str)>]) -> Vec<Option<Rights>> {
    let probe_login = Some(("probe", PASSWORD));
    let mut found = Vec::new();
    for login in clients {
        let name = login.map_or("nobody", |(user, _)| user);
        let Some(mut client) = enter(port, &format!("c-{name}"), *login) else {
            found.push(None);
            continue;
        };
        let mut probe = enter(port, "probe", probe_login).expect("the probe is let in");
        for peer in [&mut probe, &mut client] {
            peer.subscribe("#", 0);
        }
        for topic in TOPICS {
            client.publish(Publish::to(topic).payload(format!("t:{topic}")));
        }
        delivered(&mut client);
        let published = delivered(&mut probe);
        for topic in TOPICS {
            probe.publish(Publish::to(topic).payload(format!("t:{topic}")));
        }
        delivered(&mut probe);
        found.push(Some((published, delivered(&mut client))));
        client.disconnect();
        probe.disconnect();
    }
    found
}

/// Runs both on the files; the matrix, which is the same.
fn same(origin: &Origin, ports: &[u16], clients: &[Option<(&str, &str)>]) -> Vec<Vec<Option<Rights>>> {
    let all = || ports.iter().map(|port| matrix(*port, clients)).collect::<Vec<_>>();
    let mosquitto = origin.mosquitto(ports[0]);
    let expected = all();
    drop(mosquitto);
    let imported = origin.imported();
    let _gateway = imported.run(ports[0]);
    for ((port, expected), found) in ports.iter().zip(&expected).zip(all()) {
        for ((client, found), expected) in clients.iter().zip(&found).zip(expected) {
            assert_eq!(
                found,
                expected,
                "port {port}, client {client:?}\n{}\n{:#}",
                imported.toml(),
                imported.report
            );
        }
    }
    expected
}

const WRONG: &str = "wrong";

#[test]
fn passwords_and_rules_decide_as_in_mosquitto() {
    let port = free_port();
    let conf = format!(
        "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npassword_file passwd\nacl_file acl\n"
    );
    let acl = "topic read news/#\nuser ann\ntopic readwrite a/#\ntopic deny a/b\ntopic write b c/#\nuser probe\ntopic #\n\
               pattern readwrite s/%u\npattern read s/%c\n";
    let origin = Origin::new(&conf).with("passwd", passwd(&["ann", "bob", "probe"])).with("acl", acl);
    let clients = [
        None,
        Some(("ann", PASSWORD)),
        Some(("ann", WRONG)),
        Some(("bob", PASSWORD)),
        Some(("eve", PASSWORD)),
        Some(("ann", "")),
    ];
    let found = same(&origin, &[port], &clients);
    assert_eq!(found[0].iter().filter(|rights| rights.is_some()).count(), 3, "{found:?}");
    assert_eq!(origin.import(&["--out", "again"]).code, 2, "--out is given twice");
}

#[test]
fn without_rules_everybody_who_is_let_in_may_do_everything() {
    for (anonymous, inside) in [("true", 2), ("false", 1)] {
        let port = free_port();
        let conf = format!(
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous {anonymous}\npassword_file passwd\n"
        );
        let origin = Origin::new(&conf).with("passwd", passwd(&["ann", "probe"]));
        let clients = [None, Some(("ann", PASSWORD)), Some(("ann", WRONG)), Some(("eve", PASSWORD))];
        let found = same(&origin, &[port], &clients);
        assert_eq!(found[0].iter().filter(|rights| rights.is_some()).count(), inside);
    }
}

#[test]
fn listeners_with_settings_of_their_own_stay_apart() {
    let ports = [free_port(), free_port(), free_port()];
    let [rules, open, closed] = ports;
    let conf = format!(
        "user root\nper_listener_settings true\nlistener {rules} 127.0.0.1\npassword_file one\nacl_file acl\nallow_anonymous false\n\
         listener {open} 127.0.0.1\npassword_file two\nallow_anonymous true\ninclude_dir conf.d\n"
    );
    let third = format!("allow_anonymous true\nlistener {closed} 127.0.0.1\npassword_file two\n");
    let origin = Origin::new(&conf)
        .with("one", passwd(&["ann", "probe"]))
        .with("two", passwd(&["bob", "probe"]))
        .with("acl", "user ann\ntopic read a/#\nuser probe\ntopic #\n")
        .with("conf.d/x.conf", third);
    let clients = [None, Some(("ann", PASSWORD)), Some(("bob", PASSWORD))];
    let found = same(&origin, &ports, &clients);
    let inside: Vec<Vec<bool>> = found.iter().map(|of| of.iter().map(Option::is_some).collect()).collect();
    assert_eq!(inside, [[false, true, false], [true, false, true], [false, false, true]]);
}

#[test]
fn a_mosquitto_without_listeners_serves_this_machine_alone() {
    let origin = Origin::new("allow_anonymous false\n");
    let imported = origin.imported();
    let toml = imported.toml();
    assert!(
        toml.contains("address = \"127.0.0.1:1883\"") && toml.contains("anonymous = \"anonymous\""),
        "{toml}"
    );
    assert!(!toml.contains("0.0.0.0") && !toml.contains("[::]"), "{toml}");
}

#[test]
fn a_listener_that_would_be_more_open_than_mosquittos_is_left_out() {
    for line in [
        "mount_point x/",
        "psk_hint h",
        "certfile nowhere.crt",
        "tls_engine e",
        "bind_interface eth7",
        "require_certificate true",
        "acl_file ",
        "require_certificate TRUE",
        "plugin ",
        "plugin_use nothing",
        "password_file nowhere",
        "acl_file nowhere",
        "acl_file broken",
        "plugin /x/unknown.so",
        "protocol quic",
    ] {
        let (port, other) = (free_port(), free_port());
        let conf = format!(
            "per_listener_settings true\nlistener {port} 127.0.0.1\n{line}\nallow_anonymous true\nlistener {other} 127.0.0.1\nallow_anonymous true\n"
        );
        let origin = Origin::new(&conf).with("broken", "topic deny a/#/b\n");
        let imported = origin.imported();
        let (toml, verdict) = (imported.toml(), imported.line("mosquitto.conf", 3));
        assert!(!toml.contains(&port.to_string()) && toml.contains(&other.to_string()), "{line}: {toml}");
        assert!(verdict.0 == "not possible" && !verdict.1.is_empty(), "{line}: {verdict:?}");
    }
}

#[test]
fn what_follows_a_line_that_mosquitto_refuses_opens_no_other_listener() {
    let port = free_port();
    for wrong in ["listener 99999", "listener", "listener 0"] {
        let conf = format!(
            "per_listener_settings true\nlistener {port} 127.0.0.1\npassword_file p\n{wrong}\nallow_anonymous true\n"
        );
        let origin = Origin::new(&conf).with("p", passwd(&["ann"]));
        let toml = origin.imported().toml();
        let anonymous = toml.contains("anonymous = ");
        assert!(!anonymous, "{wrong}: {toml}");
        let alone = Origin::new(&format!("{wrong}\nallow_anonymous true\n"));
        let toml = alone.imported().toml();
        assert!(!toml.contains("anonymous = "), "{wrong}: {toml}");
    }
}
