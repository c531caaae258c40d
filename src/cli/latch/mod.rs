//! `latchgate latch …`: the remote second factor.

mod setup;
mod status;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::console::Console;
use super::context::Context;
use crate::config::Config;
use crate::gateway;
use crate::latch::{Client, Command, Id, Outcome, Pairing, PairingStore, Performer, Rules, Token};
use crate::mqtt::TopicFilter;
use crate::store::{AccountsDb, PairingsDb};

/// The Latch service: a second factor on a phone; a running gateway obeys a change within a second
#[derive(Debug, clap::Subcommand)]
pub enum LatchCommand {
    Setup(setup::SetupArgs),
    /// Pair a user with the phone that shows a token
    Pair {
        /// User name
        user: String,
        /// The token that the Latch app shows, or - to read it from standard input. It is good once, and only for a
        /// short time.
        token: String,
    },
    /// End the pairing of a user
    Unpair {
        /// User name
        user: String,
        /// Forget it here without asking the service, which may not be reachable
        #[arg(long)]
        forget: bool,
    },
    Status(status::StatusArgs),
    /// Instances: topics that a phone can lock one by one
    #[command(subcommand)]
    Instance(InstanceCommand),
    /// Lock the application for a user as the phone would, or with --topic one of its instances
    Lock(SwitchArgs),
    /// Unlock it
    Unlock(SwitchArgs),
    /// What the service has on record for a user, as JSON
    History {
        /// User name
        user: String,
    },
}

/// Instances: topics that a phone can lock one by one
#[derive(Debug, clap::Subcommand)]
pub enum InstanceCommand {
    /// Give a paired user's phone a lock for a topic filter
    Add {
        /// User name
        user: String,
        /// Topic filter
        filter: String,
    },
    /// List the instances
    List {
        /// User name; without it, those of every user
        user: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take an instance away
    Remove {
        /// User name
        user: String,
        /// Topic filter
        filter: String,
    },
}

/// What to lock or unlock.
#[derive(Debug, clap::Args)]
pub struct SwitchArgs {
    /// User name
    user: String,
    /// The topic filter of an instance
    #[arg(long, value_name = "FILTER")]
    topic: Option<String>,
}

/// Does what was asked.
pub fn run(command: LatchCommand, context: &Context) -> anyhow::Result<ExitCode> {
    let config = match command {
        LatchCommand::Unpair { forget: true, .. } => Config::with_state(context.state_dir()?),
        LatchCommand::Instance(InstanceCommand::List { .. }) => {
            Config::with_state(context.state_with_accounts(false)?)
        }
        _ => context.config()?,
    };
    Console::of_process(|console| execute(command, &config, console))
}

fn execute(command: LatchCommand, config: &Config, console: &mut Console) -> anyhow::Result<ExitCode> {
    match command {
        LatchCommand::Setup(args) => setup::run(&args, config, console)?,
        LatchCommand::Status(args) => status::run(&args, config, console)?,
        LatchCommand::Pair { user, token } => {
            let token = token_of(token, console)?;
            let latch = Opened::new(config)?;
            if !AccountsDb::open(&config.gateway.state)?.has_user(&user)? {
                writeln!(
                    console.err,
                    "note: there is no account {user:?}; whoever logs in under the name by another way is meant"
                )?;
            }
            latch.perform(&user, Command::Pair(token), console)?;
        }
        LatchCommand::Unpair { user, forget: false } => {
            Opened::new(config)?.perform(&user, Command::Unpair, console)?;
        }
        LatchCommand::Unpair { user, forget: true } => {
            ensure!(PairingsDb::open(&config.gateway.state)?.unpair(&user)?, "user {user:?} is not paired");
            writeln!(console.out, "user {user:?}: unpaired here; the phone may still show it")?;
        }
        LatchCommand::Instance(InstanceCommand::Add { user, filter }) => {
            TopicFilter::new(&filter).with_context(|| format!("{filter:?} is not a topic filter"))?;
            Opened::new(config)?.perform(&user, Command::CreateInstance(filter), console)?;
        }
        LatchCommand::Instance(InstanceCommand::Remove { user, filter }) => {
            Opened::new(config)?.perform(&user, Command::RemoveInstance(filter), console)?;
        }
        LatchCommand::Instance(InstanceCommand::List { user, json }) => {
            list_instances(user.as_deref(), json, config, console)?;
        }
        LatchCommand::Lock(args) => Opened::new(config)?.switch(&args, true, console)?,
        LatchCommand::Unlock(args) => Opened::new(config)?.switch(&args, false, console)?,
        LatchCommand::History { user } => {
            let latch = Opened::new(config)?;
            let (account, _) = latch.account(&user)?;
            let history = wait(latch.client.history(&account, None))??;
            console.json(&Value::Object(history))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The token that was typed or comes by standard input.
fn token_of(given: String, console: &mut Console) -> anyhow::Result<Token> {
    let given = match given.as_str() {
        "-" => {
            let mut piped = String::new();
            console.input.take(256).read_to_string(&mut piped).context("cannot read the token")?;
            piped
        }
        _ => given,
    };
    Ok(Token::new(&given)?)
}

fn list_instances(
    user: Option<&str>,
    json: bool,
    config: &Config,
    console: &mut Console,
) -> anyhow::Result<()> {
    let state = &config.gateway.state;
    // Listing makes no database.
    let has_pairings = state.join(PairingsDb::FILE).try_exists().unwrap_or(true);
    let pairings = if has_pairings { PairingsDb::open(state)?.load()? } else { Vec::new() };
    let wanted = pairings.iter().filter(|pairing| user.is_none_or(|user| pairing.user == user));
    let rows: Vec<[String; 3]> = wanted
        .flat_map(|pairing| pairing.instances.iter().map(|instance| (&pairing.user, instance)))
        .map(|(user, instance)| [user.clone(), instance.topic.clone(), instance.id.to_string()])
        .collect();
    if !json {
        return console.table(["USER", "TOPIC", "ID"], &rows);
    }
    let list: Vec<Value> = rows
        .iter()
        .map(|[user, topic, id]| serde_json::json!({ "user": user, "topic": topic, "id": id }))
        .collect();
    console.json(&list)
}

/// The service as configured, and the pairings in the state directory.
struct Opened {
    client: Client,
    rules: Rules,
    store: Arc<PairingsDb>,
}

impl Opened {
    fn new(config: &Config) -> anyhow::Result<Self> {
        let Some((client, rules)) = gateway::open_latch(config)? else {
            bail!(
                "Latch is not configured: `latch.application_id` is missing; begin with: latchgate latch setup"
            );
        };
        Ok(Opened { client, rules, store: Arc::new(PairingsDb::open(&config.gateway.state)?) })
    }

    fn perform(&self, user: &str, command: Command, console: &mut Console) -> anyhow::Result<()> {
        let performer = Performer::new(self.client.clone(), self.store.clone());
        match wait(performer.perform(user, command, true))? {
            Outcome::Done(words) => Ok(writeln!(console.out, "user {user:?}: {words}")?),
            outcome => bail!("user {user:?}: {outcome}"),
        }
    }

    /// A paired user's account.
    fn account(&self, user: &str) -> anyhow::Result<(Id, Pairing)> {
        let pairing = self.store.load()?.into_iter().find(|pairing| pairing.user == user);
        let Some(pairing) = pairing else {
            bail!("user {user:?} is not paired; pair it with: latchgate latch pair {user} TOKEN");
        };
        let account = pairing.account.clone();
        Ok((account.context("what is kept of the pairing cannot be understood: pair anew")?, pairing))
    }

    fn switch(&self, args: &SwitchArgs, lock: bool, console: &mut Console) -> anyhow::Result<()> {
        let (account, pairing) = self.account(&args.user)?;
        let instance = args.topic.as_ref().map(|topic| {
            let found = pairing.instances.iter().find(|instance| instance.topic == *topic);
            found.map(|found| &found.id).with_context(|| format!("there is no instance for {topic:?}"))
        });
        let instance = instance.transpose()?;
        if lock {
            wait(self.client.lock(&account, None, instance))??;
        } else {
            wait(self.client.unlock(&account, None, instance))??;
        }
        Ok(writeln!(console.out, "user {:?}: {}", args.user, if lock { "locked" } else { "unlocked" })?)
    }
}

/// Waits for an answer of the service.
fn wait<T>(question: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(question))
}
