//! `[auth]`: who says who a client is.

use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;

use super::database::{AuthMysql, AuthPostgres, AuthRedis, Salt};
use super::number::{Seconds32, SecondsOrSpan, Span, Wait};
use super::python::AuthPython;
use super::query::{OptionalQuery, Query};
use super::scalar::{Fault, List, OneOf, Scalar, Switch, words};
use super::section::{Reader, section};
use super::text::{Plain, Prefix};
use super::tls::{NamedFile, OptionalFile};
use super::web::{HeaderLine, OptionalUrl};

words! {
    /// What a login is checked against.
    pub enum Backend {
        /// The accounts in the state folder.
        Sqlite = "sqlite",
        /// Text files.
        Files = "files",
        /// A web service.
        Http = "http",
        /// An authorization server.
        Oauth2 = "oauth2",
        /// A constant database.
        Cdb = "cdb",
        /// A module written for mosquitto_pyauth.
        Python = "python",
        /// A Redis server.
        Redis = "redis",
        /// A MySQL or MariaDB server.
        Mysql = "mysql",
        /// A PostgreSQL server.
        Postgres = "postgres",
    }
}

/// The name of a backend. One that others have, or that is only planned, is told from a slip.
pub(super) enum BackendName {}

/// Names of backends that this gateway does not have.
const ABSENT: [&str; 8] = ["ldap", "jwt", "psk", "memcached", "mongo", "grpc", "javascript", "plugin"];

impl Scalar for BackendName {
    type Value = Backend;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<Backend, Fault> {
        match value.as_str().filter(|word| ABSENT.contains(word)) {
            Some(word) => {
                let known = OneOf::<Backend>::choices().unwrap_or_default();
                let help = format!("there is no such backend in this version; known: {known}");
                Err(Fault::new(format!("names {word:?}, which is not available"), help))
            }
            None => OneOf::<Backend>::parse(value, folder),
        }
    }

    fn show(value: &Backend) -> String {
        OneOf::<Backend>::show(value)
    }

    fn choices() -> Option<String> {
        OneOf::<Backend>::choices()
    }
}

words! {
    /// Which backends are asked about the rights of a client that has logged in with one.
    pub enum Askers {
        /// That one.
        Own = "own",
        /// Every one of its listener.
        All = "all",
    }
}

words! {
    /// What counts when a backend does not answer.
    pub enum OnError {
        /// No.
        Deny = "deny",
        /// The next backend is asked.
        Next = "next",
        /// What it answered last.
        Stale = "stale",
    }
}

words! {
    /// Whose requests a web service gets.
    pub enum HttpDialect {
        /// Those of mosquitto-go-auth's `http`.
        GoAuth = "go-auth",
        /// Those of mosquitto-auth-plug's `http`.
        AuthPlug = "auth-plug",
    }
}

words! {
    /// How fields are sent.
    pub enum Parameters {
        /// As a JSON object.
        Json = "json",
        /// As a form.
        Form = "form",
    }
}

words! {
    /// What says yes.
    pub enum AnswerBy {
        /// A status from 200 to 299.
        Status = "status",
        /// Besides, a body `{"ok": true}`.
        Json = "json",
        /// Besides, the body `ok`.
        Text = "text",
    }
}

words! {
    /// How a request is made.
    pub enum Method {
        /// With the fields in the address.
        Get = "GET",
        /// With the fields in the body.
        Post = "POST",
        /// With the fields in the body.
        Put = "PUT",
    }
}

words! {
    /// What of a token must be the user name.
    pub enum Claim {
        /// Nothing.
        None = "none",
        /// Its subject.
        Subject = "sub",
        /// Its user's name.
        Username = "username",
        /// The client that it was given to.
        ClientId = "client_id",
    }
}

words! {
    /// Whose files they are.
    pub enum Dialect {
        /// Mosquitto's.
        Mosquitto = "mosquitto",
        /// Those of mosquitto-go-auth's `files`.
        GoAuth = "go-auth",
        /// Those of mosquitto-auth-plug's `files`.
        AuthPlug = "auth-plug",
    }
}

section! {
    /// Logins.
    pub struct Auth {
        /// Who is asked about logins and rights, in this order. Whoever says yes or no decides; who does not know a name, or
        /// this password for it, or has no rule leaves it to the next. A listener can have an order of its own.
        pub backends: Vec<Backend> => List<BackendName, 1> = vec![Backend::Sqlite],

        /// Who is asked about the rights of a client that has logged in with a backend. "own": that backend alone, so that
        /// nobody gets rights from another one where somebody else has this name. "all": every backend of the listener,
        /// in order. For a client without a login, or with a certificate, it is every backend in any case.
        pub acl: Askers => OneOf<Askers> = Askers::Own,

        /// Rewrite a stored password of a foreign form in our own, at the first good login. The password stays the
        /// same.
        pub upgrade_passwords: bool => Switch = true,

        /// The backend `sqlite`.
        pub sqlite: AuthSqlite => AuthSqlite = AuthSqlite::default(),

        /// The backend `files`.
        pub files: AuthFiles => AuthFiles = AuthFiles::default(),

        /// The backend `cdb`.
        pub cdb: AuthCdb => AuthCdb = AuthCdb::default(),

        /// The backend `http`.
        pub http: AuthHttp => AuthHttp = AuthHttp::default(),

        /// The backend `oauth2`.
        pub oauth2: AuthOauth2 => AuthOauth2 = AuthOauth2::default(),

        /// The backend `python`.
        pub python: AuthPython => AuthPython = AuthPython::default(),
        /// The backend `redis`.
        pub redis: AuthRedis => AuthRedis = AuthRedis::default(),

        /// The backend `mysql`.
        pub mysql: AuthMysql => AuthMysql = AuthMysql::default(),

        /// The backend `postgres`.
        pub postgres: AuthPostgres => AuthPostgres = AuthPostgres::default(),

        /// What is remembered of logins and answers.
        pub cache: AuthCache => AuthCache = AuthCache::default(),

        /// What failed logins lead to.
        pub throttle: AuthThrottle => AuthThrottle = AuthThrottle::default(),
    }
}

section! {
    /// What failed logins lead to. Their answers are delayed more and more, up to 4 s; then who tries is banned.
    pub struct AuthThrottle {
        /// Failed logins with one user name from one address that ban this login there; four times as many, with
        /// whatever names, ban the address. IPv6 addresses count by /64. 0: nobody is delayed or banned.
        pub failures: u32 => Seconds32 = 5,

        /// How long failures are added up. A whole number is in seconds.
        pub window: Duration => SecondsOrSpan = Duration::from_secs(300),

        /// How long a ban lasts. A whole number is in seconds.
        pub ban: Duration => SecondsOrSpan = Duration::from_secs(300),

        /// Whether logins from this machine (127.0.0.0/8 and ::1) are never delayed or banned.
        pub exempt_loopback: bool => Switch = true,
    }
}

section! {
    /// What is remembered of logins and answers. The times of answers are for backends that are asked over a network: a
    /// change there is obeyed when they are over.
    pub struct AuthCache {
        /// How long a verified login is remembered, so that a client that comes back need not wait for its password
        /// to be hashed again. A change to the account is obeyed at once all the same. "0s": not at all.
        pub verified: Duration => Span = Duration::from_secs(300),

        /// How long a yes of such a backend counts, and a list of topics. "0s": each thing is asked about anew.
        pub allow: Duration => Span = Duration::from_secs(30),

        /// How long any other answer counts.
        pub deny: Duration => Span = Duration::from_secs(5),

        /// By how much these times differ at random, so that a thousand answers do not end at once.
        pub jitter: Duration => Span = Duration::from_secs(3),
    }
}

section! {
    /// The backend `sqlite`: the accounts and rules in the state folder, made with `latchgate user`, `role` and `acl`; or, with
    /// `path`, any schema in another file, by queries. Of another program's file a change is obeyed within a second.
    pub struct AuthSqlite {
        /// Another program's database, which is asked in place of the gateway's own. It is only read.
        pub path: Option<NamedFile> => OptionalFile = None,

        /// The query for a stored password, as for `mysql`. Without this key nobody logs in by it.
        pub user_query: Option<Query> => OptionalQuery = None,

        /// The query for superusers, as for `mysql`.
        pub superuser_query: Option<Query> => OptionalQuery = None,

        /// The query for topic filters, as for `mysql`. Without this key nothing is known there, so nothing is allowed by it.
        pub acl_query: Option<Query> => OptionalQuery = None,

        /// What the salt of `PBKDF2$…` strings stands for in it: "text", "base64" or "auto", as for `mysql`.
        pub salt: Salt => OneOf<Salt> = Salt::Auto,

        /// Whether a subscription is asked about with access 1 and not 4.
        pub subscribe_as_read: bool => Switch = false,

        /// Whether a filter in it that begins with a wildcard reaches topics that begin with $, as in mosquitto-go-auth.
        pub dollar_topics: bool => Switch = false,

        /// Whether an account can be a superuser by it.
        pub superusers: bool => Switch = true,

        /// User names `PREFIX_NAME` go to this backend alone. Empty: there is no such prefix.
        pub prefix: String => Prefix = String::new(),

        /// Whether the prefix and its underscore are no part of the name that this backend knows.
        pub strip_prefix: bool => Switch = false,
    }
}

section! {
    /// The backend `files`: text files as Mosquitto and its plugins have them. A change is obeyed within a second; while a
    /// line cannot be understood, what was read before stays in force.
    pub struct AuthFiles {
        /// Lines `USER:STORED`, as mosquitto_passwd or `latchgate hash` write them. Without this key nobody logs in here.
        pub password_file: Option<NamedFile> => OptionalFile = None,

        /// Rules: `user NAME`, `topic [read|write|readwrite|deny] FILTER`, `pattern [same] FILTER` with %u and %c. Without
        /// this key no rule is known here, so nothing is allowed by it.
        pub acl_file: Option<NamedFile> => OptionalFile = None,

        /// Whose files they are. "mosquitto": lines before the first `user` are for clients without a name, every
        /// subscription is granted and each delivery asked about. "go-auth": such lines are for everyone, `read` grants
        /// subscriptions (but not to #), there is `subscribe`, and # covers $SYS. "auth-plug": such lines are for everyone.
        pub dialect: Dialect => OneOf<Dialect> = Dialect::Mosquitto,

        /// User names `PREFIX_NAME` go to this backend alone. Empty: there is no such prefix.
        pub prefix: String => Prefix = String::new(),

        /// Whether the prefix and its underscore are no part of the name that this backend knows.
        pub strip_prefix: bool => Switch = false,
    }
}

section! {
    /// The backend `http`: a web service that is asked by POST requests and answers by its status. 200 to 299 is yes. From
    /// 500 on, 408 and 429, what cannot be understood, and none at all are no answer: `on_error` says what counts. Anything else
    /// is about the one question (403, but 400, 414 and 431 too): it leaves it to the next backend, and the service counts as
    /// well. TLS is verified; redirects are not followed.
    pub struct AuthHttp {
        /// Where it is asked whether a password is right. Without this key nobody logs in here.
        pub user_url: Option<String> => OptionalUrl = None,

        /// Where it is asked whether a user is a superuser. Without this key nobody is by it.
        pub superuser_url: Option<String> => OptionalUrl = None,

        /// Where it is asked what a client may do. Without this key nothing is known here, so nothing is allowed by it.
        pub acl_url: Option<String> => OptionalUrl = None,

        /// Whose requests it gets. "go-auth": the fields that a question has, of username, password, clientid, topic and
        /// acc (1 receive, 2 publish, 4 subscribe). "auth-plug": all five, as a form, -1 and empty where they mean nothing; at
        /// a login name and password are sent as HTTP Basic too, which knows no name with a colon: it is not asked about.
        pub dialect: HttpDialect => OneOf<HttpDialect> = HttpDialect::GoAuth,

        /// How a request of the dialect "go-auth" is made. With "GET" the fields, the password too, are in the address, which
        /// services log; who or what makes it longer than 8000 bytes is not asked about, and is not known there.
        pub method: Method => OneOf<Method> = Method::Post,

        /// How its fields are sent.
        pub parameters: Parameters => OneOf<Parameters> = Parameters::Json,

        /// What says yes besides the status. "json": a body `{"ok": true}`. "text": the body `ok`.
        pub answer: AnswerBy => OneOf<AnswerBy> = AnswerBy::Status,

        /// Further headers, as `["X-Key: secret"]`; not those that follow from the address and the body, such as Host.
        pub headers: Vec<String> => List<HeaderLine, 0> = Vec::new(),

        /// Whether a subscription is asked about with acc 1, for services that know no other number for reading.
        pub subscribe_as_read: bool => Switch = false,

        /// Whether the client's address and the name of its listener are sent, as `address` and `listener`.
        pub send_origin: bool => Switch = false,

        /// Whether what the client's certificate says is sent, if it showed one: `cert_subject`, `cert_common_name`,
        /// `cert_serial` and `cert_fingerprint` (SHA-256), the last two in hexadecimal digits.
        pub send_certificate: bool => Switch = false,

        /// Certificates of the authorities that are trusted. Without this key those that the system trusts.
        pub ca: Option<NamedFile> => OptionalFile = None,

        /// The longest time for an answer, retries included.
        pub timeout: Duration => Wait = Duration::from_secs(5),

        /// Tries after a first one that failed. After five failures in a row nothing is asked for a moment.
        pub retries: u32 => Seconds32 = 1,

        /// What counts when it does not answer. "deny": no. "next": the next backend is asked. "stale": what it answered
        /// last, if it did within the time `stale`; else no.
        pub on_error: OnError => OneOf<OnError> = OnError::Deny,

        /// How long an answer counts for "stale", beyond its time in [auth.cache].
        pub stale: Duration => Span = Duration::from_secs(3600),

        /// Whether somebody can be a superuser by it.
        pub superusers: bool => Switch = true,

        /// User names `PREFIX_NAME` go to this backend alone. Empty: there is no such prefix.
        pub prefix: String => Prefix = String::new(),

        /// Whether the prefix and its underscore are no part of the name that this backend knows.
        pub strip_prefix: bool => Switch = false,
    }
}

section! {
    /// The backend `oauth2`: the password is an access token, which the authorization server is asked about (RFC 7662). Its
    /// scopes `mqtt:read:FILTER` and `mqtt:write:FILTER` (or `mqtt.read:`, `mqtt.write:`), several of each, are the rights;
    /// filters of other spellings, and `%u` and `%c`, mean nothing here. The session ends when the token does.
    pub struct AuthOauth2 {
        /// The server's introspection endpoint.
        pub introspection_url: Option<String> => OptionalUrl = None,

        /// By which client the gateway is known there.
        pub client_id: String => Plain = String::new(),

        /// The file that holds this client's secret, readable by the gateway's user only (chmod 600).
        pub client_secret_file: Option<NamedFile> => OptionalFile = None,

        /// What of a token must be the user name. "none": nothing, so that whoever has a token may call itself as it likes.
        pub user_claim: Claim => OneOf<Claim> = Claim::None,

        /// How often a token is asked about again, so that one that was revoked ends its sessions.
        pub recheck: Duration => Span = Duration::from_secs(60),

        /// Certificates of the authorities that are trusted. Without this key those that the system trusts.
        pub ca: Option<NamedFile> => OptionalFile = None,

        /// The longest time for an answer, retries included.
        pub timeout: Duration => Wait = Duration::from_secs(5),

        /// Tries after a first one that failed.
        pub retries: u32 => Seconds32 = 3,

        /// What counts at a login when it does not answer: "deny", "next" or "stale", as for `http`. Who is connected stays so
        /// until the token ends.
        pub on_error: OnError => OneOf<OnError> = OnError::Deny,

        /// How long an answer counts for "stale", beyond its time in [auth.cache]; never longer than the token.
        pub stale: Duration => Span = Duration::from_secs(3600),

        /// User names `PREFIX_NAME` go to this backend alone. Empty: there is no such prefix.
        pub prefix: String => Prefix = String::new(),

        /// Whether the prefix and its underscore are no part of the name that this backend knows.
        pub strip_prefix: bool => Switch = false,
    }
}

section! {
    /// The backend `cdb`: a constant database as mosquitto-auth-plug has it. The key `USER` holds a stored password, each
    /// `acl:USER` a topic filter that this user may read and write. A replaced file is obeyed within a second.
    pub struct AuthCdb {
        /// The file.
        pub file: Option<NamedFile> => OptionalFile = None,

        /// User names `PREFIX_NAME` go to this backend alone. Empty: there is no such prefix.
        pub prefix: String => Prefix = String::new(),

        /// Whether the prefix and its underscore are no part of the name that this backend knows.
        pub strip_prefix: bool => Switch = false,
    }
}

impl Auth {
    /// Notes what is missing for the backends that are used anywhere; `span` is the section's place.
    pub(super) fn check(&self, used: &[Backend], span: std::ops::Range<usize>, reader: &mut Reader<'_>) {
        let AuthFiles { password_file, acl_file, .. } = &self.files;
        if used.contains(&Backend::Files) && password_file.is_none() && acl_file.is_none() {
            let what = "the backend \"files\" has neither `password_file` nor `acl_file` in [auth.files]";
            reader.wrong(span.clone(), what, "name at least one of them, as password_file = \"passwd\"");
        }
        if used.contains(&Backend::Cdb) && self.cdb.file.is_none() {
            let what = "the backend \"cdb\" has no `file` in [auth.cdb]";
            reader.wrong(span.clone(), what, "name the database, as file = \"pwdb.cdb\"");
        }
        let AuthHttp { user_url, acl_url, .. } = &self.http;
        if used.contains(&Backend::Http) && user_url.is_none() && acl_url.is_none() {
            let what = "the backend \"http\" has neither `user_url` nor `acl_url` in [auth.http]";
            let help = "give at least one of them, as user_url = \"http://127.0.0.1:8080/auth\"";
            reader.wrong(span.clone(), what, help);
        }
        let authorizes = |line: &String| line.to_ascii_lowercase().starts_with("authorization:");
        if self.http.dialect == HttpDialect::AuthPlug && self.http.headers.iter().any(authorizes) {
            let what =
                "`auth.http.headers` holds Authorization, which the dialect \"auth-plug\" sends by itself";
            reader.wrong(span.clone(), what, "leave it out, or give dialect = \"go-auth\"");
        }
        let AuthSqlite { path, user_query, superuser_query, acl_query, .. } = &self.sqlite;
        let asked = user_query.is_some() || acl_query.is_some();
        match path {
            None if asked || superuser_query.is_some() => {
                let what = "[auth.sqlite] has queries, but no `path`";
                let help = "the gateway's own accounts need no query: name the other database, as path = \"mqtt.db\"";
                reader.wrong(span.clone(), what, help);
            }
            Some(_) if !asked => {
                let what = "[auth.sqlite] has a `path`, but neither `user_query` nor `acl_query`";
                let help = "give at least one of them, as user_query = \"SELECT password FROM users WHERE name = %s\"";
                reader.wrong(span.clone(), what, help);
            }
            _ => {}
        }
        for backend in used {
            match backend {
                Backend::Redis => self.redis.check(span.clone(), reader),
                Backend::Mysql => self.mysql.check("mysql", span.clone(), reader),
                Backend::Postgres => self.postgres.check("postgres", span.clone(), reader),
                _ => {}
            }
        }
        let AuthOauth2 { introspection_url, client_id, client_secret_file, recheck, .. } = &self.oauth2;
        if used.contains(&Backend::Oauth2)
            && (introspection_url.is_none() || client_id.is_empty() || client_secret_file.is_none())
        {
            let what = "the backend \"oauth2\" needs `introspection_url`, `client_id` and `client_secret_file` in [auth.oauth2]";
            reader.wrong(span.clone(), what, "they stand where the gateway is registered as a client");
        }
        if used.contains(&Backend::Python) {
            self.python.check(span.clone(), reader);
        }
        if *recheck < Duration::from_secs(1) {
            reader.wrong(span, "`auth.oauth2.recheck` is less than a second", "give at least \"1s\"");
        }
    }
}
