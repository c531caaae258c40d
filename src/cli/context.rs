//! What every command needs: the configuration that was named, and the log.

use std::path::PathBuf;

use anyhow::Context as _;
use tracing::level_filters::LevelFilter;

use crate::config::{Config, ConfigError, Level, Log, LogFormat, LogTarget};
use crate::system::log;

/// What was asked besides the command itself.
#[derive(Debug)]
pub struct Context {
    config: Option<PathBuf>,
}

impl Context {
    /// `config`: the file given with `--config`.
    pub fn new(config: Option<PathBuf>) -> Self {
        Self { config }
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// As [`Config::load`]; shown with its places, exit status 2.
    pub fn config(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref())
    }

    /// The state folder of the configuration, for commands that need nothing else of it.
    ///
    /// # Errors
    /// As [`Context::config`].
    pub fn state_dir(&self) -> Result<PathBuf, ConfigError> {
        Ok(self.config()?.gateway.state)
    }
}

/// Something typed that the command line's definition cannot know to be wrong; exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(pub String);

/// Starts the log as configured.
///
/// # Errors
/// If the journal is asked for and cannot be reached, or the log was started before.
pub fn start_log(config: &Log) -> anyhow::Result<()> {
    let level = match config.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let target = match (config.target, config.format) {
        (LogTarget::Journal, _) => log::Target::Journal,
        (LogTarget::Stderr, LogFormat::Text) => log::Target::Text,
        (LogTarget::Stderr, LogFormat::Json) => log::Target::Json,
    };
    log::start(level, target).context("cannot start the log")
}
