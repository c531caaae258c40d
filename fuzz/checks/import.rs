//! The import of any `mosquitto.conf`.
//!
//! Input: the file. Other files are not there.

use std::{fs, path::Path};

use latchgate::{
    config::Config,
    import::{self, Verdict},
};

pub fn check(input: &[u8]) {
    // What lies in the folders of this machine is no part of the input.
    if input.windows(7).any(|window| window == b"include") {
        return;
    }
    let name = format!("latchgate-import-{}-{:?}", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    fs::write(&file, input).expect("a temporary file");
    let outcome = import::rehearse(&file, true);
    fs::remove_file(&file).expect("it is there");
    let (report, text) = outcome.unwrap_or_else(|error| panic!("{error}"));

    let lines = input.strip_suffix(b"\n").unwrap_or(input).split(|byte| *byte == b'\n').count();
    let own = report.entries().iter().filter(|entry| entry.file == file);
    let numbers: Vec<usize> = own.clone().map(|entry| entry.line).collect();
    let expected = if input.is_empty() { 0 } else { lines };
    assert_eq!(numbers, (1..=expected).collect::<Vec<_>>(), "each line has one entry");
    for entry in own {
        let verdict = entry.verdict.expect("each line has a verdict");
        assert!(!entry.note.contains("is not understood"), "{entry:?}");
        let explained = verdict <= Verdict::Translated || !entry.note.is_empty();
        assert!(explained, "what differs, or what to do, is said: {entry:?}");
    }
    let config = Config::parse(&text, Path::new("latchgate.toml")).expect("what is made is right");
    // Nobody is let in unasked from elsewhere where nobody said so. This machine itself is where no listener is named.
    let elsewhere = config
        .listeners
        .iter()
        .any(|listener| listener.anonymous.is_some() && !listener.address.ip().is_loopback());
    let said = String::from_utf8_lossy(input).contains("allow_anonymous");
    assert!(!elsewhere || said, "{text}");
}
