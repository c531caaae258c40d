//! Walking the parsed file: sections, keys, and the problems found on the way.
//!
//! A section is written once, with [`section!`]: that one definition makes the struct, its defaults, the
//! reader that fills it, the list of known keys and its part of the printed reference.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Problem, quoted};

/// How many problems are kept; a file with more is not a configuration with typing errors.
const MOST_PROBLEMS: usize = 30;

/// What every step of the walk shares.
pub(super) struct Reader<'s> {
    source: &'s str,
    /// The folder that relative paths start from.
    pub folder: &'s Path,
    /// `gateway.id`, which other keys may refer to.
    pub gateway_id: String,
    problems: Vec<Problem>,
    more: usize,
}

impl<'s> Reader<'s> {
    pub fn new(source: &'s str, folder: &'s Path) -> Self {
        Self { source, folder, gateway_id: String::new(), problems: Vec::new(), more: 0 }
    }

    /// Notes that the bytes `span` are wrong.
    pub fn wrong(&mut self, span: Range<usize>, what: impl Into<String>, help: impl Into<String>) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(Problem::new(self.source, span, what.into(), help.into()));
        } else {
            self.more += 1;
        }
    }

    /// Notes a problem that knows its place.
    pub fn add(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The place of the bytes `span`, as a problem that says nothing yet.
    pub fn place(&self, span: Range<usize>) -> Problem {
        Problem::new(self.source, span, String::new(), String::new())
    }

    /// `value` if nothing was wrong, else everything that was.
    pub fn finish<T>(mut self, value: T, file: &Path) -> Result<T, ConfigError> {
        if self.problems.is_empty() {
            return Ok(value);
        }
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(ConfigError::Wrong { file: file.to_owned(), problems: self.problems, more: self.more })
    }
}

/// A key's value, with the path of the key as it is shown to people (`limits.connections`).
pub(super) struct Entry<'s> {
    pub path: String,
    pub value: Spanned<DeValue<'s>>,
}

impl<'s> Entry<'s> {
    /// The entry as a table of further keys; anything else is noted as wrong.
    pub fn section(self, reader: &mut Reader<'_>) -> Option<Section<'s>> {
        let span = self.value.span();
        match self.value.into_inner() {
            DeValue::Table(entries) => Some(Section { path: self.path, span, entries }),
            other => {
                let what = format!("`{}` is a section, not {}", self.path, kind_of(&other));
                reader.wrong(span, what, format!("write it as [{}], with its keys below", self.path));
                None
            }
        }
    }
}

/// A table being read: each key is taken out when it is read, and what is left in the end is unknown.
pub(super) struct Section<'s> {
    path: String,
    /// Where the section is in the file.
    pub span: Range<usize>,
    entries: DeTable<'s>,
}

impl<'s> Section<'s> {
    /// The whole file as a section without a name.
    pub fn root(table: Spanned<DeTable<'s>>) -> Self {
        Self { path: String::new(), span: table.span(), entries: table.into_inner() }
    }

    /// Where the value of `key` is, if it is given.
    pub fn span_of(&self, key: &str) -> Option<Range<usize>> {
        self.entries.get(key).map(Spanned::span)
    }

    /// Whether the section `name` in it gives `key`, whatever it holds.
    pub fn gives(&self, name: &str, key: &str) -> bool {
        let section = self.entries.get(name).and_then(|value| value.get_ref().as_table());
        section.is_some_and(|section| section.contains_key(key))
    }

    /// Takes `key` out, with the place of the key itself.
    pub fn take(&mut self, key: &str) -> Option<(Range<usize>, Entry<'s>)> {
        let (name, value) = self.entries.remove_entry(key)?;
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Some((name.span(), Entry { path, value }))
    }

    /// Reads `key`; `fallback` if it is absent or wrong.
    pub fn read<S: Setting>(&mut self, key: &str, reader: &mut Reader<'_>, fallback: &S::Value) -> S::Value {
        match self.take(key) {
            Some((_, entry)) => S::read(entry, reader, fallback),
            None => fallback.clone(),
        }
    }

    /// What nobody read so far.
    pub fn unread(&self) -> impl Iterator<Item = (&str, &DeValue<'s>)> {
        self.entries.iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref()))
    }

    /// Notes every key that nobody read, with the nearest of those that are known here.
    pub fn finish(self, known: &[&str], reader: &mut Reader<'_>) {
        let place = if self.path.is_empty() { String::new() } else { format!(" in [{}]", self.path) };
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            let help = match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys here: {}", known.join(", ")),
            };
            reader.wrong(key.span(), format!("unknown key {}{place}", quoted(name)), help);
        }
    }
}

/// What a key holds: how it is read and how it is described in the reference.
pub(super) trait Setting {
    type Value: Clone;

    /// Reads the entry; notes what is wrong with it and gives `fallback` then.
    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, fallback: &Self::Value) -> Self::Value;

    /// Writes the key (or, for a section, all of its keys) as TOML with comments.
    fn describe(path: &str, key: &str, doc: &[&str], value: &Self::Value, out: &mut String);
}

/// The known word that `word` was most likely meant to be.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // A longer word is no slip of the finger, and comparing costs the product of both lengths.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A value's type as people say it.
pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

/// Writes doc lines as TOML comments.
pub(super) fn comment(doc: &[&str], out: &mut String) {
    for line in doc {
        out.push('#');
        out.push_str(line);
        out.push('\n');
    }
}

/// Defines a section of the file. Each field reads `pub NAME: TYPE => SETTING = DEFAULT,`; its docstring is
/// the documentation of the key, here and in the printed reference. Sections inside come last.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        pub struct $Section:ident {
            $( $(#[doc = $doc:literal])* pub $field:ident: $type:ty => $setting:ty = $default:expr, )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $Section {
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl Default for $Section {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $Section {
            /// What the section is for, line by line.
            pub(super) const ABOUT: &[&str] = &[$($about),*];

            /// Writes all keys with `self` as their values.
            pub(super) fn describe_keys(&self, path: &str, out: &mut String) {
                $( <$setting as $crate::config::section::Setting>::describe(
                    path, stringify!($field), &[$($doc),*], &self.$field, out,
                ); )*
            }

            /// Keys whose values `other` has otherwise.
            #[allow(dead_code, reason = "not every section is compared by its keys")]
            pub(super) fn differing(&self, other: &Self) -> Vec<&'static str> {
                let mut keys = Vec::new();
                $( if self.$field != other.$field { keys.push(stringify!($field)); } )*
                keys
            }

            /// Reads all keys; those absent or wrong are as in `fallback`.
            pub(super) fn read_keys(
                mut section: $crate::config::section::Section<'_>,
                reader: &mut $crate::config::section::Reader<'_>,
                fallback: &Self,
            ) -> Self {
                let read = Self {
                    $( $field: section.read::<$setting>(stringify!($field), reader, &fallback.$field), )*
                };
                section.finish(&[$(stringify!($field)),*], reader);
                read
            }
        }

        impl $crate::config::section::Setting for $Section {
            type Value = Self;

            fn read(
                entry: $crate::config::section::Entry<'_>,
                reader: &mut $crate::config::section::Reader<'_>,
                fallback: &Self,
            ) -> Self {
                match entry.section(reader) {
                    Some(section) => Self::read_keys(section, reader, fallback),
                    None => fallback.clone(),
                }
            }

            fn describe(path: &str, key: &str, _: &[&str], value: &Self, out: &mut String) {
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                out.push('\n');
                $crate::config::section::comment(Self::ABOUT, out);
                out.push_str(&format!("[{path}]\n"));
                value.describe_keys(&path, out);
            }
        }
    };
}
pub(super) use section;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_forgives_a_slip_but_not_another_word() {
        let known = ["connections", "packet_size", "id"];
        assert_eq!(nearest("conections", &known), Some("connections"));
        assert_eq!(nearest("Packet-Size", &known), Some("packet_size"));
        assert_eq!(nearest("di", &known), Some("id"));
        assert_eq!(nearest("password", &known), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), &known), None);
    }
}
