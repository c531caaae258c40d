//! A value written on one line: what such a value is, and the simple kinds: switches, words, lists.

use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;

use toml::de::DeValue;

use super::error::quoted;
use super::section::{Entry, Reader, Setting, comment, kind_of, nearest};

/// What is wrong with a value: a predicate to follow the key's name, what to do, and where (the whole value
/// unless said).
pub(super) struct Fault {
    what: String,
    help: String,
    span: Option<Range<usize>>,
}

impl Fault {
    pub fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into(), span: None }
    }

    pub fn wrong_type(wanted: &str, value: &DeValue<'_>, help: impl Into<String>) -> Self {
        Self::new(format!("must be {wanted}, not {}", kind_of(value)), help)
    }
}

/// A value written on one line.
pub(super) trait Scalar {
    type Value: Clone;

    /// Reads the value. Paths start at `folder`.
    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<Self::Value, Fault>;

    /// The value as TOML.
    fn show(value: &Self::Value) -> String;

    /// The values that can be chosen from, if they can be listed.
    fn choices() -> Option<String> {
        None
    }

    /// What the reference shows, as a comment, for a key whose default is not a fixed value.
    const EXAMPLE: Option<&'static str> = None;
}

impl<S: Scalar> Setting for S {
    type Value = S::Value;

    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, fallback: &Self::Value) -> Self::Value {
        match S::parse(entry.value.get_ref(), reader.folder) {
            Ok(value) => value,
            Err(Fault { what, help, span }) => {
                let span = span.unwrap_or_else(|| entry.value.span());
                reader.wrong(span, format!("`{}` {what}", entry.path), help);
                fallback.clone()
            }
        }
    }

    fn describe(_: &str, key: &str, doc: &[&str], value: &Self::Value, out: &mut String) {
        out.push('\n');
        comment(doc, out);
        if let Some(choices) = S::choices() {
            out.push_str(&format!("# One of {choices}.\n"));
        }
        match S::EXAMPLE {
            Some(example) => out.push_str(&format!("# {key} = \"{example}\"\n")),
            None => out.push_str(&format!("{key} = {}\n", S::show(value))),
        }
    }
}

/// True or false.
pub(super) enum Switch {}

impl Scalar for Switch {
    type Value = bool;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<bool, Fault> {
        value.as_bool().ok_or_else(|| Fault::wrong_type("true or false", value, "without quotes"))
    }

    fn show(value: &bool) -> String {
        value.to_string()
    }
}

/// A value that is chosen from a few words.
pub(super) trait Word: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

/// Defines an enum whose variants are words of the file.
macro_rules! words {
    ($(#[$about:meta])* pub enum $Name:ident { $( $(#[$doc:meta])* $Variant:ident = $word:literal, )* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name { $( $(#[$doc])* $Variant, )* }

        impl $Name {
            /// The word that stands for it in the file.
            pub fn word(self) -> &'static str {
                match self { $( $Name::$Variant => $word, )* }
            }
        }

        impl $crate::config::scalar::Word for $Name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, $Name::$Variant)),*];
        }
    };
}
pub(super) use words;

/// One word of `W`.
pub(super) struct OneOf<W>(PhantomData<W>);

fn list_words<W: Word>() -> String {
    W::WORDS.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

impl<W: Word> Scalar for OneOf<W> {
    type Value = W;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<W, Fault> {
        let help = format!("known: {}", list_words::<W>());
        let Some(word) = value.as_str() else {
            return Err(Fault::wrong_type("a string", value, help));
        };
        if let Some((_, found)) = W::WORDS.iter().find(|(known, _)| *known == word) {
            return Ok(*found);
        }
        let known: Vec<&str> = W::WORDS.iter().map(|(known, _)| *known).collect();
        let help = match nearest(word, &known) {
            Some(near) => format!("did you mean \"{near}\"? {help}"),
            None => help,
        };
        Err(Fault::new(format!("cannot be {}", quoted(word)), help))
    }

    fn show(value: &W) -> String {
        let word = W::WORDS.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word);
        format!("\"{word}\"")
    }

    fn choices() -> Option<String> {
        Some(list_words::<W>())
    }
}

/// A list of `S`, each thing at most once, of at least `LEAST`.
pub(super) struct List<S, const LEAST: usize>(PhantomData<S>);

impl<S: Scalar<Value: PartialEq>, const LEAST: usize> Scalar for List<S, LEAST> {
    type Value = Vec<S::Value>;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<Self::Value, Fault> {
        let Some(items) = value.as_array() else {
            return Err(Fault::wrong_type("a list", value, "in square brackets, as [\"one\", \"two\"]"));
        };
        let mut list = Vec::new();
        for item in items.iter() {
            let at = |fault: Fault| Fault { span: Some(fault.span.unwrap_or(item.span())), ..fault };
            let value = S::parse(item.get_ref(), folder).map_err(at)?;
            if list.contains(&value) {
                return Err(at(Fault::new("names the same thing twice", "take one of them out")));
            }
            list.push(value);
        }
        if list.len() < LEAST {
            return Err(Fault::new(
                "is empty",
                S::choices().map_or(String::new(), |c| format!("known: {c}")),
            ));
        }
        Ok(list)
    }

    fn show(list: &Self::Value) -> String {
        format!("[{}]", list.iter().map(S::show).collect::<Vec<_>>().join(", "))
    }

    fn choices() -> Option<String> {
        S::choices()
    }
}

/// Reads one TOML value as `S`, for tests.
#[cfg(test)]
pub(super) fn parse<S: Scalar>(toml: &str) -> Result<S::Value, String> {
    let value = DeValue::parse(toml).unwrap();
    S::parse(value.get_ref(), Path::new("/etc/gate")).map_err(|fault| fault.what)
}
