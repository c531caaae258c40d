//! mosquitto-auth-plug, both generations: that of 2013 with `topic_prefix` and `redis_username_prefix`, and the last one.

use super::{
    Answer, Changed, DIALECT, Desk, NotNeeded, NotPossible, Options, Translated,
    database::{self, Source},
};
use crate::{
    import::{acl_file, homes::Sqlite, model::Plugin, password_file},
    policy::auth::{files::Dialect, password::SaltReading},
};

pub(super) fn translate(plugin: &Plugin, desk: &mut Desk<'_>) -> Option<Answer> {
    let options = Options::new(plugin);
    let Some(named) = options.get("backends") else {
        desk.report.say(plugin.line, NotPossible, "the plugin needs auth_opt_backends");
        return None;
    };
    let mut backends = Vec::new();
    for name in named.value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let made = match name {
            "files" => files(&options, desk),
            "cdb" => cdb(&options, desk),
            "http" => http(&options, desk),
            "sqlite" => stored("sqlite", &options, desk),
            "redis" => stored("redis", &options, desk),
            "mysql" => stored("mysql", &options, desk),
            "postgres" => stored("postgres", &options, desk),
            _ => None,
        };
        match made {
            Some(ours) => backends.push(ours),
            None if name == "ldap" => {
                desk.report.say(
                    named.line,
                    NotPossible,
                    "ldap can deny what others allow, and it is not there: nothing of the plugin is used",
                );
                return None;
            }
            None => {
                let note = format!("the backend {name:?} is left out: what it alone allowed is refused");
                desk.report.say(named.line, NotPossible, note);
                for option in options.rest(&format!("{name}_")) {
                    desk.report.say(option.line, NotPossible, "its backend is left out");
                }
            }
        }
    }
    desk.report.say(named.line, Translated, "listener.backends");
    topic_prefix(&options, &mut backends, desk);
    if let Some(glob) = options.get("superusers") {
        desk.homes.acl.push(("superusers", vec![toml::Value::from(glob.value.trim())].into(), glob.line));
        desk.report.say(glob.line, Translated, "acl.superusers");
    }
    let anonymous = options.text("anonusername").unwrap_or("anonymous").to_owned();
    options.say("anonusername", Translated, "listener.anonymous", desk.report);
    cache(&options, desk);
    options.say(
        "psk_database",
        NotPossible,
        "there is no TLS-PSK: give clients certificates (latchgate pki)",
        desk.report,
    );
    options.say("log_quiet", NotNeeded, "the log is the gateway's", desk.report);
    options.finish(desk.report);
    if backends.is_empty() {
        return None;
    }
    Some(Answer { backends, anonymous: Some(anonymous), ..Answer::default() })
}

/// `topic_prefix` of 2013: everybody may do everything below a topic with their name.
fn topic_prefix(options: &Options<'_>, backends: &mut Vec<&'static str>, desk: &mut Desk<'_>) {
    let Some(option) = options.get("topic_prefix") else { return };
    let filter = option.value.trim().replace('%', "%u");
    if let Err(why) = crate::store::accounts::check::filter(&filter) {
        return desk.report.say(option.line, NotPossible, format!("it cannot be a rule: {why}"));
    }
    if desk.homes.sqlite.is_some() {
        let note = format!(
            "the database is used for something else: add the rule by hand: latchgate acl allow '*' all '{filter}'"
        );
        return desk.report.say(option.line, NotPossible, note);
    }
    desk.homes.sqlite = Some(Sqlite::Rules);
    desk.homes.rule("*", "all", &filter);
    desk.homes.ask_all = true;
    backends.push("sqlite");
    desk.report.say(option.line, Translated, format!("a rule: latchgate acl allow '*' all '{filter}'"));
}

fn cache(options: &Options<'_>, desk: &mut Desk<'_>) {
    for key in ["acl_cacheseconds", "cacheseconds"] {
        if let Some(option) = options.get(key) {
            match option.value.trim().parse::<u32>() {
                Ok(seconds) if desk.homes.cache.iter().all(|(key, ..)| *key != "allow") => {
                    desk.homes.cache.push(("allow", format!("{seconds}s"), option.line));
                    let note = "auth.cache.allow; a no is remembered for auth.cache.deny, which is shorter";
                    desk.report.say(option.line, Changed, note);
                }
                _ => desk.report.say(option.line, NotNeeded, "another value counts"),
            }
        }
    }
    let others = ["auth_cacheseconds", "acl_cachejitter", "auth_cachejitter"];
    options.say_all(
        &others,
        Changed,
        "answers about logins and rights are remembered alike: [auth.cache]",
        desk.report,
    );
}

fn files(options: &Options<'_>, desk: &mut Desk<'_>) -> Option<&'static str> {
    if desk.homes.is_taken("files") {
        options.say_all(
            &["password_file", "acl_file"],
            NotPossible,
            "the backend files is taken already",
            desk.report,
        );
        return None;
    }
    let mut keys = Vec::new();
    if let Some(option) = options.get("password_file") {
        let file = desk.path(&option.value);
        match password_file::copy(&file, SaltReading::Text, desk.homes, desk.report) {
            Ok(name) => keys.push(("password_file", name, option.line)),
            Err(why) => {
                desk.report.say(option.line, NotPossible, why);
                return None;
            }
        }
        desk.report.say(option.line, Translated, "auth.files.password_file, a copy");
    }
    match options.get("acl_file") {
        Some(option) => {
            let file = desk.path(&option.value);
            match acl_file::copy(&file, Dialect::AuthPlug, desk.homes, desk.report) {
                Ok(name) => keys.push(("acl_file", name, option.line)),
                Err(why) => {
                    desk.report.say(option.line, NotPossible, why);
                    return None;
                }
            }
            desk.report.say(option.line, Translated, "auth.files.acl_file, a copy");
        }
        None => allows_nothing("acl_file", options, desk),
    }
    let part = desk.homes.take("files", "[auth.files]")?;
    for (key, name, line) in keys {
        part.set(key, name, &[line]);
    }
    part.explained("dialect", "auth-plug", DIALECT, &[]);
    Some("files")
}

/// The plugin's backends without rules allow everything, to everybody, whoever else was asked.
fn allows_nothing(key: &str, options: &Options<'_>, desk: &mut Desk<'_>) {
    let note = format!(
        "without {key} nothing is allowed by this backend; the plugin allows everything to everybody then"
    );
    options.say("backends", Changed, &note, desk.report);
}

fn cdb(options: &Options<'_>, desk: &mut Desk<'_>) -> Option<&'static str> {
    let key = if options.get("cdbname").is_some() { "cdbname" } else { "cdbpath" };
    let option = options.get(key)?;
    let path = desk.path(&option.value);
    let Some(part) = desk.homes.take("cdb", "[auth.cdb]") else {
        desk.report.say(
            option.line,
            NotPossible,
            "another listener has such a database already: there is one",
        );
        return None;
    };
    part.set("file", path.to_string_lossy().as_ref(), &[option.line]);
    desk.report.say(option.line, Translated, "auth.cdb.file");
    let note = "the records acl:USER decide; the plugin's last generation allowed everything in the end";
    desk.report.say(option.line, Changed, note);
    Some("cdb")
}

fn http(options: &Options<'_>, desk: &mut Desk<'_>) -> Option<&'static str> {
    let host =
        options.text("http_hostname").or_else(|| options.text("http_ip")).unwrap_or("127.0.0.1").to_owned();
    let place = match options.text("http_port").unwrap_or("80") {
        "80" if !options.is_on("http_with_tls") => host,
        port => format!("{host}:{port}"),
    };
    let scheme = if options.is_on("http_with_tls") { "https" } else { "http" };
    let mut urls = Vec::new();
    for (name, key) in [("getuser", "user_url"), ("superuser", "superuser_url"), ("aclcheck", "acl_url")] {
        let option = format!("http_{name}_uri");
        if let Some(uri) = options.get(&option) {
            urls.push((
                key,
                format!("{scheme}://{place}/{}", uri.value.trim().trim_start_matches('/')),
                uri.line,
            ));
        }
        options.say(&option, Translated, &format!("auth.http.{key}"), desk.report);
        let note = "fields from the environment are not sent: have the service do without";
        options.say(&format!("http_{name}_params"), NotPossible, note, desk.report);
    }
    let place = ["http_ip", "http_hostname", "http_port", "http_with_tls"];
    options.say_all(&place, Translated, "part of the addresses in [auth.http]", desk.report);
    if urls.is_empty() {
        return None;
    }
    let (retries, basic) = (options.get("http_retry_count"), options.get("http_basic_auth_key"));
    let Some(part) = desk.homes.take("http", "[auth.http]") else {
        options.say_all(
            &place,
            NotPossible,
            "another listener has a web service of its own already: there is one",
            desk.report,
        );
        return None;
    };
    for (key, url, line) in urls {
        part.set(key, url, &[line]);
    }
    part.explained("dialect", "auth-plug", DIALECT, &[]);
    // Its services know 1 for reading and 2 for writing.
    part.set("subscribe_as_read", true, &[]);
    if let Some((option, count)) =
        retries.and_then(|option| Some((option, option.value.trim().parse::<u32>().ok()?)))
    {
        part.set("retries", i64::from(count), &[option.line]);
    }
    if let Some(basic) = basic {
        let header = format!("Authorization: Basic {}", basic.value.trim());
        part.set("headers", vec![toml::Value::from(header)], &[basic.line]);
    }
    options.say("http_retry_count", Translated, "auth.http.retries", desk.report);
    options.say(
        "http_basic_auth_key",
        Changed,
        "auth.http.headers: it stands in latchgate.toml, which nobody else may read",
        desk.report,
    );
    options.say(
        "backends",
        Changed,
        "a subscription is asked about with acc 1, as by older brokers: subscribe_as_read",
        desk.report,
    );
    Some("http")
}

fn stored(backend: &'static str, options: &Options<'_>, desk: &mut Desk<'_>) -> Option<&'static str> {
    let plain = |name: &str, ours: &'static str| (name.to_owned(), ours);
    let keys: Vec<(String, &'static str)> = match backend {
        "sqlite" => vec![plain("dbpath", "path"), plain("sqliteuserquery", "user_query")],
        "redis" => vec![
            plain("redis_host", "host"),
            plain("redis_port", "port"),
            plain("redis_db", "database"),
            plain("redis_pass", "password_file"),
            plain("redis_userquery", "user_query"),
            plain("redis_aclquery", "acl_query"),
            plain("redis_username_prefix", "username_prefix"),
        ],
        _ => vec![
            plain("host", "host"),
            plain("port", "port"),
            plain("user", "user"),
            plain("pass", "password_file"),
            plain("dbname", "database"),
            plain("userquery", "user_query"),
            plain("superquery", "superuser_query"),
            plain("aclquery", "acl_query"),
            plain("ssl_ca", "ca"),
            plain("ssl_cert", "certificate"),
            plain("ssl_key", "key"),
            plain("sslcert", "certificate"),
            plain("sslkey", "key"),
        ],
    };
    if backend == "sqlite" && desk.homes.sqlite.is_some() {
        options.say("dbpath", NotPossible, "the backend sqlite is taken already", desk.report);
        return None;
    }
    let head = match backend {
        "sqlite" => "[auth.sqlite]",
        "redis" => "[auth.redis]",
        "mysql" => "[auth.mysql]",
        _ => "[auth.postgres]",
    };
    let rules = match backend {
        "sqlite" => None,
        "redis" => Some("redis_aclquery"),
        _ => Some("aclquery"),
    };
    if rules.is_none_or(|key| options.get(key).is_none()) {
        allows_nothing(rules.unwrap_or("a query for rules (auth.sqlite.acl_query)"), options, desk);
    }
    let source = Source {
        backend,
        head,
        keys: &keys,
        salt: "text",
        superusers: true,
        // `rw >= %d` with 1 and 2 in the rows would deny every subscription.
        subscribe_as_read: true,
        dollar_topics: false,
    };
    if !database::translate(&source, options, desk) {
        return None;
    }
    match backend {
        "sqlite" => desk.homes.sqlite = Some(Sqlite::Rules),
        "redis" => {
            if let Some((_, part)) = desk.homes.backends.iter_mut().find(|(name, _)| *name == "redis") {
                part.explained("dialect", "auth-plug", DIALECT, &[]);
            }
        }
        _ => {
            database::drivers("", options, desk);
            database::drivers("mysql_", options, desk);
            database::tls(backend, "ssl_enabled", options, desk);
            options.say_all(
                &["ssl_capath", "ssl_cipher"],
                NotPossible,
                "give the authority's file: ca; cipher suites are those of rustls",
                desk.report,
            );
        }
    }
    Some(backend)
}
