//! What is around the gateway: brokers that bridges connect to, backends, the Latch service.

use std::path::Path;

use super::{Report, doctor, place, run_under, write};
use crate::cloud::Cloud;
use crate::latch_service::{SECRET, Service};
use crate::peer::Peer;
use crate::support::subject::{free_port, latchgate};

const ROUTE: &str = "[[bridge.route]]\ntopic = \"t\"\ndirection = \"out\"\n";

fn bridge(address: &str, tls: &str) -> String {
    format!(
        "[[bridge]]\nname = \"cloud\"\naddress = \"{address}\"\ntimeout = \"5s\"\nretry_min = \"50ms\"\n{ROUTE}{tls}"
    )
}

/// An authority with a server's and a client's certificate, made at a time: `env` is now.
fn authority(directory: &Path, when: &[&str], name: &str) {
    let days: &[&str] = if when.len() > 1 { &["--days", "30"] } else { &[] };
    let issue = ["pki", "issue", "server", "--server", "--san", name, "--dir", "pki"];
    run_under(directory, when, &[], &["pki", "init", "--dir", "pki"]).exits(0);
    run_under(directory, when, &[], &[&issue[..], days].concat()).exits(0);
    run_under(directory, &["env"], &[], &["pki", "issue", "client", "--dir", "pki"]);
}

/// Mosquitto with TLS, and its port.
fn cloud(home: &Path, more: &str) -> (Cloud, u16) {
    let (port, pki) = (free_port(), home.join("pki"));
    let pki = pki.display();
    let lines = format!(
        "per_listener_settings true\nlistener {port} 127.0.0.1\ncafile {pki}/ca.crt\ncertfile {pki}/issued/server.crt\n\
         keyfile {pki}/issued/server.key\nallow_anonymous true\n{more}"
    );
    (Cloud::start(&lines), port)
}

fn tls(authority: &Path, client: Option<&Path>) -> String {
    let client = client.map(|home| {
        let pki = home.join("pki/issued");
        format!("certificate = \"{0}/client.crt\"\nkey = \"{0}/client.key\"\n", pki.display())
    });
    format!("[bridge.tls]\nca = \"{}/pki/ca.crt\"\n{}", authority.display(), client.unwrap_or_default())
}

#[test]
fn a_broker_that_takes_our_certificate_is_fine_and_each_certificate_that_is_not_is_named() {
    let (home, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    authority(home.path(), &["env"], "localhost");
    authority(other.path(), &["env"], "localhost");
    let (_cloud, port) = cloud(home.path(), "require_certificate true\n");
    let address = format!("mqtts://localhost:{port}");
    let found = |tls: &str| doctor(&place(&bridge(&address, tls)));
    found(&tls(home.path(), Some(home.path()))).has("bridges", "fine", "TLS is right");
    let report = found(&tls(home.path(), None));
    report.has("bridges", "wrong", "client certificate");
    report.is_wrong();
    let report = found(&tls(home.path(), Some(other.path())));
    report.has("bridges", "wrong", "our certificate is from none of the authorities that it trusts");
    let report = found(&tls(other.path(), Some(home.path())));
    let issuer = report.has("bridges", "wrong", "its certificate is from none of the trusted authorities");
    assert!(issuer["help"].as_str().is_some_and(|help| help.contains("bridge.tls.ca")), "{issuer}");
    let numbers = format!("mqtts://127.0.0.1:{port}");
    let report = doctor(&place(&bridge(&numbers, &tls(home.path(), Some(home.path())))));
    report.has("bridges", "wrong", "its certificate is not for 127.0.0.1 but for");
}

#[test]
fn a_broker_whose_certificate_has_expired_or_is_of_the_future_is_told() {
    for (when, words) in
        [("2025-02-01 00:00:00", "its certificate expired"), ("2090-01-01 00:00:00", "will be valid in")]
    {
        let home = tempfile::tempdir().expect("a directory");
        authority(home.path(), &["faketime", when], "localhost");
        let (_cloud, port) = cloud(home.path(), "");
        let report = doctor(&place(&bridge(&format!("mqtts://localhost:{port}"), &tls(home.path(), None))));
        let found = report.has("bridges", "wrong", words);
        assert!(found["help"].as_str().is_some_and(|help| help.contains("clock")), "{found}");
    }
}

#[test]
fn a_name_that_nobody_knows_and_a_port_where_nobody_listens_are_told_apart() {
    let report = doctor(&place(&bridge("mqtt://no-such-host.invalid", "")));
    report.has("bridges", "wrong", "cannot be resolved");
    let report = doctor(&place(&bridge(&format!("mqtt://localhost:{}", free_port()), "")));
    report.has("bridges", "wrong", "refused");
}

#[test]
fn a_port_without_tls_is_not_taken_for_one_with_it() {
    let cloud = Cloud::start("");
    let home = tempfile::tempdir().expect("a directory");
    authority(home.path(), &["env"], "localhost");
    let report =
        doctor(&place(&bridge(&format!("mqtts://localhost:{}", cloud.port), &tls(home.path(), None))));
    report.has("bridges", "wrong", "TLS");
    doctor(&place(&bridge(&format!("mqtt://localhost:{}", cloud.port), ""))).has(
        "bridges",
        "fine",
        "without TLS",
    );
}

#[test]
fn a_running_gateway_says_whether_its_bridge_is_connected_and_doctor_does_not_disturb_it() {
    let cloud = Cloud::start("");
    let port = free_port();
    let both = format!(
        "{}[[bridge]]\nname = \"down\"\naddress = \"mqtt://127.0.0.1:{port}\"\n{ROUTE}",
        bridge(&format!("mqtt://127.0.0.1:{}", cloud.port), "")
    );
    let running = crate::support::Subject::with().section(&both).start();
    let report = crate::support::eventually("the bridge is connected", || {
        let report = Report::of(running.command(&["doctor", "--json"]));
        report.0.to_string().contains("\"connected, 0 messages wait\"").then_some(report)
    });
    report.has("bridges", "warning", "not connected");
    let status = running.command(&["bridge", "status", "--json"]).exits(0).out;
    assert!(!status.contains("taken over"), "{status}");
    assert!(!cloud.log().contains("already connected, closing old connection"), "{}", cloud.log());
}

fn asks(service: &Peer, more: &str) -> String {
    let port = service.port;
    format!(
        "[auth]\nbackends = [\"sqlite\", \"http\"]\n[auth.http]\nuser_url = \"http://127.0.0.1:{port}/auth\"\n\
         superuser_url = \"http://127.0.0.1:{port}/superuser\"\nacl_url = \"http://127.0.0.1:{port}/acl\"\ntimeout = \"1s\"\n{more}"
    )
}

#[test]
fn a_backend_that_answers_is_fine_and_one_that_fails_or_hangs_or_is_gone_is_told() {
    let service = Peer::service();
    let place = place(&asks(&service, ""));
    let report = doctor(&place);
    for question in ["(login)", "(superuser)", "(rights)"] {
        report.has("backends", "fine", question);
    }
    report.has("backends", "fine", "accounts.db");
    let asked = service.asked();
    assert!(asked.iter().all(|one| one["fields"]["username"] == "latchgate-doctor"), "{asked:?}");
    for (mode, words) in
        [("error", "HTTP 5"), ("hang", "no answer within 1000 ms"), ("close", "does not answer")]
    {
        service.script(&format!("{{\"mode\": \"{mode}\"}}"));
        let report = doctor(&place);
        report.has("backends", "wrong", words);
        report.is_wrong();
    }
    service.stop();
    doctor(&place).has("backends", "wrong", "does not answer");
}

/// Bug: a service that fails when it is asked about superusers was told although nobody asks it.
#[test]
fn superusers_of_a_backend_are_not_looked_at_where_they_do_not_count() {
    let service = Peer::service();
    let asked = "superusers = false";
    let place = place(&asks(&service, asked));
    service.script("{\"answer\": \"status\", \"mode\": \"error\"}");
    let report = doctor(&place);
    report.has("backends", "wrong", "(login)");
    let found = report.0["findings"].to_string();
    assert!(!found.contains("(superuser)"), "{found}");
}

#[test]
fn a_backend_that_says_yes_to_anybody_is_told() {
    let cloud = Peer::service();
    // What is asked for logins answers them as a script: with status 204, which is a yes.
    let open = asks(&cloud, "").replace("/auth\"", "/asked\"");
    let report = doctor(&place(&open));
    report.has("backends", "wrong", "it says yes to anybody (login)");
}

#[test]
fn files_of_a_backend_that_are_missing_are_told_at_their_place() {
    let place = place("[auth]\nbackends = [\"files\"]\n[auth.files]\npassword_file = \"absent\"\n");
    let report = doctor(&place);
    report.has("configuration", "wrong", "absent");
    report.is_wrong();
}

#[test]
fn the_latch_service_answers_or_it_is_told_why_not() {
    let service = Service::start();
    let place = place("");
    let file = std::fs::read_to_string(place.path().join("latchgate.toml")).expect("the configuration");
    let with = |section: &str| {
        write(place.path(), &format!("{file}{section}"));
        doctor(&place)
    };
    let right = service.section();
    with(&right).has("latch", "fine", "it answers");
    with(&right.replace("APPIDAPPIDAPPIDAPPID", "OTHEROTHEROTHEROTHER")).has(
        "latch",
        "wrong",
        "identifier or secret",
    );
    service.end();
    let report = with(&right);
    report.has("latch", "wrong", "cannot be reached");
    report.is_wrong();
    assert!(!report.0.to_string().contains(SECRET));
    with("").has("latch", "fine", "not used");
}

#[test]
fn doctor_leaves_no_trace_in_the_state_directory() {
    let place = place("");
    let list = || {
        let mut names: Vec<_> = std::fs::read_dir(place.path().join("state"))
            .expect("list")
            .map(|one| one.expect("list").file_name())
            .collect();
        names.sort();
        names
    };
    let before = list();
    latchgate(place.path(), &["--config", "latchgate.toml", "doctor"], "").exits(0);
    assert_eq!(list(), before);
}
