//! The backend `python`: modules as they were written for mosquitto_pyauth, and whatever can go wrong with them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{login, may_publish};
use crate::support::{Connect, Publish, Subject, Subscribe, Version, Will, eventually};

/// Where the modules are.
fn modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/backends/pyauth")
}

fn section(module: &str, more: &str) -> String {
    section_of(&modules(), module, more)
}

fn section_of(path: &Path, module: &str, more: &str) -> String {
    let cache = "[auth.cache]\nallow = \"0s\"\ndeny = \"0s\"\n[auth.throttle]\nfailures = 0\n";
    format!(
        "[auth]\nbackends = [\"python\"]\n{cache}[auth.python]\nmodule = \"{module}\"\ninterpreter = \"/usr/bin/python3\"\n\
         path = [{path:?}]\n{more}"
    )
}

fn gateway(module: &str, more: &str) -> Subject {
    Subject::with().without_rules().section(&section(module, more)).prepare()
}

/// A gateway whose module looks into a database, which is in this file.
fn shop() -> (Subject, tempfile::TempPath) {
    let file = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
    let opts = format!(
        "[auth.python.opts]\ndb_path = {file:?}\n[auth.python.opts_files]\ndb_name = \"name.secret\"\n"
    );
    let subject = gateway("shop", &opts);
    std::fs::write(subject.directory().join("name.secret"), "the shop\n").expect("write the option");
    let database = rusqlite::Connection::open(&file).expect("make a database");
    database.execute_batch("CREATE TABLE users (username TEXT, auth TEXT, acl TEXT)").expect("make a table");
    for (user, acl) in [("ann", "shop/+/x"), ("root", "#"), ("'; DROP TABLE users; --", "sql/#")] {
        // sha1("salt" + "password")
        let auth = "salt:59b3e8d637cf97edbe2384cf59cb7453dfe30789";
        database.execute("INSERT INTO users VALUES (?, ?, ?)", [user, auth, acl]).expect("make a user");
    }
    (subject, file)
}

/// The number of the process that runs the module.
fn process(subject: &Subject) -> u32 {
    eventually("a process of the module", || {
        processes().into_iter().find(|(_, stat)| stat[1] == subject.pid().to_string()).map(|(id, _)| id)
    })
}

/// Every process by its number, with what `/proc/ID/stat` says of it: state, parent, group and so on.
fn processes() -> Vec<(u32, Vec<String>)> {
    let folders = std::fs::read_dir("/proc").expect("read /proc");
    let ids = folders.filter_map(|folder| folder.ok()?.file_name().to_str()?.parse().ok());
    let stat = |id| {
        let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name before it may hold anything.
        let (_, fields) = text.rsplit_once(") ")?;
        Some((id, fields.split(' ').map(str::to_owned).collect::<Vec<_>>()))
    };
    ids.filter_map(stat).filter(|(_, fields)| fields.len() > 3 && fields[0] != "Z").collect()
}

fn runs(process: u32) -> bool {
    processes().iter().any(|(id, _)| *id == process)
}

#[test]
fn an_unmodified_module_with_a_database_decides_logins_and_rights() {
    let (subject, _database) = shop();
    let mut ann = subject.accept(&login("ann"));
    assert!(may_publish(&mut ann, "shop/1/x"));
    assert!(!may_publish(&mut ann, "shop/1/y") && !may_publish(&mut ann, "$SYS/x"));
    assert_eq!(ann.subscribe_all(&Subscribe::to("shop/1/x", 1)), [1], "asked as reading");
    assert_eq!(ann.subscribe_all(&Subscribe::to("#", 1)), [0x87]);
    assert_eq!(ann.say("shop/1/x", "hi"), 0);
    assert_eq!(ann.receive().topic, "shop/1/x");
    let strange = "'; DROP TABLE users; --";
    let mut strange = subject.accept(&Connect::v5("c#1\"").login(strange, super::PASSWORD));
    assert!(may_publish(&mut strange, "sql/'; --") && !may_publish(&mut strange, "other"));
    for (user, password) in [("ann", "wrong"), ("nobody", "password"), ("ann", "pässword\u{1F600}")] {
        assert_eq!(subject.refuse(&Connect::v5("x").login(user, password)).code, 0x86, "{user}");
    }
    let log = subject.log();
    assert!(log.contains("shop opened the shop") && log.contains("shop is ready"), "{log}");
    let answer = subject.command(&["acl", "test", "ann", "write", "shop/2/x"]).exits(0);
    assert!(answer.out.starts_with("allow: python: the module returned true"), "{answer:?}");
    let answer = subject.command(&["explain", "ann", "write", "shop/2/y"]).exits(3);
    assert!(answer.out.contains("backend    python     not known: the module returned false"), "{answer:?}");
}

#[test]
fn a_client_without_a_name_has_none_for_the_module() {
    let (subject, _database) = shop();
    let mut guest = subject.v5("guest");
    assert_eq!(guest.subscribe_all(&Subscribe::to("public/a", 0)), [0]);
    assert_eq!(guest.subscribe_all(&Subscribe::to("shop/1/x", 0)), [0x87]);
    assert!(!may_publish(&mut guest, "public/a"));
}

#[test]
fn a_module_that_wants_the_payload_is_asked_about_each_message() {
    // Long times: nothing that is said of one message is remembered for another.
    let section = section("parcel", "").replace("\"0s\"", "\"1h\"");
    let subject = Subject::with().without_rules().section(&section).prepare();
    let user = |name: &str| Connect::new(Version::V5, name).login(name, name);
    let (mut ann, mut bob) = (subject.accept(&user("ann")), subject.accept(&user("bob")));
    assert_eq!(bob.subscribe_all(&Subscribe::to("a/#", 1)), [1], "access 4");
    assert_eq!(bob.subscribe_all(&Subscribe::to("locked/#", 1)), [0x87]);
    for _ in 0..3 {
        assert_eq!(ann.say("a/x", "yes"), 0);
        assert_eq!(ann.say("a/x", "no"), 0x87);
        assert_eq!(ann.say("a/x", "for-others"), 0);
        assert_eq!(ann.say("a/x", ""), 0);
    }
    assert_eq!(bob.receive_texts(6), ["yes", "", "yes", "", "yes", ""]);
    // Many at once, all with one topic: each has its own verdict, in their order.
    for number in 1..=40u16 {
        let text = if number % 2 == 0 { "no" } else { "yes" };
        ann.send(&Publish::to("a/y").qos(1).id(number).payload(text).encode(Version::V5));
    }
    for number in 1..=40 {
        assert_eq!(ann.await_puback(number), if number % 2 == 0 { 0x87 } else { 0 }, "{number}");
    }
    assert_eq!(bob.receive_texts(20), ["yes"; 20]);
    // Nothing is None, also in a will and in what is retained.
    assert_eq!((ann.say("empty", ""), ann.say("empty", "x")), (0, 0x87));
    let with_will = |text: &str| user("carl").will(Will::new("a/will", text));
    assert_eq!(subject.refuse(&with_will("no")).code, 0x87);
    subject.accept(&with_will("gone")).drop_connection();
    assert_eq!(bob.receive().text(), "gone");
    ann.publish(Publish::to("a/kept").qos(1).retain().payload("for-others"));
    ann.publish(Publish::to("a/kept2").qos(1).retain().payload("kept"));
    let mut dora = subject.accept(&user("dora"));
    dora.subscribe("a/#", 1);
    assert_eq!(dora.receive().text(), "kept");
    dora.nothing_arrives();
    let big = "y".repeat(3_000_000);
    assert_eq!(ann.say("a/big", &big), 0);
    assert_eq!(bob.receive_texts(2), ["kept".to_owned(), big]);
}

#[test]
fn an_exception_is_a_no_and_no_failure_of_the_backend() {
    let subject = gateway("faults", "");
    let mut ann = subject.accept(&login("ann"));
    for number in 0..12 {
        assert!(!may_publish(&mut ann, &format!("raise/{number}")));
        assert!(!may_publish(&mut ann, &format!("exit/{number}")));
        assert_eq!(subject.refuse(&Connect::v5("x").login("ann", "raise")).code, 0x86);
    }
    assert!(may_publish(&mut ann, "yes/1"), "the breaker is closed, and it is the same process");
    let log = subject.log();
    for said in ["ValueError: so it is", "in acl_check", "the database is away"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    assert!(!log.contains("no answer") && !log.contains("started again"), "{log}");
    let answer = subject.command(&["explain", "--client", "ann", "publish", "raise/0"]).exits(3);
    assert!(answer.out.contains("the module raised ValueError: so it is"), "{answer:?}");
}

#[test]
fn what_an_exception_or_a_log_says_ends_no_process_whatever_characters_it_has() {
    let subject = gateway("faults", "");
    let mut ann = subject.accept(&login("ann"));
    let before = process(&subject);
    // A stranger's name that the module repeats: as JSON's own escapes it had twelve bytes a character, more than is read.
    let stranger = "\u{1F600}".repeat(10_000);
    for _ in 0..6 {
        assert_eq!(subject.refuse(&Connect::v5("x").login(&stranger, "who")).code, 0x86);
        assert!(!may_publish(&mut ann, "half"));
        assert!(may_publish(&mut ann, "words") && may_publish(&mut ann, "mute"));
    }
    assert!(may_publish(&mut ann, "yes") && !may_publish(&mut ann, "no"));
    assert_eq!(process(&subject), before);
    let log = subject.log();
    assert!(log.contains("half a character: ?") && !log.contains("no answer"), "{log}");
}

#[test]
fn a_module_that_hangs_is_killed_and_started_again() {
    let subject = gateway("faults", "timeout = \"500ms\"");
    let mut ann = subject.accept(&login("ann"));
    let before = process(&subject);
    assert!(!may_publish(&mut ann, "hang"));
    eventually("killed", || (!runs(before)).then_some(()));
    eventually("it answers again", || may_publish(&mut ann, "yes").then_some(()));
    assert_ne!(process(&subject), before);
    assert!(subject.log().contains("it did not answer in time"), "{}", subject.log());
}

#[test]
fn a_module_that_dies_or_writes_garbage_is_started_again() {
    let subject = gateway("faults", "");
    let mut ann = subject.accept(&login("ann"));
    for what in ["die", "crash", "garbage"] {
        let before = process(&subject);
        assert!(!may_publish(&mut ann, what), "{what}");
        eventually("it answers again", || may_publish(&mut ann, "yes").then_some(()));
        assert!(!runs(before), "{what}");
        assert!(!may_publish(&mut ann, "no"));
    }
    // While nobody asks, too.
    let before = process(&subject);
    let pid = rustix::process::Pid::from_raw(before.cast_signed()).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill it");
    eventually("gone", || (!runs(before)).then_some(()));
    assert!(may_publish(&mut ann, "yes"), "it is replaced before it is asked");
}

#[test]
fn what_a_module_forks_speaks_for_nobody_and_dies_with_it() {
    let subject = gateway("faults", "");
    let mut ann = subject.accept(&login("ann"));
    let before = process(&subject);
    for number in 0..20 {
        assert!(may_publish(&mut ann, &format!("fork/{number}")));
        assert!(!may_publish(&mut ann, "no"), "one answer for each question");
    }
    assert_eq!(process(&subject), before);
    assert!(!may_publish(&mut ann, "linger"));
    eventually("nobody of its group is left", || {
        processes().iter().all(|(_, stat)| stat[2] != before.to_string()).then_some(())
    });
    eventually("it answers again", || may_publish(&mut ann, "yes").then_some(()));
}

#[test]
fn what_a_module_prints_goes_to_the_log_and_not_between_the_answers() {
    let subject = gateway("faults", "");
    let mut ann = subject.accept(&login("ann"));
    for what in ["print", "stdin", "spam", "yes"] {
        assert!(may_publish(&mut ann, what), "{what}");
    }
    assert!(!may_publish(&mut ann, "no"));
    eventually("printed", || subject.log().contains("printed by the module\\u{1b}[2J").then_some(()));
    let log = subject.log();
    assert!(log.contains("and an error") && !log.contains('\u{1b}'), "{log}");
    assert!(log.matches("spam").count() <= 300, "not every line of thousands");
}

/// A gateway whose module, one of another user, writes down what it sees.
struct Witness {
    subject: Subject,
    notes: tempfile::TempPath,
    _modules: tempfile::TempDir,
}

fn witness(more: &str, opts: &str) -> Witness {
    let allow = |path: &Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
            .expect("let others in");
    };
    let notes = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
    allow(&notes, 0o666);
    let folder = tempfile::tempdir().expect("a folder");
    allow(folder.path(), 0o755);
    std::fs::copy(modules().join("witness.py"), folder.path().join("witness.py")).expect("copy the module");
    let more = format!("{more}\n[auth.python.opts]\nnotes = {notes:?}\n{opts}");
    let settings = Subject::with().without_rules().environment("GATEWAY_SECRET", "hunter2");
    let subject = settings.section(&section_of(folder.path(), "witness", &more)).prepare();
    Witness { subject, notes, _modules: folder }
}

fn notes(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("read the notes");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_module_sees_nothing_of_the_gateway_and_runs_as_another_user() {
    let root = rustix::process::geteuid().is_root();
    let Witness { subject, notes: file, _modules } =
        &witness(if root { "user = \"nobody\"" } else { "" }, "secret = \"0p3n\"");
    subject.accept(&login("ann")).ping();
    let notes = notes(file);
    let seen: Value = serde_json::from_str(notes.last().expect("a note")).expect("JSON");
    assert!(!seen["environment"].to_string().contains("hunter2"), "{seen}");
    assert!(seen["environment"].get("GATEWAY_SECRET").is_none() && seen["environment"].get("PATH").is_some());
    // Standard input and output, the socket, and the folder that it is just listing.
    assert_eq!(seen["files"].as_array().map(Vec::len), Some(5), "{seen}");
    assert_eq!(seen["core"], serde_json::json!([0, 0]));
    assert_eq!(seen["memory"], serde_json::json!([1 << 30, 1 << 30]));
    assert_eq!(seen["no_new_privs"], "1");
    assert!(!seen["command"].to_string().contains("0p3n"), "no option is in the list of processes");
    if root {
        assert_eq!(seen["user"], serde_json::json!([65534, 65534]));
        assert_eq!(seen["groups"], serde_json::json!([]));
    }
    // A gateway that is killed leaves no process behind.
    let process = process(subject);
    subject.kill();
    eventually("it dies with the gateway", || (!runs(process)).then_some(()));
}

#[test]
fn a_module_is_told_of_start_reload_and_stop_in_this_order() {
    let Witness { subject, notes: file, _modules } = &witness("workers = 1", "");
    subject.accept(&login("ann")).ping();
    subject.command(&["reload"]).exits(0);
    eventually("told", || notes(file).contains(&"security_init True".to_owned()).then_some(()));
    subject.signal(rustix::process::Signal::TERM);
    subject.wait();
    let told: Vec<_> = notes(file).into_iter().filter(|note| !note.starts_with('{')).collect();
    assert_eq!(
        told,
        [
            "plugin_init 1",
            "security_init False",
            "security_cleanup True",
            "security_init True",
            "security_cleanup False",
            "plugin_cleanup"
        ]
    );
}

#[test]
fn a_module_that_cannot_start_is_a_gateway_that_does_not() {
    for (module, opts, said) in [
        ("missing", "", "the module missing cannot be imported: ModuleNotFoundError"),
        ("old", "", "is it for Python 2?"),
        (
            "witness",
            "notes = \"/dev/null\"\nquit = \"no pairing\"",
            "the module's start failed: SystemExit: no pairing",
        ),
        ("witness", "", "the module's start failed: KeyError"),
    ] {
        let subject = gateway(module, &format!("[auth.python.opts]\n{opts}"));
        assert!(subject.command(&["check"]).exits(0).err.is_empty(), "a check runs nothing");
        let answer = subject.command(&["run"]).exits(1);
        assert!(answer.err.contains(said), "{module}: {answer:?}");
    }
    let subject = gateway("faults", "").directory().to_owned();
    assert!(!subject.join("__pycache__").exists());
}

#[test]
fn several_processes_answer_at_once_and_one_that_hangs_holds_up_nobody_else() {
    let subject = gateway("faults", "workers = 2\ntimeout = \"20s\"");
    let (mut ann, mut bob) = (subject.accept(&login("ann")), subject.accept(&login("bob")));
    ann.send(&Publish::to("hang").qos(1).id(9).encode(Version::V5));
    for number in 0..50 {
        assert!(may_publish(&mut bob, &format!("yes/{number}")));
    }
}

/// Bug: a module that hung while it was imported held up the end of the gateway for half a minute.
#[test]
fn a_module_that_hangs_while_it_is_imported_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let module = "import os, time\nprint('imported')\nif os.path.exists(__file__ + '.hang'):\n time.sleep(120)\n\
                  def unpwd_check(*_): os._exit(1)\n";
    std::fs::write(folder.path().join("slow.py"), module).expect("write the module");
    let hang = || std::fs::write(folder.path().join("slow.py.hang"), "").expect("write a file");
    // The second start.
    let subject = Subject::with().without_rules().section(&section_of(folder.path(), "slow", "")).prepare();
    subject.port();
    hang();
    subject.refuse(&login("ann"));
    eventually("it is imported again", || (subject.log().matches("imported").count() > 1).then_some(()));
    subject.signal(rustix::process::Signal::TERM);
    assert_eq!(subject.wait().code(), Some(0), "{}", subject.log());
    // And the first.
    let mut child = std::process::Command::new(crate::support::subject::EXECUTABLE)
        .args(["--config".as_ref(), subject.config().as_os_str(), "run".as_ref()])
        .stdout(std::process::Stdio::null())
        .stderr(std::fs::File::create(folder.path().join("log")).expect("a log"))
        .spawn()
        .expect("the executable starts");
    let log = || std::fs::read_to_string(folder.path().join("log")).expect("read the log");
    eventually("it is imported", || log().contains("imported").then_some(()));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .expect("signal it");
    let status = eventually("it ends", || child.try_wait().expect("ask for its status"));
    assert_eq!(status.code(), Some(0), "{}", log());
}
