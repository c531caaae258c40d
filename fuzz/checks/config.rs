//! The configuration of any text.
//!
//! Input: the file. Bytes that are no text are replaced, since reading the file refuses them before.

use std::path::Path;

use latchgate::config::{Config, ConfigError};

pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let file = Path::new("folder/latchgate.toml");
    let outcome = Config::parse(&text, file);
    match &outcome {
        Ok(config) => right(config, &text, file),
        Err(error) => wrong(error, &text, file),
    }
    // A byte order mark says nothing.
    let marked = Config::parse(&format!("\u{FEFF}{}", text.trim_start_matches('\u{FEFF}')), file);
    if !text.starts_with('\u{FEFF}') {
        assert_eq!(marked.map_err(|error| error.to_string()), outcome.map_err(|error| error.to_string()));
    }
}

fn right(config: &Config, text: &str, file: &Path) {
    assert!(!config.listeners.is_empty(), "a gateway without listeners");
    assert_eq!(config.file.as_deref(), Some(file));
    for (at, listener) in config.listeners.iter().enumerate() {
        assert!(!listener.name.is_empty());
        assert!(config.listeners[..at].iter().all(|other| other.name != listener.name), "two of one name");
        let limits = &listener.limits;
        let least = limits.connections.min(limits.packet_size).min(limits.queued_messages);
        assert!(least > 0 && limits.inflight > 0 && !limits.connect_timeout.is_zero(), "a limit of nothing");
    }
    let again = Config::parse(&format!("{text}\n# the end"), file);
    assert_eq!(again.ok().as_ref(), Some(config), "a comment changes the meaning");
}

fn wrong(error: &ConfigError, text: &str, file: &Path) {
    let (lines, shown) = (text.split('\n').count(), error.to_string());
    assert_eq!(error.file(), file);
    assert!(!error.problems().is_empty(), "refused without a reason");
    assert!(shown.starts_with("folder/latchgate.toml:"), "{shown}");
    assert!(
        shown.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()),
        "raw characters in {shown:?}"
    );
    for problem in error.problems() {
        assert!((1..=lines).contains(&problem.line), "line {} of {lines}", problem.line);
        let line = text.split('\n').nth(problem.line - 1).unwrap_or_default();
        assert!((1..=line.chars().count() + 1).contains(&problem.column), "column {}", problem.column);
        assert!(!problem.what.is_empty());
    }
    assert!(shown.len() < 200_000, "an answer of {} bytes to {} of text", shown.len(), text.len());
}
