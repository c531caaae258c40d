//! The backends that the configuration names, made ready to be asked.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::databases;
use crate::{
    config::{self, Config, ConfigError},
    policy::auth::{
        backend::Remote,
        backends::{Askers, Backend, Backends, Kind},
        desk::{Desk, DeskSettings, OnError},
        files::{Dialect, Files, FilesSettings},
        http::{AnswerBy, HttpBackend, HttpDialect, HttpSettings, Parameters},
        oauth2::{Claim, Oauth2Backend, Oauth2Settings},
        python::{PythonBackend, PythonSettings, SystemUser},
    },
};

/// Makes every backend ready that is asked anywhere. Blocks.
///
/// # Errors
/// Files that cannot be read or understood, with their place in the configuration.
pub fn open(config: &Config) -> Result<Backends, ConfigError> {
    let used = config.backends();
    let mut list = Vec::with_capacity(used.len());
    for backend in &used {
        list.push(match backend {
            config::Backend::Sqlite if config.auth.sqlite.path.is_some() => databases::sqlite(config)?,
            config::Backend::Sqlite => sqlite(&config.auth.sqlite),
            config::Backend::Files => files(config)?,
            config::Backend::Http => http(config)?,
            config::Backend::Cdb => cdb(config)?,
            config::Backend::Oauth2 => oauth2(config)?,
            config::Backend::Python => python(config)?,
            config::Backend::Redis => databases::redis(config)?,
            config::Backend::Mysql => databases::mysql(config)?,
            config::Backend::Postgres => databases::postgres(config)?,
        });
    }
    Ok(order(config, list))
}

/// A backend that another configuration asks for the first time; it takes a restart of the gateway.
pub fn unknown(config: &Config, list: &[Backend]) -> Option<&'static str> {
    let known = |name: &str| list.iter().any(|backend| *backend.name == *name);
    config.backends().into_iter().map(config::Backend::word).find(|name| !known(name))
}

/// `list` in the order that a configuration gives it.
pub fn order(config: &Config, list: Vec<Backend>) -> Backends {
    let places = |names: &[config::Backend]| {
        let place = |name: &config::Backend| list.iter().position(|backend| *backend.name == *name.word());
        names.iter().filter_map(place).collect()
    };
    let own = config.listeners.iter().filter(|listener| !listener.backends.is_empty());
    Backends {
        otherwise: places(&config.auth.backends),
        listeners: own.map(|listener| (listener.name.clone(), places(&listener.backends))).collect(),
        askers: match config.auth.acl {
            config::Askers::Own => Askers::Own,
            config::Askers::All => Askers::All,
        },
        list,
    }
}

fn prefix(prefix: &str) -> Option<String> {
    (!prefix.is_empty()).then(|| prefix.to_owned())
}

fn sqlite(settings: &config::AuthSqlite) -> Backend {
    let config::AuthSqlite { superusers, prefix: name, strip_prefix, .. } = settings;
    Backend {
        superusers: *superusers,
        prefix: prefix(name),
        strip_prefix: *strip_prefix,
        ..Backend::sqlite()
    }
}

fn files(config: &Config) -> Result<Backend, ConfigError> {
    let config::AuthFiles { password_file, acl_file, dialect, prefix: name, strip_prefix } =
        &config.auth.files;
    let settings = FilesSettings {
        password_file: password_file.as_ref().map(|file| file.path.clone()),
        acl_file: acl_file.as_ref().map(|file| file.path.clone()),
        dialect: match dialect {
            config::Dialect::Mosquitto => Dialect::Mosquitto,
            config::Dialect::GoAuth => Dialect::GoAuth,
            config::Dialect::AuthPlug => Dialect::AuthPlug,
        },
        cdb: None,
    };
    let named = [password_file, acl_file].into_iter().flatten().cloned().collect();
    let kind = open_files(config, settings, named)?;
    let name_of = config::Backend::Files.word().into();
    Ok(Backend { name: name_of, kind, superusers: false, prefix: prefix(name), strip_prefix: *strip_prefix })
}

fn cdb(config: &Config) -> Result<Backend, ConfigError> {
    let config::AuthCdb { file, prefix: name, strip_prefix } = &config.auth.cdb;
    let cdb = file.as_ref().map(|file| file.path.clone());
    let settings = FilesSettings { cdb, dialect: Dialect::AuthPlug, ..FilesSettings::default() };
    let kind = open_files(config, settings, file.iter().cloned().collect())?;
    let name_of = config::Backend::Cdb.word().into();
    Ok(Backend { name: name_of, kind, superusers: false, prefix: prefix(name), strip_prefix: *strip_prefix })
}

/// Reads files; an error is told at the key that names the file, one of `named`.
fn open_files(
    config: &Config,
    settings: FilesSettings,
    named: Vec<config::NamedFile>,
) -> Result<Kind, ConfigError> {
    let files = Files::open(settings).map_err(|error| {
        let file = named.into_iter().find(|file| file.path == error.file).unwrap_or_default();
        let at = error.line.map(|line| format!("in line {line}: ")).unwrap_or_default();
        let what = format!("{at}{}", error.what);
        let help = match error.line {
            Some(_) => "mend that line, or name another file",
            None if !file.path.exists() => {
                "make it, or name another file; a relative name starts at this file's folder"
            }
            None if error.what.starts_with("cannot be read") => {
                "give the gateway's user a file that it can read"
            }
            None => "mend it, or name another file",
        };
        config.wrong(vec![file.wrong(what, help)])
    })?;
    Ok(Kind::Files(Arc::new(files)))
}

fn http(config: &Config) -> Result<Backend, ConfigError> {
    let http = &config.auth.http;
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    let settings = HttpSettings {
        user_url: http.user_url.clone(),
        superuser_url: http.superuser_url.clone(),
        acl_url: http.acl_url.clone(),
        dialect: match http.dialect {
            config::HttpDialect::GoAuth => HttpDialect::GoAuth,
            config::HttpDialect::AuthPlug => HttpDialect::AuthPlug,
        },
        method: http.method.word().to_owned(),
        parameters: match http.parameters {
            config::Parameters::Json => Parameters::Json,
            config::Parameters::Form => Parameters::Form,
        },
        answer: match http.answer {
            config::AnswerBy::Status => AnswerBy::Status,
            config::AnswerBy::Json => AnswerBy::Json,
            config::AnswerBy::Text => AnswerBy::Text,
        },
        headers: http.headers.iter().filter_map(header).collect(),
        subscribe_as_read: http.subscribe_as_read,
        send_origin: http.send_origin,
        send_certificate: http.send_certificate,
        ca: http.ca.as_ref().map(|file| file.path.clone()),
    };
    let remote = HttpBackend::new(settings).map_err(|error| web_error(config, http.ca.as_ref(), &error))?;
    let asked = Asked {
        timeout: http.timeout,
        retries: http.retries,
        on_error: http.on_error,
        stale: http.stale,
        superusers: http.superusers,
        recheck: None,
        at_a_time: None,
        prefix: &http.prefix,
        strip_prefix: http.strip_prefix,
    };
    desk(config, config::Backend::Http, Box::new(remote), &asked)
}

fn oauth2(config: &Config) -> Result<Backend, ConfigError> {
    let oauth2 = &config.auth.oauth2;
    let secret = secret_line(config, &oauth2.client_secret_file.clone().unwrap_or_default())?;
    let settings = Oauth2Settings {
        url: oauth2.introspection_url.clone().unwrap_or_default(),
        client_id: oauth2.client_id.clone(),
        client_secret: secret,
        claim: match oauth2.user_claim {
            config::Claim::None => Claim::None,
            config::Claim::Subject => Claim::Subject,
            config::Claim::Username => Claim::Username,
            config::Claim::ClientId => Claim::ClientId,
        },
        ca: oauth2.ca.as_ref().map(|file| file.path.clone()),
    };
    let remote =
        Oauth2Backend::new(settings).map_err(|error| web_error(config, oauth2.ca.as_ref(), &error))?;
    let asked = Asked {
        timeout: oauth2.timeout,
        retries: oauth2.retries,
        on_error: oauth2.on_error,
        stale: oauth2.stale,
        superusers: false,
        recheck: Some(oauth2.recheck),
        at_a_time: None,
        prefix: &oauth2.prefix,
        strip_prefix: oauth2.strip_prefix,
    };
    desk(config, config::Backend::Oauth2, Box::new(remote), &asked)
}

fn python(config: &Config) -> Result<Backend, ConfigError> {
    let python = &config.auth.python;
    let mut opts = python.opts.clone();
    for (key, file) in &python.opts_files {
        opts.push((key.clone(), secret_line(config, file)?));
    }
    let given = std::env::var_os("PYTHONPATH").unwrap_or_default();
    let given = std::env::split_paths(&given).filter(|folder| folder.is_absolute());
    let beside = config.file.as_ref().and_then(|file| std::path::absolute(file).ok());
    let beside = beside.as_deref().and_then(Path::parent).map(Path::to_owned);
    let absolute = |folder: &PathBuf| std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
    let settings = PythonSettings {
        module: python.module.clone(),
        path: python.path.iter().map(absolute).chain(given).chain(beside).collect(),
        interpreter: python.interpreter.clone(),
        opts,
        workers: python.workers.try_into().unwrap_or(1),
        timeout: python.timeout,
        user: python.user.as_deref().map(|name| system_user(config, name)).transpose()?,
        memory: python.memory,
        subscribe: python.subscribe.word(),
    };
    let asked = Asked {
        timeout: python.timeout,
        retries: 0,
        on_error: python.on_error,
        stale: python.stale,
        superusers: false,
        recheck: None,
        at_a_time: None,
        prefix: &python.prefix,
        strip_prefix: python.strip_prefix,
    };
    desk(config, config::Backend::Python, Box::new(PythonBackend::new(settings)), &asked)
}

/// Whom processes run as in place of the gateway's own user.
fn system_user(config: &Config, name: &str) -> Result<SystemUser, ConfigError> {
    let wrong = |what: String, help: &str| {
        config.wrong(vec![config::NamedFile::default().wrong(format!("auth.python.user: {what}"), help)])
    };
    if !rustix::process::geteuid().is_root() {
        let what = format!("the processes cannot run as {name:?}, since the gateway is not root");
        return Err(wrong(what, "start it as root, or take the key out"));
    }
    let passwd = std::fs::read_to_string("/etc/passwd")
        .map_err(|error| wrong(format!("/etc/passwd: {error}"), "it must be readable"))?;
    let no_user = || wrong(format!("there is no user {name:?} in /etc/passwd"), "make it, or name another");
    SystemUser::find(&passwd, name).ok_or_else(no_user)
}

/// The one line of a file.
pub(super) fn secret_line(config: &Config, file: &config::NamedFile) -> Result<String, ConfigError> {
    let unreadable = |why: &dyn std::fmt::Display| {
        config.wrong(vec![file.wrong(format!("is not usable: {why}"), "it holds one line, the value alone")])
    };
    let bytes = crate::file::read(&file.path, crate::file::SECRET).map_err(|error| unreadable(&error))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| unreadable(&"it is not UTF-8"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() || text.contains(['\r', '\n', '\0']) {
        return Err(unreadable(&"it is empty, or has more than one line"));
    }
    Ok(text.to_owned())
}

/// Has every backend make ready what takes its time. Blocks.
///
/// # Errors
/// The first that can never be asked, and why.
pub fn start(backends: &Backends) -> Result<(), (String, String)> {
    backends
        .desks()
        .try_for_each(|desk| desk.remote().start().map_err(|what| (desk.name().to_string(), what)))
}

/// What every backend says that is asked over a network.
pub(super) struct Asked<'a> {
    pub timeout: Duration,
    pub retries: u32,
    pub on_error: config::OnError,
    pub stale: Duration,
    pub superusers: bool,
    /// How often tokens and accounts are asked about again.
    pub recheck: Option<Duration>,
    /// How many questions are asked at a time, unless it is the usual number.
    pub at_a_time: Option<u16>,
    pub prefix: &'a str,
    pub strip_prefix: bool,
}

pub(super) fn desk(
    config: &Config,
    backend: config::Backend,
    remote: Box<dyn Remote>,
    asked: &Asked<'_>,
) -> Result<Backend, ConfigError> {
    let cache = &config.auth.cache;
    let settings = DeskSettings {
        deadline: asked.timeout,
        retries: asked.retries,
        on_error: match asked.on_error {
            config::OnError::Deny => OnError::Deny,
            config::OnError::Next => OnError::Next,
            config::OnError::Stale => OnError::Stale,
        },
        stale: asked.stale,
        allow: cache.allow,
        deny: cache.deny,
        jitter: cache.jitter,
        recheck: asked.recheck.unwrap_or_default(),
        at_a_time: asked.at_a_time.map_or(DeskSettings::default().at_a_time, usize::from),
    };
    let name = backend.word();
    let no_random = |error: getrandom::Error| {
        let nowhere = config::NamedFile::default();
        config.wrong(vec![nowhere.wrong(format!("no random numbers: {error}"), "see the system's log")])
    };
    Ok(Backend {
        name: name.into(),
        kind: Kind::Asked(Arc::new(Desk::new(name, remote, settings).map_err(no_random)?)),
        superusers: asked.superusers,
        prefix: prefix(asked.prefix),
        strip_prefix: asked.strip_prefix,
    })
}

fn web_error(config: &Config, ca: Option<&config::NamedFile>, error: &dyn std::fmt::Display) -> ConfigError {
    let file = ca.cloned().unwrap_or_default();
    config.wrong(vec![file.wrong(format!("is not usable: {error}"), "give PEM certificates of authorities")])
}
