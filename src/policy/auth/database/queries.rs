//! The three queries of a backend: which questions they answer, what is bound to them, and what their rows mean.

use std::fmt;

use super::statement::{Argument, Sql, Statement};
use crate::policy::{
    acl::Access,
    auth::{
        backend::{Answer, Failure, Question, Reply, Stored, Who},
        complaint::Complaint,
        filters::{Filters, MOST},
        password::{MAX_TEXT, SaltReading},
    },
};

/// Most rows that are taken from a query: one more than counts, so that too many are noticed.
pub(super) const MOST_ROWS: usize = MOST + 1;
/// Longest value of a column in bytes: the longest topic filter there can be.
pub(super) const LONGEST: usize = 65_535;

/// What is asked, and how the answers are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuerySettings {
    /// The query for a stored password; without it nobody logs in here.
    pub user: Option<String>,
    /// The query for superusers; without it nobody is one by it.
    pub superuser: Option<String>,
    /// The query for topic filters; without it none is known.
    pub acl: Option<String>,
    /// How the salt of `PBKDF2$` strings is meant.
    pub salt: SaltReading,
    /// Whether a subscription is asked about as reading.
    pub subscribe_as_read: bool,
    /// Whether wildcards reach topics that begin with `$`.
    pub dollar_topics: bool,
}

/// Which query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// For a stored password.
    User,
    /// For superusers.
    Superuser,
    /// For topic filters.
    Acl,
}

/// A query that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {kind} query {what}")]
pub struct QueryError {
    /// Which one.
    pub kind: QueryKind,
    /// What is wrong with it, as a predicate.
    pub what: String,
}

/// The queries, ready to be prepared.
#[derive(Debug)]
pub(super) struct Queries {
    user: Option<Statement>,
    superuser: Option<Statement>,
    acl: Option<Statement>,
    salt: SaltReading,
    subscribe_as_read: bool,
    dollar_topics: bool,
    unsound: Complaint,
}

/// What is bound to a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Number(i32),
}

/// What a column of a row holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Number(i64),
    Text(String),
    /// Something of which no text can be made: what it is.
    Other(&'static str),
}

/// What a query gave: the first column of its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rows {
    /// How many columns there are.
    pub columns: usize,
    /// Up to [`MOST_ROWS`].
    pub first: Vec<Cell>,
}

impl fmt::Display for QueryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QueryKind::User => "user",
            QueryKind::Superuser => "superuser",
            QueryKind::Acl => "acl",
        })
    }
}

impl Queries {
    /// Reads the queries of `settings`.
    pub fn compile(settings: &QuerySettings, sql: Sql) -> Result<Self, QueryError> {
        let compile = |kind: QueryKind, query: &Option<String>| {
            let arguments = match kind {
                QueryKind::Acl => &[Argument::User, Argument::Access, Argument::ClientId][..],
                QueryKind::User => &[Argument::User, Argument::ClientId],
                QueryKind::Superuser => &[Argument::User],
            };
            let wrong = |what| QueryError { kind, what };
            let compiled = |query: &String| Statement::compile(query, sql, arguments).map_err(wrong);
            let statement = query.as_ref().map(compiled).transpose()?;
            match &statement {
                Some(one) if kind != QueryKind::Acl && !one.arguments.contains(&Argument::User) => Err(
                    wrong("has no placeholder for the user name: it would say the same of everybody".into()),
                ),
                _ => Ok(statement),
            }
        };
        Ok(Queries {
            user: compile(QueryKind::User, &settings.user)?,
            superuser: compile(QueryKind::Superuser, &settings.superuser)?,
            acl: compile(QueryKind::Acl, &settings.acl)?,
            salt: settings.salt,
            subscribe_as_read: settings.subscribe_as_read,
            dollar_topics: settings.dollar_topics,
            unsound: Complaint::default(),
        })
    }

    /// Every query there is.
    pub fn all(&self) -> impl Iterator<Item = (QueryKind, &Statement)> {
        let all = [
            (QueryKind::User, &self.user),
            (QueryKind::Superuser, &self.superuser),
            (QueryKind::Acl, &self.acl),
        ];
        all.into_iter().filter_map(|(kind, statement)| Some((kind, statement.as_ref()?)))
    }

    /// The query that answers a question.
    pub fn about(&self, question: &Question) -> Option<&Statement> {
        match question {
            Question::Stored => self.user.as_ref(),
            Question::Superuser => self.superuser.as_ref(),
            Question::Filters(_) => self.acl.as_ref(),
            _ => None,
        }
    }

    /// What is bound to the placeholders of `statement`.
    pub fn values<'a>(&self, statement: &Statement, who: &'a Who, question: &Question) -> Vec<Value<'a>> {
        let access = match question {
            Question::Filters(access) => number(*access, self.subscribe_as_read),
            _ => 0,
        };
        let value = |argument: &Argument| match argument {
            Argument::User => Value::Text(&who.user),
            Argument::ClientId => Value::Text(&who.client_id),
            Argument::Access => Value::Number(access),
        };
        statement.arguments.iter().map(value).collect()
    }

    /// What rows mean as the answer to a question.
    pub fn read(&self, who: &Who, question: &Question, rows: Rows) -> Result<Reply, Failure> {
        let Rows { columns, first } = rows;
        if columns != 1 {
            return Err(Failure::of_question(format_args!("its query gives {columns} columns, not one")));
        }
        match question {
            Question::Filters(_) => self.filters(who, first),
            _ => match (question, &first[..]) {
                (Question::Stored, [cell]) => stored(cell, self.salt),
                (Question::Superuser, [cell]) => Ok(superuser(cell)),
                (_, []) => Ok(Reply::new(Answer::Unknown, "no row")),
                _ => Ok(Reply::new(Answer::Unknown, "more than one row")),
            },
        }
    }

    fn filters(&self, who: &Who, rows: Vec<Cell>) -> Result<Reply, Failure> {
        if rows.len() > MOST {
            return Err(Failure::of_question(format_args!("its query gives more than {MOST} filters")));
        }
        let mut filters = Filters::new(self.dollar_topics);
        let mut unsound = 0;
        for cell in &rows {
            unsound += usize::from(match cell {
                Cell::Text(filter) => !filters.add_pattern(filter, who),
                Cell::Null => false,
                _ => true,
            });
        }
        if unsound > 0 && self.unsound.is_due() {
            tracing::warn!(user = ?who.user, unsound, "rows that hold no topic filter allow nothing");
        }
        Ok(Reply::filters(filters))
    }
}

/// The number of a single operation, as databases of the plugins have it.
pub(in crate::policy::auth) fn number(access: Access, subscribe_as_read: bool) -> i32 {
    match access {
        Access::PUBLISH => 2,
        Access::SUBSCRIBE if !subscribe_as_read => 4,
        _ => 1,
    }
}

fn stored(cell: &Cell, salt: SaltReading) -> Result<Reply, Failure> {
    match cell {
        Cell::Null => Ok(Reply::stored(None, "no stored password")),
        Cell::Text(text) if text.is_empty() => Ok(Reply::stored(None, "the stored password is empty")),
        Cell::Text(text) if text.len() > MAX_TEXT => {
            Ok(Reply::stored(None, "the stored password is too long"))
        }
        Cell::Text(text) => Ok(Reply::stored(Some(Stored { text: text.as_str().into(), salt }), "")),
        Cell::Number(_) => Ok(Reply::stored(None, "a number is no stored password")),
        Cell::Other(what) => Err(Failure::of_question(format_args!("its query gives {what}, not a text"))),
    }
}

fn superuser(cell: &Cell) -> Reply {
    let yes = match cell {
        Cell::Number(number) => *number != 0,
        Cell::Text(text) => match text.trim() {
            "t" | "true" | "TRUE" => true,
            text => text.parse::<i64>().is_ok_and(|number| number != 0),
        },
        Cell::Null | Cell::Other(_) => false,
    };
    match yes {
        true => Reply::new(Answer::Allow, "a superuser"),
        false => Reply::new(Answer::Unknown, "not a superuser"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queries() -> Queries {
        let settings = QuerySettings {
            user: Some("SELECT pw FROM u WHERE n = ?".into()),
            superuser: Some("SELECT s FROM u WHERE n = ?".into()),
            acl: Some("SELECT t FROM a WHERE n = ? AND rw & ?".into()),
            ..QuerySettings::default()
        };
        Queries::compile(&settings, Sql::Mysql).unwrap()
    }

    fn who() -> Who {
        Who {
            user: "ann".into(),
            client_id: "lamp".into(),
            address: ([127, 0, 0, 1], 1).into(),
            listener: "".into(),
            anonymous: false,
            certificate: None,
        }
    }

    fn read(question: Question, first: Vec<Cell>) -> Result<Reply, Failure> {
        queries().read(&who(), &question, Rows { columns: 1, first })
    }

    #[test]
    fn a_password_is_one_row_with_a_text() {
        let text = |text: &str| Cell::Text(text.into());
        let stored = |rows| read(Question::Stored, rows).map(|reply| reply.stored.map(|stored| stored.text));
        assert_eq!(stored(vec![text("PBKDF2$x")]), Ok(Some("PBKDF2$x".into())));
        for rows in [
            vec![],
            vec![Cell::Null],
            vec![text("")],
            vec![Cell::Number(1)],
            vec![text(&"x".repeat(MAX_TEXT + 1))],
            vec![text("a"), text("a")],
        ] {
            assert_eq!(stored(rows.clone()), Ok(None), "{rows:?}");
        }
        assert!(stored(vec![Cell::Other("a date")]).is_err());
        let two = Rows { columns: 2, first: vec![text("x")] };
        assert!(!queries().read(&who(), &Question::Stored, two).unwrap_err().sick);
    }

    #[test]
    fn a_superuser_is_one_row_that_is_not_zero() {
        let answer = |cell| read(Question::Superuser, vec![cell]).unwrap().answer;
        for yes in [Cell::Number(1), Cell::Number(-1), Cell::Text("1".into()), Cell::Text("t".into())] {
            assert_eq!(answer(yes.clone()), Answer::Allow, "{yes:?}");
        }
        for no in
            [Cell::Number(0), Cell::Null, Cell::Text("0".into()), Cell::Text("no".into()), Cell::Other("x")]
        {
            assert_eq!(answer(no.clone()), Answer::Unknown, "{no:?}");
        }
        assert_eq!(read(Question::Superuser, vec![Cell::Number(1); 2]).unwrap().answer, Answer::Unknown);
        assert_eq!(read(Question::Superuser, vec![]).unwrap().answer, Answer::Unknown);
    }

    #[test]
    fn rows_that_hold_no_filter_are_left_out_and_too_many_are_no_answer() {
        let rows = vec![Cell::Text("a/%u".into()), Cell::Text("a/#/b".into()), Cell::Null, Cell::Number(1)];
        let filters = read(Question::Filters(Access::PUBLISH), rows).unwrap().filters.unwrap();
        let mut expected = Filters::new(false);
        expected.add("a/ann");
        assert_eq!(*filters, expected);
        assert!(read(Question::Filters(Access::PUBLISH), vec![Cell::Null; MOST_ROWS]).is_err());
    }

    #[test]
    fn a_query_that_says_the_same_of_everybody_is_refused_except_for_filters() {
        for kind in [QueryKind::User, QueryKind::Superuser, QueryKind::Acl] {
            let query = Some("SELECT '1'".to_owned());
            let mut settings = QuerySettings::default();
            match kind {
                QueryKind::User => settings.user = query,
                QueryKind::Superuser => settings.superuser = query,
                QueryKind::Acl => settings.acl = query,
            }
            assert_eq!(Queries::compile(&settings, Sql::Mysql).is_ok(), kind == QueryKind::Acl);
        }
    }

    #[test]
    fn accesses_have_the_numbers_of_the_plugins() {
        let numbers = |as_read| {
            [Access::RECEIVE, Access::PUBLISH, Access::SUBSCRIBE].map(|access| number(access, as_read))
        };
        assert_eq!((numbers(false), numbers(true)), ([1, 2, 4], [1, 2, 1]));
    }
}
