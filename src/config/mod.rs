//! What does the file say, and where exactly is it wrong?
//!
//! This room owns the configuration file: its sections, keys, defaults and documentation, all in one
//! definition each ([`reference()`] prints them). It promises that a [`Config`] in hand is valid, and that
//! every error names file, line and column. It reads files and the machine's identity, and must never start
//! or open anything else.

mod acl;
mod admin;
mod auth;
mod bridge;
mod card;
mod database;
mod despite;
mod difference;
mod error;
mod gateway;
mod latch;
mod limits;
mod listener;
mod lock;
mod log;
mod number;
mod panel;
mod python;
mod query;
mod scalar;
mod schedule;
mod secrets;
mod section;
mod source;
mod text;
mod tls;
mod warnings;
mod web;

use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use acl::{Acl, RefusedPublish, RetainedSource, SubscribeRule};
pub use admin::Admin;
pub use auth::{
    AnswerBy, Askers, Auth, AuthCache, AuthCdb, AuthFiles, AuthHttp, AuthOauth2, AuthSqlite, AuthThrottle,
    Backend, Claim, Dialect, HttpDialect, Method, OnError, Parameters,
};
pub use bridge::{
    Bridge, BridgeProtocol, BridgeRoute, BridgeSpool, BridgeTls, Direction, Notifications, RemoteAddress,
    RemoteSession, RouteRetain, Scheme, WhenFull,
};
pub use card::{Card, CardCertificate, Ssh, Wifi};
pub use database::{AuthMysql, AuthPostgres, AuthRedis, RedisDialect, Salt, TlsUse};
pub use difference::Difference;
pub use error::{ConfigError, Problem};
pub use gateway::Gateway;
pub use latch::{Latch, LatchOnError};
pub use limits::Limits;
pub use listener::{Listener, Protocol};
pub use lock::{Lock, LockLogins, LockQueued, LockSide};
pub use log::{Level, Log, LogFormat, LogTarget};
pub use panel::{Panel, PanelDriver};
pub use python::{AuthPython, Subscribing};
pub use query::Query;
pub use schedule::Schedule;
pub use tls::{ClientCertificate, NamedFile, Tls, UsernameFrom};

use bridge::Bridges;
use listener::Listeners;
use panel::CheckedPanel;
use section::{Reader, Section, Setting};

/// A valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This gateway.
    pub gateway: Gateway,
    /// Where clients may connect; never empty.
    pub listeners: Vec<Listener>,
    /// Bounds for the whole gateway; those of a connection are in its listener's `limits`.
    pub limits: Limits,
    /// Logins.
    pub auth: Auth,
    /// How rules are read.
    pub acl: Acl,
    /// What a closed lock does.
    pub lock: Lock,
    /// The remote second factor.
    pub latch: Latch,
    /// Button and LED.
    pub panel: Panel,
    /// Connections to other brokers.
    pub bridges: Vec<Bridge>,
    /// Operators and monitoring.
    pub admin: Admin,
    /// The log.
    pub log: Log,
    /// The file all this comes from; `None`: there is none, and everything is as built in.
    pub file: Option<PathBuf>,
}

impl Config {
    /// Reads the configuration: `explicit` if given, else the file named by `$LATCHGATE_CONFIG`, else
    /// `/etc/latchgate/latchgate.toml` if it exists, else the built-in one.
    pub fn load(explicit: Option<&Path>) -> Result<Config, ConfigError> {
        match Config::located(explicit) {
            Some(file) => Config::parse(&source::read(&file)?, &file),
            None => Ok(Config::builtin()),
        }
    }

    /// The file that [`Config::load`] reads; `None`: the built-in configuration is used.
    pub fn located(explicit: Option<&Path>) -> Option<PathBuf> {
        source::locate(explicit, std::env::var_os("LATCHGATE_CONFIG"), Path::new(source::SYSTEM_FILE))
    }

    /// Reads the text of `file`. All errors that can be told apart are reported, not only the first.
    pub fn parse(text: &str, file: &Path) -> Result<Config, ConfigError> {
        // A byte order mark is no part of the first line.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut reader = Reader::new(text, folder);
        let defaults =
            Config { file: Some(file.to_owned()), gateway: Gateway::beside(folder), ..Config::builtin() };
        let config = match DeTable::parse(text) {
            Ok(table) => Config::read(Section::root(table), &mut reader, defaults),
            Err(error) => {
                let what = error.message().lines().collect::<Vec<_>>().join("; ");
                reader.wrong(
                    error.span().unwrap_or(0..0),
                    what,
                    "text stands in quotes, lists in square brackets; more at https://toml.io",
                );
                defaults
            }
        };
        reader.finish(config, file)
    }

    /// The configuration of a gateway that has no file: one listener on 127.0.0.1:1883, state in
    /// `latchgate-state` in the working directory.
    pub fn builtin() -> Config {
        Config {
            gateway: Gateway::default(),
            listeners: vec![Listener::default()],
            limits: Limits::default(),
            auth: Auth::default(),
            acl: Acl::default(),
            lock: Lock::default(),
            latch: Latch::default(),
            panel: Panel::default(),
            bridges: Vec::new(),
            admin: Admin::default(),
            log: Log::default(),
            file: None,
        }
    }

    /// The built-in configuration with another state folder, for commands that need nothing else.
    pub fn with_state(state: PathBuf) -> Config {
        Config { gateway: Gateway { state, ..Gateway::default() }, ..Config::builtin() }
    }

    /// Every backend that is asked anywhere.
    pub fn backends(&self) -> Vec<Backend> {
        let mut used = self.auth.backends.clone();
        for backend in self.listeners.iter().flat_map(|listener| &listener.backends) {
            if !used.contains(backend) {
                used.push(*backend);
            }
        }
        used
    }

    /// The error that `problems` were found in this configuration's file.
    pub fn wrong(&self, mut problems: Vec<Problem>) -> ConfigError {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        ConfigError::Wrong { file: self.file.clone().unwrap_or_default(), problems, more: 0 }
    }

    fn read(mut root: Section<'_>, reader: &mut Reader<'_>, defaults: Config) -> Config {
        let auth_place = root.span_of("auth").unwrap_or(0..0);
        let limits = root.read::<Limits>("limits", reader, &defaults.limits);
        let latch = root.span_of("latch");
        let admin = root.span_of("admin");
        // Listeners inherit the limits, so these come first.
        let inherited = vec![Listener { limits: limits.clone(), ..Listener::default() }];
        let gateway = root.read::<Gateway>("gateway", reader, &defaults.gateway);
        reader.gateway_id.clone_from(&gateway.id);
        let config = Config {
            gateway,
            listeners: root.read::<Listeners>("listener", reader, &inherited),
            limits,
            auth: root.read::<Auth>("auth", reader, &defaults.auth),
            acl: root.read::<Acl>("acl", reader, &defaults.acl),
            lock: root.read::<Lock>("lock", reader, &defaults.lock),
            latch: root.read::<Latch>("latch", reader, &defaults.latch),
            panel: root.read::<CheckedPanel>("panel", reader, &defaults.panel),
            bridges: root.read::<Bridges>("bridge", reader, &defaults.bridges),
            admin: root.read::<Admin>("admin", reader, &defaults.admin),
            log: root.read::<Log>("log", reader, &defaults.log),
            file: defaults.file,
        };
        config.auth.check(&config.backends(), auth_place, reader);
        config.latch.check(latch, reader);
        config.admin.check(&config.listeners, admin, reader);
        root.finish(
            &[
                "gateway", "listener", "limits", "auth", "acl", "lock", "latch", "panel", "bridge", "admin",
                "log",
            ],
            reader,
        );
        config
    }
}

/// Every key with its documentation and default, as a configuration file. Read back, it is the built-in
/// configuration. It is the same on every machine.
pub fn reference() -> String {
    let Config { gateway, listeners, limits, auth, acl, lock, latch, panel, bridges, admin, log, file: _ } =
        Config::builtin();
    let mut out = String::from(
        "# The configuration of latchgate, with every key at its default. Relative paths start at the folder of\n\
         # this file; `$CREDENTIALS_DIRECTORY/NAME` is a credential that systemd loaded (LoadCredential=). Unknown keys are errors. `latchgate check` says whether a file is right.\n",
    );
    Gateway::describe("", "gateway", &[], &gateway, &mut out);
    Listeners::describe("", "listener", &[], &listeners, &mut out);
    Limits::describe("", "limits", &[], &limits, &mut out);
    Auth::describe("", "auth", &[], &auth, &mut out);
    Acl::describe("", "acl", &[], &acl, &mut out);
    Lock::describe("", "lock", &[], &lock, &mut out);
    Latch::describe("", "latch", &[], &latch, &mut out);
    CheckedPanel::describe("", "panel", &[], &panel, &mut out);
    Bridges::describe("", "bridge", &[], &bridges, &mut out);
    Admin::describe("", "admin", &[], &admin, &mut out);
    Log::describe("", "log", &[], &log, &mut out);
    out
}

#[cfg(test)]
mod tests;
