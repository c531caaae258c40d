//! Files of certificates that change while the gateway runs.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::authority::Pair;
use super::{Authority, Dialer, REQUIRED, accept, gateway, gateway_with, reject, save};
use crate::support::subject::free_port;
use crate::support::{BOUND, Client, Connect, Packet, Publish, Subject, eventually};

const WITH_CRL: &str = "crl = \"revoked.pem\"\n";

/// The certificate that the gateway shows to a new client.
fn shown(subject: &Subject, authority: &Authority) -> CertificateDer<'static> {
    let dialer = Dialer::new(authority);
    accept(subject, &dialer, &Connect::v5("looks")).disconnect();
    dialer.seen().certificate.clone()
}

fn der(pair: &Pair) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()
}

/// Waits until the log holds `words` so many times.
fn logged(subject: &Subject, words: &str, times: usize) {
    eventually(&format!("{words:?} is logged"), || {
        (subject.log().matches(words).count() == times).then_some(())
    });
}

fn expect_denied(client: &mut Client) {
    client.set_read_timeout(BOUND);
    match client.read() {
        Packet::Disconnect { code: 0x87, .. } => client.expect_closed(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connected_client_whose_certificate_is_revoked_is_disconnected_and_nobody_else() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, &format!("{REQUIRED}{WITH_CRL}"));
    save(&subject, "revoked.pem", &authority.revoke(&[]));
    let (lamp, fan) = (authority.client("lamp"), authority.client("fan"));
    let dialer = Dialer::showing(&authority, &lamp);
    let mut new = accept(&subject, &dialer, &Connect::v5("new"));
    let mut old = accept(&subject, &dialer.again(), &Connect::v311("old"));
    let mut other = accept(&subject, &Dialer::showing(&authority, &fan), &Connect::v5("other"));
    new.publish(Publish::to("left/behind").qos(1).retain().payload("x"));
    save(&subject, "revoked.pem", &authority.revoke(&[&lamp]));
    expect_denied(&mut new);
    old.expect_closed();
    // Neither a fresh handshake nor a session that was kept gets it in again.
    reject(&subject, &dialer.again(), &Connect::v5("new"));
    reject(&subject, &Dialer::showing(&authority, &lamp), &Connect::v5("new"));
    other.subscribe("left/#", 1);
    // It does not speak through what it left behind either.
    other.nothing_arrives();
    let log = subject.log();
    assert!(log.contains("the certificate was revoked") && log.contains("user=\"lamp\""), "{log}");
}

#[test]
fn a_replaced_certificate_is_shown_to_new_clients_and_the_others_stay() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, "");
    let mut client = accept(&subject, &Dialer::new(&authority), &Connect::v5("stays"));
    let before = shown(&subject, &authority);
    let renewed = authority.server(100);
    renewed.save(&subject, "server");
    eventually("the new certificate is shown", || {
        let now = shown(&subject, &authority);
        assert!(now == before || now == der(&renewed), "there is one or the other");
        (now != before).then_some(())
    });
    client.nothing_arrives();
}

#[test]
fn a_certificate_whose_key_does_not_belong_to_it_is_refused_with_one_error_until_it_does() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, "");
    let before = shown(&subject, &authority);
    let renewed = authority.server(100);
    save(&subject, "server.crt", &renewed.certificate);
    logged(&subject, "is not the key of the certificate in", 1);
    save(&subject, "server.crt", "no certificate at all");
    logged(&subject, "holds no certificate in PEM form", 1);
    assert_eq!(shown(&subject, &authority), before);
    assert_eq!(subject.log().matches("what was read last stays in force").count(), 2, "{}", subject.log());
    renewed.save(&subject, "server");
    eventually("the new certificate is shown", || {
        (shown(&subject, &authority) == der(&renewed)).then_some(())
    });
}

#[test]
fn clients_of_an_authority_that_is_no_longer_trusted_are_disconnected() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let subject = gateway(&old, REQUIRED);
    let (lamp, fan) = (old.client("lamp"), new.client("fan"));
    let mut of_old = accept(&subject, &Dialer::showing(&old, &lamp), &Connect::v5("lamp"));
    save(&subject, "ca.crt", &format!("{}{}", old.pem(), new.pem()));
    let trusted_by_both = || Dialer::showing(&old, &fan);
    let mut of_new = eventually("the new authority is trusted", || {
        trusted_by_both().connect(subject.port(), &Connect::v5("fan")).ok().map(|(client, _)| client)
    });
    of_old.nothing_arrives();
    save(&subject, "ca.crt", &new.pem());
    expect_denied(&mut of_old);
    of_new.nothing_arrives();
}

#[test]
fn a_list_that_is_not_usable_leaves_the_last_one_in_force() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, &format!("{REQUIRED}{WITH_CRL}"));
    let (lamp, lost) = (authority.client("lamp"), authority.client("lost"));
    save(&subject, "revoked.pem", &authority.revoke(&[&lost]));
    let mut client = accept(&subject, &Dialer::showing(&authority, &lamp), &Connect::v5("c"));
    save(&subject, "revoked.pem", "");
    logged(&subject, "holds no list of revoked certificates", 1);
    std::fs::remove_file(subject.directory().join("revoked.pem")).unwrap();
    logged(&subject, "cannot be read", 1);
    reject(&subject, &Dialer::showing(&authority, &lost), &Connect::v5("lost"));
    client.nothing_arrives();
}

#[test]
fn days_to_expiry_are_a_metric_and_a_warning() {
    let authority = Authority::new("home");
    let http = free_port();
    let settings = Subject::with().section(&format!("[admin]\nhttp = \"127.0.0.1:{http}\""));
    let subject = gateway_with(settings, &authority, "");
    authority.server(5).save(&subject, "server");
    subject.port();
    logged(&subject, "the certificate expires in 5 days", 1);
    let days = || {
        let metrics = scrape(http);
        let line = metrics.lines().find(|line| line.starts_with("latchgate_net_certificate_expiry_days{"));
        let (labels, days) = line.expect("the metric is there").rsplit_once(' ').unwrap();
        assert!(labels.contains("listener=\"plain\""), "{labels}");
        days.parse::<f64>().unwrap()
    };
    assert!((5.0..6.0).contains(&days()), "{}", days());
    authority.server(20).save(&subject, "server");
    logged(&subject, "the certificate expires in 20 days", 1);
    authority.server(-3).save(&subject, "server");
    logged(&subject, "the certificate has expired", 1);
    assert!((-3.0..-2.0).contains(&days()), "{}", days());
    authority.server(90).save(&subject, "server");
    logged(&subject, "certificates read again", 3);
    eventually("the metric follows", || (days() > 90.0).then_some(()));
    assert_eq!(subject.log().matches("expires in").count(), 2);

    reject(&subject, &Dialer::new(&Authority::new("elsewhere")), &Connect::v5("c"));
    eventually("the failed handshake is counted", || {
        let metrics = scrape(http);
        let mut failed =
            metrics.lines().filter(|line| line.starts_with("latchgate_net_tls_handshakes_failed"));
        failed.any(|line| line.contains("reason=\"protocol\"") && !line.ends_with(" 0")).then_some(())
    });
}

#[test]
fn the_ends_of_the_client_authority_and_of_the_list_are_metrics_and_warnings_too() {
    let authority = Authority::ending("old home", 20);
    let http = free_port();
    let settings = Subject::with().section(&format!("[admin]\nhttp = \"127.0.0.1:{http}\""));
    let subject = gateway_with(settings, &authority, &format!("{REQUIRED}{WITH_CRL}"));
    save(&subject, "revoked.pem", &authority.revoke_for(&[], 2));
    let warned = subject.command(&["check"]).exits(0).out;
    let ends =
        ["the authority CN=old home expires in 20 days", "the list of CN=old home is overdue in 2 days"];
    for words in ends {
        assert_eq!(warned.matches(words).count(), 1, "{words}: {warned}");
    }
    subject.port();
    ends.iter().for_each(|words| logged(&subject, words, 1));
    let days = |name: &str| {
        let metrics = scrape(http);
        let start = format!("latchgate_net_{name}_expiry_days{{listener=\"plain\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&start)?.parse::<f64>().ok()).expect("a number")
    };
    assert!((20.0..21.0).contains(&days("client_ca")) && (2.0..3.0).contains(&days("crl")));

    // Both are over. The gateway cannot be sent a new list by whom it shuts out, so it goes on.
    let authority = Authority::ending("older home", -3);
    save(&subject, "ca.crt", &authority.pem());
    save(&subject, "revoked.pem", &authority.revoke_for(&[], -1));
    authority.server(100).save(&subject, "server");
    logged(&subject, "the list of CN=older home is overdue; it is used all the same", 1);
    logged(&subject, "the authority CN=older home has expired", 1);
    assert!((-3.0..-2.0).contains(&days("client_ca")) && (-1.0..0.0).contains(&days("crl")));
    let lamp = authority.client("lamp");
    let mut client = eventually("its clients are let in", || {
        let dialer = Dialer::showing(&authority, &lamp);
        dialer.connect(subject.port(), &Connect::v5("lamp")).ok().map(|(client, _)| client)
    });
    client.ping();
}

fn scrape(port: u16) -> String {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).expect("metrics are served");
    write!(socket, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_holds_nothing_up() {
    let authority = Authority::new("home");
    let subject = gateway(&authority, &format!("{REQUIRED}{WITH_CRL}"));
    save(&subject, "revoked.pem", &authority.revoke(&[]));
    let lamp = authority.client("lamp");
    let dialer = Dialer::showing(&authority, &lamp);
    let mut client = accept(&subject, &dialer, &Connect::v5("lamp"));
    let list = subject.directory().join("revoked.pem");
    std::fs::remove_file(&list).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&list).status().unwrap().success());
    logged(&subject, "it is not a regular file", 1);
    std::fs::remove_file(&list).unwrap();
    save(&subject, "revoked.pem", &authority.revoke(&[&lamp]));
    expect_denied(&mut client);
}
