//! The lines of the JSON file: those that begin something get the verdict on it, the others follow.

use std::{collections::HashMap, path::Path};

use serde_json::Value;

use crate::import::{
    reader,
    report::{Line, Report, Verdict},
};

/// The lines. Those that hold passwords are shown by their first word.
pub(super) struct Lines {
    all: Vec<Line>,
    /// In which lines each string stands, quotes and all.
    strings: HashMap<String, Vec<usize>>,
}

impl Lines {
    pub fn new(file: &Path, bytes: &[u8], report: &mut Report) -> Self {
        let mut lines = Lines { all: Vec::new(), strings: HashMap::new() };
        for (number, bytes) in reader::split(bytes).enumerate() {
            let text = String::from_utf8_lossy(bytes);
            let shown = match text.trim_start().split_once(':') {
                Some((key, _))
                    if ["\"password\"", "\"salt\"", "\"encoded_password\""].contains(&key.trim()) =>
                {
                    format!("{key}: …")
                }
                // A file on one line holds everything at once.
                _ if text.contains("password") && text.len() > 40 => "…".to_owned(),
                _ => text.clone().into_owned(),
            };
            if text.trim().is_empty() {
                report.add_quiet(file, number + 1, "");
                continue;
            }
            for string in strings(&text) {
                let places = lines.strings.entry(string.to_owned()).or_default();
                if places.last() != Some(&lines.all.len()) {
                    places.push(lines.all.len());
                }
            }
            lines.all.push(report.add(file, number + 1, &shown));
        }
        lines
    }

    /// The first line that holds all of these as strings.
    pub fn of(&self, words: &[&str]) -> Option<Line> {
        let mut places: Vec<&Vec<usize>> = words
            .iter()
            .map(|word| self.strings.get(&Value::from(*word).to_string()))
            .collect::<Option<_>>()?;
        places.sort_by_key(|places| places.len());
        let (rarest, others) = places.split_first()?;
        let holds = |at: &&usize| others.iter().all(|places| places.binary_search(at).is_ok());
        rarest.iter().find(holds).and_then(|at| self.all.get(*at)).copied()
    }

    /// Says once, of the whole file, that it is left out: the line that names it says why.
    pub fn leave_out(self, named: Line, report: &mut Report) {
        let Some((first, others)) = self.all.split_first() else { return };
        let why = format!("the file is left out as a whole: see {}", report.place(named));
        report.leave_out(&[*first], &why);
        others.iter().for_each(|line| report.follow(*line, Verdict::NotPossible));
    }

    /// Has every line follow about which nothing was said.
    pub fn finish(self, report: &mut Report) {
        let mut before = Verdict::Translated;
        for (at, line) in self.all.into_iter().enumerate() {
            match report.verdict(line) {
                Some(verdict) => before = verdict,
                None if at == 0 => report.say(line, before, ""),
                // A loss is told once, where it is.
                None => report.follow(line, before.min(Verdict::Changed)),
            }
        }
    }
}

/// The strings of a line of JSON, as they are written.
fn strings(text: &str) -> Vec<&str> {
    let (mut found, mut begin, mut escaped) = (Vec::new(), None, false);
    for (at, c) in text.char_indices() {
        match (c, begin) {
            _ if escaped => escaped = false,
            ('\\', Some(_)) => escaped = true,
            ('"', Some(from)) => {
                found.push(&text[from..=at]);
                begin = None;
            }
            ('"', None) => begin = Some(at),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strings_of_a_line_are_found_whatever_is_in_them() {
        let found = strings(r#"  "user\"name": "a: \\", "x":1, "open"#);
        assert_eq!(found, [r#""user\"name""#, r#""a: \\""#, r#""x""#]);
    }

    #[test]
    fn an_entry_is_told_where_it_begins_and_its_further_lines_follow() {
        let mut report = Report::default();
        let json = "{\n\"roles\": [{\n\"rolename\": \"r\",\n\"acls\": []\n}]}\n";
        let lines = Lines::new(Path::new("d.json"), json.as_bytes(), &mut report);
        let role = lines.of(&["rolename", "r"]).unwrap();
        assert_eq!((report.place(role).as_str(), lines.of(&["rolename", "q"])), ("d.json:3", None));
        report.say(role, Verdict::Translated, "the role \"r\"");
        lines.finish(&mut report);
        assert_eq!(report.as_text().lines().count(), 5, "{}", report.as_text());
        assert!(
            report.as_text().ends_with("; 0 blank or comment, 3 as the entry above them\n"),
            "{}",
            report.as_text()
        );
    }
}
