//! What is wrong with a configuration file, shown at its place.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Why there is no configuration. Its text is for a terminal: one paragraph a problem, each beginning with
/// `file:line:column:` and ending with what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read, or is no text.
    #[error("{}: {why}", file.display())]
    Unreadable {
        /// The file that was asked for.
        file: PathBuf,
        /// What the system said, and what to do.
        why: String,
    },
    /// The file was read and is wrong in at least one place.
    #[error("{}", Report { file, problems, more: *more })]
    Wrong {
        /// The file.
        file: PathBuf,
        /// What is wrong, in the order of the file; never empty.
        problems: Vec<Problem>,
        /// How many further problems were not kept.
        more: usize,
    },
}

impl ConfigError {
    /// The file that is wrong.
    pub fn file(&self) -> &Path {
        match self {
            ConfigError::Unreadable { file, .. } | ConfigError::Wrong { file, .. } => file,
        }
    }

    /// The same, without showing the lines in which `word` stands: what follows it is a secret.
    pub(super) fn hiding(mut self, word: &str) -> Self {
        if let ConfigError::Wrong { problems, .. } = &mut self {
            for problem in problems.iter_mut().filter(|problem| problem.excerpt.contains(word)) {
                problem.excerpt = format!("{word} …");
                problem.marked = 0..word.len();
            }
        }
        self
    }

    /// What is wrong where; empty if the file could not be read at all.
    pub fn problems(&self) -> &[Problem] {
        match self {
            ConfigError::Unreadable { .. } => &[],
            ConfigError::Wrong { problems, .. } => problems,
        }
    }
}

/// One thing that is wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it; may be empty.
    pub help: String,
    /// The piece of the line that is shown, free of control characters.
    excerpt: String,
    /// Which characters of the excerpt are meant.
    marked: Range<usize>,
}

/// How much of a long line is shown before and after the place, in characters.
const AROUND: usize = 60;

impl Problem {
    /// Describes the bytes `span` of `source`. Any span will do: it is cut to the text.
    pub(super) fn new(source: &str, span: Range<usize>, what: String, help: String) -> Self {
        let start = source.floor_char_boundary(span.start.min(source.len()));
        let end = source.ceil_char_boundary(span.end.clamp(start, source.len()));
        let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = source[start..].find('\n').map_or(source.len(), |newline| start + newline);

        let before = source[line_start..start].chars().count();
        let skipped = before.saturating_sub(AROUND);
        let excerpt: String = source[line_start..line_end]
            .trim_end_matches('\r')
            .chars()
            .skip(skipped)
            .take(2 * AROUND)
            .map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c })
            .collect();
        let marked = source[start..end.min(line_end)].trim_end().chars().count().clamp(1, AROUND);
        let line = 1 + source[..start].matches('\n').count();
        let from = before - skipped;
        Self { line, column: before + 1, what, help, excerpt, marked: from..from + marked }
    }

    /// Another problem at the same place.
    pub(super) fn saying(self, what: String, help: String) -> Self {
        Self { what, help, ..self }
    }
}

struct Report<'a> {
    file: &'a Path,
    problems: &'a [Problem],
    more: usize,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            let Problem { line, column, what, help, excerpt, marked } = problem;
            write!(f, "{}:{line}:{column}: {what}", self.file.display())?;
            let number = line.to_string();
            let gutter = " ".repeat(number.len());
            // Tabs are kept, so that the marks stand below what they mean however wide a tab is shown.
            let indent: String =
                excerpt.chars().take(marked.start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            write!(f, "\n {number} | {excerpt}\n {gutter} | {indent}{}", "^".repeat(marked.len()))?;
            if !help.is_empty() {
                write!(f, "\n {gutter} = {help}")?;
            }
        }
        if self.more > 0 {
            write!(f, "\n\n{}: and {} more", self.file.display(), self.more)?;
        }
        Ok(())
    }
}

/// Quotes foreign text for a message: shortened, and without control characters.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 48;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(source: &str, meant: &str) -> Problem {
        let start = source.find(meant).unwrap();
        Problem::new(source, start..start + meant.len(), "it is wrong".into(), "mend it".into())
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        let found = problem("a = 1\nü = \"日本\", x\n", "x");
        assert_eq!((found.line, found.column), (2, 11));
    }

    #[test]
    fn the_marks_stand_below_what_is_meant() {
        let error = ConfigError::Wrong {
            file: "x.toml".into(),
            problems: vec![problem("one\n\tkey = value\r\nend", "value")],
            more: 2,
        };
        assert_eq!(
            error.to_string(),
            "x.toml:2:8: it is wrong\n 2 | \tkey = value\n   | \t      ^^^^^\n   = mend it\n\nx.toml: and 2 more"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place_and_its_control_characters_are_hidden() {
        let source = format!("{}\u{1b}[31mhere{}", "x".repeat(500), "y".repeat(5000));
        let found = problem(&source, "here");
        assert_eq!(found.column, 506);
        assert!(found.excerpt.chars().count() <= 2 * AROUND && !found.excerpt.contains('\u{1b}'));
        assert_eq!(
            found.excerpt.chars().skip(found.marked.start).take(found.marked.len()).collect::<String>(),
            "here"
        );
    }

    #[test]
    fn any_span_is_cut_to_the_text() {
        for source in ["", "ü", "a\nb", "\n", "日本語"] {
            for start in 0..12 {
                for end in 0..12 {
                    Problem::new(source, Range { start, end }, String::new(), String::new());
                }
            }
        }
    }

    #[test]
    fn quoted_text_is_short_and_harmless() {
        assert_eq!(quoted("a\u{1b}[0m\n"), "`a\\u{1b}[0m\\n`");
        assert!(quoted(&"k".repeat(100_000)).len() < 60);
    }
}
