//! What every command needs: the configuration that was named, and the log.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tracing::level_filters::LevelFilter;

use crate::config::{Config, ConfigError, Level, Log, LogFormat, LogTarget};
use crate::store::AccountsDb;
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

    /// The state folder, for commands that need nothing else of the configuration. If that is wrong elsewhere, standard
    /// error tells it and the command goes on: a gateway that runs can be closed whatever became of its file.
    ///
    /// # Errors
    /// As [`Context::config`], if the file does not tell the folder either.
    pub fn state_dir(&self) -> Result<PathBuf, ConfigError> {
        let error = match self.config() {
            Ok(config) => return Ok(config.gateway.state),
            Err(error) => error,
        };
        let Some(state) = error.state() else { return Err(error) };
        let first = error.problems().first();
        let place = first.map(|first| format!(":{}:{}: {}", first.line, first.column, first.what));
        // Nobody may be listening; the command matters more.
        let _ = writeln!(
            std::io::stderr(),
            "warning: the configuration has an error, {}{} (see: latchgate check); the state directory {} is used",
            error.file().display(),
            place.unwrap_or_default(),
            state.display()
        );
        Ok(state)
    }

    /// Why there are no accounts to read or change, if `state` holds no database of them: an empty one must not be made,
    /// which would look as if the accounts were lost.
    pub fn no_accounts(&self, state: &Path) -> Option<String> {
        (!AccountsDb::exists(state)).then(|| {
            let chosen = match Config::located(self.config.as_deref()) {
                Some(config) => format!("the configuration {} leads there", config.display()),
                None => "no configuration is named, by --config or LATCHGATE_CONFIG, so the state is looked for in the \
                         working directory"
                    .to_owned(),
            };
            format!("there is no database of accounts {}: {chosen}", state.join(AccountsDb::FILE).display())
        })
    }

    /// The state folder, for commands about the accounts in it. `makes`: the command may begin a new database.
    ///
    /// # Errors
    /// As [`Context::state_dir`], and if there is no database and none is to be made.
    pub fn state_with_accounts(&self, makes: bool) -> anyhow::Result<PathBuf> {
        let state = self.state_dir()?;
        match self.no_accounts(&state) {
            Some(why) if !makes => bail!("{why}; `latchgate run` makes it, and `latchgate user add`"),
            _ => Ok(state),
        }
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
