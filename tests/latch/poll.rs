//! How the service is asked: silently, seldom, a few at a time, over connections that are kept.

use rusqlite::Connection;
use serde_json::json;

use crate::service::{Service, account};
use crate::support::{Subject, eventually};
use crate::{gateway, latch, status_of};

/// Waits until the service was asked this many times more.
fn asked(service: &Service, count: usize) -> Vec<String> {
    let mut requests = Vec::new();
    eventually(&format!("{count} requests"), || {
        requests.extend(service.requests());
        (requests.len() >= count).then_some(())
    });
    requests
}

/// Writes pairings as if users had been paired, and has the service know their accounts.
fn pair_many(subject: &Subject, service: &Service, count: usize) {
    // It makes the database, and finds nobody in it.
    latch(subject, "unpair nobody --forget").exits(1);
    let db = Connection::open(subject.directory().join("state/latch.db")).unwrap();
    let mut state = service.state();
    for number in 0..count {
        let account = format!("ACCOUNT{number}");
        db.execute("INSERT INTO pairing (user, account) VALUES (?1, ?2)", [&format!("u{number}"), &account])
            .unwrap();
        state["accounts"][account] = json!({"paired": true, "app": "on", "ops": {}, "instances": {}});
    }
    service.load(&state);
}

#[test]
fn no_phone_rings_and_one_connection_is_enough() {
    let service = Service::start();
    let subject = gateway(&service.section_with_operations());
    latch(&subject, "pair lamp pair01").exits(0);
    let before = service.gauge("connections");
    subject.port();
    service.requests();
    let requests = asked(&service, 12);
    assert!(requests.iter().all(|request| request.contains("/nootp/silent ok")), "{requests:?}");
    let account = account('a');
    let operation = service.operation("publish");
    for path in [format!("/status/{account}/nootp"), format!("/status/{account}/op/{operation}/nootp")] {
        assert!(requests.iter().any(|request| request.contains(&path)), "{path}: {requests:?}");
    }
    assert!(service.gauge("connections") - before <= 2);
}

#[test]
fn operations_that_come_with_the_application_are_not_asked_about_apart() {
    let service = Service::start();
    let subject = gateway(&service.section_with_operations());
    service.adjust(&json!({"nested": true}));
    latch(&subject, "pair lamp pair01").exits(0);
    service.switch(&account('a'), &service.operation("publish"), "off");
    subject.port();
    eventually("the operation is seen", || {
        (status_of(&subject, "lamp")["publish"] == "locked").then_some(())
    });
    service.requests();
    let requests = asked(&service, 4);
    assert!(requests.iter().all(|request| !request.contains("/op/")), "{requests:?}");
}

#[test]
fn many_users_are_asked_about_a_few_at_a_time_and_each_once() {
    let service = Service::start();
    let subject = gateway(&service.section());
    pair_many(&subject, &service, 60);
    service.adjust(&json!({"pause": 0.02}));
    subject.port();
    service.requests();
    let requests = asked(&service, 300);
    let of = |number: usize| {
        let account = format!("/status/ACCOUNT{number}/");
        requests.iter().filter(|request| request.contains(&account)).count()
    };
    let (least, most) = ((0..60).map(of).min().unwrap(), (0..60).map(of).max().unwrap());
    assert!(least >= 1 && most <= least + 4, "between {least} and {most} times each");
    assert!(service.gauge("at_once") <= 8, "{}", service.gauge("at_once"));
    assert_eq!(service.gauge("of_one_account"), 1);
    assert!(service.gauge("connections") <= 16, "{}", service.gauge("connections"));
}

#[test]
fn while_nobody_answers_one_question_at_a_time_is_put() {
    let service = Service::start();
    let subject = gateway(&service.section());
    pair_many(&subject, &service, 60);
    subject.port();
    asked(&service, 60);
    service.behave("silent");
    eventually("the silence is noticed", || subject.log().contains("not-answering").then_some(()));
    service.requests();
    let since = std::time::Instant::now();
    let requests = asked(&service, 4);
    assert!(requests.iter().all(|request| request.ends_with(" silent")), "{requests:?}");
    // One after the other: each waits for its timeout of a second. (At once they would take no time at all.)
    assert!(requests.len() as f64 <= since.elapsed().as_secs_f64() + 2.0, "{requests:?}");
    service.behave("right");
    eventually("it is noticed again", || subject.log().contains("the Latch service answers").then_some(()));
    asked(&service, 60);
}

#[test]
fn an_account_that_looks_like_a_path_is_not_asked_about() {
    let service = Service::start();
    let subject = gateway(&service.section());
    pair_many(&subject, &service, 1);
    let db = Connection::open(subject.directory().join("state/latch.db")).unwrap();
    db.execute("INSERT INTO pairing (user, account) VALUES ('lamp', '../unpair/ACCOUNT0')", []).unwrap();
    drop(db);
    subject.port();
    let requests = asked(&service, 4);
    assert!(requests.iter().all(|request| !request.contains("unpair")), "{requests:?}");
    let status = status_of(&subject, "lamp");
    assert_eq!(status["closed"][0]["scope"], "gateway", "{status}");
}

#[test]
fn behind_a_locked_application_nothing_else_is_asked_about() {
    let service = Service::start();
    let subject = gateway(&service.section_with_operations());
    latch(&subject, "pair lamp pair01").exits(0);
    latch(&subject, "instance add lamp door").exits(0);
    service.switch(&account('a'), "app", "off");
    subject.port();
    eventually("the lock is seen", || (status_of(&subject, "lamp")["application"] == "locked").then_some(()));
    service.requests();
    let requests = asked(&service, 4);
    let path = format!("/status/{}/nootp/silent ok", account('a'));
    assert!(requests.iter().all(|request| request.contains(&path)), "{requests:?}");
}
