//! A client that comes back with a fresh token before its old one ends, or when the server ends the connection for it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Client, ClientError, Message, Options, Outcome};
use crate::mqtt::{Properties, QoS, ReasonCode, Version};

/// How long the server keeps the session meanwhile, unless told otherwise.
const KEPT: u32 = 120;
/// Vain tries, or connections in a row that end at once, after which nothing more is tried.
const TRIES: u32 = 5;
/// What counts as at once.
const SHORT: Duration = Duration::from_secs(1);

/// A connection that outlives its tokens. Without a token command it is a connection like any other.
pub struct Renewing {
    client: Client,
    options: Options,
    filters: Vec<String>,
    qos: QoS,
    /// When a fresh token is due, if that is known.
    due: Option<Instant>,
    connected: Instant,
    /// Connections in a row that ended at once.
    short: u32,
    /// Whether the session is ours to end.
    ends_session: bool,
}

impl Renewing {
    /// Connects; fetches the first token before, if there is a command for it.
    pub async fn connect(mut options: Options) -> Result<Self, ClientError> {
        let due = fetch(&mut options).await?;
        let ends_session = options.token.is_some() && options.session_expiry == 0 && options.clean_start;
        if ends_session {
            if options.version == Version::V5 {
                options.session_expiry = KEPT;
            } else {
                // There a session is either kept or clean: what an earlier one of this name left goes first.
                Client::connect(&options).await?.disconnect().await?;
                options.clean_start = false;
            }
        }
        let client = Client::connect(&options).await?;
        options.clean_start &= options.token.is_none();
        let connected = Instant::now();
        let (filters, qos) = (Vec::new(), QoS::AtMostOnce);
        Ok(Renewing { client, options, filters, qos, due, connected, short: 0, ends_session })
    }

    /// As [`Client::publish`]; what was not acknowledged when the token ended is sent again.
    pub async fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: QoS,
        retain: bool,
        properties: Properties<'_>,
    ) -> Result<Outcome, ClientError> {
        let mut again = true;
        loop {
            if self.is_due() {
                self.renew().await?;
            }
            match self.client.publish(topic, payload, qos, retain, properties.clone()).await {
                // The token may have ended just before the message came.
                Ok(outcome) if outcome.reason == ReasonCode::NotAuthorized && again && self.may_be_over() => {
                    again = false;
                    self.renew().await?;
                }
                Ok(outcome) => return Ok(outcome),
                Err(error) => self.come_back(error).await?,
            }
        }
    }

    /// As [`Client::subscribe`].
    pub async fn subscribe(&mut self, filters: &[&str], qos: QoS) -> Result<Vec<Outcome>, ClientError> {
        self.filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
        self.qos = qos;
        self.client.subscribe(filters, qos).await
    }

    /// As [`Client::next_message`]; may be cancelled.
    pub async fn next_message(&mut self) -> Result<Message, ClientError> {
        loop {
            let due = self.due;
            let received = tokio::select! {
                received = self.client.next_message() => received,
                () = passed(due) => {
                    self.renew().await?;
                    continue;
                }
            };
            match received {
                Ok(message) => return Ok(message),
                Err(error) => self.come_back(error).await?,
            }
        }
    }

    /// As [`Client::disconnect`]; a session that was kept only for the time between two tokens ends.
    pub async fn disconnect(self) -> Result<(), ClientError> {
        let Renewing { client, options, ends_session, .. } = self;
        if !ends_session {
            return client.disconnect().await;
        }
        if options.version == Version::V5 {
            return client.end_session().await;
        }
        client.disconnect().await?;
        let clean = Options { clean_start: true, ..options };
        Client::connect(&clean).await?.disconnect().await
    }

    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| Instant::now() >= due)
    }

    /// Whether a refusal may be due to the token's end.
    fn may_be_over(&self) -> bool {
        let unknown = self.due.is_none() && self.connected.elapsed() >= SHORT;
        self.options.token.is_some() && (unknown || self.is_due())
    }

    /// Takes leave and comes back with a fresh token. If there is none at present, the old one is used as long as it lasts.
    async fn renew(&mut self) -> Result<(), ClientError> {
        let Ok(due) = fetch(&mut self.options).await else {
            self.due = Instant::now().checked_add(SHORT);
            return Ok(());
        };
        self.due = None;
        self.client.leave().await?;
        match self.client.reconnect(&self.options).await {
            Ok(present) => self.begin(due, present).await,
            Err(error) => self.come_back(error).await,
        }
    }

    /// Comes back after the server ended the connection, if that can be for the token.
    async fn come_back(&mut self, mut error: ClientError) -> Result<(), ClientError> {
        self.short = if self.connected.elapsed() < SHORT { self.short + 1 } else { 0 };
        let mut tries = self.short;
        loop {
            if self.options.token.is_none() || !is_passing(&error) || tries >= TRIES {
                return Err(error);
            }
            tokio::time::sleep(SHORT * tries).await;
            tries += 1;
            match self.come_in().await {
                Ok((due, present)) => return self.begin(due, present).await,
                Err(next) => error = next,
            }
        }
    }

    async fn come_in(&mut self) -> Result<(Option<Instant>, bool), ClientError> {
        let due = fetch(&mut self.options).await?;
        Ok((due, self.client.reconnect(&self.options).await?))
    }

    /// Goes on in a new connection; subscribes anew if the server has no session any more.
    async fn begin(&mut self, due: Option<Instant>, present: bool) -> Result<(), ClientError> {
        (self.due, self.connected) = (due, Instant::now());
        if present || self.filters.is_empty() {
            return Ok(());
        }
        let filters: Vec<&str> = self.filters.iter().map(String::as_str).collect();
        self.client.subscribe(&filters, self.qos).await.map(drop)
    }
}

/// Fetches a token as the password, if there is a command for it; when the next is due.
async fn fetch(options: &mut Options) -> Result<Option<Instant>, ClientError> {
    let Some(command) = &options.token else { return Ok(None) };
    let token = command.fetch().await?;
    options.password = Some(token.secret);
    // Some time is left for the way, for clocks that differ and for a server that is busy.
    let due = |lifetime: Duration| {
        let margin = (lifetime / 5).clamp(Duration::from_millis(500), Duration::from_secs(60));
        Instant::now().checked_add(lifetime.saturating_sub(margin).max(Duration::from_millis(500)))
    };
    Ok(token.lifetime.and_then(due))
}

async fn passed(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Whether it may be mended by a fresh token. Another connection that took the session over does not go away by it.
fn is_passing(error: &ClientError) -> bool {
    let is_over = |outcome: &Outcome| {
        use ReasonCode::{BadUserNameOrPassword, MaximumConnectTime, NotAuthorized, ServerShuttingDown};
        matches!(
            outcome.reason,
            MaximumConnectTime | NotAuthorized | ServerShuttingDown | BadUserNameOrPassword
        )
    };
    match error {
        ClientError::Disconnected(outcome) | ClientError::Refused(outcome) => is_over(outcome),
        ClientError::Closed
        | ClientError::Broken(_)
        | ClientError::Unreachable { .. }
        | ClientError::Token { .. } => true,
        _ => false,
    }
}
