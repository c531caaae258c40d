//! `latchgate bench`: loads any MQTT broker and measures it.
//!
//! The generator must cost far less than the broker it measures: packets are encoded once and patched, written in
//! batches, and read in place from a large buffer; nothing is allocated for a message. Every message carries its
//! publisher, a sequence number and the time it was due, so that loss, duplicates, reordering and latency are
//! counted and not guessed.

mod client;
mod connects;
mod framing;
mod load;
mod offline;
mod others;
mod pace;
mod process;
mod publisher;
mod report;
mod stamp;
mod stream;
mod subscriber;
mod tally;
mod wire;

use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use super::client::TlsArgs;
use super::context::BadUsage;
use crate::mqtt::{QoS, Version};
use crate::system::limits;
use client::Target;
use load::{Amount, Load};

/// Load any MQTT broker and measure it: messages per second, loss, latency and the broker's CPU time
///
/// Exit status 1 if a message of QoS 1 or 2 was lost. A saturating run says what the broker can carry; latency is
/// worth reading only below that, with --rate.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// What to do
    #[arg(value_enum)]
    scenario: Scenario,
    /// The broker's host name or address
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The broker's port [default: 1883; with TLS 8883]
    #[arg(long)]
    port: Option<u16>,
    /// User name of every client
    #[arg(long)]
    user: Option<String>,
    /// File with the password (one newline at its end is not part of it)
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Version of the protocol
    #[arg(long, value_enum, default_value = "3.1.1")]
    protocol: Protocol,
    /// QoS of publishes and subscriptions
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Publishers [default: 10; fan-in 50, fan-out 1]
    #[arg(long, value_parser = number())]
    publishers: Option<u64>,
    /// Subscribers, each of which receives everything [default: 10; fan-in and offline 1, fan-out 50]
    #[arg(long, value_parser = number())]
    subscribers: Option<u64>,
    /// Subscriber N receives only from publisher N
    #[arg(long)]
    each: bool,
    /// Subscriptions of further clients that match nothing that is published, at most 1000 each
    #[arg(long, default_value_t = 0, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(..=10_000_000))]
    other_subscriptions: u64,
    /// Clients of `connect`
    #[arg(long, default_value_t = 1000, value_parser = number())]
    clients: u64,
    /// Messages of each publisher, in place of --seconds
    #[arg(long, conflicts_with = "seconds", value_parser = number())]
    messages: Option<u64>,
    /// How long to publish; with `connect`, how long to stay connected
    #[arg(long, default_value = "5", value_parser = seconds)]
    seconds: Duration,
    /// Bytes of a payload, at least 24
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(24..=1_000_000))]
    payload: u32,
    /// Messages published per second in all, at fixed times whatever the broker does [default: as fast as it
    /// takes them; latency 1000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: Option<u64>,
    /// Messages of QoS 1 and 2 that a publisher may have unacknowledged
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    window: u16,
    /// First level or levels of every topic; publisher N publishes to TOPIC/N
    #[arg(long, default_value = "bench")]
    topic: String,
    /// How long nothing may arrive before the missing messages count as lost
    #[arg(long, default_value = "3", value_name = "SECONDS", value_parser = seconds)]
    grace: Duration,
    /// Threads of the load generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Process of the broker, on this machine: its CPU time and memory are reported; may be repeated
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Speak MQTT over WebSocket
    #[arg(long)]
    websocket: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

/// How the clients are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Scenario {
    /// Ten publishers, ten subscribers
    Pairs,
    /// Many publishers, one subscriber
    FanIn,
    /// One publisher, many subscribers
    FanOut,
    /// Clients that connect and then stay idle
    Connect,
    /// As pairs, at a fixed rate
    Latency,
    /// Ten publishers to one subscriber that is away and comes back: messages acknowledged per second (QoS 1 or 2)
    Offline,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Protocol {
    #[value(name = "3.1.1")]
    V311,
    #[value(name = "5")]
    V5,
}

/// Most clients, or thousands of messages; more would only run out of memory.
fn number() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..=1_000_000_000)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match seconds {
        0.05..=86_400.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("must be from 0.05 to 86400 seconds".into()),
    }
}

/// Runs the scenario and prints what was measured.
pub fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    // Fewer open files show as a failed connection, which says so itself.
    let _ = limits::raise_open_files();
    let target = args.target()?;
    let runtime = match args.threads {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        threads => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(usize::from(threads))
            .enable_all()
            .build()?,
    };
    let json = args.json;
    let report = match args.scenario {
        Scenario::Connect => {
            runtime.block_on(connects::run(target, args.clients, args.seconds, &args.pids))?
        }
        Scenario::Offline => runtime.block_on(args.into_load(target)?.run_offline())?,
        _ => runtime.block_on(args.into_load(target)?.run())?,
    };
    report.print(json)?;
    Ok(if report.failed() { ExitCode::from(super::FAILED) } else { ExitCode::from(super::DONE) })
}

impl BenchArgs {
    fn target(&self) -> anyhow::Result<Target> {
        let tls = self.tls.read()?;
        let port = self.port.unwrap_or(if tls.is_some() { 8883 } else { 1883 });
        let name = (self.host.as_str(), port);
        let address = name
            .to_socket_addrs()
            .with_context(|| format!("cannot find the host `{}`", self.host))?
            .next()
            .with_context(|| format!("the host `{}` has no address", self.host))?;
        let password = match &self.password_file {
            None => None,
            Some(path) => {
                let text = std::fs::read(path)
                    .with_context(|| format!("cannot read the password file {}", path.display()))?;
                Some(text.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(text))
            }
        };
        let version = match self.protocol {
            Protocol::V311 => Version::V311,
            Protocol::V5 => Version::V5,
        };
        let (host, user) = (self.host.clone(), self.user.clone());
        Ok(Target { host, address, tls, websocket: self.websocket, version, user, password })
    }

    fn into_load(self, target: Target) -> Result<Load, BadUsage> {
        let (publishers, subscribers) = match self.scenario {
            Scenario::FanIn => (50, 1),
            Scenario::FanOut => (1, 50),
            Scenario::Offline => (10, 1),
            _ => (10, 10),
        };
        let publishers = self.publishers.unwrap_or(publishers);
        let subscribers = self.subscribers.unwrap_or(subscribers);
        if self.scenario == Scenario::Offline && (self.qos == 0 || subscribers != 1) {
            return Err(BadUsage("offline needs --qos 1 or 2, and has one subscriber".into()));
        }
        if self.each && publishers != subscribers {
            return Err(BadUsage("--each needs as many publishers as subscribers".into()));
        }
        Ok(Load {
            target,
            name: clap::ValueEnum::to_possible_value(&self.scenario)
                .map_or_else(String::new, |value| value.get_name().to_owned()),
            publishers: u32::try_from(publishers).map_err(|_| BadUsage("too many publishers".into()))?,
            subscribers: u32::try_from(subscribers).map_err(|_| BadUsage("too many subscribers".into()))?,
            each: self.each,
            amount: self.messages.map_or(Amount::Time(self.seconds), Amount::Messages),
            payload: self.payload as usize,
            qos: QoS::from_bits(self.qos).unwrap_or_default(),
            rate: self.rate.or((self.scenario == Scenario::Latency).then_some(1000)),
            window: self.window,
            topic: self.topic,
            other_subscriptions: self.other_subscriptions,
            grace: self.grace,
            pids: self.pids,
        })
    }
}
