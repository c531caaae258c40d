//! A run with traffic: connects everyone, publishes, waits for what is still under way, and adds up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Target};
use super::others;
use super::pace::Pacemaker;
use super::process::Usage;
use super::publisher::{Published, Publisher, Schedule};
use super::report::{BrokerCost, Latency, Report, Traffic, histogram};
use super::subscriber::{Received, Subscriber};
use super::wire::Template;
use crate::mqtt::{QoS, Version};

/// How often the end of a run is looked for.
const LOOK: Duration = Duration::from_millis(5);
/// A publisher that makes no progress for this long will not make any.
const STALLED: Duration = Duration::from_secs(15);

/// Send buffer of a publisher's socket in bytes. The system would let it grow to megabytes, that is seconds of
/// messages that a slow broker has still to read when publishing ends.
pub(super) const SEND_BUFFER: usize = 64 * 1024;

/// How much is published.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// By each publisher.
    Messages(u64),
    Time(Duration),
}

/// A run with traffic, as it was asked for.
#[derive(Debug)]
pub struct Load {
    pub target: Target,
    pub name: String,
    pub publishers: u32,
    pub subscribers: u32,
    /// Subscriber N receives from publisher N alone.
    pub each: bool,
    pub amount: Amount,
    /// Bytes.
    pub payload: usize,
    pub qos: QoS,
    /// Messages published per second in all; `None`: as fast as the broker takes them.
    pub rate: Option<u64>,
    pub window: u16,
    pub topic: String,
    /// Of clients that receive nothing.
    pub other_subscriptions: u64,
    pub grace: Duration,
    pub pids: Vec<u32>,
}

/// What the tasks of a run share.
#[derive(Debug)]
pub struct Run {
    pub id: u32,
    pub start: Instant,
    pub publishers: u32,
    pub paced: bool,
    /// Different messages received, by all subscribers.
    pub received: AtomicU64,
    /// Changes while publishers get something written.
    pub progress: AtomicU64,
    /// Nanoseconds.
    pub latency: Mutex<Histogram<u64>>,
    pub stop: CancellationToken,
}

impl Load {
    /// # Errors
    /// If a client cannot connect or subscribe, or loses its connection.
    pub async fn run(self) -> anyhow::Result<Report> {
        let id = getrandom::u32().context("no random numbers")?;
        // Held until everything was measured.
        let _others = others::connect(&self.target, id, &self.topic, self.other_subscriptions).await?;
        let mut subscribers = Vec::new();
        for number in 0..self.subscribers {
            let mut client = Client::connect(&self.target, &format!("bench-{id:08x}-s{number}"))
                .await
                .context("a subscriber")?;
            let topic = &self.topic;
            let filter = if self.each { format!("{topic}/{number}") } else { format!("{topic}/+") };
            client.subscribe(&[filter], self.qos).await?;
            subscribers.push(client);
        }
        let mut publishers = Vec::new();
        for number in 0..self.publishers {
            let client_id = format!("bench-{id:08x}-p{number}");
            let client = Client::connect(&self.target, &client_id).await.context("a publisher")?;
            client.stream.options().set_send_buffer_size(SEND_BUFFER)?;
            publishers.push(client);
        }

        let pacemaker = self.rate.map(|_| Pacemaker::start()).transpose()?;
        let (broker, own) = (Usage::of(&self.pids)?, Usage::of_self()?);
        let run = Arc::new(Run {
            id,
            start: Instant::now(),
            publishers: self.publishers,
            paced: pacemaker.is_some(),
            received: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            latency: Mutex::new(histogram()?),
            stop: CancellationToken::new(),
        });
        let mut receiving = JoinSet::new();
        for client in subscribers {
            receiving.spawn(Subscriber::new(client, self.target.version, run.clone()).receive());
        }
        let mut publishing = JoinSet::new();
        for (client, number) in publishers.into_iter().zip(0..) {
            publishing.spawn(self.publisher(client, number, &pacemaker, run.clone()).publish());
        }
        let published = follow(&mut publishing, &mut receiving, &run).await?;
        let each = if self.each { 1 } else { u64::from(self.subscribers) };
        let expected = published.sent * each;
        drain(&mut receiving, &run, expected, self.grace).await?;
        let (broker_after, own_after) = (Usage::of(&self.pids)?, Usage::of_self()?);

        run.stop.cancel();
        let mut received = Received::default();
        while let Some(result) = receiving.join_next().await {
            let one = result??;
            received.messages += one.messages;
            received.duplicates += one.duplicates;
            received.reordered += one.reordered;
            received.last = received.last.max(one.last);
        }
        let elapsed = received.last.map_or(Duration::ZERO, |last| last - run.start);
        let per_message = |cpu: Duration| cpu.as_secs_f64() * 1e6 / received.messages.max(1) as f64;
        Ok(Report::Traffic(Traffic {
            scenario: self.name,
            protocol: if self.target.version == Version::V5 { "5" } else { "3.1.1" },
            qos: self.qos as u8,
            publishers: self.publishers,
            subscribers: self.subscribers,
            payload: self.payload,
            sent: published.sent,
            refused: published.refused,
            expected,
            delivered: received.messages,
            lost: expected.saturating_sub(received.messages),
            duplicates: received.duplicates,
            reordered: received.reordered,
            seconds: elapsed.as_secs_f64(),
            per_second: received.messages as f64 / elapsed.as_secs_f64().max(1e-9),
            latency: Latency::of(&run.latency.lock()),
            broker: (!self.pids.is_empty()).then(|| BrokerCost {
                cpu_seconds: (broker_after.cpu - broker.cpu).as_secs_f64(),
                cpu_us_per_message: per_message(broker_after.cpu - broker.cpu),
                resident: broker_after.resident,
            }),
            generator_us_per_message: per_message(own_after.cpu - own.cpu),
        }))
    }

    pub(super) fn publisher(
        &self,
        client: Client,
        number: u32,
        pacemaker: &Option<Pacemaker>,
        run: Arc<Run>,
    ) -> Publisher {
        let schedule = self.rate.zip(pacemaker.as_ref()).map(|(rate, pacemaker)| {
            let between = 1e9 / rate as f64;
            Schedule {
                first: Duration::from_nanos((between * f64::from(number)) as u64),
                interval: between * f64::from(self.publishers),
                pulse: pacemaker.pulse(),
            }
        });
        Publisher {
            number,
            template: Template::new(
                &format!("{}/{number}", self.topic),
                self.qos,
                self.payload,
                self.target.version,
            ),
            qos: self.qos,
            window: u64::from(self.window.min(client.receive_maximum)),
            client,
            amount: self.amount,
            schedule,
            run,
            out: Vec::new(),
            written: 0,
            inbound: vec![0; 16 * 1024],
            filled: 0,
            in_flight: 0,
            done: Published::default(),
        }
    }
}

pub(super) type Receiving = JoinSet<anyhow::Result<Received>>;

/// Waits until every publisher has done its part; stops them when nothing moves any more.
pub(super) async fn follow(
    publishing: &mut JoinSet<anyhow::Result<Published>>,
    receiving: &mut Receiving,
    run: &Run,
) -> anyhow::Result<Published> {
    let mut sum = Published::default();
    let (mut last, mut since) = (0, Instant::now());
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            ended = publishing.join_next() => match ended {
                None => return Ok(sum),
                Some(one) => {
                    let one = one??;
                    sum.sent += one.sent;
                    sum.refused += one.refused;
                }
            },
            // What the stopped ones have to say is wanted later.
            Some(ended) = receiving.join_next(), if !run.stop.is_cancelled() => { ended??; }
            _ = look.tick() => {
                let progress = run.progress.load(Ordering::Relaxed);
                if progress != last {
                    (last, since) = (progress, Instant::now());
                } else if since.elapsed() > STALLED {
                    run.stop.cancel();
                }
            }
        }
    }
}

/// Waits until everything has arrived, or nothing does any more.
pub(super) async fn drain(
    receiving: &mut Receiving,
    run: &Run,
    expected: u64,
    grace: Duration,
) -> anyhow::Result<()> {
    let (mut last, mut since) = (0, Instant::now());
    let mut look = tokio::time::interval(LOOK);
    while run.received.load(Ordering::Relaxed) < expected
        && since.elapsed() < grace
        && !run.stop.is_cancelled()
    {
        tokio::select! {
            Some(ended) = receiving.join_next() => { ended??; }
            _ = look.tick() => {
                let received = run.received.load(Ordering::Relaxed);
                if received != last {
                    (last, since) = (received, Instant::now());
                }
            }
        }
    }
    Ok(())
}
