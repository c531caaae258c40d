//! What a check found, and how it is told.

use std::fmt::Write;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Fine,
    /// It works, and an operator should know.
    Warning,
    /// It does not work, or it is not safe.
    Wrong,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check found it.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What it is about: a file, an address, a unit.
    #[serde(rename = "where")]
    pub place: String,
    /// What to do about it; empty if nothing is to be done.
    pub help: String,
}

/// Everything that one check finds.
#[derive(Debug)]
pub struct Findings {
    check: &'static str,
    found: Vec<Finding>,
}

impl Findings {
    /// Nothing yet.
    pub fn of(check: &'static str) -> Self {
        Findings { check, found: Vec::new() }
    }

    /// Notes what is as it should be.
    pub fn fine(&mut self, place: impl ToString, what: impl ToString) {
        self.add(Level::Fine, place, what, "");
    }

    /// Notes what an operator should know.
    pub fn warn(&mut self, place: impl ToString, what: impl ToString, help: impl ToString) {
        self.add(Level::Warning, place, what, help);
    }

    /// Notes what does not work, or is not safe.
    pub fn wrong(&mut self, place: impl ToString, what: impl ToString, help: impl ToString) {
        self.add(Level::Wrong, place, what, help);
    }

    fn add(&mut self, level: Level, place: impl ToString, what: impl ToString, help: impl ToString) {
        let (place, what, help) = (place.to_string(), what.to_string(), help.to_string());
        self.found.push(Finding { check: self.check, level, what, place, help });
    }

    /// Whether nothing but good was found.
    pub fn all_is_fine(&self) -> bool {
        self.found.iter().all(|finding| finding.level == Level::Fine)
    }

    /// All of it.
    pub fn into_list(self) -> Vec<Finding> {
        self.found
    }
}

/// The findings for people: one paragraph each, what is to be done in a line of its own.
pub fn as_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, level, what, place, help } in findings {
        let mark = match level {
            Level::Fine => "fine",
            Level::Warning => "warning",
            Level::Wrong => "WRONG",
        };
        // Some of it comes from elsewhere: a remote certificate, the name of a process.
        let shown = crate::cli::console::shown;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{mark:<8} {check:<14} {}: {}", shown(place), shown(what));
        if !help.is_empty() {
            let _ = writeln!(text, "{:23} -> {}", "", shown(help));
        }
    }
    let count = |wanted| findings.iter().filter(|finding| finding.level == wanted).count();
    let _ = match (count(Level::Wrong), count(Level::Warning)) {
        (0, 0) => writeln!(text, "\nall is fine"),
        (wrong, warnings) => writeln!(text, "\n{wrong} wrong, {warnings} to be looked at"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_says_how_bad_what_where_and_what_to_do() {
        let mut findings = Findings::of("disk");
        findings.fine("/state", "plenty");
        assert!(findings.all_is_fine());
        findings.wrong("/state", "full\u{1b}[2J", "make room");
        assert!(!findings.all_is_fine());
        let list = findings.into_list();
        let text = as_text(&list);
        assert!(
            text.starts_with("fine     disk           /state: plenty\nWRONG    disk           /state: full")
        );
        assert!(text.contains("-> make room\n") && text.ends_with("1 wrong, 0 to be looked at\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let json = serde_json::to_value(&list[1]).unwrap();
        assert_eq!((&json["level"], &json["where"]), (&"wrong".into(), &"/state".into()));
    }
}
