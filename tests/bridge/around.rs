//! What changes around a gateway that runs: the clock is set, and the cloud's name leads elsewhere.

use std::{
    fs,
    net::TcpListener,
    process::Command,
    time::{Duration, SystemTime},
};

use crate::remote::Remote;
use crate::support::{Publish, Subject, Version, eventually, property};
use crate::{ledger, route, settings, status};

#[test]
fn a_clock_that_is_set_while_the_gateway_runs_lets_nothing_expire_also_over_a_kill() {
    let home = tempfile::tempdir().expect("a directory");
    let preload = Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
    let preload = String::from_utf8(preload.expect("faketime runs").stdout).expect("a path");
    for step in ["+2h", "-2h"] {
        let clock = home.path().join("clock");
        fs::write(&clock, "+0").expect("write it");
        let remote = Remote::start();
        let subject = settings(remote.port, "", &route("t", "out", 1))
            .environment("LD_PRELOAD", preload.trim())
            .environment("FAKETIME_TIMESTAMP_FILE", clock.to_str().expect("a path"))
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .environment("DONT_FAKE_MONOTONIC", "1")
            .start();
        let mut here = subject.v5("sensor");
        here.publish(Publish::to("t").qos(1).with(property::message_expiry(600)).payload("expires"));
        here.publish(Publish::to("t").qos(1).payload("stays"));
        fs::write(&clock, step).expect("write it");
        here.publish(Publish::to("t").qos(1).with(property::message_expiry(600)).payload("later"));
        eventually("it is noticed", || subject.log().contains("the clock was set").then_some(()));
        assert!(status(&subject)["oldest_seconds"].as_u64() < Some(600), "{step}");
        subject.kill();
        remote.forget_waiting();
        // The kernel's clock, by which files have their times, was not set.
        let away = Duration::from_secs(2 * 3600);
        let now = SystemTime::now();
        let set = if step == "+2h" { now + away } else { now - away };
        for name in ["state.db", "state.db-wal"] {
            let path = subject.directory().join("state").join(name);
            if let Ok(file) = fs::File::options().append(true).open(path) {
                file.set_modified(set).expect("its time can be set");
            }
        }
        subject.start_again();
        let told = status(&subject);
        assert!(told["oldest_seconds"].as_u64() < Some(600), "{step}: {told}");
        let mut link = remote.welcome_as(Version::V5, true);
        for text in ["expires", "stays", "later"] {
            let (id, got, _) = link.publish();
            assert_eq!(got, text, "{step}");
            link.acknowledge(4, id);
        }
        eventually("delivered", || (ledger(&subject)["delivered"] == 3).then_some(()));
    }
}

#[test]
fn a_name_is_looked_up_anew_for_each_connection_and_what_waited_goes_where_it_leads_then() {
    let home = tempfile::tempdir().expect("a directory");
    let hosts = home.path().join("hosts");
    fs::write(&hosts, "127.0.0.1 cloud.example\n").expect("write it");
    let one = Remote::start();
    let port = one.port;
    let other = Remote::on(TcpListener::bind(("127.0.0.2", port)).expect("the other loopback address"));
    let subject = Subject::with()
        .gateway("id = 'b8'")
        .environment("LD_PRELOAD", "libnss_wrapper.so")
        .environment("NSS_WRAPPER_HOSTS", hosts.to_str().expect("a path"))
        .section(&format!(
            "[[bridge]]\nname = 'cloud'\naddress = 'mqtt://cloud.example:{port}'\nretry_min = '50ms'\nretry_max = '200ms'\n{}",
            route("t", "out", 2)
        ))
        .start();
    let mut here = subject.v5("sensor");
    here.publish(Publish::to("t").qos(2).payload("x"));
    let mut link = one.welcome_as(Version::V5, false);
    let (_, text, _) = link.publish();
    assert_eq!(text, "x");
    fs::write(&hosts, "127.0.0.2 cloud.example\n").expect("write it");
    // It is read again if it is newer by a second.
    let file = fs::File::options().append(true).open(&hosts).expect("it is there");
    file.set_modified(SystemTime::now() + Duration::from_secs(60)).expect("its time can be set");
    drop(file);
    link.cut();
    let mut link = other.welcome_as(Version::V5, false);
    let (id, text, dup) = link.publish();
    assert_eq!((&*text, dup), ("x", false));
    link.acknowledge(5, id);
    link.until(crate::remote::PUBREL);
    link.acknowledge(7, id);
    eventually("delivered", || (ledger(&subject)["delivered"] == 1).then_some(()));
}
