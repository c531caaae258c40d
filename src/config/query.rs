//! A query to a database, as somebody else's schema needs it.

use super::error::Problem;
use super::scalar::{Fault, Scalar};
use super::section::{Entry, Reader, Setting, comment};

/// Longest query in bytes.
const LONGEST: usize = 16 * 1024;

/// A query, with the place where it stands.
#[derive(Clone, Debug)]
pub struct Query {
    /// Its text. What its placeholders are is for the backend to say.
    pub text: String,
    key: String,
    place: Problem,
}

/// The place is no part of what is configured.
impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.key) == (&other.text, &other.key)
    }
}

impl Eq for Query {}

impl Query {
    /// The problem that something is wrong with the query: `what` is a predicate to follow its key.
    pub fn wrong(&self, what: impl std::fmt::Display, help: impl Into<String>) -> Problem {
        self.place.clone().saying(format!("`{}` {what}", self.key), help.into())
    }
}

/// The text of a query. Lines may be broken in it.
enum Text {}

impl Scalar for Text {
    type Value = String;

    fn parse(value: &toml::de::DeValue<'_>, _: &std::path::Path) -> Result<String, Fault> {
        const HELP: &str = "give a query in quotes, or leave the key out";
        let text = value.as_str().ok_or_else(|| Fault::wrong_type("a string", value, HELP))?;
        if text.trim().is_empty() {
            return Err(Fault::new("is empty", HELP));
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(Fault::new("holds a control character", "take it out"));
        }
        if text.len() > LONGEST {
            return Err(Fault::new(format!("has more than {LONGEST} bytes"), "use a view or a function"));
        }
        Ok(text.trim().to_owned())
    }

    fn show(value: &String) -> String {
        toml::Value::String(value.clone()).to_string()
    }
}

/// A query that may be left out.
pub(super) enum OptionalQuery {}

impl Setting for OptionalQuery {
    type Value = Option<Query>;

    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, _: &Option<Query>) -> Option<Query> {
        let place = reader.place(entry.value.span());
        let key = entry.path.clone();
        let text = <Text as Setting>::read(entry, reader, &String::new());
        (!text.is_empty()).then_some(Query { text, key, place })
    }

    fn describe(path: &str, key: &str, doc: &[&str], _: &Option<Query>, out: &mut String) {
        let example = match (path, key) {
            ("auth.redis", "acl_query") => "GET %s-%s",
            ("auth.redis", _) => "GET %s",
            (_, "user_query") => "SELECT password FROM users WHERE name = %s",
            (_, "superuser_query") => "SELECT COUNT(*) FROM users WHERE name = %s AND admin = 1",
            _ => "SELECT topic FROM acls WHERE name = %s AND (rw & %d) <> 0",
        };
        out.push('\n');
        comment(doc, out);
        out.push_str(&format!("# {key} = \"{example}\"\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn a_query_may_have_lines_and_is_never_empty() {
        let config = |query: &str| {
            let text = format!("[auth.mysql]\nuser_query = {query}");
            Config::parse(&text, "/etc/gate.toml".as_ref()).map(|config| config.auth.mysql.user_query)
        };
        let broken = config("\"\"\"\nSELECT pw\n FROM users WHERE name = ?\n\"\"\"").unwrap();
        assert_eq!(broken.map(|query| query.text).as_deref(), Some("SELECT pw\n FROM users WHERE name = ?"));
        for wrong in ["''", "' '", "1", "\"a\\u0000\"", &format!("'{}'", "x".repeat(20_000))] {
            assert!(config(wrong).is_err(), "{wrong}");
        }
    }
}
