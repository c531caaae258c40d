//! `[auth.redis]`, `[auth.mysql]` and `[auth.postgres]`: backends that are servers of databases.

use std::time::Duration;

use super::auth::OnError;
use super::number::{Count, Port, Seconds32, Span, Wait};
use super::query::{OptionalQuery, Query};
use super::scalar::{OneOf, Switch, words};
use super::section::{Reader, section};
use super::text::{Plain, Prefix};
use super::tls::{NamedFile, OptionalFile};

words! {
    /// Whether a connection is encrypted.
    pub enum TlsUse {
        /// Unless the server is this machine.
        Auto = "auto",
        /// Always.
        Required = "required",
        /// Never.
        Off = "off",
    }
}

words! {
    /// What the salt of `PBKDF2$…` strings stands for.
    pub enum Salt {
        /// Either.
        Auto = "auto",
        /// Its characters.
        Text = "text",
        /// The bytes that they encode.
        Base64 = "base64",
    }
}

words! {
    /// Whose keys a Redis server has.
    pub enum RedisDialect {
        /// Those of mosquitto-go-auth.
        GoAuth = "go-auth",
        /// Those of mosquitto-auth-plug.
        AuthPlug = "auth-plug",
    }
}

section! {
    /// The backend `redis`: stored passwords and topic filters in a Redis server.
    pub struct AuthRedis {
        /// The server: a name or an IP address.
        pub host: String => Plain = "localhost".to_owned(),

        /// Its port.
        pub port: u16 => Port = 6379,

        /// Its socket on this machine, in place of host and port.
        pub socket: Option<NamedFile> => OptionalFile = None,

        /// The number of the database.
        pub database: u32 => Seconds32 = 0,

        /// The user of the server's own access list. Empty: its default user.
        pub user: String => Plain = String::new(),

        /// The file that holds the password for the server, readable by the gateway's user only (chmod 600).
        pub password_file: Option<NamedFile> => OptionalFile = None,

        /// Whether the connection is encrypted. "auto": unless the server is this machine. The server's certificate is
        /// always verified.
        pub tls: TlsUse => OneOf<TlsUse> = TlsUse::Auto,

        /// Certificates of the authorities that are trusted. Without this key those that the system trusts.
        pub ca: Option<NamedFile> => OptionalFile = None,

        /// The certificate that the gateway shows, if the server asks for one.
        pub certificate: Option<NamedFile> => OptionalFile = None,

        /// Its private key.
        pub key: Option<NamedFile> => OptionalFile = None,

        /// Whose keys the server has. "go-auth": `USER` holds a stored password, `USER:su` "true" for a superuser, the sets
        /// `USER:racls`, `:wacls`, `:rwacls` and `:sacls` the filters that may be read, written, both, and subscribed to; the sets
        /// `common:racls` and so on are for everyone, with %u and %c. "auth-plug": what the queries say.
        pub dialect: RedisDialect => OneOf<RedisDialect> = RedisDialect::GoAuth,

        /// What stands before the user name in every key.
        pub username_prefix: String => Plain = String::new(),

        /// The command that gives a stored password, in the dialect "auth-plug"; %s is the user name. Without this key it is
        /// "GET %s".
        pub user_query: Option<Query> => OptionalQuery = None,

        /// The command that gives a number, in the dialect "auth-plug"; the first %s is the user name, the second the topic. It
        /// grants what has no higher number: 1 receive, 2 publish, 4 subscribe. Without this key nothing is known here.
        pub acl_query: Option<Query> => OptionalQuery = None,

        /// What the salt of `PBKDF2$…` strings stands for. "text": its characters, as mosquitto-auth-plug means it. "base64":
        /// the bytes that they encode, as mosquitto-go-auth does. "auto": either.
        pub salt: Salt => OneOf<Salt> = Salt::Auto,

        /// Whether a subscription is asked about as reading (1) and not as subscribing (4).
        pub subscribe_as_read: bool => Switch = false,

        /// Whether a filter that begins with a wildcard reaches topics that begin with $, as in mosquitto-go-auth.
        pub dollar_topics: bool => Switch = false,

        /// Connections at a time.
        pub connections: u16 => Count = 4,

        /// The longest time for an answer, connecting and retries included.
        pub timeout: Duration => Wait = Duration::from_secs(5),

        /// Tries after a first one that failed. After five failures in a row nothing is asked for a moment.
        pub retries: u32 => Seconds32 = 1,

        /// What counts when it does not answer: "deny", "next" or "stale", as for `http`.
        pub on_error: OnError => OneOf<OnError> = OnError::Deny,

        /// How long an answer counts for "stale", beyond its time in [auth.cache].
        pub stale: Duration => Span = Duration::from_secs(3600),

        /// How often the account of who is connected is asked about again: one that is gone, or has another stored password,
        /// ends its sessions.
        pub recheck: Duration => Span = Duration::from_secs(60),

        /// Whether somebody can be a superuser by it.
        pub superusers: bool => Switch = true,

        /// User names `PREFIX_NAME` go to this backend alone. Empty: there is no such prefix.
        pub prefix: String => Prefix = String::new(),

        /// Whether the prefix and its underscore are no part of the name that this backend knows.
        pub strip_prefix: bool => Switch = false,
    }
}

/// The two that speak SQL over a network have the same keys.
macro_rules! sql_section {
    ($(#[doc = $about:literal])* $Section:ident, $port:literal, $socket:literal) => {
        section! {
            $(#[doc = $about])*
            pub struct $Section {
                /// The server: a name or an IP address.
                pub host: String => Plain = "localhost".to_owned(),

                /// Its port.
                pub port: u16 => Port = $port,

                #[doc = $socket]
                pub socket: Option<NamedFile> => OptionalFile = None,

                /// The name of the database.
                pub database: String => Plain = String::new(),

                /// The user that the gateway is there. It needs to read only.
                pub user: String => Plain = String::new(),

                /// The file that holds the password for the server, readable by the gateway's user only (chmod 600).
                pub password_file: Option<NamedFile> => OptionalFile = None,

                /// Whether the connection is encrypted. "auto": unless the server is this machine. The server's certificate is
                /// always verified, with its name.
                pub tls: TlsUse => OneOf<TlsUse> = TlsUse::Auto,

                /// Certificates of the authorities that are trusted. Without this key those that the system trusts.
                pub ca: Option<NamedFile> => OptionalFile = None,

                /// The certificate that the gateway shows, if the server asks for one.
                pub certificate: Option<NamedFile> => OptionalFile = None,

                /// Its private key.
                pub key: Option<NamedFile> => OptionalFile = None,

                /// The query for a stored password, by user name and, if it has a second placeholder, client identifier: one row of
                /// one column. Placeholders are %s, or ?, or $1 and $2; they are bound, never put into the text. Without this
                /// key nobody logs in here.
                pub user_query: Option<Query> => OptionalQuery = None,

                /// The query for superusers, by user name: one row, of a number that is not 0. Without this key nobody is one by
                /// it.
                pub superuser_query: Option<Query> => OptionalQuery = None,

                /// The query for topic filters, by user name, access (1 receive, 2 publish, 4 subscribe; %d) and client identifier:
                /// rows of one column, with %u and %c. Without a placeholder for the access each filter is for everything. Without
                /// this key nothing is known here, so nothing is allowed by it.
                pub acl_query: Option<Query> => OptionalQuery = None,

                /// What the salt of `PBKDF2$…` strings stands for. "text": its characters, as mosquitto-auth-plug means it.
                /// "base64": the bytes that they encode, as mosquitto-go-auth does. "auto": either.
                pub salt: Salt => OneOf<Salt> = Salt::Auto,

                /// Whether a subscription is asked about with access 1 and not 4.
                pub subscribe_as_read: bool => Switch = false,

                /// Whether a filter that begins with a wildcard reaches topics that begin with $, as in mosquitto-go-auth.
                pub dollar_topics: bool => Switch = false,

                /// Connections at a time.
                pub connections: u16 => Count = 4,

                /// The longest time for an answer, connecting and retries included.
                pub timeout: Duration => Wait = Duration::from_secs(5),

                /// Tries after a first one that failed. After five failures in a row nothing is asked for a moment.
                pub retries: u32 => Seconds32 = 1,

                /// What counts when it does not answer: "deny", "next" or "stale", as for `http`.
                pub on_error: OnError => OneOf<OnError> = OnError::Deny,

                /// How long an answer counts for "stale", beyond its time in [auth.cache].
                pub stale: Duration => Span = Duration::from_secs(3600),

                /// How often the account of who is connected is asked about again: one that is gone, or has another stored
                /// password, ends its sessions.
                pub recheck: Duration => Span = Duration::from_secs(60),

                /// Whether somebody can be a superuser by it.
                pub superusers: bool => Switch = true,

                /// User names `PREFIX_NAME` go to this backend alone. Empty: there is no such prefix.
                pub prefix: String => Prefix = String::new(),

                /// Whether the prefix and its underscore are no part of the name that this backend knows.
                pub strip_prefix: bool => Switch = false,
            }
        }

        impl $Section {
            /// Notes what is missing if the backend `name` is used.
            pub(super) fn check(&self, name: &str, span: std::ops::Range<usize>, reader: &mut Reader<'_>) {
                if self.user_query.is_none() && self.acl_query.is_none() {
                    let what = format!("the backend \"{name}\" has neither `user_query` nor `acl_query` in [auth.{name}]");
                    let help = "give at least one of them, as user_query = \"SELECT password FROM users WHERE name = %s\"";
                    reader.wrong(span.clone(), what, help);
                }
                if self.user.is_empty() {
                    let what = format!("the backend \"{name}\" has no `user` in [auth.{name}]");
                    reader.wrong(span.clone(), what, "name the database's user that the gateway is");
                }
                check_server(name, &self.host, &self.certificate, &self.key, self.recheck, span, reader);
            }
        }
    };
}

sql_section! {
    /// The backend `mysql`: any schema in a MySQL or MariaDB server, by queries. Names are compared as the schema's collation
    /// does: give the columns a binary one, or `Ann` is `ann`.
    AuthMysql, 3306, " Its socket on this machine, in place of host and port."
}

sql_section! {
    /// The backend `postgres`: any schema in a PostgreSQL server, by queries.
    AuthPostgres, 5432, " The folder of its socket on this machine, in place of host; the port is part of the socket's name."
}

impl AuthRedis {
    /// Notes what is wrong if the backend is used.
    pub(super) fn check(&self, span: std::ops::Range<usize>, reader: &mut Reader<'_>) {
        let queries = self.user_query.is_some() || self.acl_query.is_some();
        if queries && self.dialect == RedisDialect::GoAuth {
            let what = "[auth.redis] has queries, but its dialect has none";
            reader.wrong(span.clone(), what, "take them out, or give dialect = \"auth-plug\"");
        }
        check_server("redis", &self.host, &self.certificate, &self.key, self.recheck, span, reader);
    }
}

fn check_server(
    name: &str,
    host: &str,
    certificate: &Option<NamedFile>,
    key: &Option<NamedFile>,
    recheck: Duration,
    span: std::ops::Range<usize>,
    reader: &mut Reader<'_>,
) {
    if host.is_empty() || host.contains(['/', ' ']) {
        let what = format!("`auth.{name}.host` is no name and no address");
        reader.wrong(span.clone(), what, "give a host alone; the port and the socket have keys of their own");
    }
    if certificate.is_some() != key.is_some() {
        let what = format!("[auth.{name}] has one of `certificate` and `key`");
        reader.wrong(span.clone(), what, "give both, or neither");
    }
    if recheck < Duration::from_secs(1) {
        let what = format!("`auth.{name}.recheck` is less than a second");
        reader.wrong(span, what, "give at least \"1s\"");
    }
}
