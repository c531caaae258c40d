//! `doctor`: each thing that can be wrong is made wrong, and must be found, with what to do about it.

mod around;
mod machine;
mod state;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{command, workplace, write};
use crate::support::Answer;
use crate::support::subject::{EXECUTABLE, free_port};

/// A workplace whose gateway was set up: there is a state directory with an account. `more` follows `[gateway]`.
fn place(more: &str) -> tempfile::TempDir {
    let place = workplace();
    let listener = format!("[[listener]]\nname = \"door\"\naddress = \"127.0.0.1:{}\"\n", free_port());
    let listener = if more.contains("[[listener]]") { "" } else { &listener };
    write(place.path(), &format!("[gateway]\nstate = \"state\"\n{listener}{more}"));
    super::command_with_input(&place, "user add ann --password-stdin", "secret\n").exits(0);
    place
}

/// What doctor found.
struct Report(Value, i32);

impl Report {
    fn of(answer: Answer) -> Self {
        let code = answer.code;
        let report = serde_json::from_str(&answer.out);
        Report(report.unwrap_or_else(|error| panic!("{error}: {}{}", answer.out, answer.err)), code)
    }

    /// The one finding of a check whose words begin or go on so; it says where, and what to do unless it is fine.
    fn has(&self, check: &str, level: &str, words: &str) -> &Value {
        let all = self.0["findings"].as_array().expect("a list");
        let fits = |one: &&Value| {
            let said = |key: &str| one[key].as_str().is_some_and(|text| text.contains(words));
            one["check"] == check && one["level"] == level && (said("what") || said("where"))
        };
        let found = all.iter().find(fits);
        let found =
            found.unwrap_or_else(|| panic!("no {level} finding of {check} with {words:?} in {:#}", self.0));
        assert!(found["where"].as_str().is_some_and(|place| !place.is_empty()), "{found}");
        let helps = found["help"].as_str().is_some_and(|help| !help.is_empty());
        assert!(helps || level == "fine", "nothing is to be done? {found}");
        found
    }

    fn is_fine(&self) {
        let bad: Vec<_> = self.0["findings"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|one| one["level"] == "wrong")
            .collect();
        assert!(bad.is_empty() && self.0["fine"] == true && self.1 == 0, "{bad:#?}");
    }

    /// Something is wrong, and the exit status says so.
    fn is_wrong(&self) {
        assert_eq!((&self.0["fine"], self.1), (&Value::Bool(false), 1), "{:#}", self.0);
    }
}

fn doctor(place: &tempfile::TempDir) -> Report {
    Report::of(command(place, "doctor --json"))
}

/// With an environment, and under another program (`faketime` and a time, say).
fn doctor_under(directory: &Path, under: &[&str], environment: &[(&str, &str)]) -> Report {
    Report::of(run_under(directory, under, environment, &["--config", "latchgate.toml", "doctor", "--json"]))
}

fn run_under(directory: &Path, under: &[&str], environment: &[(&str, &str)], words: &[&str]) -> Answer {
    let line: Vec<&str> = under.iter().copied().chain([EXECUTABLE]).chain(words.iter().copied()).collect();
    let output = Command::new(line[0])
        .args(&line[1..])
        .current_dir(directory)
        .env_remove("LATCHGATE_CONFIG")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{line:?}: {error}: run tests/run once"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(!err.contains("panicked at"), "{line:?} panicked: {err}");
    Answer { code: output.status.code().expect("it ends by itself"), out, err }
}

#[test]
fn a_gateway_without_trouble_is_fine_whether_it_runs_or_not() {
    let stopped = place("");
    let report = doctor(&stopped);
    report.is_fine();
    report.has("gateway", "fine", "no gateway runs");
    report.has("ports", "fine", "it is free");
    let text = command(&stopped, "doctor").exits(0).out;
    assert!(
        text.lines().any(|line| line.starts_with("fine     disk")) && text.contains("all is fine"),
        "{text}"
    );

    let running = crate::support::Subject::start();
    let report = Report::of(running.command(&["doctor", "--json"]));
    report.is_fine();
    report.has("gateway", "fine", "a gateway runs");
    report.has("ports", "fine", "the gateway listens");
    running.still_serves();
}

#[test]
fn a_file_that_was_changed_under_the_gateway_is_told() {
    let running = crate::support::Subject::start();
    let before = std::fs::read_to_string(running.config()).expect("the configuration");
    std::fs::write(running.config(), format!("{before}\n[acl]\nsubscribe = \"overlap\"\n"))
        .expect("write it");
    let report = Report::of(running.command(&["doctor", "--json"]));
    report.has("gateway", "warning", "has changed");
}

#[test]
fn a_wrong_configuration_is_told_at_its_place_and_the_rest_is_looked_at_all_the_same() {
    let place = place("");
    std::fs::write(place.path().join("state/accounts.db"), "no database at all").expect("damage it");
    write(place.path(), "[gateway]\nstate = \"state\"\nidd = \"x\"\n");
    let answer = command(&place, "doctor --json").exits(2);
    let report = Report::of(answer);
    report.has("configuration", "wrong", "latchgate.toml:3:1");
    report.has("databases", "wrong", "accounts.db");
    report.has("disk", "fine", "are free");
}
