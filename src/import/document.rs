//! `latchgate.toml`, in parts: each knows the lines that it comes from, and can be left out by itself.

use std::{fmt::Write, ops::Range};

use super::report::{Line, Report};

/// A part of the document.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub what: What,
    /// As `[limits]` or `[[listener]]`.
    pub head: &'static str,
    keys: Vec<Key>,
    /// Lines of Mosquitto that it comes from, besides those of its keys.
    pub lines: Vec<Line>,
    /// Sections below it.
    pub parts: Vec<Part>,
}

/// What a part is, for those that can be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Something that has its defaults.
    Section,
    /// A listener, by its name.
    Listener(String),
    /// What a backend needs, by its name.
    Backend(&'static str),
    /// A bridge, by its name.
    Bridge(String),
    /// A route of a bridge.
    Route,
    /// What keeps clients from something, so that without it no listener may be opened.
    Guard,
    /// What belongs to the part it stands in.
    Inner,
}

#[derive(Clone, Debug)]
struct Key {
    name: String,
    value: toml::Value,
    lines: Vec<Line>,
    /// What it means, where a reader of the file would wonder.
    meaning: &'static str,
}

impl Part {
    pub fn new(what: What, head: &'static str) -> Self {
        Part { what, head, keys: Vec::new(), lines: Vec::new(), parts: Vec::new() }
    }

    /// Adds a key, or replaces its value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<toml::Value>, lines: &[Line]) {
        self.explained(name, value, "", lines);
    }

    /// The same, with a comment that says what it means.
    pub fn explained(
        &mut self,
        name: impl Into<String>,
        value: impl Into<toml::Value>,
        meaning: &'static str,
        lines: &[Line],
    ) {
        let key = Key { name: name.into(), value: value.into(), lines: lines.to_vec(), meaning };
        match self.keys.iter_mut().find(|other| other.name == key.name) {
            Some(old) => *old = key,
            None => self.keys.push(key),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.parts.is_empty()
    }

    /// Takes a backend out of the list `backends`; whether that leaves a list without any.
    pub fn drop_backend(&mut self, name: &str) -> bool {
        let list =
            self.keys.iter_mut().find(|key| key.name == "backends").and_then(|key| key.value.as_array_mut());
        list.is_some_and(|list| {
            list.retain(|backend| backend.as_str() != Some(name));
            list.is_empty()
        })
    }

    pub fn all_lines(&self) -> Vec<Line> {
        let mut lines = self.lines.clone();
        lines.extend(self.keys.iter().flat_map(|key| &key.lines));
        lines.extend(self.parts.iter().flat_map(Part::all_lines));
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    fn write(&self, path: &[usize], report: &Report, out: &mut String, places: &mut Vec<Place>) {
        let first = line_of(out) + 1;
        let from = origins(&self.lines, report);
        let _ = writeln!(out, "\n{}{from}", self.head);
        for Key { name, value, lines, meaning } in &self.keys {
            let comment = match (*meaning, origins(lines, report)) {
                ("", from) => from,
                (meaning, from) if from.is_empty() => format!("  # {meaning}"),
                (meaning, from) => format!("{from}: {meaning}"),
            };
            let _ = writeln!(out, "{} = {value}{comment}", plain_or_quoted(name));
        }
        let here = places.len();
        places.push(Place { lines: first..line_of(out), path: path.to_vec() });
        for (at, part) in self.parts.iter().enumerate() {
            let mut path = path.to_vec();
            path.push(at);
            part.write(&path, report, out, places);
        }
        places[here].lines.end = line_of(out);
    }
}

/// The whole document.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub parts: Vec<Part>,
}

/// Where a part stands in the text.
pub(super) struct Place {
    /// Counted from 1.
    lines: Range<usize>,
    /// The numbers of the parts that lead to it.
    pub path: Vec<usize>,
}

impl Document {
    /// Its text, and where each part stands.
    pub fn write(&self, head: &str, report: &Report) -> (String, Vec<Place>) {
        let (mut out, mut places) = (head.to_owned(), Vec::new());
        for (at, part) in self.parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
            part.write(&[at], report, &mut out, &mut places);
        }
        (out, places)
    }

    /// Takes the part away that `line` of the text belongs to; of parts in each other the innermost that can be left out.
    pub fn take_out(&mut self, line: usize, places: &[Place]) -> Option<Part> {
        let inside = places.iter().filter(|place| place.lines.contains(&line));
        let mut paths: Vec<&[usize]> = inside.map(|place| place.path.as_slice()).collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        paths.into_iter().find_map(|path| {
            let (last, above) = path.split_last()?;
            let list =
                above.iter().try_fold(&mut self.parts, |list, at| Some(&mut list.get_mut(*at)?.parts))?;
            (list.get(*last)?.what != What::Inner).then(|| list.remove(*last))
        })
    }

    /// Whether a listener asks this backend.
    pub fn asks(&self, backend: &str) -> bool {
        let names = |part: &Part| {
            let list =
                part.keys.iter().find(|key| key.name == "backends").and_then(|key| key.value.as_array());
            list.is_some_and(|list| list.iter().any(|one| one.as_str() == Some(backend)))
        };
        self.parts.iter().any(|part| matches!(part.what, What::Listener(_)) && names(part))
    }

    pub fn find(&mut self, head: &str) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.head == head)
    }
}

/// The number of the line that would be written next.
fn line_of(text: &str) -> usize {
    text.matches('\n').count() + 1
}

/// A key as TOML has it.
fn plain_or_quoted(name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if plain { name.to_owned() } else { toml::Value::from(name).to_string() }
}

/// A comment that names the lines.
fn origins(lines: &[Line], report: &Report) -> String {
    if lines.is_empty() {
        return String::new();
    }
    const MOST: usize = 3;
    let mut places: Vec<String> = lines.iter().take(MOST).map(|line| report.place(*line)).collect();
    if lines.len() > MOST {
        places.push("…".to_owned());
    }
    format!("  # {}", places.join(", "))
}
