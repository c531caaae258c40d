//! The machine: its clock, disk, ports, GPIO lines and the unit.

use std::net::TcpListener;
use std::process::Command;

use super::{Report, doctor, doctor_under, place, run_under};
use crate::support::small_disk::SmallDisk;
use crate::support::subject::free_port;

const TLS: &str = "[[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:0\"\n[listener.tls]\n\
                   certificate = \"pki/issued/gate.crt\"\nkey = \"pki/issued/gate.key\"\n";

/// A place with a certificate that is valid from `when` on for so many days.
fn with_certificate(when: &str, days: &str) -> tempfile::TempDir {
    let place = place(TLS);
    for words in [vec!["pki", "init"], vec!["pki", "issue", "gate", "--server", "--days", days]] {
        run_under(place.path(), &["faketime", when], &[], &words).exits(0);
    }
    place
}

#[test]
fn a_clock_that_was_never_set_is_told() {
    let place = place("");
    let report = doctor_under(place.path(), &["faketime", "2001-01-01 00:00:00"], &[]);
    report.has("clock", "wrong", "it was never set");
    report.is_wrong();
}

fn written_at(place: &tempfile::TempDir, when: &str) {
    let ahead =
        Command::new("touch").args(["-d", when, "state/accounts.db"]).current_dir(place.path()).status();
    assert!(ahead.expect("touch").success());
}

/// Has systemd-timesyncd seem to run, for the program that follows alone: in a mount namespace of its own.
const TIMESYNCD: &str = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/timesync && exec \"$0\" \"$@\"";
/// The same when it has reached a time server.
const SYNCHRONISED: &str = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/timesync && >/run/systemd/timesync/synchronized && \
                            exec \"$0\" \"$@\"";

/// Whether mounts are permitted here.
fn in_a_namespace() -> bool {
    let tried = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/run"]).output();
    let may = tried.is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("skipped: what systemd-timesyncd says: mount is not permitted here");
    }
    may
}

#[test]
fn a_clock_behind_the_last_write_is_told() {
    let place = place("");
    written_at(&place, "now + 2 years");
    let report = doctor(&place);
    let found = report.has("clock", "wrong", "accounts.db was written at");
    assert!(found["what"].as_str().is_some_and(|what| what.contains("the clock is not set")), "{found}");
    let help = found["help"].as_str().expect("help");
    assert!(help.contains("timedatectl") && help.contains("`touch`"), "{found}");
}

#[test]
fn a_last_write_that_the_clock_is_right_to_be_behind_is_a_warning() {
    let place = place("");
    written_at(&place, "2099-01-01");
    doctor(&place).has("clock", "warning", "accounts.db was written at 2099-01-01");
    if in_a_namespace() {
        written_at(&place, "now + 2 years");
        let report = doctor_under(place.path(), &["unshare", "-m", "sh", "-c", SYNCHRONISED], &[]);
        report.has("clock", "warning", "accounts.db was written at");
        report.is_fine();
    }
}

#[test]
fn a_clock_that_waits_for_a_time_server_or_is_impossibly_ahead_is_told_and_judges_no_certificate() {
    let place = with_certificate("2025-02-01 00:00:00", "100");
    let report = doctor_under(place.path(), &["faketime", "2099-01-01 00:00:00"], &[]);
    report.has("clock", "wrong", "the clock is not set: it says 2099-01-01, and this program was made in");
    let judged = |report: &Report| report.0.to_string().contains("expired on");
    assert!(!judged(&report) && judged(&doctor(&place)), "{:#}", report.0);
    if in_a_namespace() {
        let report = doctor_under(place.path(), &["unshare", "-m", "sh", "-c", TIMESYNCD], &[]);
        report.has("clock", "wrong", "the clock is not set: no time server has answered since the start");
        assert!(!judged(&report), "{:#}", report.0);
    }
}

#[test]
fn a_certificate_of_the_future_is_the_clocks_fault_and_one_of_the_past_is_to_be_renewed() {
    let future = with_certificate("2090-01-01 00:00:00", "100");
    let report = doctor(&future);
    let found = report.has("clock", "wrong", "is valid from 2089-12-31");
    assert!(found["where"].as_str().is_some_and(|place| place.ends_with("gate.crt")), "{found}");
    report.is_wrong();

    let past = with_certificate("2025-02-01 00:00:00", "100");
    let report = doctor(&past);
    report.has("clock", "wrong", "expired on 2025-05-12");
}

#[test]
fn a_certificate_that_ends_soon_is_a_warning() {
    let place = place(TLS);
    for words in [vec!["pki", "init"], vec!["pki", "issue", "gate", "--server", "--days", "20"]] {
        run_under(place.path(), &["env"], &[], &words).exits(0);
    }
    let report = doctor(&place);
    report.has("clock", "warning", "expires in");
    report.is_fine();
}

#[test]
fn a_disk_without_room_is_told() {
    let place = place("");
    let Some(disk) = SmallDisk::under(place.path()) else { return };
    disk.fill();
    let report = doctor(&place);
    report.has("disk", "wrong", "0 MiB are free");
    report.has("disk", "wrong", "nothing can be written");
    report.is_wrong();
}

#[test]
fn a_command_says_that_the_disk_is_full_and_not_only_that_there_was_an_error() {
    let place = place("");
    let Some(disk) = SmallDisk::under(place.path()) else { return };
    disk.fill();
    let answer = run_under(place.path(), &[], &[], &["--config", "latchgate.toml", "user", "disable", "ann"]);
    assert!(answer.code == 1 && answer.err.contains("the disk is full: make room"), "{answer:?}");
}

#[test]
fn a_disk_on_which_every_write_takes_long_is_told() {
    let place = place("");
    let library = place.path().join("slow.so");
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/powercut/powercut.c");
    let built = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(built.expect("cc is installed: run tests/run once").success());
    let shadow = place.path().join("shadow");
    let with = |slow| {
        [
            ("LD_PRELOAD", library.to_str().expect("UTF-8")),
            ("POWERCUT_DIRECTORY", "state"),
            ("POWERCUT_SHADOW", shadow.to_str().expect("UTF-8")),
            ("POWERCUT_SLOW", slow),
        ]
    };
    let report = doctor_under(place.path(), &["env"], &with("150000"));
    report.has("disk", "warning", "a write is on disk after");
    report.is_fine();
    let report = doctor_under(place.path(), &["env"], &with("2000000"));
    report.has("disk", "wrong", "at worst");
}

#[test]
fn a_port_that_somebody_else_has_is_told_with_the_process() {
    let (taken, address) = taken();
    let place = place(&format!("[[listener]]\nname = \"door\"\naddress = \"{address}\"\n"));
    let report = doctor(&place);
    report.has("ports", "wrong", &format!("(process {})", std::process::id()));
    report.is_wrong();
    drop(taken);
    doctor(&place).has("ports", "fine", "it is free");
}

fn taken() -> (TcpListener, String) {
    let address = format!("127.0.0.1:{}", free_port());
    (TcpListener::bind(&address).expect("it is free"), address)
}

#[test]
fn the_port_for_metrics_and_an_address_that_no_interface_has_are_told() {
    let (_taken, address) = taken();
    let listener = "[[listener]]\nname = \"away\"\naddress = \"192.0.2.7:1883\"\n";
    let report = doctor(&place(&format!("{listener}[admin]\nhttp = \"{address}\"\n")));
    report.has("ports", "wrong", "admin.http");
    report.has("ports", "wrong", "no interface of this machine has the address");
}

#[test]
fn a_gateway_that_no_longer_listens_where_the_file_says_is_told() {
    let running = crate::support::Subject::start();
    let before = std::fs::read_to_string(running.config()).expect("the configuration");
    let more = format!("\n[[listener]]\nname = \"new\"\naddress = \"127.0.0.1:{}\"\n", free_port());
    std::fs::write(running.config(), before + &more).expect("write it");
    Report::of(running.command(&["doctor", "--json"])).has("ports", "warning", "nobody listens");
}

#[test]
fn a_board_without_the_gpio_chip_is_told() {
    let report = doctor(&place("[panel]\ndriver = \"gpiochip\"\nchip = \"no-such-chip\"\n"));
    report.has("panel", "wrong", "no-such-chip");
    report.is_wrong();
    doctor(&place("")).has("panel", "fine", "simulated");
}

#[test]
fn a_unit_that_confines_less_is_told() {
    let place = place("");
    let units = place.path().join("units");
    std::fs::create_dir(&units).expect("make the folder");
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/latchgate.service");
    let own = std::fs::read_to_string(own).expect("the unit");
    let path = units.to_str().expect("UTF-8");
    let judged = |text: &str| {
        std::fs::write(units.join("latchgate.service"), text).expect("write the unit");
        doctor_under(place.path(), &["env"], &[("SYSTEMD_UNIT_PATH", path)])
    };
    judged(&own).has("unit", "fine", "its exposure is 1.");
    let weak = own.replace("ProtectSystem=strict", "ProtectSystem=no").replace("NoNewPrivileges=yes", "");
    let report = judged(&weak);
    let found = report.has("unit", "warning", "its exposure is");
    assert!(found["where"].as_str().is_some_and(|place| place.ends_with("latchgate.service")), "{found}");
}
