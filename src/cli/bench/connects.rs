//! Clients that connect, a bounded number at a time, and then stay idle: how fast, and what one costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use super::client::{Client, Target};
use super::process::Usage;
use super::report::{Connects, IdleCost, Latency, Report};

/// Connections made at the same time.
const AT_ONCE: usize = 100;

/// Connects `clients`, holds all of them for `hold`, and lets them go.
///
/// # Errors
/// If one cannot connect.
pub async fn run(target: Target, clients: u64, hold: Duration, pids: &[u32]) -> anyhow::Result<Report> {
    let id = getrandom::u32().context("no random numbers")?;
    let target = Arc::new(target);
    let before = Usage::of(pids)?;
    let start = Instant::now();
    let mut latency = Histogram::new(3)?;
    let (mut connecting, mut connected) = (JoinSet::new(), Vec::new());
    let mut keep = |one: Result<anyhow::Result<(Client, Duration)>, tokio::task::JoinError>| {
        let (client, time) = one??;
        latency.saturating_record(time.as_nanos() as u64);
        connected.push(client);
        anyhow::Ok(())
    };
    for number in 0..clients {
        if connecting.len() == AT_ONCE
            && let Some(one) = connecting.join_next().await
        {
            keep(one)?;
        }
        let target = target.clone();
        connecting.spawn(async move {
            let start = Instant::now();
            let client = Client::connect(&target, &format!("bench-{id:08x}-c{number}")).await?;
            Ok((client, start.elapsed()))
        });
    }
    while let Some(one) = connecting.join_next().await {
        keep(one)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let after = Usage::of(pids)?;
    tokio::time::sleep(hold).await;
    let held = Usage::of(pids)?;
    let clients_f = clients.max(1) as f64;
    Ok(Report::Connects(Connects {
        scenario: "connect",
        clients,
        seconds,
        per_second: clients as f64 / seconds,
        latency: Latency::of(&latency),
        broker: (!pids.is_empty()).then(|| IdleCost {
            cpu_us_per_connect: (after.cpu - before.cpu).as_secs_f64() * 1e6 / clients_f,
            resident_before: before.resident,
            resident_idle: held.resident,
            bytes_per_client: (held.resident as f64 - before.resident as f64) / clients_f,
            idle_cpu_seconds: (held.cpu - after.cpu).as_secs_f64(),
        }),
    }))
}
