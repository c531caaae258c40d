//! `latchgate latch …` against the service, with no gateway running.

use crate::service::{APPLICATION, SECRET, Service, account};
use crate::support::Subject;
use crate::{json, latch};

fn subject(section: &str) -> Subject {
    Subject::with().section(section).without_rules().prepare()
}

#[test]
fn setup_tests_the_secret_makes_the_operations_and_completes_the_configuration() {
    let service = Service::start();
    let subject = subject(&service.place());
    let input = format!("{APPLICATION}\n{SECRET}\n");
    let answer = subject.command_with_input(&["latch", "setup", "--write"], &input).exits(0);
    assert!(!answer.out.contains(SECRET) && !answer.err.contains(SECRET));
    let file = subject.directory().join("latch.secret");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(subject.config()).unwrap();
    for line in [
        format!("application_id = \"{APPLICATION}\""),
        "secret_file = \"latch.secret\"".to_owned(),
        format!("publish_operation = \"{}\"", service.operation("publish")),
        format!("subscribe_operation = \"{}\"", service.operation("subscribe")),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    subject.command(&["check"]).exits(0);
    // A second time finds the operations that are there.
    subject.command_with_input(&["latch", "setup"], &input).exits(0);
    assert_eq!(service.state()["operations"].as_object().unwrap().len(), 2);
}

#[test]
fn setup_with_a_wrong_secret_changes_nothing() {
    let service = Service::start();
    let subject = subject(&service.place());
    let before = std::fs::read_to_string(subject.config()).unwrap();
    let wrong = format!("{APPLICATION}\n{}\n", SECRET.replace('0', "9"));
    let answer = subject.command_with_input(&["latch", "setup", "--write"], &wrong).exits(1);
    assert!(answer.err.contains("102") && answer.err.contains("secret is wrong"), "{}", answer.err);
    assert!(!subject.directory().join("latch.secret").exists());
    assert_eq!(std::fs::read_to_string(subject.config()).unwrap(), before);
}

#[test]
fn a_user_is_paired_looked_at_and_unpaired() {
    let service = Service::start();
    let subject = subject(&service.section());
    latch(&subject, "pair lamp pair01").exits(0);
    let again = latch(&subject, "pair lamp pair02").exits(1);
    assert!(again.err.contains("paired already"), "{}", again.err);
    let late = latch(&subject, "pair phone pair01").exits(1);
    assert!(late.err.contains("206") && !late.err.contains("pair01"), "{}", late.err);
    let piped = subject.command_with_input(&["latch", "pair", "phone", "-"], "pair02\n");
    piped.exits(0);

    latch(&subject, "instance add lamp door/+").exits(0);
    service.switch(&account('b'), "app", "off");
    let status = json(&latch(&subject, "status --json").exits(0));
    assert_eq!(status["service"], "answering");
    assert_eq!(status["users"][0]["closed"], serde_json::json!([]));
    assert_eq!(status["users"][0]["instances"][0]["state"], "open");
    assert_eq!(status["users"][1]["closed"][0], serde_json::json!({"scope": "gateway", "cause": "locked"}));
    let text = latch(&subject, "status phone").exits(0).out;
    assert!(text.contains("closed: gateway (locked)") && !text.contains("lamp"), "{text}");
    assert!(service.requests().iter().all(|request| !request.ends_with("rang")));

    latch(&subject, "lock lamp --topic door/+").exits(0);
    let status = json(&latch(&subject, "status lamp --json").exits(0));
    assert_eq!(status["users"][0]["closed"][0]["scope"], "topic:door/+");
    latch(&subject, "unlock lamp --topic door/+").exits(0);
    assert_eq!(json(&latch(&subject, "history lamp").exits(0))["count"], 0);

    latch(&subject, "instance remove lamp door/+").exits(0);
    latch(&subject, "unpair lamp").exits(0);
    assert_eq!(service.state()["accounts"][account('a')]["paired"], false);
    latch(&subject, "unpair lamp").exits(1);
    latch(&subject, "unpair phone").exits(0);
}

#[test]
fn names_and_filters_that_look_like_something_else_reach_the_service_as_they_are() {
    let service = Service::start();
    let subject = subject(&service.section());
    let name = "x' OR '1'='1/../../+#?a=b&c";
    subject.command(&["latch", "pair", name, "pair01"]).exits(0);
    let filter = "home/floor 1/rö&two_factor=MANDATORY/+/?x=%2F;'--";
    subject.command(&["latch", "instance", "add", name, filter]).exits(0);
    let state = service.state();
    let instances = state["accounts"][account('a')]["instances"].as_object().unwrap();
    assert_eq!(instances.values().next().unwrap()["name"], filter);
    let listed = subject.command(&["latch", "instance", "list", name, "--json"]).exits(0);
    assert_eq!(json(&listed)[0]["topic"], filter);
    for token in ["../unpair/x", "a?b", "a b", "", "pair01/../../x"] {
        let answer = subject.command(&["latch", "pair", "other", token]).exits(1);
        assert!(answer.err.contains("not a pairing token"), "{}", answer.err);
    }
}

#[test]
fn what_is_no_latch_service_is_told_in_words_and_in_bounds() {
    let service = Service::start();
    let subject = subject(&service.section());
    latch(&subject, "pair lamp pair01").exits(0);
    for (mode, words) in [
        ("silent", "did not answer within 1s"),
        ("slow", "did not answer within 1s"),
        ("reset", "cannot be reached"),
        ("garbage", "not JSON"),
        ("empty", "not JSON"),
        ("giant", "larger than"),
        ("endless", "larger than"),
        ("redirect", "HTTP status 302"),
        ("error500", "HTTP status 500"),
    ] {
        service.behave(mode);
        let status = json(&latch(&subject, "status --json").exits(0));
        assert_eq!(status["service"], "not-answering", "{mode}");
        assert!(status["error"].as_str().unwrap().contains(words), "{mode}: {status}");
        service.behave("right");
    }
    service.skew(3600);
    let status = json(&latch(&subject, "status --json").exits(0));
    assert_eq!(status["service"], "clock-skew");
    assert!(status["error"].as_str().unwrap().contains("clock is wrong"), "{status}");
    service.skew(0);
    service.end();
    let status = json(&latch(&subject, "status --json").exits(0));
    assert_eq!((&status["service"], &status["users"][0]["user"]), (&"not-answering".into(), &"lamp".into()));
}

#[test]
fn a_service_with_a_certificate_of_another_authority_is_not_spoken_to() {
    let (service, other) = (Service::start(), Service::start());
    let ca = other.file("pki/ca.crt").display().to_string();
    let section = service.section().replace(&service.file("pki/ca.crt").display().to_string(), &ca);
    let subject = subject(&section);
    let answer = latch(&subject, "pair lamp pair01").exits(1);
    assert!(answer.err.contains("cannot be reached") && answer.err.contains("certificate"), "{}", answer.err);
    assert_eq!(service.requests(), [""; 0]);
    // Without the test's authority nobody's would do: the system's are not ours to answer for.
    let section =
        service.section().replace(&format!("ca = \"{}\"\n", service.file("pki/ca.crt").display()), "");
    let subject = Subject::with().section(&section).without_rules().prepare();
    // A system without any list of authorities says so; every other refuses the certificate.
    let answer = latch(&subject, "pair lamp pair01");
    assert!(answer.code != 0 && answer.err.contains("certificate"), "{}", answer.err);
    assert_eq!(service.requests(), [""; 0]);
}

#[test]
fn check_names_a_secret_that_is_missing_or_readable_by_others() {
    let service = Service::start();
    let subject = subject(&service.section());
    subject.command(&["check"]).exits(0);
    let secret = service.file("secret");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let answer = subject.command(&["check"]).exits(2);
    assert!(answer.err.contains("latch.secret_file") && answer.err.contains("chmod 600"), "{}", answer.err);
    std::fs::remove_file(&secret).unwrap();
    assert!(subject.command(&["check"]).exits(2).err.contains("cannot be read"));
}

#[test]
fn a_user_unpaired_from_the_phone_is_told_apart_and_can_be_paired_anew_or_given_up() {
    let service = Service::start();
    let subject = subject(&service.section());
    for (user, token) in [("lamp", "pair01"), ("phone", "pair02")] {
        latch(&subject, &format!("pair {user} {token}")).exits(0);
    }
    service.unpair(&account('a'));
    let status = json(&latch(&subject, "status --json").exits(0));
    assert_eq!((&status["service"], &status["users"][0]["fault"]), (&"answering".into(), &"unpaired".into()));
    assert_eq!(status["users"][0]["closed"][0]["cause"], "unavailable");
    assert_eq!(status["users"][1]["closed"], serde_json::json!([]));
    latch(&subject, "pair lamp pair03").exits(0);
    service.unpair(&account('b'));
    latch(&subject, "unpair phone").exits(0);
    let status = json(&latch(&subject, "status --json").exits(0));
    assert_eq!(status["users"].as_array().unwrap().len(), 1);
    service.refuse(207);
    let status = json(&latch(&subject, "status --json").exits(0));
    assert_eq!(status["users"][0]["fault"], "refused");
    assert!(latch(&subject, "unpair lamp").exits(1).err.contains("207"));
    latch(&subject, "unpair lamp --forget").exits(0);
}

#[test]
fn one_phone_for_two_users_is_unpaired_with_the_last_of_them() {
    let service = Service::start();
    let subject = subject(&service.section());
    latch(&subject, "pair lamp pair01").exits(0);
    // The phone shows another token for the account that is paired already, over a restart of the service.
    let mut known = service.end();
    known["tokens"]["again1"] = account('a').into();
    service.run();
    service.load(&known);
    latch(&subject, "pair phone again1").exits(0);
    latch(&subject, "unpair lamp").exits(0);
    assert_eq!(service.state()["accounts"][account('a')]["paired"], true);
    latch(&subject, "unpair phone").exits(0);
    assert_eq!(service.state()["accounts"][account('a')]["paired"], false);
}
