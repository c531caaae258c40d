//! The backends that are databases of other programs, made ready to be asked.

use std::time::Duration;

use super::backends::{Asked, desk, secret_line};
use crate::{
    config::{self, Config, ConfigError, NamedFile, Query},
    policy::{
        Secret,
        auth::{
            backend::Remote,
            backends::Backend,
            database::{
                self, DatabaseError, QueryError, QueryKind, QuerySettings, SqliteBackend, SqliteError,
            },
            password::SaltReading,
            redis::{RedisBackend, RedisLayout, RedisSettings, Template},
            server::{ServerError, ServerSettings},
            web::WebError,
        },
    },
};

/// The longest a query to a file may take.
const FILE_TIMEOUT: Duration = Duration::from_secs(5);
/// Queries to a file at a time.
const FILE_AT_A_TIME: u16 = 4;

/// The three queries of a section.
struct Queries<'a> {
    user: &'a Option<Query>,
    superuser: &'a Option<Query>,
    acl: &'a Option<Query>,
}

impl Queries<'_> {
    fn settings(&self, salt: config::Salt, subscribe_as_read: bool, dollar_topics: bool) -> QuerySettings {
        let text = |query: &Option<Query>| query.as_ref().map(|query| query.text.clone());
        QuerySettings {
            user: text(self.user),
            superuser: text(self.superuser),
            acl: text(self.acl),
            salt: salt_reading(salt),
            subscribe_as_read,
            dollar_topics,
        }
    }

    fn wrong(&self, config: &Config, error: &QueryError) -> ConfigError {
        let query = match error.kind {
            QueryKind::User => self.user,
            QueryKind::Superuser => self.superuser,
            QueryKind::Acl => self.acl,
        };
        let help = "placeholders are %s and %d, or ?, or $1 and $2; see `latchgate check --print-defaults`";
        let problem = query.as_ref().map(|query| query.wrong(&error.what, help));
        config.wrong(problem.into_iter().collect())
    }
}

fn salt_reading(salt: config::Salt) -> SaltReading {
    match salt {
        config::Salt::Auto => SaltReading::Auto,
        config::Salt::Text => SaltReading::Text,
        config::Salt::Base64 => SaltReading::Decoded,
    }
}

/// Another program's SQLite file.
pub(super) fn sqlite(config: &Config) -> Result<Backend, ConfigError> {
    let sqlite = &config.auth.sqlite;
    let file = sqlite.path.clone().unwrap_or_default();
    let queries =
        Queries { user: &sqlite.user_query, superuser: &sqlite.superuser_query, acl: &sqlite.acl_query };
    let settings = queries.settings(sqlite.salt, sqlite.subscribe_as_read, sqlite.dollar_topics);
    let remote = SqliteBackend::open(file.path.clone(), &settings).map_err(|error| match error {
        SqliteError::Query(error) => queries.wrong(config, &error),
        SqliteError::File(why) => {
            let help = "name an SQLite database that the gateway's user may read, with its folder";
            config.wrong(vec![file.wrong(format!("cannot be asked: {why}"), help)])
        }
    })?;
    let asked = Asked {
        timeout: FILE_TIMEOUT,
        retries: 1,
        on_error: config::OnError::Deny,
        stale: Duration::ZERO,
        superusers: sqlite.superusers,
        // Its changes are noticed.
        recheck: Some(Duration::from_secs(3600)),
        at_a_time: Some(FILE_AT_A_TIME),
        prefix: &sqlite.prefix,
        strip_prefix: sqlite.strip_prefix,
    };
    desk(config, config::Backend::Sqlite, Box::new(remote), &asked)
}

/// The keys by which a server is reached.
struct Reached<'a> {
    host: &'a str,
    port: u16,
    socket: &'a Option<NamedFile>,
    user: &'a str,
    password_file: &'a Option<NamedFile>,
    database: &'a str,
    tls: config::TlsUse,
    ca: &'a Option<NamedFile>,
    certificate: &'a Option<NamedFile>,
    key: &'a Option<NamedFile>,
    connections: u16,
}

impl Reached<'_> {
    fn settings(&self, config: &Config) -> Result<ServerSettings, ConfigError> {
        let password = self.password_file.as_ref().map(|file| secret_line(config, file)).transpose()?;
        let path = |file: &Option<NamedFile>| file.as_ref().map(|file| file.path.clone());
        Ok(ServerSettings {
            host: self.host.to_owned(),
            port: self.port,
            socket: path(self.socket),
            user: self.user.to_owned(),
            password: password.map(|password| Secret(password.into_bytes())),
            database: self.database.to_owned(),
            tls: match self.tls {
                config::TlsUse::Auto => None,
                config::TlsUse::Required => Some(true),
                config::TlsUse::Off => Some(false),
            },
            ca: path(self.ca),
            identity: path(self.certificate).zip(path(self.key)),
            connections: usize::from(self.connections),
        })
    }

    fn wrong(&self, config: &Config, error: &ServerError) -> ConfigError {
        let named = match error {
            ServerError::Trust(WebError::Ca { .. }) => self.ca,
            ServerError::Identity { path, .. } => match self.key {
                Some(key) if key.path == *path => self.key,
                _ => self.certificate,
            },
            _ => &None,
        };
        let file = named.clone().unwrap_or_default();
        config.wrong(vec![file.wrong(format!("is not usable: {error}"), "give PEM files, or another host")])
    }
}

/// The keys of a section by which a server is reached. A macro, since the sections are types of their own.
macro_rules! reached {
    ($section:ident, $database:expr) => {
        Reached {
            host: &$section.host,
            port: $section.port,
            socket: &$section.socket,
            user: &$section.user,
            password_file: &$section.password_file,
            database: $database,
            tls: $section.tls,
            ca: &$section.ca,
            certificate: &$section.certificate,
            key: &$section.key,
            connections: $section.connections,
        }
    };
}

/// The keys of a section that say how a server is asked.
macro_rules! asked {
    ($section:ident) => {
        Asked {
            timeout: $section.timeout,
            retries: $section.retries,
            on_error: $section.on_error,
            stale: $section.stale,
            superusers: $section.superusers,
            recheck: Some($section.recheck),
            at_a_time: Some($section.connections),
            prefix: &$section.prefix,
            strip_prefix: $section.strip_prefix,
        }
    };
}

/// A server that speaks SQL. A macro, since the two sections are types of their own.
macro_rules! sql_server {
    ($(#[doc = $about:literal])* $name:ident, $Backend:ident) => {
        $(#[doc = $about])*
        pub(super) fn $name(config: &Config) -> Result<Backend, ConfigError> {
            let section = &config.auth.$name;
            let queries = Queries {
                user: &section.user_query,
                superuser: &section.superuser_query,
                acl: &section.acl_query,
            };
            let settings = queries.settings(section.salt, section.subscribe_as_read, section.dollar_topics);
            let reached = reached!(section, &section.database);
            let remote: Box<dyn Remote> =
                database::$name(reached.settings(config)?, &settings).map_err(|error| match error {
                    DatabaseError::Query(error) => queries.wrong(config, &error),
                    DatabaseError::Server(error) => reached.wrong(config, &error),
                })?;
            let asked = asked!(section);
            desk(config, config::Backend::$Backend, remote, &asked)
        }
    };
}

sql_server! {
    /// A MySQL or MariaDB server.
    mysql, Mysql
}

sql_server! {
    /// A PostgreSQL server.
    postgres, Postgres
}

/// A Redis server.
pub(super) fn redis(config: &Config) -> Result<Backend, ConfigError> {
    let section = &config.auth.redis;
    let template = |query: &Option<Query>, most: usize| match query {
        None => Ok(None),
        Some(query) => Template::parse(&query.text, most).map(Some).map_err(|what| {
            config.wrong(vec![query.wrong(what, "give a command of the server, as \"GET %s\"")])
        }),
    };
    let layout = match section.dialect {
        config::RedisDialect::GoAuth => RedisLayout::GoAuth,
        config::RedisDialect::AuthPlug => RedisLayout::AuthPlug {
            user: template(&section.user_query, 1)?.unwrap_or_default(),
            acl: template(&section.acl_query, 2)?,
        },
    };
    let settings = RedisSettings {
        layout,
        username_prefix: section.username_prefix.clone(),
        salt: salt_reading(section.salt),
        subscribe_as_read: section.subscribe_as_read,
        dollar_topics: section.dollar_topics,
    };
    let reached = reached!(section, "");
    let remote = RedisBackend::new(reached.settings(config)?, section.database, settings)
        .map_err(|error| reached.wrong(config, &error))?;
    let asked = asked!(section);
    desk(config, config::Backend::Redis, Box::new(remote), &asked)
}
