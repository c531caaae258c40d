//! How to connect: the options that `pub` and `sub` share, named as in mosquitto_pub and mosquitto_sub.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::tls::{ClientTls, TlsArgs};
use super::token::TokenCommand;
use crate::cli::context::BadUsage;
use crate::mqtt::{Connect, Login, Properties, Property, QoS, Version, Will, valid_topic_name};

/// How to connect to a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Protocol version.
    pub version: Version,
    /// Client identifier.
    pub client_id: String,
    /// Seconds; 0 switches keep alive off.
    pub keep_alive: u16,
    /// Clean Session (3.x) or Clean Start (5).
    pub clean_start: bool,
    /// Seconds the server keeps the session after the connection; version 5 only.
    pub session_expiry: u32,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// How a fresh password is had before each connection.
    pub token: Option<TokenCommand>,
    /// What the server publishes when the connection is lost.
    pub will: Option<WillOptions>,
    /// Encryption.
    pub tls: Option<ClientTls>,
    /// How long an answer of the server is awaited.
    pub timeout: Duration,
}

impl Options {
    /// Options for a fresh session of `client_id` at `host:port` in version 5.
    pub fn new(host: impl Into<String>, port: u16, client_id: impl Into<String>) -> Self {
        Options {
            host: host.into(),
            port,
            version: Version::V5,
            client_id: client_id.into(),
            keep_alive: 60,
            clean_start: true,
            session_expiry: 0,
            username: None,
            password: None,
            token: None,
            will: None,
            tls: None,
            timeout: Duration::from_secs(30),
        }
    }

    /// With a user name and password.
    pub fn login(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self.password = Some(Secret(password.into()));
        self
    }

    pub(super) fn packet(&self) -> Connect<'_> {
        let mut properties = Properties::default();
        if self.session_expiry > 0 {
            properties.push(Property::SessionExpiryInterval(self.session_expiry));
        }
        Connect {
            version: self.version,
            bridge: false,
            clean_start: self.clean_start,
            keep_alive: self.keep_alive,
            client_id: &self.client_id,
            will: self.will.as_ref().map(|will| Will {
                topic: &will.topic,
                payload: &will.payload,
                qos: will.qos,
                retain: will.retain,
                properties: Properties::default(),
            }),
            login: Login {
                username: self.username.as_deref(),
                password: self.password.as_ref().map(|secret| secret.0.as_bytes()),
            },
            properties,
        }
    }
}

/// The will of a connection.
#[derive(Clone, Debug)]
pub struct WillOptions {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS.
    pub qos: QoS,
    /// Whether it is published retained.
    pub retain: bool,
}

/// A password; its text is in no debug output.
#[derive(Clone)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(text)
    }
}

/// Options of the connection.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// Server to connect to
    #[arg(short = 'h', long, default_value = "localhost")]
    host: String,
    /// TCP port [default: 1883; with TLS 8883]
    #[arg(short, long)]
    port: Option<u16>,
    /// User name
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// Password. Every user of this machine can read it in the list of processes: better is --password-file or
    /// the environment variable LATCHGATE_PASSWORD
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", conflicts_with = "password_file")]
    password: Option<Secret>,
    /// File whose first line is the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Command for the shell that prints an access token, which is the password. Before the token ends, the client comes back
    /// with a fresh one; nothing of QoS 1 and 2 is lost meanwhile. When it ends is read from a JSON Web Token; else
    /// give --token-lifetime, or the client comes back when the server ends the connection
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["password", "password_file"])]
    token_command: Option<String>,
    /// Seconds for which each token is good
    #[arg(long, value_name = "SECONDS", requires = "token_command", value_parser = clap::value_parser!(u32).range(1..))]
    token_lifetime: Option<u32>,
    /// Client identifier [default: a random one]
    #[arg(short, long, value_name = "CLIENT-ID")]
    id: Option<String>,
    /// Seconds between signs of life; 0: none
    #[arg(short, long = "keepalive", value_name = "SECONDS", default_value_t = 60)]
    keepalive: u16,
    /// Protocol version: mqttv31, mqttv311 or mqttv5. Only in version 5 can a server say why it refuses
    #[arg(short = 'V', long, value_name = "VERSION", default_value = "mqttv5", value_parser = parse_version)]
    protocol_version: Version,
    /// Keep the session: subscriptions and undelivered messages of this client identifier
    #[arg(short = 'c', long, requires = "id")]
    disable_clean_session: bool,
    /// Seconds the server keeps the session after the connection (version 5); -1: for ever
    /// [default: -1 with -c, else 0]
    #[arg(short = 'x', long, value_name = "SECONDS", allow_hyphen_values = true, value_parser = parse_expiry)]
    session_expiry_interval: Option<u32>,
    /// Topic of the will, which the server publishes when this connection is lost
    #[arg(long, value_name = "TOPIC", value_parser = parse_topic)]
    will_topic: Option<String>,
    /// Payload of the will
    #[arg(long, value_name = "TEXT", requires = "will_topic", default_value = "", hide_default_value = true)]
    will_payload: String,
    /// QoS of the will
    #[arg(long, value_name = "QOS", requires = "will_topic", default_value = "0", value_parser = parse_qos)]
    will_qos: QoS,
    /// Publish the will retained
    #[arg(long, requires = "will_topic")]
    will_retain: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

impl ConnectionArgs {
    /// The options these arguments ask for; reads the password file or variable. A client identifier that was
    /// not given becomes `latchgate-PURPOSE-` and eight random digits.
    pub fn options(self, purpose: &str) -> anyhow::Result<Options> {
        let timeout = Duration::from_secs(30);
        let lifetime = self.token_lifetime.map(|seconds| Duration::from_secs(seconds.into()));
        let token = self.token_command.map(|command| TokenCommand { command, lifetime, timeout });
        let password = match (self.password, &self.password_file) {
            _ if token.is_some() => None,
            (Some(password), _) => Some(password),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read the password file {}", file.display()))?;
                Some(Secret(text.lines().next().unwrap_or_default().to_owned()))
            }
            (None, None) => match std::env::var("LATCHGATE_PASSWORD") {
                Ok(password) => Some(Secret(password)),
                Err(std::env::VarError::NotPresent) => None,
                Err(error) => return Err(error).context("cannot read LATCHGATE_PASSWORD"),
            },
        };
        if (password.is_some() || token.is_some())
            && self.username.is_none()
            && self.protocol_version < Version::V5
        {
            let what = "a password without a user name needs version 5: give -u NAME or -V mqttv5";
            return Err(BadUsage(what.into()).into());
        }
        let client_id = match self.id {
            Some(id) => id,
            None => format!("latchgate-{purpose}-{:08x}", getrandom::u32().context("no random numbers")?),
        };
        let tls = self.tls.read()?;
        let (qos, retain) = (self.will_qos, self.will_retain);
        let payload = self.will_payload.into_bytes();
        Ok(Options {
            host: self.host,
            port: self.port.unwrap_or(if tls.is_some() { 8883 } else { 1883 }),
            version: self.protocol_version,
            client_id,
            keep_alive: self.keepalive,
            clean_start: !self.disable_clean_session,
            session_expiry: self.session_expiry_interval.unwrap_or(if self.disable_clean_session {
                u32::MAX
            } else {
                0
            }),
            username: self.username,
            password,
            token,
            will: self.will_topic.map(|topic| WillOptions { topic, payload, qos, retain }),
            tls,
            timeout,
        })
    }
}

/// The QoS of an argument: 0, 1 or 2.
pub fn parse_qos(text: &str) -> Result<QoS, String> {
    text.parse().ok().and_then(QoS::from_bits).ok_or_else(|| "QoS is 0, 1 or 2".into())
}

/// The topic name of an argument.
pub fn parse_topic(text: &str) -> Result<String, String> {
    valid_topic_name(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

fn parse_version(text: &str) -> Result<Version, String> {
    match text {
        "mqttv31" | "31" => Ok(Version::V31),
        "mqttv311" | "311" => Ok(Version::V311),
        "mqttv5" | "5" => Ok(Version::V5),
        _ => Err("known are mqttv31, mqttv311 and mqttv5".into()),
    }
}

fn parse_expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "∞" => Ok(u32::MAX),
        text => text.parse().map_err(|_| "seconds from 0 to 4294967295, or -1 for ever".into()),
    }
}
