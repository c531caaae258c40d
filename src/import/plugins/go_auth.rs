//! mosquitto-go-auth. All its backends are asked, and the first yes counts; so one that is not there only allows less.

use super::{
    Answer, Changed, DIALECT, Desk, NotNeeded, NotPossible, Options, Translated,
    database::{self, Source},
};
use crate::{
    import::{acl_file, document::Part, model::Plugin, password_file},
    policy::auth::{files::Dialect, password::SaltReading},
};

/// Backends that there are here, by the plugin's names.
const KNOWN: [(&str, &str); 6] = [
    ("files", "files"),
    ("http", "http"),
    ("sqlite", "sqlite"),
    ("redis", "redis"),
    ("mysql", "mysql"),
    ("postgres", "postgres"),
];

pub(super) fn translate(plugin: &Plugin, desk: &mut Desk<'_>) -> Option<Answer> {
    let options = Options::new(plugin);
    let Some(named) = options.get("backends") else {
        desk.report.say(plugin.line, NotPossible, "the plugin needs auth_opt_backends");
        return None;
    };
    if options.is_on("use_clientid_as_username") {
        let note = "user names are those that clients log in with: rules can name client identifiers by %c";
        options.say("use_clientid_as_username", NotPossible, note, desk.report);
        return None;
    }
    options.say("use_clientid_as_username", NotNeeded, "", desk.report);
    let wanted: Vec<&str> = named.value.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let prefixes = prefixes(&wanted, &options, desk);
    let mut backends = Vec::new();
    for (at, name) in wanted.iter().enumerate() {
        let made = match KNOWN.iter().find(|(theirs, _)| theirs == name) {
            Some((_, "files")) => files(wanted.len() == 1, &options, desk),
            Some((_, "http")) => http(&options, desk),
            Some((_, ours)) => stored(ours, &options, desk),
            None => None,
        };
        match made {
            Some(ours) => {
                if let Some((_, part)) = desk.homes.backends.iter_mut().find(|(taken, _)| *taken == ours)
                    && let Some((prefix, strip, line)) = prefixes.get(at)
                {
                    part.set("prefix", prefix.as_str(), &[*line]);
                    part.set("strip_prefix", *strip, &[]);
                }
                backends.push(ours);
            }
            None => {
                let note = format!("the backend {name:?} is left out: what it alone allowed is refused");
                desk.report.say(named.line, NotPossible, note);
                for option in options
                    .rest(&format!("{name}_"))
                    .into_iter()
                    .chain(options.rest(&format!("{}_", short(name))))
                {
                    desk.report.say(option.line, NotPossible, "its backend is left out");
                }
            }
        }
    }
    common(&options, desk);
    desk.report.say(named.line, Translated, "listener.backends");
    options.finish(desk.report);
    if backends.is_empty() {
        return None;
    }
    let note = "a client without a user name or password is refused, as by the plugin";
    Some(Answer { backends, refuses_anonymous: Some(note), ..Answer::default() })
}

/// How the options of a backend begin.
fn short(name: &str) -> &str {
    if name == "postgres" { "pg" } else { name }
}

/// A prefix, whether it is stripped, and its line, for each backend in order.
fn prefixes(
    wanted: &[&str],
    options: &Options<'_>,
    desk: &mut Desk<'_>,
) -> Vec<(String, bool, crate::import::report::Line)> {
    let keys = ["check_prefix", "prefixes", "strip_prefix"];
    let Some(list) = options.get("prefixes").filter(|_| options.is_on("check_prefix")) else {
        options.say_all(&keys, NotNeeded, "check_prefix is not on", desk.report);
        return Vec::new();
    };
    let names: Vec<&str> = list.value.split(',').map(str::trim).collect();
    if names.len() != wanted.len() || names.iter().any(|name| name.contains('_')) {
        options.say_all(
            &keys,
            NotNeeded,
            "the plugin turns it off: there must be as many prefixes as backends",
            desk.report,
        );
        return Vec::new();
    }
    options.say_all(&keys, Translated, "prefix and strip_prefix of each backend", desk.report);
    let strip = options.is_on("strip_prefix");
    names.into_iter().map(|name| (name.to_owned(), strip, list.line)).collect()
}

/// Which questions a backend is for.
fn answers(backend: &str, question: &str, options: &Options<'_>, desk: &mut Desk<'_>) -> bool {
    let key = format!("{backend}_register");
    options.say(&key, Translated, "only what it is for is set", desk.report);
    options.text(&key).is_none_or(|list| list.split(',').any(|word| word.trim() == question))
}

/// Whether a backend can say that somebody is a superuser.
fn superusers(backend: &str, options: &Options<'_>, desk: &mut Desk<'_>) -> bool {
    let key = format!("{backend}_disable_superuser");
    options.say(&key, Translated, "superusers", desk.report);
    !options.is_on(&key)
        && !options.is_on("disable_superuser")
        && answers(backend, "superuser", options, desk)
}

fn files(alone: bool, options: &Options<'_>, desk: &mut Desk<'_>) -> Option<&'static str> {
    if desk.homes.is_taken("files") {
        options.say_all(
            &["files_password_path", "files_acl_path"],
            NotPossible,
            "the backend files is taken already",
            desk.report,
        );
        return None;
    }
    if options.text("hasher_salt_encoding") == Some("utf-8") {
        let note = "in files, the salt of PBKDF2$ strings is taken for base64: set those passwords anew";
        options.say("hasher_salt_encoding", NotPossible, note, desk.report);
    }
    let mut keys = Vec::new();
    if let Some(option) = options.get("files_password_path") {
        let file = desk.path(&option.value);
        match password_file::copy(&file, SaltReading::Decoded, desk.homes, desk.report) {
            Ok(name) => {
                desk.report.say(option.line, Translated, "auth.files.password_file, a copy");
                if answers("files", "user", options, desk) {
                    keys.push(("password_file", name, vec![option.line]));
                }
            }
            Err(why) => {
                desk.report.say(option.line, NotPossible, why);
                return None;
            }
        }
    }
    match options.get("files_acl_path") {
        Some(option) => {
            let file = desk.path(&option.value);
            match acl_file::copy(&file, Dialect::GoAuth, desk.homes, desk.report) {
                Ok(name) => {
                    desk.report.say(option.line, Translated, "auth.files.acl_file, a copy");
                    if answers("files", "acl", options, desk) {
                        keys.push(("acl_file", name, vec![option.line]));
                    }
                }
                Err(why) => {
                    desk.report.say(option.line, NotPossible, why);
                    return None;
                }
            }
        }
        None if alone && !keys.is_empty() => {
            let name = desk.homes.file(
                "acl",
                "",
                b"# Without files_acl_path the plugin allows everything.\ntopic readwrite #\n".to_vec(),
            );
            keys.push(("acl_file", name, Vec::new()));
        }
        None => {}
    }
    if keys.is_empty() {
        return None;
    }
    let part = desk.homes.take("files", "[auth.files]")?;
    for (key, name, lines) in keys {
        part.set(key, name, &lines);
    }
    part.explained("dialect", "go-auth", DIALECT, &[]);
    Some("files")
}

fn http(options: &Options<'_>, desk: &mut Desk<'_>) -> Option<&'static str> {
    let host = options.text("http_host").unwrap_or("localhost");
    let place = match options.text("http_port") {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let scheme = if options.is_on("http_with_tls") { "https" } else { "http" };
    let mut urls = Vec::new();
    for (question, option, key) in [
        ("user", "http_getuser_uri", "user_url"),
        ("superuser", "http_superuser_uri", "superuser_url"),
        ("acl", "http_aclcheck_uri", "acl_url"),
    ] {
        if let Some(uri) = options.get(option)
            && answers("http", question, options, desk)
        {
            urls.push((
                key,
                format!("{scheme}://{place}/{}", uri.value.trim().trim_start_matches('/')),
                uri.line,
            ));
        }
        options.say(option, Translated, &format!("auth.http.{key}"), desk.report);
    }
    options.say_all(
        &["http_host", "http_port", "http_with_tls"],
        Translated,
        "part of the addresses in [auth.http]",
        desk.report,
    );
    if options.is_on("http_with_tls") && !options.is_on("http_verify_peer") {
        let note = "the service's certificate is verified: name its authority in auth.http.ca if the system does not know it";
        options.say("http_verify_peer", Changed, note, desk.report);
        options.say("http_with_tls", Changed, note, desk.report);
    }
    options.say("http_verify_peer", NotNeeded, "", desk.report);
    options.say("http_user_agent", NotNeeded, "", desk.report);
    let with_superusers = superusers("http", options, desk);
    let form = options.text("http_params_mode") == Some("form");
    let lines = |key: &str| options.lines(&[key]);
    let timeout = options
        .text("http_timeout")
        .and_then(|seconds| seconds.parse::<u32>().ok())
        .filter(|seconds| *seconds > 0);
    let set = |part: &mut Part| {
        for (key, url, line) in &urls {
            part.set(*key, url.as_str(), &[*line]);
        }
        part.explained("dialect", "go-auth", DIALECT, &[]);
        part.set("parameters", if form { "form" } else { "json" }, &lines("http_params_mode"));
        if let Some(answer @ ("status" | "json" | "text")) = options.text("http_response_mode") {
            part.set("answer", answer, &lines("http_response_mode"));
        }
        if let Some(method @ ("GET" | "POST" | "PUT")) = options.text("http_method").filter(|_| !form) {
            part.set("method", method, &lines("http_method"));
        }
        if let Some(seconds) = timeout {
            part.set("timeout", format!("{seconds}s"), &lines("http_timeout"));
        }
        if let Some(count) = options.text("retry_count").and_then(|count| count.parse::<u32>().ok()) {
            part.set("retries", i64::from(count), &lines("retry_count"));
        }
        if !with_superusers {
            part.set("superusers", false, &[]);
        }
    };
    let keys = ["http_params_mode", "http_response_mode", "http_method", "http_timeout"];
    for (key, ours) in keys.into_iter().zip(["parameters", "answer", "method", "timeout"]) {
        options.say(key, Translated, &format!("auth.http.{ours}"), desk.report);
    }
    if urls.is_empty() {
        return None;
    }
    match desk.homes.take("http", "[auth.http]") {
        Some(part) => set(part),
        None => {
            options.say(
                "http_host",
                NotPossible,
                "another listener has a web service of its own already: there is one",
                desk.report,
            );
            return None;
        }
    }
    Some("http")
}

/// A database, with the plugin's own layout or queries.
fn stored(backend: &'static str, options: &Options<'_>, desk: &mut Desk<'_>) -> Option<&'static str> {
    let theirs = if backend == "postgres" { "pg" } else { backend };
    let key = |name: &str| format!("{theirs}_{name}");
    let mut keys: Vec<(String, &'static str)> = match backend {
        "sqlite" => vec![(key("source"), "path")],
        "redis" => vec![
            (key("host"), "host"),
            (key("port"), "port"),
            (key("db"), "database"),
            (key("password"), "password_file"),
        ],
        _ => vec![
            (key("host"), "host"),
            (key("port"), "port"),
            (key("socket"), "socket"),
            (key("user"), "user"),
            (key("password"), "password_file"),
            (key("dbname"), "database"),
            (key("sslcert"), "certificate"),
            (key("sslkey"), "key"),
            (key("sslrootcert"), "ca"),
        ],
    };
    if backend != "redis" {
        for (question, name, ours) in [
            ("user", "userquery", "user_query"),
            ("superuser", "superquery", "superuser_query"),
            ("acl", "aclquery", "acl_query"),
        ] {
            let register = options
                .text(&key("register"))
                .is_none_or(|list| list.split(',').any(|word| word.trim() == question));
            if register {
                keys.push((key(name), ours));
            } else {
                options.say(&key(name), NotNeeded, "the backend is not registered for it", desk.report);
            }
        }
        if options.get(&key("aclquery")).is_none() {
            let note = format!(
                "without {} nothing is allowed by this backend; the plugin allows everything then",
                key("aclquery")
            );
            options.say("backends", Changed, &note, desk.report);
        }
    }
    options.say(&key("register"), Translated, "only what it is for is set", desk.report);
    if options.text(&key("mode")).is_some_and(|mode| mode == "cluster") {
        options.say_all(
            &[&key("mode"), &key("cluster_addresses")],
            NotPossible,
            "a cluster is not spoken to: name one server",
            desk.report,
        );
        return None;
    }
    options.say(&key("mode"), NotNeeded, "", desk.report);
    if backend == "sqlite" && options.text(&key("source")) == Some("memory") {
        options.say(&key("source"), NotPossible, "a database in memory would be empty", desk.report);
        return None;
    }
    if backend == "sqlite" && desk.homes.sqlite.is_some() {
        options.say(&key("source"), NotPossible, "the backend sqlite is taken already", desk.report);
        return None;
    }
    let text_salt = options.text("hasher_salt_encoding") == Some("utf-8");
    let source = Source {
        backend,
        head: match backend {
            "sqlite" => "[auth.sqlite]",
            "redis" => "[auth.redis]",
            "mysql" => "[auth.mysql]",
            _ => "[auth.postgres]",
        },
        keys: &keys,
        salt: if text_salt { "text" } else { "base64" },
        superusers: superusers(theirs, options, desk),
        subscribe_as_read: false,
        dollar_topics: true,
    };
    if !database::translate(&source, options, desk) {
        return None;
    }
    database::drivers(&format!("{theirs}_"), options, desk);
    database::tls(backend, &key("sslmode"), options, desk);
    options.say("hasher_salt_encoding", Translated, "salt of the backend", desk.report);
    if backend == "redis"
        && let Some((_, part)) = desk.homes.backends.iter_mut().find(|(name, _)| *name == "redis")
    {
        part.explained("dialect", "go-auth", DIALECT, &[]);
        if options.get("redis_db").is_none() {
            part.set("database", 2, &[]);
        }
    }
    if backend == "sqlite" {
        desk.homes.sqlite = Some(crate::import::homes::Sqlite::Rules);
    }
    Some(backend)
}

/// What is about all backends.
fn common(options: &Options<'_>, desk: &mut Desk<'_>) {
    options.say("disable_superuser", Translated, "superusers of each backend", desk.report);
    options.say("retry_count", Translated, "retries, of backends that are asked over a network", desk.report);
    options.say(
        "exhaust_backend_first",
        NotNeeded,
        "a superuser of any backend is one, in whatever order they are asked",
        desk.report,
    );
    options.say_all(
        &["log_level", "log_dest", "log_file"],
        NotNeeded,
        "the log is the gateway's",
        desk.report,
    );
    let hasher = [
        "hasher",
        "hasher_salt_size",
        "hasher_iterations",
        "hasher_keylen",
        "hasher_algorithm",
        "hasher_cost",
        "hasher_memory",
        "hasher_parallelism",
        "hasher_salt_encoding",
    ];
    options.say_all(&hasher, NotNeeded, "stored passwords say themselves how they were made", desk.report);
    for backend in ["files", "pg", "mysql", "sqlite", "redis", "http"] {
        for key in hasher {
            options.say(
                &format!("{backend}_{key}"),
                NotNeeded,
                "stored passwords say themselves how they were made",
                desk.report,
            );
        }
    }
    if options.is_on("cache") {
        if let Some(seconds) =
            options.text("acl_cache_seconds").and_then(|seconds| seconds.parse::<u32>().ok())
            && let Some(option) = options.get("acl_cache_seconds")
        {
            desk.homes.cache.push(("allow", format!("{seconds}s"), option.line));
        }
        options.say(
            "acl_cache_seconds",
            Changed,
            "auth.cache.allow; a no is remembered for auth.cache.deny, which is shorter",
            desk.report,
        );
        options.say("cache", Translated, "[auth.cache]", desk.report);
        options.say_all(
            &["auth_cache_seconds", "auth_jitter_seconds", "acl_jitter_seconds"],
            Changed,
            "auth.cache.allow and jitter",
            desk.report,
        );
    }
    let cache = [
        "cache",
        "cache_type",
        "auth_cache_seconds",
        "acl_cache_seconds",
        "auth_jitter_seconds",
        "acl_jitter_seconds",
        "cache_reset",
        "cache_refresh",
        "cache_host",
        "cache_port",
        "cache_password",
        "cache_db",
        "cache_mode",
        "cache_addresses",
    ];
    options.say_all(
        &cache,
        NotNeeded,
        "answers are remembered in memory, for the times of [auth.cache]",
        desk.report,
    );
}
