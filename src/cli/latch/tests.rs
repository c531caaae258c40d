//! What the commands say without a service; with one they are tested as black boxes.

use std::path::Path;

use clap::Parser;

use super::*;
use crate::cli::console::piped;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: LatchCommand,
}

fn latch(folder: &Path, text: &str, line: &[&str], input: &str) -> Result<String, String> {
    let config = Config::parse(text, &folder.join("latchgate.toml")).unwrap();
    let line = Line::try_parse_from([&["latch"], line].concat()).map_err(|error| error.to_string())?;
    let (result, out, err) = piped(input, |console| execute(line.command, &config, console));
    result.map(|_| out + &err).map_err(|error| format!("{error:#}"))
}

#[test]
fn without_a_configuration_the_way_to_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for line in
        [&["pair", "lamp", "abc123"][..], &["unpair", "lamp"], &["status"], &["instance", "add", "lamp", "a"]]
    {
        let error = latch(folder.path(), "", line, "").unwrap_err();
        assert!(error.contains("latchgate latch setup"), "{line:?}: {error}");
    }
}

#[test]
fn what_cannot_be_a_token_or_a_filter_is_refused_before_anybody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    for (line, input, words) in [
        (&["pair", "lamp", "../unpair/x"][..], "", "not a pairing token"),
        (&["pair", "lamp", "-"], "a b\n", "not a pairing token"),
        (&["instance", "add", "lamp", "a/#/b"], "", "not a topic filter"),
        (&["setup"], "not an id\nsecret\n", "application id"),
        (&["setup"], "APPIDAPPIDAPPIDAPPID\n\n", "no secret"),
    ] {
        let error = latch(folder.path(), "", line, input).unwrap_err();
        assert!(error.contains(words) && !error.contains("../unpair"), "{line:?}: {error}");
    }
}

#[test]
fn a_pairing_is_forgotten_and_instances_are_listed_without_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[gateway]\nstate = 'state'";
    let store = PairingsDb::open(&folder.path().join("state")).unwrap();
    store.pair("lamp", &Id::new("ACC").unwrap()).unwrap();
    let door = crate::latch::Instance { id: Id::new("DOOR").unwrap(), topic: "door/#".into() };
    store.add_instance("lamp", &door).unwrap();
    let listed = latch(folder.path(), text, &["instance", "list"], "").unwrap();
    assert_eq!(listed, "USER  TOPIC   ID\nlamp  door/#  DOOR\n");
    assert!(latch(folder.path(), text, &["unpair", "lamp", "--forget"], "").is_ok());
    assert!(
        latch(folder.path(), text, &["unpair", "lamp", "--forget"], "").unwrap_err().contains("not paired")
    );
    assert_eq!(latch(folder.path(), text, &["instance", "list", "--json"], "").unwrap(), "[]\n");
}
