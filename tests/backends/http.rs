//! The backend `http` against a service that is slow, down, wrong, or right.

use super::{HASH, PASSWORD, acl, login, may_publish, peer::Peer};
use crate::support::{
    Client, Connect, Publish, Subject, Will, eventually, packet::VERSIONS, subject::latchgate,
};

/// A gateway that asks `service`; `more` are lines of [auth.http], `cache` of [auth.cache].
fn gateway_with(service: &Peer, backends: &str, more: &str, cache: &str) -> Subject {
    let port = service.port;
    let section = format!(
        "[auth]\nbackends = {backends}\n[auth.throttle]\nfailures = 0\n[auth.cache]\n{cache}\n[auth.http]\n\
         user_url = \"http://127.0.0.1:{port}/auth\"\nsuperuser_url = \"http://127.0.0.1:{port}/superuser\"\n\
         acl_url = \"http://127.0.0.1:{port}/acl\"\n{more}"
    );
    Subject::with().without_rules().section(&section).prepare()
}

fn gateway(service: &Peer, more: &str) -> Subject {
    gateway_with(service, "[\"http\"]", more, "")
}

fn paths(asked: &[serde_json::Value]) -> Vec<&str> {
    asked.iter().filter_map(|one| one["path"].as_str()).collect()
}

#[test]
fn the_service_says_who_may_come_in_and_what_each_may_do_in_every_dialect() {
    for (variant, answer) in [
        ("", "status"),
        ("parameters = \"form\"", "status"),
        ("method = \"GET\"", "status"),
        ("method = \"PUT\"\nanswer = \"json\"", "json"),
        ("answer = \"text\"", "text"),
        ("dialect = \"auth-plug\"", "status"),
        ("dialect = \"auth-plug\"\nsubscribe_as_read = true", "status"),
    ] {
        let service = Peer::service();
        service.script(&format!("{{\"answer\": \"{answer}\"}}"));
        let subject = gateway(&service, variant);
        for version in VERSIONS {
            for (user, password) in [("ann", "mistaken"), ("nobody", PASSWORD), ("ann&x", PASSWORD)] {
                subject.refuse(&Connect::new(version, "x").login(user, password));
            }
            subject.accept(&Connect::new(version, "ann").login("ann", PASSWORD)).ping();
        }
        let mut ann = subject.accept(&login("ann"));
        let mut root = subject.accept(&login("root"));
        assert_eq!(ann.subscribe_all(&crate::support::Subscribe::to("http/ann/#", 1)), [1], "{variant}");
        assert_eq!(ann.subscribe_all(&crate::support::Subscribe::to("http/#", 1)), [0x87], "{variant}");
        assert!(may_publish(&mut ann, "http/ann/x") && !may_publish(&mut ann, "http/bob/x"), "{variant}");
        assert_eq!(ann.receive().topic, "http/ann/x");
        assert!(may_publish(&mut root, "anything/at/all"), "a superuser: {variant}");
        root.say("http/ann/y", "y");
        assert_eq!(ann.receive().topic, "http/ann/y");
        let asked = service.asked();
        let subscribe = if variant.contains("as_read") { "1" } else { "4" };
        let acc = |one: &serde_json::Value| one["fields"]["acc"].to_string().trim_matches('"').to_owned();
        let of_filter =
            asked.iter().find(|one| one["fields"]["topic"] == "http/ann/#").expect("it was asked");
        assert_eq!(acc(of_filter), subscribe, "{variant}: {of_filter}");
        assert!(!subject.log().contains("mistaken"), "no password is logged");
    }
}

#[test]
fn what_was_asked_within_its_time_is_not_asked_again() {
    let service = Peer::service();
    let subject = gateway_with(&service, "[\"http\"]", "", "allow = \"1h\"\ndeny = \"1h\"");
    for _ in 0..3 {
        let mut ann = subject.accept(&login("ann"));
        for _ in 0..20 {
            assert!(may_publish(&mut ann, "http/ann/x") && !may_publish(&mut ann, "other"));
        }
        ann.disconnect();
    }
    let asked = service.asked();
    let mut asked = paths(&asked);
    asked.sort_unstable();
    assert_eq!(asked, ["/acl", "/acl", "/auth", "/superuser"]);
    let subject =
        gateway_with(&service, "[\"http\"]", "", "allow = \"100ms\"\ndeny = \"100ms\"\njitter = \"0ms\"");
    let mut ann = subject.accept(&login("ann"));
    assert!(may_publish(&mut ann, "http/ann/x"));
    service.script("{\"deny\": [\"http/ann/x\"]}");
    eventually("the yes ends with its time", || (!may_publish(&mut ann, "http/ann/x")).then_some(()));
    service.script("{\"deny\": []}");
    eventually("the no ends with its time", || may_publish(&mut ann, "http/ann/x").then_some(()));
}

#[test]
fn nothing_is_remembered_where_the_times_are_zero_and_every_message_is_still_answered() {
    let service = Peer::service();
    let subject = gateway_with(&service, "[\"http\"]", "", "allow = \"0s\"\ndeny = \"0s\"");
    let mut ann = subject.accept(&login("ann"));
    ann.subscribe("http/ann/#", 1);
    service.asked();
    for number in 0..10 {
        assert!(may_publish(&mut ann, "http/ann/x"), "{number}");
        assert_eq!(ann.receive().topic, "http/ann/x");
    }
    let asked = service.asked();
    assert!(asked.iter().filter(|one| one["path"] == "/acl").count() >= 20, "{}", asked.len());
}

#[test]
fn a_backend_that_takes_its_time_keeps_the_order_and_delays_nobody_else() {
    let service = Peer::service();
    let subject = gateway_with(&service, "[\"sqlite\", \"http\"]", "timeout = \"20s\"", "");
    subject.command(&["user", "add", "local", "--hash", HASH]).exits(0);
    acl(&subject, "allow * all local/#");
    let mut ann = subject.accept(&login("ann"));
    let mut root = subject.accept(&login("root"));
    let mut local = subject.accept(&login("local"));
    ann.subscribe("http/ann/#", 1);
    local.subscribe("local/#", 0);
    assert!(may_publish(&mut root, "http/ann/known"));
    assert_eq!(ann.receive().topic, "http/ann/known");
    service.script("{\"mode\": \"slow\"}");
    // Deliveries: each topic is new to ann's gate but the last.
    for topic in ["http/ann/1", "http/ann/2", "http/ann/3", "http/ann/known"] {
        root.say(topic, topic);
    }
    // And publishes: the second is known, and must not overtake the first.
    ann.send(&Publish::to("http/ann/new").qos(1).id(11).encode(crate::support::Version::V5));
    ann.send(&Publish::to("http/ann/known").qos(1).id(12).encode(crate::support::Version::V5));
    for _ in 0..5 {
        local.say("local/x", "x");
        assert_eq!(local.receive().topic, "local/x");
    }
    let mut arrived = Vec::new();
    let mut acknowledged = Vec::new();
    while arrived.len() < 6 || acknowledged.len() < 2 {
        match ann.read() {
            crate::support::Packet::Publish(publish) => {
                ann.acknowledge(&publish);
                arrived.push(publish.topic);
            }
            crate::support::Packet::PubAck { id, code, .. } => {
                assert_eq!(code, 0);
                acknowledged.push(id);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(acknowledged, [11, 12]);
    let others: Vec<_> = arrived.iter().filter(|topic| *topic != "http/ann/new").collect();
    assert_eq!(others[..3], ["http/ann/1", "http/ann/2", "http/ann/3"], "{arrived:?}");
}

#[test]
fn a_backend_that_hangs_is_a_no_after_its_deadline_and_delays_nobody_else() {
    let service = Peer::service();
    let subject = gateway_with(
        &service,
        "[\"sqlite\", \"http\"]",
        "timeout = \"700ms\"\nretries = 0",
        "allow = \"1h\"",
    );
    subject.command(&["user", "add", "local", "--hash", HASH]).exits(0);
    acl(&subject, "allow local all local/#");
    let mut ann = subject.accept(&login("ann"));
    assert!(may_publish(&mut ann, "http/ann/known"));
    service.script("{\"mode\": \"hang\"}");
    ann.send(&Publish::to("http/ann/new").qos(1).id(11).encode(crate::support::Version::V5));
    let mut local = subject.accept(&login("local"));
    for _ in 0..20 {
        assert!(may_publish(&mut local, "local/x"));
    }
    assert_eq!(ann.await_puback(11), 0x87);
    assert!(may_publish(&mut ann, "http/ann/known"), "what was remembered counts");
    subject.refuse(&login("bob"));
    service.script("{\"mode\": \"answer\"}");
    eventually("asked again", || may_publish(&mut ann, "http/ann/new").then_some(()));
}

/// Bug: publishers waited up to 3 s for a subscriber whose messages waited for a backend that hung.
#[test]
fn a_backend_that_hangs_holds_up_no_publisher_of_what_its_client_is_to_receive() {
    let service = Peer::service();
    let section = format!(
        "[auth]\nbackends = [\"sqlite\", \"http\"]\n[auth.cache]\nallow = \"0s\"\n[auth.http]\ntimeout = \"1m\"\n\
         user_url = \"http://127.0.0.1:{port}/auth\"\nacl_url = \"http://127.0.0.1:{port}/acl\"\n",
        port = service.port
    );
    let settings = Subject::with().without_rules().limit("queued_messages", 50);
    let subject = settings.section(&section).prepare();
    subject.command(&["user", "add", "local", "--hash", HASH]).exits(0);
    acl(&subject, "allow local all http/#");
    let mut ann = subject.accept(&login("ann"));
    ann.subscribe("http/ann/#", 1);
    let mut local = subject.accept(&login("local"));
    service.script("{\"mode\": \"hang\"}");
    service.asked();
    local.say("http/ann/0", "x");
    eventually("it is asked about ann", || (!service.asked().is_empty()).then_some(()));
    let mut sent = 0;
    super::within_a_second("nobody waits", || {
        sent += 1;
        local.say("http/ann/x", "x");
        sent == 45
    });
    let mut bob = subject.accept(&Connect::v5("bob").login("local", PASSWORD));
    super::within_a_second("nor does who publishes at QoS 0", || {
        bob.send(&Publish::to("http/ann/y").encode(crate::support::Version::V5));
        bob.ping();
        sent += 1;
        sent == 60
    });
}

#[test]
fn whatever_goes_wrong_counts_as_a_no_unless_told_otherwise() {
    for mode in ["error", "close", "garbage"] {
        let service = Peer::service();
        let short = "allow = \"100ms\"\njitter = \"0ms\"\ndeny = \"100ms\"";
        let subject = |on_error: &str| {
            let more = format!("retries = 0\non_error = \"{on_error}\"");
            let subject = gateway_with(&service, "[\"http\", \"sqlite\"]", &more, short);
            acl(&subject, "allow * all by/sqlite");
            subject.command(&["user", "add", "local", "--hash", HASH]).exits(0);
            subject
        };
        let (deny, next, stale) = (subject("deny"), subject("next"), subject("stale"));
        let mut clients = [&deny, &next, &stale].map(|subject| subject.accept(&login("ann")));
        for client in &mut clients {
            assert!(may_publish(client, "http/ann/x"));
        }
        service.script(&format!("{{\"mode\": \"{mode}\"}}"));
        let [ann_deny, ann_next, ann_stale] = &mut clients;
        eventually("its time ends", || (!may_publish(ann_deny, "http/ann/x")).then_some(()));
        eventually("its time ends", || (!may_publish(ann_next, "http/ann/x")).then_some(()));
        for _ in 0..3 {
            assert!(may_publish(ann_stale, "http/ann/x"), "as it said last: {mode}");
        }
        assert!(!may_publish(ann_stale, "http/ann/new"), "what was never said is no: {mode}");
        // A login: the next backend is asked, or not.
        next.accept(&login("local")).ping();
        deny.refuse(&login("local"));
        service.script("{\"mode\": \"answer\"}");
        eventually("it is asked again", || may_publish(ann_deny, "http/ann/x").then_some(()));
    }
}

#[test]
fn whoever_logs_in_while_a_service_is_down_is_told_so_and_not_banned_for_it() {
    let service = Peer::service();
    let subject = Subject::with().without_rules().section(&format!(
        "[auth]\nbackends = [\"http\"]\n[auth.throttle]\nfailures = 3\nexempt_loopback = false\n[auth.cache]\nallow = \"100ms\"\n\
         [auth.http]\nretries = 0\nuser_url = \"http://127.0.0.1:{}/auth\"",
        service.port
    ));
    let subject = subject.prepare();
    subject.accept(&login("ann")).ping();
    service.stop();
    for _ in 0..6 {
        assert_eq!(subject.refuse(&Connect::v5("x").login("ann", PASSWORD)).code, 0x88, "server unavailable");
    }
    assert_eq!(subject.refuse(&Connect::v311("x").login("ann", PASSWORD)).code, 3);
    service.start_again();
    eventually("she is let in again", || {
        let (_, connack) = Client::connect(subject.port(), &login("ann"));
        assert!(matches!(connack.code, 0 | 0x88), "{connack:?}");
        (connack.code == 0).then_some(())
    });
    // A password that is wrong is one.
    for _ in 0..3 {
        let wrong = || subject.refuse(&Connect::v5("x").login("ann", "wrong")).code;
        eventually("it was asked", || (wrong() == 0x86).then_some(()));
    }
    assert_eq!(subject.refuse(&login("ann")).code, 0x8A, "banned");
}

#[test]
fn a_service_that_is_gone_is_found_again_when_it_is_back() {
    let service = Peer::service();
    let subject = gateway_with(&service, "[\"http\"]", "", "allow = \"100ms\"\njitter = \"0ms\"");
    let mut ann = subject.accept(&login("ann"));
    assert!(may_publish(&mut ann, "http/ann/x"));
    service.stop();
    for number in 0..8 {
        assert!(!may_publish(&mut ann, &format!("http/ann/{number}")));
    }
    service.start_again();
    eventually("it is asked again", || may_publish(&mut ann, "http/ann/x").then_some(()));
    let log = subject.log();
    assert!(log.matches("no answer").count() <= 3, "it is not said for every question: {log}");
}

#[test]
fn names_topics_and_passwords_stay_what_they_are() {
    let service = Peer::service();
    for more in ["", "dialect = \"auth-plug\"", "method = \"GET\""] {
        let subject = gateway(&service, more);
        // HTTP Basic knows no colon in a name.
        let user =
            if more.contains("plug") { "ann&username=root\r\nX y" } else { "ann&username=root\r\nX: y" };
        let id = "c#1\"&acc=2";
        service.asked();
        subject.refuse(&Connect::v5(id).login(user, "p&a=ss\"\\ %41ü"));
        let asked = service.asked();
        let fields = &asked[0]["fields"];
        assert_eq!(fields["username"], user, "{more}");
        assert_eq!(
            (&fields["clientid"], &fields["password"]),
            (&id.into(), &"p&a=ss\"\\ %41ü".into()),
            "{more}"
        );
        let mut ann = subject.accept(&login("ann"));
        let topic = "http/ann/x&acc=1\"%2F\u{1F600}";
        assert!(may_publish(&mut ann, topic));
        let asked = service.asked();
        assert!(asked.iter().any(|one| one["fields"]["topic"] == topic), "{more}: {asked:?}");
    }
}

#[test]
fn headers_and_the_clients_origin_are_sent_if_told_so() {
    let service = Peer::service();
    let subject = gateway(&service, "headers = [\"X-Key: s3cret\"]\nsend_origin = true");
    subject.accept(&login("ann")).ping();
    let asked = service.asked();
    assert_eq!(asked[0]["headers"]["x-key"], "s3cret");
    let fields = &asked[0]["fields"];
    assert_eq!((&fields["address"], &fields["listener"]), (&"127.0.0.1".into(), &"plain".into()));
    assert!(!subject.log().contains("s3cret"));
}

#[test]
fn a_will_is_asked_about_when_it_is_left_and_when_it_fires() {
    let service = Peer::service();
    let subject = gateway_with(&service, "[\"http\"]", "", "allow = \"0s\"\ndeny = \"0s\"");
    let mut root = subject.accept(&login("root"));
    root.subscribe("http/#", 0);
    let with_will = |topic: &str| login("ann").will(Will::new(topic, "gone"));
    assert_eq!(subject.refuse(&with_will("http/bob/x")).code, 0x87);
    subject.accept(&with_will("http/ann/will")).drop_connection();
    assert_eq!(root.receive().topic, "http/ann/will");
    let ann = subject.accept(&with_will("http/ann/late"));
    service.script("{\"deny\": [\"http/ann/late\"]}");
    ann.drop_connection();
    eventually("it is refused", || subject.log().contains("http/ann/late").then_some(()));
    root.nothing_arrives();
}

#[test]
fn explain_and_acl_test_ask_the_service_and_say_so() {
    let service = Peer::service();
    let subject = gateway_with(&service, "[\"sqlite\", \"http\"]", "", "allow = \"1h\"");
    let answer = subject.command(&["acl", "test", "ann", "write", "http/ann/x"]).exits(0);
    assert!(answer.out.starts_with("allow: http: HTTP 200"), "{answer:?}");
    subject.command(&["acl", "test", "ann", "write", "x"]).exits(3);
    let _ann = subject.accept(&login("ann"));
    for (asked, how) in [("--client ann", "(asked,"), ("ann", "(from memory,")] {
        // The identifier is part of the question.
        let mut words = vec!["explain"];
        words.extend(asked.split(' '));
        words.extend(["write", "http/ann/x"]);
        if asked == "ann" {
            words.extend(["--client-id", "ann"]);
        }
        let answer = subject.command(&words).exits(0);
        assert!(answer.out.contains("backend    http       allow: HTTP 200"), "{answer:?}");
        let _ = how;
    }
    let answer = subject.command(&["explain", "ann", "write", "http/ann/x", "--client-id", "ann"]).exits(0);
    assert!(answer.out.contains("(from memory,"), "{answer:?}");
}

#[test]
fn over_tls_only_a_certificate_that_is_trusted_is_answered() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    latchgate(folder.path(), &["pki", "init"], "").exits(0);
    latchgate(folder.path(), &["pki", "issue", "service", "--server", "--san", "localhost"], "").exits(0);
    let file = |name: &str| folder.path().join("pki").join(name).to_string_lossy().into_owned();
    let (certificate, key) = (file("issued/service.crt"), file("issued/service.key"));
    let port = crate::support::subject::free_port().to_string();
    let service = Peer::start("service.py", &[&port, &certificate, &key], 1);
    let subject = |ca: &str| {
        let section = format!(
            "[auth]\nbackends = [\"http\"]\n[auth.http]\nuser_url = \"https://localhost:{}/auth\"\n{ca}",
            service.port
        );
        Subject::with().without_rules().section(&section).prepare()
    };
    let untrusting = subject("");
    untrusting.refuse(&login("ann"));
    assert!(untrusting.log().contains("certificate"), "{}", untrusting.log());
    subject(&format!("ca = \"{}\"", file("ca.crt"))).accept(&login("ann")).ping();
}

#[test]
fn what_stands_behind_a_command_under_latch_is_told_to_no_backend() {
    let service = Peer::service();
    let latch = "[latch]\napplication_id = \"APP\"\nsecret_file = \"latch.secret\"\nlegacy_topics = true\n";
    let subject = gateway(&service, latch);
    let secret = subject.directory().join("latch.secret");
    std::fs::write(&secret, "0123456789").expect("write the secret");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("make it private");
    let mut ann = subject.accept(&login("ann"));
    assert_eq!(ann.say("LATCH/unpairing=hunter2", ""), 0x87);
    let asked = service.asked();
    assert!(asked.iter().any(|one| one["fields"]["topic"] == "LATCH/unpairing"), "{asked:?}");
    assert!(!format!("{asked:?}").contains("hunter2") && !subject.log().contains("hunter2"), "{asked:?}");
}

/// What `/metrics` says.
fn metrics(port: u16) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("metrics are served");
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("ask");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read the answer");
    answer
}

#[test]
fn metrics_say_how_a_backend_does() {
    let service = Peer::service();
    let port = crate::support::subject::free_port();
    let more = format!("retries = 0\n[admin]\nhttp = \"127.0.0.1:{port}\"");
    let subject = gateway_with(&service, "[\"http\"]", &more, "allow = \"1h\"\ndeny = \"1h\"");
    let mut ann = subject.accept(&login("ann"));
    for _ in 0..3 {
        assert!(may_publish(&mut ann, "http/ann/x"));
    }
    ann.disconnect();
    let mut ann = subject.accept(&login("ann"));
    let has = |text: &str, name: &str, value: &str| {
        let line = format!("latchgate_policy_backend_{name} {value}\n");
        assert!(text.contains(&line), "{line}: {text}");
    };
    let text = metrics(port);
    has(&text, "questions_total{backend=\"http\"}", "3");
    has(&text, "answers_remembered_total{backend=\"http\"}", "1");
    has(&text, "failures_total{backend=\"http\"}", "0");
    has(&text, "left_alone{backend=\"http\"}", "0");
    has(&text, "answer_seconds_count{backend=\"http\"}", "3");
    service.stop();
    for number in 0..5 {
        assert!(!may_publish(&mut ann, &format!("http/ann/{number}")));
    }
    has(&metrics(port), "failures_total{backend=\"http\"}", "5");
}

/// Bug: five passwords that are no text made the gateway take the service for broken.
#[test]
fn passwords_that_are_no_text_do_not_make_the_service_broken() {
    let service = Peer::service();
    let subject = gateway(&service, "");
    for _ in 0..6 {
        let strange = Connect { password: Some(vec![0xFF, 0xFE]), ..login("ann") };
        assert_eq!(subject.refuse(&strange).code, 0x86);
    }
    subject.accept(&login("ann")).ping();
    assert!(!subject.log().contains("no answer"), "{}", subject.log());
}

#[test]
fn what_a_certificate_says_is_sent_if_told_so() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for words in [
        &["pki", "init"][..],
        &["pki", "issue", "server", "--server", "--san", "localhost"],
        &["pki", "issue", "lamp"],
    ] {
        latchgate(folder.path(), words, "").exits(0);
    }
    let file = |name: &str| folder.path().join("pki").join(name).to_string_lossy().into_owned();
    let (service, port) = (Peer::service(), crate::support::subject::free_port().to_string());
    let listener = format!(
        "[[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:{port}\"\n[listener.tls]\ncertificate = {:?}\nkey = {:?}\n\
         client_ca = {:?}\nclient_certificate = \"required\"\n",
        file("issued/server.crt"),
        file("issued/server.key"),
        file("ca.crt")
    );
    let subject = gateway(&service, &format!("send_certificate = true\nsend_origin = true\n{listener}"));
    subject.port();
    let files = [file("ca.crt"), file("issued/lamp.crt"), file("issued/lamp.key")];
    let words = [
        "pub",
        "-h",
        "localhost",
        "-p",
        &port,
        "--cafile",
        &files[0],
        "--cert",
        &files[1],
        "--key",
        &files[2],
        "-u",
        "ann",
        "-P",
        PASSWORD,
        "-t",
        "http/ann/x",
        "-q",
        "1",
        "-m",
        "hi",
    ];
    latchgate(folder.path(), &words, "").exits(0);
    let asked = service.asked();
    let mut all = paths(&asked);
    all.sort_unstable();
    assert_eq!(all, ["/acl", "/auth", "/superuser"]);
    for one in &asked {
        let fields = &one["fields"];
        assert_eq!(
            (&fields["cert_common_name"], &fields["listener"]),
            (&"lamp".into(), &"tls".into()),
            "{one}"
        );
        assert!(fields["cert_subject"].as_str().is_some_and(|subject| subject.contains("CN=lamp")), "{one}");
        let digits = |name: &str| {
            fields[name].as_str().map(|text| (text.len(), text.bytes().all(|b| b.is_ascii_hexdigit())))
        };
        assert_eq!(digits("cert_fingerprint"), Some((64, true)));
        assert!(digits("cert_serial").is_some_and(|(length, hex)| length > 0 && hex));
    }
    subject.accept(&login("ann")).ping();
    assert!(
        service.asked().iter().all(|one| one["fields"].get("cert_subject").is_none()),
        "without a certificate"
    );
}

/// Bug: five user names or topics that were too long for an address made the gateway take the service for broken.
#[test]
fn a_question_that_is_too_long_for_an_address_is_no_outage() {
    let service = Peer::service();
    let subject = gateway_with(
        &service,
        "[\"http\"]",
        "method = \"GET\"\nretries = 0\non_error = \"stale\"",
        "deny = \"0s\"",
    );
    let mut ann = subject.accept(&login("ann"));
    for length in [7_990, 30_000, 65_000] {
        let long = "é".repeat(length / 2);
        for _ in 0..6 {
            assert_eq!(subject.refuse(&login(&long)).code, 0x86, "{length}");
            assert_ne!(ann.say(&format!("http/ann/{long}"), "x"), 0, "{length}");
        }
    }
    assert!(may_publish(&mut ann, "http/ann/x"), "{}", subject.log());
    subject.accept(&login("bob")).ping();
    assert!(!subject.log().contains("no answer"), "{}", subject.log());
}

/// Bug: what is a 4xx and what an outage was not told apart: 429 was a no.
#[test]
fn a_4xx_is_an_answer_to_the_question_and_a_429_is_none() {
    let service = Peer::service();
    let short = "allow = \"100ms\"\njitter = \"0ms\"\ndeny = \"0s\"";
    let subject = gateway_with(&service, "[\"http\"]", "retries = 0\non_error = \"stale\"", short);
    let mut ann = subject.accept(&login("ann"));
    for status in [400, 404, 414, 431] {
        service.script(&format!("{{\"no\": {status}, \"deny\": []}}"));
        assert!(may_publish(&mut ann, "http/ann/x"));
        service.script("{\"deny\": [\"http/ann/x\"]}");
        eventually("what was taken back is not prolonged", || {
            (!may_publish(&mut ann, "http/ann/x")).then_some(())
        });
        for number in 0..6 {
            assert!(
                !may_publish(&mut ann, "http/ann/x") && may_publish(&mut ann, &format!("http/ann/{number}"))
            );
        }
    }
    assert!(!subject.log().contains("no answer"), "{}", subject.log());
    service.script("{\"no\": 429, \"deny\": []}");
    assert!(may_publish(&mut ann, "http/ann/x"));
    service.script("{\"deny\": [\"http/ann/x\"]}");
    eventually("it is asked and has no time", || {
        assert!(may_publish(&mut ann, "http/ann/x"), "as it said last");
        subject.log().contains("no answer (HTTP 429)").then_some(())
    });
}

/// Bug: `a:b` with the password `c` was sent as HTTP Basic, where it is `a` with `b:c`.
#[test]
fn a_name_with_a_colon_is_not_sent_as_http_basic() {
    let service = Peer::service();
    let subject = gateway(&service, "dialect = \"auth-plug\"");
    assert_eq!(subject.refuse(&login("ann:x")).code, 0x86);
    assert!(service.asked().is_empty());
    subject.accept(&login("ann")).ping();
    let asked = service.asked();
    let basic = asked.iter().find_map(|one| one["headers"]["authorization"].as_str());
    assert_eq!(basic, Some("Basic YW5uOnBhc3N3b3Jk"));
}

/// Bug: while the service was down, 0x86 told which names have an account here; and who might have been right was banned.
#[test]
fn an_outage_does_not_tell_who_has_an_account_here() {
    let service = Peer::service();
    let port = service.port;
    for backends in ["[\"sqlite\", \"http\"]", "[\"http\", \"sqlite\"]"] {
        let subject = Subject::with().without_rules().section(&format!(
            "[auth]\nbackends = {backends}\n[auth.throttle]\nfailures = 4\nexempt_loopback = false\n[auth.http]\nretries = 0\n\
             on_error = \"next\"\nuser_url = \"http://127.0.0.1:{port}/auth\"\n"
        ));
        let subject = subject.prepare();
        subject.command(&["user", "add", "local", "--hash", HASH]).exits(0);
        service.stop();
        for version in VERSIONS {
            let wrong = |user: &str| subject.refuse(&Connect::new(version, "x").login(user, "wrong")).code;
            assert_eq!(wrong("local"), wrong("nobody"), "{backends}");
        }
        // Who is right elsewhere is told to come again, however often; who is right here comes in.
        for _ in 0..5 {
            assert_eq!(subject.refuse(&login("ann")).code, 0x88, "{backends}");
        }
        subject.accept(&login("local")).ping();
        // But nobody guesses on.
        for _ in 0..4 {
            assert_eq!(subject.refuse(&Connect::v5("x").login("local", "wrong")).code, 0x88, "{backends}");
        }
        assert_eq!(subject.refuse(&login("local")).code, 0x8A, "{backends}");
        service.start_again();
    }
}
