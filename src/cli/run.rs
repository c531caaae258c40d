//! `latchgate run`: the gateway in the foreground.

use std::net::TcpListener;
use std::pin::pin;
use std::process::ExitCode;

use super::context::{Context, start_log};
use crate::config::Config;
use crate::gateway::{Gateway, GatewayError};
use crate::system::{
    limits, notify,
    signals::{Event, Signals},
    sockets,
};

/// Signs of life in the time within which the service manager wants one: two may come late.
const SIGNS: u32 = 3;

/// Run the gateway in the foreground, until SIGTERM or Ctrl-C; SIGHUP reads the configuration, accounts and rules again
#[derive(Debug, clap::Args)]
pub struct RunArgs {}

/// Runs until a signal says stop.
pub fn run(_args: RunArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    start_log(&config.log)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    if let Err(error) = limits::raise_open_files() {
        tracing::warn!(%error, "the number of open files cannot be raised: it bounds the connections");
    }
    let handed = sockets::take()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let Some((mut gateway, reload)) = start(&config, handed, &mut signals).await? else {
            tracing::info!("stopping before it was ready");
            return Ok(());
        };
        notify::ready(&gateway.status());
        if let Some(within) = notify::watchdog() {
            gateway.show_life(within / SIGNS, notify::alive);
        }
        if reload {
            gateway.reload().await;
        }
        loop {
            match signals.next().await {
                Event::Shutdown => break,
                Event::Reload => gateway.reload().await,
            }
        }
        tracing::info!("stopping");
        notify::stopping();
        gateway.stop().await;
        anyhow::Ok(())
    })?;
    // Whoever is still being spoken to has had its time.
    runtime.shutdown_background();
    Ok(ExitCode::from(super::DONE))
}

/// Starts the gateway, and says whether its configuration is to be read again; `None` if it is to stop before it is ready.
async fn start(
    config: &Config,
    handed: Vec<(String, TcpListener)>,
    signals: &mut Signals,
) -> Result<Option<(Gateway, bool)>, GatewayError> {
    let mut starting = pin!(Gateway::start_with(config, handed));
    let mut reload = false;
    loop {
        tokio::select! {
            biased;
            started = &mut starting => return Ok(Some((started?, reload))),
            event = signals.next() => match event {
                Event::Shutdown => {
                    notify::stopping();
                    return Ok(None);
                }
                Event::Reload => reload = true,
            },
        }
    }
}
