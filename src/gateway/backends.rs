//! The backends that the configuration names, made ready to be asked.

use std::sync::Arc;

use crate::{
    config::{self, Config, ConfigError},
    policy::auth::{
        backends::{Askers, Backend, Backends, Kind},
        files::{Dialect, Files, FilesSettings},
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
            config::Backend::Sqlite => sqlite(&config.auth.sqlite),
            config::Backend::Files => files(config)?,
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
    let config::AuthSqlite { superusers, prefix: name, strip_prefix } = settings;
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
    };
    let files = Files::open(settings).map_err(|error| {
        let named = [password_file, acl_file].into_iter().flatten().find(|file| file.path == error.file);
        let at = error.line.map(|line| format!("in line {line}: ")).unwrap_or_default();
        let problem = named
            .cloned()
            .unwrap_or_default()
            .wrong(format!("{at}{}", error.what), "mend the line, or the name of the file");
        config.wrong(vec![problem])
    })?;
    Ok(Backend {
        name: config::Backend::Files.word().into(),
        kind: Kind::Files(Arc::new(files)),
        superusers: false,
        prefix: prefix(name),
        strip_prefix: *strip_prefix,
    })
}
