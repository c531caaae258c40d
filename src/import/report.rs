//! What became of every line.

use std::{
    collections::HashMap,
    fmt::Write,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

/// What became of a line. The later ones weigh more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It says nothing that has to be said here.
    NotNeeded,
    /// The same is said here.
    Translated,
    /// Something like it is said here; the note says what differs.
    Changed,
    /// It is left out; the note says what to do.
    NotPossible,
}

impl Verdict {
    /// All of them, in the order of a summary.
    pub const ALL: [Verdict; 4] =
        [Verdict::Translated, Verdict::Changed, Verdict::NotNeeded, Verdict::NotPossible];

    /// As the report writes it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::NotNeeded => "not needed",
            Verdict::Translated => "translated",
            Verdict::Changed => "changed",
            Verdict::NotPossible => "not possible",
        }
    }
}

/// One line of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its file.
    pub file: PathBuf,
    /// Its number, counted from 1.
    pub line: usize,
    /// What it says, without secrets and control characters.
    pub text: String,
    /// What became of it; `None` only while the import is under way.
    pub verdict: Option<Verdict>,
    /// What it became, what differs, or what to do.
    pub note: String,
    /// Whether it is blank or a comment.
    pub quiet: bool,
    /// Whether it is a further line of the entry above it, and what was said there holds for it.
    pub follows: bool,
}

impl Entry {
    /// Whether it says nothing by itself.
    fn is_silent(&self) -> bool {
        self.quiet || self.follows
    }
}

/// The number of an [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Line(usize);

/// What became of every line of every file.
#[derive(Clone, Debug, Default)]
pub struct Report {
    entries: Vec<Entry>,
    places: HashMap<(PathBuf, usize), Line>,
    remarks: Vec<String>,
    is_shut: bool,
}

impl Report {
    /// Takes a line in. One that was taken in before (a file that is included twice) is the same.
    pub(super) fn add(&mut self, file: &Path, line: usize, text: &str) -> Line {
        let next = Line(self.entries.len());
        let known = *self.places.entry((file.to_owned(), line)).or_insert(next);
        if known == next {
            let text = printable(text);
            let (file, note) = (file.to_owned(), String::new());
            let (verdict, quiet, follows) = (None, false, false);
            self.entries.push(Entry { file, line, text, verdict, note, quiet, follows });
        }
        known
    }

    /// A line that is blank or a comment.
    pub(super) fn add_quiet(&mut self, file: &Path, line: usize, text: &str) {
        let line = self.add(file, line, text);
        self.say(line, Verdict::NotNeeded, "");
        self.entries[line.0].quiet = true;
    }

    /// A further line of an entry.
    pub(super) fn follow(&mut self, line: Line, verdict: Verdict) {
        self.say(line, verdict, "as the entry that it belongs to");
        self.entries[line.0].follows = true;
    }

    /// What keeps something of these lines from being possible: a line that says so itself.
    pub(super) fn cause(&self, lines: &[Line]) -> Option<Line> {
        let not_possible = |line: &&Line| self.verdict(**line) == Some(Verdict::NotPossible);
        let shuts = |line: &&Line| self.entries[line.0].note.contains("left out");
        let mut causes = lines.iter().filter(not_possible);
        causes.clone().find(shuts).or_else(|| causes.next()).copied()
    }

    /// Says of lines that they are left out, and which line is the cause; nothing of that line itself.
    pub(super) fn leave_out_for(&mut self, lines: &[Line], what: &str, cause: Option<Line>) {
        let why = match cause {
            Some(cause) => format!("{what}: see {}", self.place(cause)),
            None => what.to_owned(),
        };
        let others: Vec<Line> = lines.iter().copied().filter(|line| Some(*line) != cause).collect();
        self.leave_out(&others, &why);
    }

    /// Shows a line in other words, since it holds a secret.
    pub(super) fn hide(&mut self, line: Line, text: impl AsRef<str>) {
        self.entries[line.0].text = printable(text.as_ref());
    }

    /// Says what became of a line. If something was said already, what weighs more counts; a note stays unless it told of
    /// a success that is none.
    pub(super) fn say(&mut self, line: Line, verdict: Verdict, note: impl AsRef<str>) {
        let (entry, note) = (&mut self.entries[line.0], note.as_ref());
        let before = entry.verdict.unwrap_or(verdict);
        if before < Verdict::Changed && verdict == Verdict::NotPossible {
            entry.note.clear();
        }
        if before == Verdict::NotPossible && verdict < Verdict::Changed {
            return;
        }
        entry.verdict = Some(before.max(verdict));
        if !note.is_empty() && !entry.note.contains(note) {
            let between = if entry.note.is_empty() { "" } else { "; " };
            entry.note = format!("{}{between}{note}", entry.note);
        }
    }

    /// Says of lines that were about something which is left out that they are not possible either.
    pub(super) fn leave_out(&mut self, lines: &[Line], why: &str) {
        for line in lines {
            self.say(*line, Verdict::NotPossible, why);
        }
    }

    /// Something to know that no single line says.
    pub(super) fn remark(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.remarks.contains(&what) {
            self.remarks.push(what);
        }
    }

    /// Where a line stands, as `FILE:LINE`, with the file's name alone.
    pub(super) fn place(&self, line: Line) -> String {
        let entry = &self.entries[line.0];
        let name = entry.file.file_name().unwrap_or_default().to_string_lossy();
        format!("{}:{}", name.replace(char::is_control, " "), entry.line)
    }

    /// Says of a line what was said of another that says the same.
    pub(super) fn repeat(&mut self, line: Line, like: Line) {
        let Entry { verdict, note, .. } = self.entries[like.0].clone();
        if let Some(verdict) = verdict.filter(|_| line != like) {
            self.say(line, verdict, note);
        }
    }

    /// What was said of a line so far.
    pub(super) fn verdict(&self, line: Line) -> Option<Verdict> {
        self.entries[line.0].verdict
    }

    /// Closes the report: nothing is ignored in silence.
    pub(super) fn finish(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.verdict.is_none()) {
            entry.verdict = Some(Verdict::NotPossible);
            entry.note = "this line is not understood".to_owned();
        }
    }

    /// Every line, file by file, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is good to know besides.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// How many lines came to this, without blank lines and comments.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.entries.iter().filter(|entry| entry.verdict == Some(verdict) && !entry.is_silent()).count()
    }

    /// Whether anything could not be said here.
    pub fn lacks_something(&self) -> bool {
        self.count(Verdict::NotPossible) > 0
    }

    /// Notes that no listener could be made.
    pub(super) fn opens_nothing(&mut self) {
        self.is_shut = true;
        self.remark("no listener could be made, so the gateway does not start with this configuration: write one in place of `listener = []`");
    }

    /// Whether no listener could be made.
    pub fn is_shut(&self) -> bool {
        self.is_shut
    }

    /// The report for people: each line with what became of it, then the sums. Blank lines and comments are counted only.
    pub fn as_text(&self) -> String {
        let mut text = String::new();
        let mut file = None;
        for entry in self.entries.iter().filter(|entry| !entry.is_silent()) {
            // Writing to a string cannot fail.
            if file != Some(&entry.file) {
                let _ = writeln!(text, "{}", entry.file.display());
                file = Some(&entry.file);
            }
            let word = entry.verdict.unwrap_or(Verdict::NotPossible).word();
            let _ = writeln!(text, "{:>5}  {word:<12}  {}", entry.line, entry.text.trim());
            if !entry.note.is_empty() {
                let _ = writeln!(text, "{:>21}{}", "", entry.note);
            }
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "note: {remark}");
        }
        let sums: Vec<String> = Verdict::ALL
            .iter()
            .map(|verdict| format!("{} {}", self.count(*verdict), verdict.word()))
            .collect();
        let quiet = self.entries.iter().filter(|entry| entry.quiet).count();
        let follow = self.entries.iter().filter(|entry| entry.follows).count();
        let follow = if follow > 0 { format!(", {follow} as the entry above them") } else { String::new() };
        let _ = writeln!(text, "{}; {quiet} blank or comment{follow}", sums.join(", "));
        text
    }

    /// The report for programs.
    pub fn as_json(&self) -> Value {
        let lines: Vec<Value> = self
            .entries
            .iter()
            .map(|entry| {
                json!({
                    "file": entry.file.display().to_string(), "line": entry.line, "text": entry.text,
                    "verdict": entry.verdict.map(Verdict::word), "note": entry.note, "blank_or_comment": entry.quiet,
                    "belongs_to_entry_above": entry.follows,
                })
            })
            .collect();
        let sums: serde_json::Map<String, Value> = Verdict::ALL
            .iter()
            .map(|verdict| (verdict.word().replace(' ', "_"), self.count(*verdict).into()))
            .collect();
        json!({"lines": lines, "notes": self.remarks, "counts": sums, "opens_nothing": self.is_shut})
    }
}

/// A file must not steer the terminal that the report is read on.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
