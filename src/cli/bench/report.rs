//! What was measured, for people and for programs.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::cli::output;

/// The result of one run.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Report {
    Traffic(Traffic),
    Connects(Connects),
}

#[derive(Debug, Serialize)]
pub struct Traffic {
    pub scenario: String,
    pub protocol: &'static str,
    pub qos: u8,
    pub publishers: u32,
    pub subscribers: u32,
    /// Bytes.
    pub payload: usize,
    pub sent: u64,
    /// Publishes that the broker said no to (only version 5 can).
    pub refused: u64,
    /// Deliveries that there should have been.
    pub expected: u64,
    /// Deliveries, repetitions not counted.
    pub delivered: u64,
    pub lost: u64,
    pub duplicates: u64,
    pub reordered: u64,
    /// From the first publish to the last delivery.
    pub seconds: f64,
    /// Deliveries a second.
    pub per_second: f64,
    pub latency: Latency,
    pub broker: Option<BrokerCost>,
    /// CPU time of the load generator itself for each delivery, in microseconds.
    pub generator_us_per_message: f64,
}

/// What the broker's process spent.
#[derive(Debug, Serialize)]
pub struct BrokerCost {
    pub cpu_seconds: f64,
    /// User and system time for each delivery, in microseconds.
    pub cpu_us_per_message: f64,
    /// Resident memory at the end, in bytes.
    pub resident: u64,
}

#[derive(Debug, Serialize)]
pub struct Connects {
    pub scenario: &'static str,
    pub clients: u64,
    pub seconds: f64,
    pub per_second: f64,
    /// From opening the socket to CONNACK.
    pub latency: Latency,
    pub broker: Option<IdleCost>,
}

/// What idle clients cost.
#[derive(Debug, Serialize)]
pub struct IdleCost {
    pub cpu_us_per_connect: f64,
    /// Resident memory before the first, in bytes.
    pub resident_before: u64,
    /// Resident memory with all of them idle, in bytes.
    pub resident_idle: u64,
    pub bytes_per_client: f64,
    pub idle_cpu_seconds: f64,
}

/// Percentiles in microseconds.
#[derive(Debug, Serialize)]
pub struct Latency {
    pub samples: u64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Latency {
    /// Of a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Latency {
            samples: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1e3,
        }
    }

    fn line(&self) -> String {
        let Latency { p50, p90, p99, p999, max, samples } = self;
        format!(
            "latency    p50 {p50:.0} us, p90 {p90:.0}, p99 {p99:.0}, p99.9 {p999:.0}, max {max:.0} ({samples} samples)\n"
        )
    }
}

impl Report {
    /// Whether a message was lost that may not be.
    pub fn failed(&self) -> bool {
        matches!(self, Report::Traffic(traffic) if traffic.qos > 0 && traffic.lost > 0)
    }

    /// Prints it on standard output.
    ///
    /// # Errors
    /// If nobody reads it.
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        match json {
            true => output::print_json(&serde_json::to_value(self)?),
            false => output::print(&self.text()),
        }
    }

    fn text(&self) -> String {
        match self {
            Report::Traffic(t) => {
                let mut text = format!(
                    "{} {}->{} at QoS {}, MQTT {}, payload {} bytes\n",
                    t.scenario, t.publishers, t.subscribers, t.qos, t.protocol, t.payload
                );
                text += &format!(
                    "delivered  {} of {} in {:.2} s: {:.0} a second\n",
                    t.delivered, t.expected, t.seconds, t.per_second
                );
                text += &format!(
                    "lost       {}, duplicates {}, reordered {}, refused {}\n",
                    t.lost, t.duplicates, t.reordered, t.refused
                );
                text += &t.latency.line();
                if let Some(broker) = &t.broker {
                    text += &format!(
                        "broker     {:.3} us CPU a delivery ({:.2} s), {:.1} MiB resident\n",
                        broker.cpu_us_per_message,
                        broker.cpu_seconds,
                        mebibytes(broker.resident)
                    );
                }
                text + &format!("generator  {:.3} us CPU a delivery\n", t.generator_us_per_message)
            }
            Report::Connects(c) => {
                let mut text = format!(
                    "connect {} clients in {:.2} s: {:.0} a second\n",
                    c.clients, c.seconds, c.per_second
                );
                text += &c.latency.line();
                if let Some(broker) = &c.broker {
                    text += &format!(
                        "broker     {:.1} us CPU a connect; {:.1} MiB resident before, {:.1} MiB with all idle: {:.0} bytes a client\n",
                        broker.cpu_us_per_connect,
                        mebibytes(broker.resident_before),
                        mebibytes(broker.resident_idle),
                        broker.bytes_per_client
                    );
                }
                text
            }
        }
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
