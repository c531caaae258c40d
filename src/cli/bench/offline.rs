//! A run whose subscriber is away: messages acknowledged per second, and what of them it finds when it is back.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::load::{Load, Receiving, Run, SEND_BUFFER, drain, follow};
use super::process::Usage;
use super::report::{BrokerCost, Latency, Report, Traffic, histogram};
use super::subscriber::Subscriber;
use crate::mqtt::Version;

impl Load {
    /// Publishes to a session whose client is away; seconds, rate and CPU time are those of publishing. Latency is
    /// not measured.
    ///
    /// # Errors
    /// If a client cannot connect or subscribe, or loses its connection.
    pub async fn run_offline(self) -> anyhow::Result<Report> {
        let id = getrandom::u32().context("no random numbers")?;
        let away = format!("bench-{id:08x}-away");
        let mut client = Client::resume(&self.target, &away).await.context("the subscriber")?;
        client.subscribe(&[format!("{}/+", self.topic)], self.qos).await?;
        client.leave().await?;
        let mut publishers = Vec::new();
        for number in 0..self.publishers {
            let client_id = format!("bench-{id:08x}-p{number}");
            let client = Client::connect(&self.target, &client_id).await.context("a publisher")?;
            client.stream.options().set_send_buffer_size(SEND_BUFFER)?;
            publishers.push(client);
        }
        let (broker, own) = (Usage::of(&self.pids)?, Usage::of_self()?);
        let run = Arc::new(Run {
            id,
            start: Instant::now(),
            publishers: self.publishers,
            paced: false,
            received: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            latency: Mutex::new(histogram()?),
            stop: CancellationToken::new(),
        });
        let mut publishing = JoinSet::new();
        for (client, number) in publishers.into_iter().zip(0..) {
            publishing.spawn(self.publisher(client, number, &None, run.clone()).publish());
        }
        let mut receiving = Receiving::new();
        let published = follow(&mut publishing, &mut receiving, &run).await?;
        let elapsed = run.start.elapsed().as_secs_f64();
        let (broker_after, own_after) = (Usage::of(&self.pids)?, Usage::of_self()?);

        let client = Client::resume(&self.target, &away).await.context("the subscriber, back again")?;
        receiving.spawn(Subscriber::new(client, self.target.version, run.clone()).receive());
        let expected = published.sent.saturating_sub(published.refused);
        drain(&mut receiving, &run, expected, self.grace).await?;
        run.stop.cancel();
        let received = receiving.join_next().await.context("there is a subscriber")???;
        // A clean start leaves nothing behind.
        Client::connect(&self.target, &away).await?.leave().await?;
        let per_message = |seconds: f64| seconds * 1e6 / expected.max(1) as f64;
        let cpu = (broker_after.cpu - broker.cpu).as_secs_f64();
        Ok(Report::Traffic(Traffic {
            scenario: self.name,
            protocol: if self.target.version == Version::V5 { "5" } else { "3.1.1" },
            qos: self.qos as u8,
            publishers: self.publishers,
            subscribers: 1,
            payload: self.payload,
            sent: published.sent,
            refused: published.refused,
            expected,
            delivered: received.messages,
            lost: expected.saturating_sub(received.messages),
            duplicates: received.duplicates,
            reordered: received.reordered,
            seconds: elapsed,
            per_second: expected as f64 / elapsed.max(1e-9),
            latency: Latency::of(&run.latency.lock()),
            broker: (!self.pids.is_empty()).then(|| BrokerCost {
                cpu_seconds: cpu,
                cpu_us_per_message: per_message(cpu),
                resident: broker_after.resident,
            }),
            generator_us_per_message: per_message((own_after.cpu - own.cpu).as_secs_f64()),
        }))
    }
}
