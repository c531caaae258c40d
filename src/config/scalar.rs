//! The kinds of single values a key can hold: numbers, durations, words, paths, lists of patterns.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into(), span: None }
    }

    fn wrong_type(wanted: &str, value: &DeValue<'_>, help: impl Into<String>) -> Self {
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

    /// Whether the reference shows the key as a comment, because its default is not a fixed value.
    const COMMENTED: bool = false;
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
        let mark = if S::COMMENTED { "# " } else { "" };
        out.push_str(&format!("{mark}{key} = {}\n", S::show(value)));
    }
}

/// Reads a whole number of at most `max`.
fn number(value: &DeValue<'_>, max: u64) -> Result<u64, Fault> {
    let help = format!("a whole number from 0 to {max}, without quotes or unit");
    let DeValue::Integer(integer) = value else {
        return Err(Fault::wrong_type("a whole number", value, help));
    };
    if integer.as_str().starts_with('-') {
        return Err(Fault::new("cannot be negative", help));
    }
    match u64::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(number) if number <= max => Ok(number),
        _ => Err(Fault::new("is too large", help)),
    }
}

fn text<'v>(value: &'v DeValue<'_>, example: &str) -> Result<&'v str, Fault> {
    value.as_str().ok_or_else(|| Fault::wrong_type("a string", value, format!("in quotes, as \"{example}\"")))
}

/// Writes a TOML string.
fn show_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Defines a kind of number: its Rust type, and how 0 in the file is kept.
macro_rules! number_kind {
    ($(#[$about:meta])* $Kind:ident, $Value:ty, $zero:expr) => {
        $(#[$about])*
        pub(super) enum $Kind {}

        impl Scalar for $Kind {
            type Value = $Value;

            fn parse(value: &DeValue<'_>, _: &Path) -> Result<Self::Value, Fault> {
                // TOML's numbers are signed; what the kind can hold may be less.
                let max = (<$Value>::MAX as u64).min(i64::MAX as u64);
                match number(value, max)? {
                    0 => Ok($zero),
                    number => <$Value>::try_from(number).map_err(|_| Fault::new("is too large", "")),
                }
            }

            fn show(value: &Self::Value) -> String {
                if *value == $zero { "0".to_owned() } else { value.to_string() }
            }
        }
    };
}

number_kind!(
    /// A bound on a count or a size; 0 is no limit, kept as `usize::MAX`.
    Bound, usize, usize::MAX
);
number_kind!(
    /// A bound on a count; 0 is no limit, kept as 65535, the most the protocol can say.
    Bound16, u16, u16::MAX
);
number_kind!(
    /// A number of seconds; 0 means none and is kept as 0.
    Seconds16, u16, 0
);
number_kind!(
    /// A number of seconds; 0 means none and is kept as 0.
    Seconds32, u32, 0
);

/// A time limit in whole seconds; 0 is no limit.
pub(super) enum Timeout {}

impl Timeout {
    /// No limit: over a century, which can still be added to an `Instant`.
    pub const NONE: Duration = Duration::from_secs(u32::MAX as u64);
}

impl Scalar for Timeout {
    type Value = Duration;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<Duration, Fault> {
        Ok(match number(value, u64::from(u32::MAX))? {
            0 => Timeout::NONE,
            seconds => Duration::from_secs(seconds),
        })
    }

    fn show(value: &Duration) -> String {
        if *value == Timeout::NONE { "0".to_owned() } else { value.as_secs().to_string() }
    }
}

/// A duration with its unit, such as `"5m"`.
pub(super) enum Span {}

/// Units in milliseconds, largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Scalar for Span {
    type Value = Duration;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<Duration, Fault> {
        const HELP: &str = "a number and its unit, ms, s, m, h or d, as \"30s\" or \"5m\"";
        const LONGEST: u64 = 3650 * 86_400_000;
        let Some(written) = value.as_str() else {
            return Err(Fault::wrong_type("a duration", value, HELP));
        };
        let digits = written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len());
        let (number, unit) = written.split_at(digits);
        let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| *factor);
        let (Some(unit), false) = (unit, number.is_empty()) else {
            return Err(Fault::new(format!("is not a duration: {}", quoted(written)), HELP));
        };
        match number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
            Some(milliseconds @ ..=LONGEST) => Ok(Duration::from_millis(milliseconds)),
            _ => Err(Fault::new("is too long", "at most \"3650d\"")),
        }
    }

    fn show(value: &Duration) -> String {
        let milliseconds = value.as_millis() as u64;
        let exact = |(_, factor): &&(&str, u64)| milliseconds != 0 && milliseconds.is_multiple_of(*factor);
        match UNITS.iter().find(exact) {
            Some((name, factor)) => format!("\"{}{name}\"", milliseconds / factor),
            None => "\"0s\"".to_owned(),
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

/// A path; a relative one starts at the folder of the file it stands in.
pub(super) enum RelativePath {}

impl Scalar for RelativePath {
    type Value = PathBuf;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<PathBuf, Fault> {
        match text(value, "state")? {
            "" => Err(Fault::new("is empty", "give a path; a relative one starts at this file's folder")),
            path if path.contains('\0') => Err(Fault::new("holds the null character", "take it out")),
            path => Ok(folder.join(path)),
        }
    }

    fn show(value: &PathBuf) -> String {
        show_text(&value.to_string_lossy())
    }
}

/// IP address and port.
pub(super) enum Address {}

impl Scalar for Address {
    type Value = SocketAddr;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<SocketAddr, Fault> {
        const HELP: &str =
            "an IP address and a port, as \"127.0.0.1:1883\", \"[::1]:1883\" or \"0.0.0.0:1883\"";
        let written = value.as_str().ok_or_else(|| Fault::wrong_type("a string", value, HELP))?;
        written.parse().map_err(|_| {
            let help = if written.parse::<std::net::IpAddr>().is_ok() {
                format!("the port is missing; {HELP}")
            } else if written.starts_with("localhost") {
                format!("a host name cannot be listened on; {HELP}")
            } else {
                HELP.to_owned()
            };
            Fault::new(format!("is not an address: {}", quoted(written)), help)
        })
    }

    fn show(value: &SocketAddr) -> String {
        format!("\"{value}\"")
    }
}

/// A short name without control characters.
pub(super) enum Name {}

impl Scalar for Name {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        const HELP: &str = "1 to 64 characters, none of them a control character";
        match text(value, "plain")? {
            name if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) => {
                Err(Fault::new(format!("cannot be {}", quoted(name)), HELP))
            }
            name => Ok(name.to_owned()),
        }
    }

    fn show(value: &String) -> String {
        show_text(value)
    }
}

/// The identity of the gateway: a name that can be one level of a topic.
pub(super) enum Identity {}

impl Scalar for Identity {
    type Value = String;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<String, Fault> {
        let id = Name::parse(value, folder)?;
        if id.contains(['/', '+', '#']) {
            let what = format!("cannot be {}", quoted(&id));
            return Err(Fault::new(what, "it becomes a level of topics: take out /, + and #"));
        }
        Ok(id)
    }

    fn show(value: &String) -> String {
        show_text(value)
    }

    const COMMENTED: bool = true;
}

/// A user name that may be left out.
pub(super) enum OptionalUser {}

impl Scalar for OptionalUser {
    type Value = Option<String>;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<Option<String>, Fault> {
        let name = text(value, "guest")?;
        let what = format!("cannot be {}", quoted(name));
        if name.is_empty() || name.chars().any(char::is_control) || name == "*" || name.len() > 65535 {
            return Err(Fault::new(what, "give a user name; without the key, such clients are refused"));
        }
        if name.starts_with("role:") || name.starts_with("bridge:") {
            return Err(Fault::new(what, "user names cannot begin with role: or bridge:"));
        }
        Ok(Some(name.to_owned()))
    }

    fn show(value: &Option<String>) -> String {
        show_text(value.as_deref().unwrap_or("guest"))
    }

    const COMMENTED: bool = true;
}

/// A pattern as in file names: `*`, `?`, `[abc]`, `[!a-z]`, and `\` before a character that is meant itself.
pub(super) enum Glob {}

impl Scalar for Glob {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        let pattern = text(value, "admin-*")?;
        match glob_fault(pattern) {
            None => Ok(pattern.to_owned()),
            Some(why) => {
                let what = format!("holds the pattern {}, {why}", quoted(pattern));
                Err(Fault::new(
                    what,
                    "known: * for any characters, ? for one, [abc] for one of these, \\ before a character that is meant itself",
                ))
            }
        }
    }

    fn show(value: &String) -> String {
        show_text(value)
    }
}

/// What is wrong with a pattern's syntax.
fn glob_fault(pattern: &str) -> Option<&'static str> {
    if pattern.is_empty() {
        return Some("which is empty");
    }
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.next().is_none() => return Some("which ends in a lone \\"),
            '[' => {
                // As fnmatch(3): a `]` that comes first, or after `!`, is a member.
                let set = rest.as_str();
                let members = set.strip_prefix(['!', '^']).unwrap_or(set);
                let first = members.chars().next().map_or(0, char::len_utf8);
                let Some(close) = members[first..].find(']') else { return Some("whose [ is never closed") };
                rest = members[first + close + 1..].chars();
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<S: Scalar>(toml: &str) -> Result<S::Value, String> {
        let value = DeValue::parse(toml).unwrap();
        S::parse(value.get_ref(), Path::new("/etc/gate")).map_err(|fault| fault.what)
    }

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(parse::<Bound>("0"), Ok(usize::MAX));
        assert_eq!(parse::<Bound16>("0"), Ok(65535));
        assert_eq!(parse::<Seconds16>("0"), Ok(0));
        assert_eq!(parse::<Timeout>("0"), Ok(Timeout::NONE));
        assert!(std::time::Instant::now().checked_add(Timeout::NONE).is_some());
        assert_eq!((Bound::show(&usize::MAX), Timeout::show(&Timeout::NONE)), ("0".into(), "0".into()));
    }

    #[test]
    fn numbers_are_whole_in_range_and_in_any_notation_of_toml() {
        assert_eq!(parse::<Bound>("10_485_760"), Ok(10 << 20));
        assert_eq!(parse::<Bound>("0x10"), Ok(16));
        assert_eq!(parse::<Bound16>("65535"), Ok(65535));
        for wrong in ["65536", "-1", "1.5", "\"1\"", "true", "[1]", "99999999999999999999999999"] {
            assert!(parse::<Bound16>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_carry_their_unit_and_print_as_they_read() {
        for (written, milliseconds) in
            [("5m", 300_000), ("90s", 90_000), ("250ms", 250), ("0s", 0), ("2d", 172_800_000)]
        {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse::<Span>(&format!("\"{written}\"")), Ok(duration), "{written}");
            assert_eq!(parse::<Span>(&Span::show(&duration)), Ok(duration), "{written}");
        }
        for wrong in ["5", "m", "", "-5m", "5 weeks", "99999999999999999999d", "4000d", "5µs"] {
            assert!(parse::<Span>(&format!("\"{wrong}\"")).is_err(), "{wrong}");
        }
        assert!(parse::<Span>("300").is_err());
    }

    #[test]
    fn patterns_are_checked_as_fnmatch_reads_them() {
        for right in ["S*", "?", "[abc]x", "[!a-z]", "[]]", "a\\*", "[!]]x", "日*"] {
            assert_eq!(glob_fault(right), None, "{right}");
        }
        for wrong in ["", "[", "[]", "[!]", "a[b", "x\\", "[日"] {
            assert!(glob_fault(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn relative_paths_start_at_the_folder_of_the_file() {
        assert_eq!(parse::<RelativePath>("'state'"), Ok("/etc/gate/state".into()));
        assert_eq!(parse::<RelativePath>("'/var/lib/x'"), Ok("/var/lib/x".into()));
        assert!(parse::<RelativePath>("''").is_err());
    }

    #[test]
    fn an_anonymous_name_is_a_user_name() {
        assert_eq!(parse::<OptionalUser>("'guest'"), Ok(Some("guest".into())));
        for wrong in ["''", "'*'", "'role:x'", "'bridge:x'", "\"a\\u0000\""] {
            assert!(parse::<OptionalUser>(wrong).is_err(), "{wrong}");
        }
    }
}
