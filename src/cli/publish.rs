//! `latchgate pub`: publishes messages, options named as in mosquitto_pub.

use std::io::{BufRead, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::client::{ConnectionArgs, Renewing, parse_qos, parse_topic};
use crate::cli::context::BadUsage;
use crate::mqtt::{Properties, Property, QoS};

/// Publishes a message and waits until the server has acknowledged it.
///
/// At QoS 0 nothing is answered: a refusal is only seen with -q 1 or -q 2, and with version 5 of the protocol.
///
/// Exit status: 0 when every message was taken, 1 when one was refused or the connection failed.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub struct PublishArgs {
    /// Topic to publish to
    #[arg(short, long, value_parser = parse_topic)]
    topic: String,
    #[command(flatten)]
    source: Source,
    /// QoS: 0, 1 or 2
    #[arg(short, long, default_value = "0", value_parser = parse_qos)]
    qos: QoS,
    /// Have the server keep the message for later subscribers
    #[arg(short, long)]
    retain: bool,
    /// A version 5 property: `publish user-property NAME VALUE`, `publish message-expiry-interval SECONDS`,
    /// `publish content-type TEXT` or `publish response-topic TOPIC`
    #[arg(short = 'D', long = "property", value_name = "PROPERTY", num_args = 3..=4, action = clap::ArgAction::Append)]
    properties: Vec<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Where the payload comes from.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// Payload
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<String>,
    /// An empty payload; with -r it removes the retained message
    #[arg(short, long)]
    null_message: bool,
    /// File whose content is the payload
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// All of standard input is the payload
    #[arg(short, long)]
    stdin_file: bool,
    /// Each line of standard input is a payload of its own
    #[arg(short = 'l', long)]
    stdin_line: bool,
}

/// Runs `latchgate pub`.
///
/// # Errors
/// Unreadable input, and whatever the connection failed of. A message that the server refused is told on
/// standard error and by exit status 1.
pub fn run(args: PublishArgs) -> anyhow::Result<ExitCode> {
    let properties = parse_properties(&args.properties)?;
    let payload = args.source.read()?;
    let options = args.connection.options("pub")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Renewing::connect(options).await?;
        let mut refused = false;
        let mut publish = async |client: &mut Renewing, payload: &[u8]| {
            let outcome =
                client.publish(&args.topic, payload, args.qos, args.retain, properties.clone()).await?;
            if outcome.reason.is_failure() {
                eprintln!("latchgate pub: {} was refused: {outcome}", args.topic);
                refused = true;
            }
            anyhow::Ok(())
        };
        match payload {
            Some(payload) => publish(&mut client, &payload).await?,
            None => {
                let mut lines = stdin_lines();
                while let Some(line) = next_line(&mut lines, &mut client).await? {
                    publish(&mut client, &line).await?;
                }
            }
        }
        client.disconnect().await?;
        Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

impl Source {
    /// The payload, or `None` if there is one in each line of standard input.
    fn read(&self) -> anyhow::Result<Option<Vec<u8>>> {
        if self.stdin_line {
            return Ok(None);
        }
        if let Some(file) = &self.file {
            let payload = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            return Ok(Some(payload));
        }
        let mut payload = self.message.clone().unwrap_or_default().into_bytes();
        if self.stdin_file {
            std::io::stdin().lock().read_to_end(&mut payload).context("cannot read standard input")?;
        }
        Ok(Some(payload))
    }
}

type Lines = tokio::sync::mpsc::Receiver<std::io::Result<Vec<u8>>>;

/// The lines of standard input without their ends, read by a thread of its own because reading blocks.
fn stdin_lines() -> Lines {
    let (sender, lines) = tokio::sync::mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Waits for a line while the connection is kept alive; `None` at the end of input.
async fn next_line(lines: &mut Lines, client: &mut Renewing) -> anyhow::Result<Option<Vec<u8>>> {
    loop {
        tokio::select! {
            line = lines.recv() => return line.transpose().context("cannot read standard input"),
            // A message can only come to a session that an earlier client subscribed with.
            message = client.next_message() => drop(message?),
        }
    }
}

/// The properties of `-D`, whose values arrive in one list.
fn parse_properties(words: &[String]) -> anyhow::Result<Properties<'_>> {
    let mut words = words.iter().map(String::as_str);
    let mut properties = Properties::default();
    while let Some(command) = words.next() {
        anyhow::ensure!(command == "publish", "-D {command}: only properties of `publish` are known");
        let name = words.next().unwrap_or_default();
        let mut value = || words.next().with_context(|| format!("-D publish {name}: a value is missing"));
        properties.push(match name {
            "user-property" => Property::UserProperty(value()?, value()?),
            "message-expiry-interval" => Property::MessageExpiryInterval(
                value()?.parse().context("-D publish message-expiry-interval: not a number of seconds")?,
            ),
            "content-type" => Property::ContentType(value()?),
            "response-topic" => {
                let topic = value()?;
                parse_topic(topic).map_err(|error| anyhow::anyhow!("-D publish response-topic: {error}"))?;
                Property::ResponseTopic(topic)
            }
            _ => {
                return Err(BadUsage(format!(
                    "-D publish {name}: known are user-property, message-expiry-interval, content-type, \
                     response-topic"
                ))
                .into());
            }
        });
    }
    Ok(properties)
}
