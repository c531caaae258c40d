//! `latchgate sub`: prints messages as they come, options named as in mosquitto_sub.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;

use super::client::{ClientError, ConnectionArgs, Message, Renewing, parse_qos};
use crate::mqtt::{QoS, TopicFilter};

/// Subscribes to topics and prints the messages that come.
///
/// Exit status: 0 when it ended as asked (-C, -W, Ctrl-C), 1 when every filter was refused, when the connection
/// failed, or when -W passed before as many messages came as -C asks for.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub struct SubscribeArgs {
    /// Topic filter to subscribe to; may be given several times
    #[arg(short, long = "topic", value_name = "FILTER", required = true, value_parser = parse_filter)]
    topics: Vec<String>,
    /// QoS: 0, 1 or 2
    #[arg(short, long, default_value = "0", value_parser = parse_qos)]
    qos: QoS,
    /// End after this many messages
    #[arg(short = 'C', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this many seconds
    #[arg(short = 'W', value_name = "SECONDS")]
    wait: Option<u64>,
    /// Print the topic before each payload
    #[arg(short, long, conflicts_with = "json")]
    verbose: bool,
    /// Print no line end after a payload
    #[arg(short = 'N', conflicts_with = "json")]
    no_newline: bool,
    /// Skip retained messages
    #[arg(short = 'R')]
    no_retained: bool,
    /// Print each message as a line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

fn parse_filter(text: &str) -> Result<String, String> {
    TopicFilter::parse_subscription(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Runs `latchgate sub`.
///
/// # Errors
/// Whatever the connection failed of. Refused filters are told on standard error.
pub fn run(args: SubscribeArgs) -> anyhow::Result<ExitCode> {
    let SubscribeArgs { topics, qos, count, wait, verbose, no_newline, no_retained, json, .. } = args;
    let format = Format { verbose, newline: !no_newline, json };
    let options = args.connection.options("sub")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Renewing::connect(options).await?;
        let filters: Vec<&str> = topics.iter().map(String::as_str).collect();
        let outcomes = client.subscribe(&filters, qos).await?;
        let refused = outcomes.iter().filter(|outcome| outcome.reason.is_failure()).count();
        for (filter, outcome) in filters.iter().zip(&outcomes).filter(|(_, o)| o.reason.is_failure()) {
            eprintln!("latchgate sub: {filter} was refused: {outcome}");
        }
        if refused == filters.len() {
            client.disconnect().await?;
            return Ok(ExitCode::FAILURE);
        }
        let printing = print_messages(&mut client, count, no_retained, format);
        let end = tokio::select! {
            printed = printing => printed?,
            () = elapsed(wait) => End::Waited,
            signal = interrupted() => { signal?; End::AsAsked }
        };
        client.disconnect().await?;
        Ok(match (end, count) {
            (End::Waited, Some(count)) => {
                eprintln!(
                    "latchgate sub: fewer than {count} messages came in {} s",
                    wait.unwrap_or_default()
                );
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        })
    })
}

/// Why printing ended.
enum End {
    /// Enough messages, a signal, or nobody reads our output any more.
    AsAsked,
    /// The time of `-W` has passed.
    Waited,
}

async fn elapsed(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

/// Returns at SIGINT or SIGTERM.
async fn interrupted() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

async fn print_messages(
    client: &mut Renewing,
    count: Option<u64>,
    no_retained: bool,
    format: Format,
) -> Result<End, ClientError> {
    let mut printed = 0;
    while count.is_none_or(|count| printed < count) {
        let message = client.next_message().await?;
        if no_retained && message.retain {
            continue;
        }
        if format.print(&message, &mut std::io::stdout().lock()).is_err() {
            break; // a closed pipe: the reader has seen enough
        }
        printed += 1;
    }
    Ok(End::AsAsked)
}

/// How a message is printed.
#[derive(Clone, Copy)]
struct Format {
    verbose: bool,
    newline: bool,
    json: bool,
}

impl Format {
    fn print(self, message: &Message, out: &mut impl Write) -> std::io::Result<()> {
        if self.json {
            writeln!(out, "{}", as_json(message))?;
        } else {
            if self.verbose {
                write!(out, "{} ", message.topic)?;
            }
            out.write_all(&message.payload)?;
            if self.newline {
                out.write_all(b"\n")?;
            }
        }
        out.flush()
    }
}

/// A payload that is not text stands in `payload_base64` instead of `payload`; what a message does not have is
/// left out.
fn as_json(message: &Message) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    let mut add = |name: &str, value: serde_json::Value| object.insert(name.into(), value);
    add("topic", message.topic.as_str().into());
    add("qos", (message.qos as u8).into());
    add("retain", message.retain.into());
    match str::from_utf8(&message.payload) {
        Ok(text) => add("payload", text.into()),
        Err(_) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(&message.payload);
            add("payload_base64", encoded.into())
        }
    };
    if let Some(seconds) = message.expiry {
        add("message_expiry_interval", seconds.into());
    }
    if let Some(content_type) = &message.content_type {
        add("content_type", content_type.as_str().into());
    }
    if let Some(topic) = &message.response_topic {
        add("response_topic", topic.as_str().into());
    }
    if !message.user_properties.is_empty() {
        // Pairs, not an object: names may repeat and their order counts [MQTT-3.3.2-18].
        add("user_properties", serde_json::json!(message.user_properties));
    }
    object.into()
}
