//! Encryption and certificates, as Mosquitto has them.

use std::process::Command;

use super::{Origin, PASSWORD, enter, passwd};
use crate::support::subject::{free_port, latchgate};

/// A folder with an authority, the certificate of a server and those of the clients `lamp` and `ann`, in `pki/`.
fn with_pki(conf: &str) -> Origin {
    let origin = Origin::new(conf);
    for words in [
        &["pki", "init"][..],
        &["pki", "issue", "server", "--server", "--san", "localhost"],
        &["pki", "issue", "lamp"],
        &["pki", "issue", "ann"],
    ] {
        latchgate(origin.folder(), words, "").exits(0);
    }
    origin
}

/// Publishes with Mosquitto's client: "sent", "denied", or "refused" where there is no connection.
fn publish(
    origin: &Origin,
    port: u16,
    certificate: Option<&str>,
    login: &[&str],
    topic: &str,
) -> &'static str {
    let (crt, key) =
        certificate.map(|name| (format!("pki/issued/{name}.crt"), format!("pki/issued/{name}.key"))).unzip();
    let port = port.to_string();
    let mut words = vec![
        "-V",
        "mqttv5",
        "-q",
        "1",
        "-h",
        "localhost",
        "-p",
        &port,
        "--cafile",
        "pki/ca.crt",
        "-t",
        topic,
        "-m",
        "x",
    ];
    if let (Some(crt), Some(key)) = (&crt, &key) {
        words.extend(["--cert", crt, "--key", key]);
    }
    words.extend(login);
    let output = Command::new("mosquitto_pub")
        .args(words)
        .current_dir(origin.folder())
        .output()
        .expect("mosquitto_pub is there");
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    match output.status.success() {
        true if said.contains("Not authorized") => "denied",
        true => "sent",
        false => "refused",
    }
}

/// Both answer all of these alike; the answers.
fn same(origin: &Origin, port: u16, asked: &[(Option<&str>, &[&str], &str)]) -> Vec<&'static str> {
    let all = || {
        asked.iter().map(|(crt, login, topic)| publish(origin, port, *crt, login, topic)).collect::<Vec<_>>()
    };
    let mosquitto = origin.mosquitto(port);
    let expected = all();
    drop(mosquitto);
    let imported = origin.imported();
    let _gateway = imported.run(port);
    assert_eq!(all(), expected, "{}\n{:#}", imported.toml(), imported.report);
    expected
}

#[test]
fn a_certificate_is_the_login_where_mosquitto_takes_it_for_one() {
    let port = free_port();
    let conf = format!(
        "user root\nlistener {port} 127.0.0.1\ncafile pki/ca.crt\ncertfile pki/issued/server.crt\nkeyfile pki/issued/server.key\n\
         require_certificate true\nuse_identity_as_username true\ntls_version tlsv1.2\ncrlfile pki/revoked.pem\nacl_file acl\n"
    );
    let origin = with_pki(&conf).with("acl", "user lamp\ntopic lamp/#\n");
    let asked: [(Option<&str>, &[&str], &str); 4] = [
        (Some("lamp"), &[], "lamp/x"),
        (Some("lamp"), &[], "other"),
        (Some("ann"), &["-u", "lamp", "-P", PASSWORD], "lamp/x"),
        (None, &["-u", "lamp", "-P", PASSWORD], "lamp/x"),
    ];
    assert_eq!(same(&origin, port, &asked), ["sent", "denied", "denied", "refused"]);
    latchgate(origin.folder(), &["pki", "revoke", "lamp"], "").exits(0);
}

#[test]
fn a_certificate_that_is_no_login_opens_the_door_only() {
    let port = free_port();
    let conf = format!(
        "user root\nlistener {port} 127.0.0.1\ncafile pki/ca.crt\ncertfile pki/issued/server.crt\nkeyfile pki/issued/server.key\n\
         require_certificate true\npassword_file passwd\n"
    );
    let origin = with_pki(&conf).with("passwd", passwd(&["ann"]));
    let asked: [(Option<&str>, &[&str], &str); 3] = [
        (Some("lamp"), &[], "a"),
        (Some("lamp"), &["-u", "ann", "-P", PASSWORD], "a"),
        (None, &["-u", "ann", "-P", PASSWORD], "a"),
    ];
    assert_eq!(same(&origin, port, &asked), ["refused", "sent", "refused"]);
}

#[test]
fn the_authorities_of_a_folder_are_put_into_one_file() {
    let port = free_port();
    let conf = format!(
        "user root\nlistener {port} 127.0.0.1\ncapath cas\ncertfile pki/issued/server.crt\nkeyfile pki/issued/server.key\n\
         require_certificate true\nuse_subject_as_username true\n"
    );
    let origin = with_pki(&conf);
    let ca = std::fs::read(origin.path("pki/ca.crt")).expect("read the authority");
    let origin = origin.with("cas/ca.pem", &ca);
    let rehash = Command::new("openssl").args(["rehash", "cas"]).current_dir(origin.folder()).status();
    assert!(rehash.expect("openssl is there").success());
    let asked: [(Option<&str>, &[&str], &str); 2] = [(Some("lamp"), &[], "a"), (None, &[], "a")];
    assert_eq!(same(&origin, port, &asked), ["sent", "refused"]);
}

/// Bug: of two listeners with the same rules, the one whose clients log in by certificates was left out.
#[test]
fn a_listener_of_passwords_and_one_of_certificates_share_one_acl_file() {
    let (plain, tls) = (free_port(), free_port());
    let by_password =
        format!("listener {plain} 127.0.0.1\nacl_file acl\npassword_file passwd\nallow_anonymous false\n");
    let by_certificate = format!(
        "listener {tls} 127.0.0.1\ncafile pki/ca.crt\ncertfile pki/issued/server.crt\nkeyfile pki/issued/server.key\n\
         require_certificate true\nuse_identity_as_username true\nacl_file acl\nallow_anonymous false\n"
    );
    for conf in [format!("{by_password}{by_certificate}"), format!("{by_certificate}{by_password}")] {
        let origin = with_pki(&format!("user root\nper_listener_settings true\n{conf}"))
            .with("acl", "user lamp\ntopic lamp/#\nuser ann\ntopic ann/#\n")
            .with("passwd", passwd(&["ann"]));
        let answers = || {
            let mut all: Vec<&str> = Vec::new();
            for (certificate, topic) in
                [("lamp", "lamp/x"), ("lamp", "ann/x"), ("ann", "ann/x"), ("ann", "lamp/x")]
            {
                all.push(publish(&origin, tls, Some(certificate), &[], topic));
            }
            // The accounts of the other listener are none here.
            all.push(publish(&origin, tls, Some("lamp"), &["-u", "ann", "-P", PASSWORD], "ann/x"));
            all.push(publish(&origin, tls, None, &["-u", "ann", "-P", PASSWORD], "ann/x"));
            for (login, topic) in
                [(Some(("ann", PASSWORD)), "ann/x"), (Some(("ann", PASSWORD)), "lamp/x"), (None, "ann/x")]
            {
                let code = enter(plain, "c", login).map(|mut client| client.say(topic, "x"));
                all.push(match code {
                    Some(0x87) => "denied",
                    Some(_) => "sent",
                    None => "refused",
                });
            }
            all
        };
        let port = if conf.starts_with(&by_password) { tls } else { plain };
        let mosquitto = origin.mosquitto(port);
        let expected = answers();
        drop(mosquitto);
        let imported = origin.imported();
        let _gateway = imported.run(port);
        assert_eq!(answers(), expected, "{}\n{:#}", imported.toml(), imported.report);
        assert_eq!(
            expected,
            ["sent", "denied", "sent", "denied", "denied", "refused", "sent", "denied", "refused"]
        );
    }
}
