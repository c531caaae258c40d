//! The backend `redis`: stored passwords and rights under keys of a Redis server, in the layouts of mosquitto-go-auth and
//! mosquitto-auth-plug.
//!
//! A command is put together of arguments that the protocol keeps apart, so no name can become another command.

use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, RedisConnectionInfo, RedisError, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

use super::{
    backend::{Answer, Asking, Failure, Question, Remote, Reply, Stored, Who},
    complaint::Complaint,
    database::number,
    filters::{Filters, MOST},
    password::{MAX_TEXT, SaltReading},
    server::{Pool, Server, ServerError, ServerSettings, Stream, Trouble},
};
use crate::policy::acl::Access;

/// How keys are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisLayout {
    /// That of mosquitto-go-auth: `USER`, `USER:su`, and sets `USER:racls` and so on.
    GoAuth,
    /// That of mosquitto-auth-plug: what commands say.
    AuthPlug {
        /// The command that gives a stored password.
        user: Template,
        /// The command that gives the number of the access; without it none is known.
        acl: Option<Template>,
    },
}

/// How the answers are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// How keys are laid out.
    pub layout: RedisLayout,
    /// What stands before the user name in every key.
    pub username_prefix: String,
    /// How the salt of `PBKDF2$` strings is meant.
    pub salt: SaltReading,
    /// Whether a subscription is asked about as reading.
    pub subscribe_as_read: bool,
    /// Whether wildcards reach topics that begin with `$`.
    pub dollar_topics: bool,
}

/// A command with `%s` for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<String>);

/// A Redis server that is asked.
pub struct RedisBackend {
    server: Server,
    login: RedisConnectionInfo,
    settings: RedisSettings,
    pool: Pool<MultiplexedConnection>,
    unsound: Complaint,
}

impl Default for Template {
    fn default() -> Self {
        Template(vec!["GET".into(), "%s".into()])
    }
}

impl Template {
    /// Reads a command with up to `most` placeholders.
    ///
    /// # Errors
    /// What is wrong with it, as a predicate.
    pub fn parse(command: &str, most: usize) -> Result<Self, String> {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let placeholders: usize = words.iter().map(|word| word.matches("%s").count()).sum();
        match words.first() {
            None => Err("is no command".into()),
            Some(name) if name.contains('%') => Err("begins with a placeholder".into()),
            _ if placeholders == 0 => Err("has no %s: it would say the same of everybody".into()),
            _ if placeholders > most => Err(format!("has more than {most} %s")),
            _ => Ok(Template(words)),
        }
    }

    /// The command for `names`. What a name holds is not looked at again.
    fn command(&self, names: &[&str]) -> Cmd {
        let mut names = names.iter();
        let mut command = Cmd::new();
        for word in &self.0 {
            let mut argument = String::new();
            let mut parts = word.split("%s");
            argument.push_str(parts.next().unwrap_or_default());
            for part in parts {
                argument.push_str(names.next().copied().unwrap_or_default());
                argument.push_str(part);
            }
            command.arg(argument);
        }
        command
    }
}

impl RedisBackend {
    /// A backend; nothing is connected yet. Blocks.
    ///
    /// # Errors
    /// Certificates that cannot be used.
    pub fn new(server: ServerSettings, database: u32, settings: RedisSettings) -> Result<Self, ServerError> {
        let server = Server::new(server)?;
        let mut login = RedisConnectionInfo::default().set_db(i64::from(database)).set_skip_set_lib_name();
        if !server.settings.user.is_empty() {
            login = login.set_username(&server.settings.user);
        }
        if let Some(password) = server.password() {
            login = login.set_password(password);
        }
        let pool = Pool::new(server.settings.connections);
        Ok(RedisBackend { server, login, settings, pool, unsound: Complaint::default() })
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Failure> {
        // The desk bounds the time.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        self.server.is_ready()?;
        let connection = match self.server.reach(None).await.map_err(Failure::passing)? {
            Stream::Tcp(stream) if self.server.is_encrypted() => {
                let stream = self.server.secure(stream).await.map_err(Failure::passing)?;
                attach(&self.login, stream, config).await
            }
            Stream::Tcp(stream) => attach(&self.login, stream, config).await,
            Stream::Socket(stream) => attach(&self.login, stream, config).await,
        };
        connection.map_err(|error| Failure::passing(in_words(&error)))
    }

    /// Has the server carry out commands.
    async fn carry_out(&self, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        let count = commands.len();
        let mut kept = self.pool.take();
        loop {
            let fresh = kept.is_none();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let carried_out = connection.req_packed_commands(commands, 0, count).await;
            match carried_out.map_err(|error| trouble(&error)).and_then(without_errors) {
                Ok(values) => {
                    self.pool.give(connection);
                    return Ok(values);
                }
                Err(Trouble::Refused(what)) => {
                    self.pool.give(connection);
                    return Err(Failure::of_question(what));
                }
                Err(Trouble::Broken(what)) if fresh => return Err(Failure::passing(what)),
                Err(Trouble::Broken(_)) => self.pool.clear(),
            }
        }
    }

    /// Has it carry out one command.
    async fn one(&self, command: Cmd) -> Result<Value, Failure> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command);
        Ok(self.carry_out(&pipeline).await?.pop().unwrap_or(Value::Nil))
    }

    fn key(&self, who: &Who, rest: &str) -> String {
        format!("{}{}{rest}", self.settings.username_prefix, who.user)
    }

    async fn stored(&self, who: &Who) -> Result<Reply, Failure> {
        let command = match &self.settings.layout {
            RedisLayout::GoAuth => get(self.key(who, "")),
            RedisLayout::AuthPlug { user, .. } => user.command(&[&self.key(who, "")]),
        };
        let stored = match text(self.one(command).await?) {
            Some(text) if !text.is_empty() && text.len() <= MAX_TEXT => {
                Some(Stored { text: text.into(), salt: self.settings.salt })
            }
            _ => None,
        };
        Ok(Reply::stored(stored, "no stored password"))
    }

    async fn superuser(&self, who: &Who) -> Result<Reply, Failure> {
        let flag = text(self.one(get(self.key(who, ":su"))).await?);
        Ok(match flag.as_deref() {
            Some("true") => Reply::new(Answer::Allow, "a superuser"),
            _ => Reply::new(Answer::Unknown, "not a superuser"),
        })
    }

    /// The sets that allow an access.
    async fn filters(&self, who: &Who, access: Access) -> Result<Reply, Failure> {
        let sets: &[&str] = match number(access, self.settings.subscribe_as_read) {
            1 => &[":racls", ":rwacls"],
            2 => &[":wacls", ":rwacls"],
            _ => &[":sacls"],
        };
        let mut commands = Pipeline::new();
        for set in sets {
            commands.add_command(members(self.key(who, set)));
            commands.add_command(members(format!("common{set}")));
        }
        let mut filters = Filters::new(self.settings.dollar_topics);
        let mut unsound = 0;
        for (number, members) in self.carry_out(&commands).await?.into_iter().enumerate() {
            let Value::Array(members) = members else { continue };
            for member in members {
                if filters.is_full() {
                    return Err(Failure::of_question(format_args!("it has more than {MOST} filters")));
                }
                let common = number % 2 == 1;
                let sound = match text(member) {
                    Some(filter) if common => filters.add_pattern(&filter, who),
                    Some(filter) => filters.add(&filter),
                    None => false,
                };
                unsound += usize::from(!sound);
            }
        }
        if unsound > 0 && self.unsound.is_due() {
            tracing::warn!(user = ?who.user, unsound, "members that are no topic filters allow nothing");
        }
        Ok(Reply::filters(filters))
    }

    async fn may(&self, who: &Who, access: Access, topic: &str, acl: &Template) -> Result<Reply, Failure> {
        let value = self.one(acl.command(&[&self.key(who, ""), topic])).await?;
        let granted = match value {
            Value::Int(number) => Some(number),
            value => text(value).and_then(|text| text.trim().parse().ok()),
        };
        let wanted = i64::from(number(access, self.settings.subscribe_as_read));
        Ok(match granted {
            Some(granted) if granted >= wanted => Reply::new(Answer::Allow, format!("{granted}")),
            Some(granted) => Reply::new(Answer::Unknown, format!("{granted}")),
            None => Reply::new(Answer::Unknown, "no number"),
        })
    }
}

impl Remote for RedisBackend {
    fn answers(&self, question: &Question) -> bool {
        match (&self.settings.layout, question) {
            (_, Question::Stored) => true,
            (RedisLayout::GoAuth, Question::Superuser | Question::Filters(_)) => true,
            (RedisLayout::AuthPlug { acl, .. }, Question::May(..)) => acl.is_some(),
            _ => false,
        }
    }

    fn ask<'a>(&'a self, who: &'a Who, question: &'a Question) -> Asking<'a> {
        Box::pin(async move {
            match (question, &self.settings.layout) {
                (Question::Stored, _) => self.stored(who).await,
                (Question::Superuser, _) => self.superuser(who).await,
                (Question::Filters(access), _) => self.filters(who, *access).await,
                (Question::May(access, topic, _), RedisLayout::AuthPlug { acl: Some(acl), .. }) => {
                    self.may(who, *access, topic, acl).await
                }
                _ => Err(Failure::of_question("it is not asked this")),
            }
        })
    }
}

/// Logs in over `stream`, and has a task read and write on it.
async fn attach<S>(
    login: &RedisConnectionInfo,
    stream: S,
    config: AsyncConnectionConfig,
) -> Result<MultiplexedConnection, RedisError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (connection, driver) = MultiplexedConnection::new_with_config(login, stream, config).await?;
    // It ends when the connection is dropped, or broken.
    tokio::spawn(driver);
    Ok(connection)
}

fn get(key: String) -> Cmd {
    let mut command = Cmd::new();
    command.arg("GET").arg(key);
    command
}

/// All members of a set, and no more than count: SMEMBERS has no bound.
fn members(key: String) -> Cmd {
    let mut command = Cmd::new();
    command.arg("SRANDMEMBER").arg(key).arg(MOST + 1);
    command
}

/// A value as text; an error is none: the key holds something else, or is not to be read.
fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The values, if no command was refused. A key that holds something of another kind holds nothing of what was asked.
fn without_errors(values: Vec<Value>) -> Result<Vec<Value>, Trouble> {
    let value = |value| match value {
        Value::ServerError(error) if error.code() == "WRONGTYPE" => Ok(Value::Nil),
        Value::ServerError(error) => Err(Trouble::Refused(format!("the server says {}", error.code()))),
        value => Ok(value),
    };
    values.into_iter().map(value).collect()
}

fn trouble(error: &RedisError) -> Trouble {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => Trouble::Refused(in_words(error)),
        _ => Trouble::Broken(in_words(error)),
    }
}

/// An error without what it was about: that may hold names.
fn in_words(error: &RedisError) -> String {
    match error.code() {
        Some(code) => format!("the server says {code}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(template: &str, names: &[&str]) -> Vec<String> {
        let command = Template::parse(template, names.len()).unwrap().command(names);
        let text = String::from_utf8(command.get_packed_command()).unwrap();
        text.split("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn a_name_is_always_one_argument() {
        for hostile in ["ann x", "%s", "$3", "*1"] {
            let length = format!("${}", hostile.len());
            assert_eq!(packed("GET %s", &[hostile]), ["*2", "$3", "GET", &length, hostile, ""]);
        }
        assert_eq!(
            packed("HGET acl:%s %s", &["a-b", "c"]),
            ["*3", "$4", "HGET", "$7", "acl:a-b", "$1", "c", ""]
        );
        assert_eq!(packed("GET %s-%s", &["%s", "x"]), ["*2", "$3", "GET", "$4", "%s-x", ""]);
    }

    #[test]
    fn a_command_needs_a_name_and_a_placeholder() {
        for wrong in ["", " ", "GET ann", "%s x", "GET %s-%s-%s"] {
            assert!(Template::parse(wrong, 2).is_err(), "{wrong}");
        }
    }
}
