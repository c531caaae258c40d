//! A query with placeholders of any of the styles in use, made one of the database's own.

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sql {
    /// SQLite's.
    Sqlite,
    /// MySQL's and MariaDB's.
    Mysql,
    /// PostgreSQL's.
    Postgres,
}

/// What is bound to a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The user name.
    User,
    /// The number of the access.
    Access,
    /// The client identifier.
    ClientId,
}

/// A query ready to be prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// With the database's own placeholders, one for each of `arguments`.
    pub text: String,
    /// What is bound, in order.
    pub arguments: Vec<Argument>,
}

/// A piece of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'q> {
    /// Neither quoted nor a placeholder.
    Plain(&'q str),
    /// A literal, name or comment, with its quotes.
    Quoted(&'q str),
    /// `%s`.
    Text,
    /// `%d`.
    Number,
    /// `?`.
    Next,
    /// `$N` or `?N`, as it was written.
    Nth(usize, &'q str),
}

/// How the placeholders of a query are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Percent,
    Question,
    Numbered,
}

impl Statement {
    /// Reads a query whose arguments are `arguments`, in order; for `%s` and `%d` the kind counts.
    ///
    /// # Errors
    /// What is wrong with its placeholders, as a predicate.
    pub fn compile(query: &str, sql: Sql, arguments: &[Argument]) -> Result<Self, String> {
        let query = query.trim().trim_end_matches(';').trim_end();
        let pieces = pieces(query, sql);
        let style = style(&pieces, sql)?;
        let mut statement = Statement { text: String::new(), arguments: Vec::new() };
        let mut texts = arguments.iter().filter(|one| **one != Argument::Access);
        let mut numbers = arguments.iter().filter(|one| **one == Argument::Access);
        let mut all = arguments.iter();
        let many = || format!("has more placeholders than there is to bind: {}", listed(arguments));
        for piece in pieces {
            let argument = match (style, piece) {
                (Style::Percent, Piece::Text) => texts.next().ok_or_else(many)?,
                (Style::Percent, Piece::Number) => numbers.next().ok_or_else(many)?,
                (Style::Percent, Piece::Quoted(literal)) => match unquoted(literal) {
                    Some("%s") => texts.next().ok_or_else(many)?,
                    Some("%d" | "%i" | "%u") => numbers.next().ok_or_else(many)?,
                    Some(inner) if inner.replace("%%", "").contains("%s") => {
                        return Err(format!(
                            "has a placeholder within {literal}: join texts instead, as CONCAT('a', %s)"
                        ));
                    }
                    _ => {
                        statement.text.push_str(&literal.replace("%%", "%"));
                        continue;
                    }
                },
                (Style::Question, Piece::Next) => all.next().ok_or_else(many)?,
                (Style::Numbered, Piece::Nth(number, _)) => {
                    arguments.get(number.wrapping_sub(1)).ok_or_else(many)?
                }
                (Style::Percent, piece) => {
                    statement.text.push_str(&piece.as_written().replace("%%", "%"));
                    continue;
                }
                (_, piece) => {
                    statement.text.push_str(piece.as_written());
                    continue;
                }
            };
            statement.bind(*argument, sql);
        }
        Ok(statement)
    }

    fn bind(&mut self, argument: Argument, sql: Sql) {
        self.arguments.push(argument);
        match sql {
            Sql::Sqlite | Sql::Mysql => self.text.push('?'),
            Sql::Postgres => self.text.push_str(&format!("${}", self.arguments.len())),
        }
    }
}

impl<'q> Piece<'q> {
    fn as_written(self) -> &'q str {
        match self {
            Piece::Plain(text) | Piece::Quoted(text) | Piece::Nth(_, text) => text,
            Piece::Text => "%s",
            Piece::Number => "%d",
            Piece::Next => "?",
        }
    }
}

fn listed(arguments: &[Argument]) -> String {
    let word = |argument: &Argument| match argument {
        Argument::User => "user name",
        Argument::Access => "access",
        Argument::ClientId => "client identifier",
    };
    arguments.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// The one style of the placeholders; none at all are of any style.
fn style(pieces: &[Piece<'_>], sql: Sql) -> Result<Style, String> {
    let has = |wanted: fn(&Piece<'_>) -> bool| pieces.iter().any(wanted);
    let numbered = has(|piece| matches!(piece, Piece::Nth(..)));
    let percent = has(|piece| matches!(piece, Piece::Text | Piece::Number));
    let question = has(|piece| matches!(piece, Piece::Next));
    match (numbered, percent, question) {
        // There `?` is an operator as well.
        (true, false, true) if sql == Sql::Postgres => Ok(Style::Numbered),
        (true, false, false) => Ok(Style::Numbered),
        (false, false, true) => Ok(Style::Question),
        (false, _, false) => Ok(Style::Percent),
        _ => Err("has placeholders of different styles: use %s and %d, or ?, or $1".to_owned()),
    }
}

/// What stands within the quotes of a literal.
fn unquoted(literal: &str) -> Option<&str> {
    let quote = literal.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    literal.strip_prefix(quote)?.strip_suffix(quote)
}

/// Takes a query apart.
fn pieces(query: &str, sql: Sql) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut at, mut plain) = (0, 0);
    while let Some(first) = query[at..].chars().next() {
        let rest = &query[at..];
        let found = quoted(rest, sql).map(|length| (length, Piece::Quoted(&rest[..length])));
        let Some((length, piece)) = found.or_else(|| placeholder(rest)) else {
            at += first.len_utf8();
            continue;
        };
        if piece == Piece::Plain("") {
            at += length;
            continue;
        }
        pieces.push(Piece::Plain(&query[plain..at]));
        pieces.push(piece);
        at += length;
        plain = at;
    }
    pieces.push(Piece::Plain(&query[plain..]));
    pieces
}

/// The length of the literal, quoted name or comment that begins here.
fn quoted(rest: &str, sql: Sql) -> Option<usize> {
    let until = |end: &str| rest[2..].find(end).map_or(rest.len(), |at| 2 + at + end.len());
    match rest.as_bytes() {
        // To MySQL `5--3` is a sum.
        [b'-', b'-', next, ..] if sql == Sql::Mysql && !next.is_ascii_whitespace() => None,
        [b'-', b'-', ..] => Some(rest.find('\n').unwrap_or(rest.len())),
        [b'#', ..] if sql == Sql::Mysql => Some(rest.find('\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(until("*/")),
        [b'\'' | b'"' | b'`', ..] => Some(literal(rest, sql)),
        [b'$', b'$' | b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] if sql == Sql::Postgres => {
            let tag = rest[1..].find('$').map(|at| &rest[..at + 2])?;
            let named = tag[1..tag.len() - 1].chars().all(|c| c.is_alphanumeric() || c == '_');
            let end = rest[tag.len()..].find(tag).map(|at| at + 2 * tag.len());
            end.filter(|_| named)
        }
        _ => None,
    }
}

/// The length of what begins with a quote: up to the next one that is neither doubled nor, in MySQL, escaped.
fn literal(rest: &str, sql: Sql) -> usize {
    let quote = rest.as_bytes()[0];
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if sql == Sql::Mysql && quote != b'`' => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The placeholder that begins here, with its length; `%%` is plain text that has none in it.
fn placeholder(rest: &str) -> Option<(usize, Piece<'_>)> {
    match rest.as_bytes() {
        [b'%', b'%', ..] => Some((2, Piece::Plain(""))),
        [b'%', b's', ..] => Some((2, Piece::Text)),
        [b'%', b'd' | b'i' | b'u', ..] => Some((2, Piece::Number)),
        [b'$' | b'?', b'0'..=b'9', ..] => {
            let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
            let number = rest[1..1 + digits].parse().unwrap_or(usize::MAX);
            Some((1 + digits, Piece::Nth(number, &rest[..1 + digits])))
        }
        [b'?', ..] => Some((1, Piece::Next)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Argument::{Access, ClientId, User};
    use super::*;

    fn compiled(query: &str, sql: Sql) -> Result<(String, Vec<Argument>), String> {
        let statement = Statement::compile(query, sql, &[User, Access, ClientId])?;
        Ok((statement.text, statement.arguments))
    }

    #[test]
    fn every_style_of_placeholders_becomes_the_databases_own() {
        for (query, sql, text, arguments) in [
            (
                "SELECT t FROM a WHERE u = '%s' AND rw >= %d;",
                Sql::Mysql,
                "SELECT t FROM a WHERE u = ? AND rw >= ?",
                vec![User, Access],
            ),
            ("SELECT t FROM a WHERE u = %s", Sql::Sqlite, "SELECT t FROM a WHERE u = ?", vec![User]),
            (
                "SELECT t FROM a WHERE %d <= rw AND u = %s",
                Sql::Mysql,
                "SELECT t FROM a WHERE ? <= rw AND u = ?",
                vec![Access, User],
            ),
            (
                "SELECT t FROM a WHERE u = ? AND rw & ?",
                Sql::Mysql,
                "SELECT t FROM a WHERE u = ? AND rw & ?",
                vec![User, Access],
            ),
            (
                "SELECT t FROM a WHERE u = $1 AND rw >= $2",
                Sql::Postgres,
                "SELECT t FROM a WHERE u = $1 AND rw >= $2",
                vec![User, Access],
            ),
            (
                "SELECT t FROM a WHERE rw >= $2 AND u = $1 OR v = $1",
                Sql::Postgres,
                "SELECT t FROM a WHERE rw >= $1 AND u = $2 OR v = $3",
                vec![Access, User, User],
            ),
            ("SELECT t FROM a WHERE u = ?", Sql::Postgres, "SELECT t FROM a WHERE u = $1", vec![User]),
            ("SELECT t FROM a WHERE c = ?3", Sql::Sqlite, "SELECT t FROM a WHERE c = ?", vec![ClientId]),
            (
                "SELECT j ? 'x' FROM a WHERE u = $1",
                Sql::Postgres,
                "SELECT j ? 'x' FROM a WHERE u = $1",
                vec![User],
            ),
            ("SELECT '#' FROM a", Sql::Sqlite, "SELECT '#' FROM a", vec![]),
        ] {
            assert_eq!(compiled(query, sql), Ok((text.to_owned(), arguments)), "{query}");
        }
    }

    #[test]
    fn what_is_quoted_or_a_comment_is_no_placeholder() {
        for (query, sql, text) in [
            (
                "SELECT 'a?' /* ? */ FROM a WHERE u = ? -- ?",
                Sql::Sqlite,
                "SELECT 'a?' /* ? */ FROM a WHERE u = ? -- ?",
            ),
            (
                "SELECT 'it''s $2' FROM \"t?\" WHERE u = $1",
                Sql::Postgres,
                "SELECT 'it''s $2' FROM \"t?\" WHERE u = $1",
            ),
            (
                "SELECT 'it\\'s ?' FROM `t?` WHERE u = ? # ?",
                Sql::Mysql,
                "SELECT 'it\\'s ?' FROM `t?` WHERE u = ? # ?",
            ),
            (
                "SELECT $x$ $2 ? $x$ FROM a WHERE u = $1",
                Sql::Postgres,
                "SELECT $x$ $2 ? $x$ FROM a WHERE u = $1",
            ),
            (
                "SELECT t FROM a WHERE u = %s AND t LIKE 'x%%' AND 5 %% 2 = 1",
                Sql::Mysql,
                "SELECT t FROM a WHERE u = ? AND t LIKE 'x%' AND 5 % 2 = 1",
            ),
            (
                "SELECT t FROM a WHERE u = ? AND t LIKE '%sensor'",
                Sql::Mysql,
                "SELECT t FROM a WHERE u = ? AND t LIKE '%sensor'",
            ),
        ] {
            assert_eq!(compiled(query, sql), Ok((text.to_owned(), vec![User])), "{query}");
        }
    }

    #[test]
    fn placeholders_that_cannot_be_bound_are_errors() {
        for query in [
            "SELECT ? , ?, ?, ?",
            "SELECT $4",
            "SELECT $0",
            "SELECT $99999999999999999999999",
            "SELECT %s, %s, %s",
            "SELECT %d, %d",
            "SELECT %s, ?",
            "SELECT $1, %s",
            "SELECT 'user-%s'",
        ] {
            assert!(compiled(query, Sql::Mysql).is_err(), "{query}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(query in r"[?$%'`\-/*#sd12 \\é]{0,24}|\PC*") {
            for sql in [Sql::Sqlite, Sql::Mysql, Sql::Postgres] {
                let _ = compiled(&query, sql);
            }
        }
    }
}
