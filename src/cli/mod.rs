//! What did the person ask for?
//!
//! This room owns the command line: what can be typed, the exit status, and how errors are shown. One file is
//! one command. A new command takes a `mod` line, a variant of `Command` and an arm in `run`.
#![warn(clippy::print_stdout)] // `output::stdout` knows a closed pipe, `println!` panics on it

mod acl;
mod admin;
mod askers;
mod ban;
mod bench;
mod bridge;
mod check;
mod client;
mod completions;
mod console;
mod context;
mod demo;
mod doctor;
mod explain;
mod hash;
mod import;
mod latch;
mod lock;
mod man;
mod output;
mod panel;
mod pki;
mod provision;
mod publish;
mod reload;
mod role;
mod run;
mod setup;
mod subscribe;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    config::ConfigError,
    gateway::{self, GatewayError},
};
use context::{BadUsage, Context};

/// Exit status: done.
pub const DONE: u8 = 0;
/// Exit status: failed.
pub const FAILED: u8 = 1;
/// Exit status: bad usage or bad configuration.
pub const BAD_USAGE: u8 = 2;
/// Exit status: the question was answered, and the answer is no.
pub const NO: u8 = 3;

/// A secure MQTT edge gateway that asks before everything.
#[derive(Debug, Parser)]
#[command(
    name = "latchgate",
    version,
    arg_required_else_help = true,
    after_help = "Exit status: 0 done, 1 failed, 2 bad usage or configuration, 3 the answer is no."
)]
struct Cli {
    /// Configuration file [default: $LATCHGATE_CONFIG, else /etc/latchgate/latchgate.toml if it exists, else
    /// built-in defaults]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Run(run::RunArgs),
    Setup(setup::SetupArgs),
    Provision(provision::ProvisionArgs),
    Check(check::CheckArgs),
    Doctor(doctor::DoctorArgs),
    Pub(publish::PublishArgs),
    Sub(subscribe::SubscribeArgs),
    Hash(hash::HashArgs),
    /// Accounts; a running gateway obeys a change within a second
    #[command(subcommand)]
    User(user::UserCommand),
    /// Roles: groups of rules given to users
    #[command(subcommand)]
    Role(role::RoleCommand),
    /// Rules; a running gateway obeys a change within a second
    #[command(subcommand)]
    Acl(acl::AclCommand),
    /// The lock of the running gateway: closes it, in part or as a whole, at once and in live sessions
    #[command(subcommand)]
    Lock(lock::LockCommand),
    /// The Latch service: a second factor on a phone; a running gateway obeys a change within a second
    #[command(subcommand)]
    Latch(latch::LatchCommand),
    /// The button and the LED of the running gateway
    #[command(subcommand)]
    Panel(panel::PanelCommand),
    Pki(pki::PkiArgs),
    /// Bans after failed logins, in the running gateway
    #[command(subcommand)]
    Ban(ban::BanCommand),
    Explain(explain::ExplainArgs),
    Reload(reload::ReloadArgs),
    #[command(subcommand)]
    Bridge(bridge::BridgeCommand),
    /// Come from another broker
    #[command(subcommand)]
    Import(import::ImportCommand),
    Bench(bench::BenchArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Does what was asked.
fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let context = Context::new(cli.config);
    match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Run(args) => run::run(args, &context),
        Command::Setup(args) => setup::run(args, &context),
        Command::Provision(args) => provision::run(args),
        Command::Hash(args) => hash::run(args),
        Command::User(command) => {
            let makes = matches!(command, user::UserCommand::Add { .. });
            let (state, doing) = (context.state_with_accounts(makes)?, command.doing());
            askers::told(&context, &doing, &state, user::run(command, &state))
        }
        Command::Role(command) => {
            let makes = matches!(command, role::RoleCommand::Add { .. });
            let (state, doing) = (context.state_with_accounts(makes)?, command.doing());
            askers::told(&context, &doing, &state, role::run(command, &state))
        }
        Command::Acl(command) => {
            let state = match command {
                acl::AclCommand::Test { .. } => context.config()?.gateway.state,
                acl::AclCommand::Allow(_) | acl::AclCommand::Deny(_) => context.state_with_accounts(true)?,
                _ => context.state_with_accounts(false)?,
            };
            if let (acl::AclCommand::Test { .. }, Some(why)) = (&command, context.no_accounts(&state)) {
                // Other backends may answer, so it is no error.
                output::note(&why);
            }
            let doing = command.doing();
            let done = acl::run(command, &state, |accounts, question| {
                let settings = gateway::open_policy_settings(&context.config()?)?;
                Ok(acl::decide(accounts, &question, &settings))
            });
            askers::told(&context, &doing, &state, done)
        }
        Command::Lock(command) => lock::run(command, &context.state_dir()?),
        Command::Latch(command) => latch::run(command, &context),
        Command::Panel(command) => panel::run(command, &context.state_dir()?),
        Command::Pki(args) => pki::run(args),
        Command::Ban(command) => ban::run(command, &context.state_dir()?),
        Command::Explain(args) => explain::run(args, || Ok(context.state_dir()?)),
        Command::Bridge(command) => bridge::run(command, &context),
        // It is about the configuration, so this must be right.
        Command::Reload(args) => reload::run(args, &context.config()?.gateway.state),
        Command::Pub(args) => publish::run(args),
        Command::Sub(args) => subscribe::run(args),
        Command::Import(command) => import::run(command),
        Command::Bench(args) => bench::run(args),
        Command::Check(args) => check::run(args, &context),
        Command::Doctor(args) => doctor::run(&args, &context),
        Command::Completions(args) => completions::run(args, command()),
        Command::Man(args) => man::run(args, command()),
    }
}

/// The whole command line as clap knows it.
fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line and returns the exit status of the interface: 0 done, 1 failed, 2 bad usage or
/// configuration, 3 the answer is no.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version come this way too, with status 0. If nobody reads them, nothing can be done.
        Err(message) => {
            let _ = message.print();
            return ExitCode::from(if message.use_stderr() { BAD_USAGE } else { DONE });
        }
    };
    run(cli).unwrap_or_else(|error| report(&error))
}

/// Shows an error on standard error and tells its exit status.
fn report(error: &anyhow::Error) -> ExitCode {
    use std::io::Write;

    // `latchgate user list | head -1`: who has read enough is not told of an error.
    if output::is_closed(error) {
        return ExitCode::from(DONE);
    }
    let wrong = error.downcast_ref::<ConfigError>().or_else(|| match error.downcast_ref::<GatewayError>() {
        Some(GatewayError::Config(wrong)) => Some(wrong),
        _ => None,
    });
    let (text, status) = match wrong {
        Some(wrong) => (wrong.to_string(), BAD_USAGE),
        None if error.is::<admin::WrongConfiguration>() => (error.to_string(), BAD_USAGE),
        None if error.is::<BadUsage>() => (format!("latchgate: {error:#}"), BAD_USAGE),
        None => (format!("latchgate: {error:#}"), FAILED),
    };
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn the_configuration_can_be_named_before_or_after_the_command() {
        for words in [["latchgate", "--config", "x", "check"], ["latchgate", "check", "--config", "x"]] {
            assert_eq!(Cli::try_parse_from(words).unwrap().config, Some("x".into()));
        }
    }

    #[test]
    fn every_command_says_what_it_does() {
        for command in command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }

    #[test]
    fn errors_have_the_exit_status_of_the_interface() {
        let wrong = crate::config::Config::parse("x = 1", "x.toml".as_ref()).unwrap_err();
        for (error, status) in [
            (anyhow::Error::new(wrong).context("cannot start"), BAD_USAGE),
            (BadUsage("no such role".into()).into(), BAD_USAGE),
            (anyhow::anyhow!("the disk is full"), FAILED),
        ] {
            assert_eq!(report(&error), ExitCode::from(status), "{error:#}");
        }
    }
}
