//! What monitoring reads: OpenMetrics text, made from a snapshot at each scrape. No label names a client.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};
use serde_json::Value;

use crate::{
    broker::{Dropped, Snapshot},
    net::{Tls, tls},
    policy::{Spread, Verdicts, auth::desk::DeskTotals},
};

use super::{BridgeState, Doors};

/// The media type of [`text`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics as text.
pub(super) fn text(
    broker: Snapshot,
    policy: Verdicts,
    doors: Arc<Doors>,
    latch: Option<Value>,
    bridges: Vec<BridgeState>,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { broker, policy, doors, latch, bridges }));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

#[derive(Debug)]
struct Scrape {
    broker: Snapshot,
    policy: Verdicts,
    doors: Arc<Doors>,
    latch: Option<Value>,
    bridges: Vec<BridgeState>,
}

/// Labels of one sample.
type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Writer { encoder };
        broker(&self.broker, &mut out)?;
        store(&self.broker, &mut out)?;
        policy(&self.policy, &mut out)?;
        backends(&self.policy.backends, &mut out)?;
        lock(&self.policy, &self.broker, &mut out)?;
        latch(self.latch.as_ref(), &mut out)?;
        certificates(&self.doors.certificates, &mut out)?;
        bridges(&self.bridges, &mut out)
    }
}

/// The second factor, from its report.
fn latch(report: Option<&Value>, out: &mut Writer<'_>) -> fmt::Result {
    let Some(report) = report else { return Ok(()) };
    let answering = u64::from(report["service"] == "answering");
    out.gauge("latchgate_latch_answering", "Whether the Latch service answers as it should", answering)?;
    let users = || report["users"].as_array().into_iter().flatten();
    let closed = users().filter(|user| user["closed"].as_array().is_some_and(|closed| !closed.is_empty()));
    let (paired, closed) = (users().count() as u64, closed.count() as u64);
    out.gauge("latchgate_latch_users_paired", "Users that are paired", paired)?;
    out.gauge("latchgate_latch_users_closed", "Paired users for whom something is closed", closed)
}

fn certificates(all: &[Arc<Tls>], out: &mut Writer<'_>) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    let now = tls::now();
    for (name, days, kind) in [
        (
            "latchgate_net_certificate_expiry_days",
            "Days until the server's certificate expires; negative once it has",
            tls::Kind::Certificate,
        ),
        (
            "latchgate_net_client_ca_expiry_days",
            "Days until the first of the authorities in client_ca expires; negative once it has",
            tls::Kind::ClientCa,
        ),
        (
            "latchgate_net_crl_expiry_days",
            "Days until the first of the lists in crl is overdue; negative once it is",
            tls::Kind::Crl,
        ),
    ] {
        out.metric(name, days, MetricType::Gauge, |mut metric| {
            for tls in all {
                for term in tls.terms().iter().filter(|term| term.kind == kind) {
                    let days = term.left(now) as f64 / 86_400.0;
                    metric.encode_family(&[("listener", tls.listener())])?.encode_gauge(&days)?;
                }
            }
            Ok(())
        })?;
    }
    let failed = all.iter().flat_map(|tls| {
        tls.failed().map(|(reason, count)| (vec![("listener", tls.listener()), ("reason", reason)], count))
    });
    out.counters("latchgate_net_tls_handshakes_failed", "TLS handshakes that failed, by reason", failed)
}

fn bridges(all: &[BridgeState], out: &mut Writer<'_>) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    type Look = fn(&BridgeState) -> f64;
    let gauges: [(&str, &str, Look); 4] = [
        ("connected", "Whether the remote broker answered within the last keep alive", |b| {
            f64::from(u8::from(b.connected))
        }),
        ("backlog_messages", "Messages that wait for the remote broker", |b| b.queued_messages as f64),
        ("backlog_bytes", "Bytes that wait for the remote broker", |b| b.queued_bytes as f64),
        ("backlog_age_seconds", "How long the oldest of them has waited", |b| {
            b.oldest_seconds.unwrap_or(0) as f64
        }),
    ];
    for (name, help, look) in gauges {
        out.metric(&format!("latchgate_bridge_{name}"), help, MetricType::Gauge, |mut metric| {
            for bridge in all {
                metric.encode_family(&[("bridge", &*bridge.name)])?.encode_gauge(&look(bridge))?;
            }
            Ok(())
        })?;
    }
    let routes =
        || all.iter().flat_map(|bridge| bridge.routes.iter().map(move |route| (&*bridge.name, route)));
    let accepted =
        routes().map(|(bridge, route)| (vec![("bridge", bridge), ("route", &*route.topic)], route.accepted));
    out.counters(
        "latchgate_bridge_messages_accepted",
        "Messages of QoS 1 and 2 that a route took on",
        accepted,
    )?;
    let fates = routes().flat_map(|(bridge, route)| {
        let fates = [("delivered", route.delivered), ("expired", route.expired)];
        let dropped = route.dropped.iter().map(|(reason, count)| (*reason, *count));
        fates.into_iter().chain(dropped).map(move |(fate, count)| {
            (vec![("bridge", bridge), ("route", &*route.topic), ("fate", fate)], count)
        })
    });
    out.counters(
        "latchgate_bridge_messages_left",
        "Messages of QoS 1 and 2 that left the spool, by what became of them",
        fates,
    )?;
    let came = all.iter().flat_map(|bridge| {
        bridge.routes_in.iter().flat_map(move |route| {
            let refused = route.refused.iter().map(|(reason, count)| (*reason, *count));
            [("published", route.published)].into_iter().chain(refused).map(move |(fate, count)| {
                (vec![("bridge", &*bridge.name), ("route", &*route.topic), ("fate", fate)], count)
            })
        })
    });
    out.counters(
        "latchgate_bridge_messages_taken",
        "Messages of QoS 1 and 2 acknowledged to the remote broker, by route and by what became of them; kept over restarts",
        came,
    )?;
    let qos0 = all.iter().flat_map(|bridge| {
        let fates = [("sent", bridge.qos0_sent), ("dropped", bridge.qos0_dropped)];
        fates.map(|(fate, count)| (vec![("bridge", &*bridge.name), ("fate", fate)], count))
    });
    out.counters("latchgate_bridge_qos0_messages", "Messages of QoS 0, by what became of them", qos0)?;
    let arrived = all.iter().flat_map(|bridge| {
        let fates = [
            ("published", bridge.in_published),
            ("held", bridge.in_held),
            ("refused", bridge.in_refused),
            ("echo", bridge.in_echoes),
        ];
        fates.map(|(fate, count)| (vec![("bridge", &*bridge.name), ("fate", fate)], count))
    });
    out.counters(
        "latchgate_bridge_messages_arrived",
        "Messages from the remote broker, by what became of them",
        arrived,
    )
}

fn broker(now: &Snapshot, out: &mut Writer<'_>) -> fmt::Result {
    let info: Labels = vec![("version", env!("CARGO_PKG_VERSION"))];
    out.info("latchgate_gateway_build", "The running executable", info)?;
    out.gauge("latchgate_gateway_uptime_seconds", "Time since the start", now.uptime.as_secs())?;
    out.gauge("latchgate_broker_connections", "Clients connected", now.connected)?;
    let most = "The most clients that were connected at a time";
    out.gauge("latchgate_broker_connections_maximum", most, now.most_connected)?;
    out.gauge("latchgate_broker_sessions", "Sessions, connected or not", now.sessions)?;
    let expired = "Sessions that ended because nobody came back in time";
    out.counter("latchgate_broker_sessions_expired", expired, now.expired)?;
    out.counter("latchgate_broker_sockets_accepted", "Sockets that were accepted", now.sockets)?;
    out.counter("latchgate_broker_connects_received", "CONNECT packets that could be read", now.connects)?;
    let received = "PUBLISH packets from clients";
    out.counter("latchgate_broker_messages_received", received, now.received.publishes)?;
    let delivered = "PUBLISH packets to clients, repetitions included";
    out.counter("latchgate_broker_messages_delivered", delivered, now.sent.publishes)?;
    out.counter("latchgate_broker_messages_refused", "Publishes that were refused", now.refused)?;
    out.counter("latchgate_broker_packets_received", "MQTT packets from clients", now.received.packets)?;
    out.counter("latchgate_broker_packets_sent", "MQTT packets to clients", now.sent.packets)?;
    out.counter("latchgate_broker_received_bytes", "Bytes from clients", now.received.bytes)?;
    out.counter("latchgate_broker_sent_bytes", "Bytes to clients", now.sent.bytes)?;
    let payload = "Bytes of payload in PUBLISH packets from clients";
    out.counter("latchgate_broker_payload_received_bytes", payload, now.received.payload)?;
    let payload = "Bytes of payload in PUBLISH packets to clients";
    out.counter("latchgate_broker_payload_sent_bytes", payload, now.sent.payload)?;

    let is_connection = |reason| matches!(reason, Dropped::Connections | Dropped::Pending | Dropped::Rate);
    let dropped = |connections: bool| {
        let of_kind = now.dropped.iter().filter(move |(reason, _)| is_connection(*reason) == connections);
        of_kind.map(|(reason, count)| (vec![("reason", reason.name())], *count))
    };
    let why = "Messages that did not reach a subscriber";
    out.counters("latchgate_broker_messages_dropped", why, dropped(false))?;
    let why = "Connections that were not taken";
    out.counters("latchgate_broker_connections_dropped", why, dropped(true))?;

    let queued = "Messages in the queues of all sessions";
    out.gauge("latchgate_broker_queued_messages", queued, now.queued.messages as u64)?;
    let queued =
        "About how many bytes the queued messages have, one that waits for several sessions once for each";
    out.gauge("latchgate_broker_queued_bytes", queued, now.queued.bytes as u64)?;
    let retained = "Retained messages of clients";
    out.gauge("latchgate_broker_retained_messages", retained, now.retained.messages as u64)?;
    out.gauge(
        "latchgate_broker_retained_bytes",
        "About how many bytes they take",
        now.retained.bytes as u64,
    )?;
    out.gauge(
        "latchgate_broker_subscriptions",
        "Subscriptions, shared ones aside",
        now.subscriptions as u64,
    )?;
    let shared = "Members of all share groups";
    out.gauge("latchgate_broker_shared_subscriptions", shared, now.shared_subscriptions as u64)
}

/// What an SD card has to bear.
fn store(now: &Snapshot, out: &mut Writer<'_>) -> fmt::Result {
    let commits = "Commits of sessions, queues and retained messages; each waits for the disk once";
    out.counter("latchgate_store_commits", commits, now.written.commits)?;
    out.counter("latchgate_store_written_bytes", "Bytes written to the disk for them", now.written.bytes)?;
    let took = "How long the commits took together";
    let micros = u64::try_from(now.written.took.as_micros()).unwrap_or(u64::MAX);
    out.counter("latchgate_store_commit_microseconds", took, micros)?;
    let writable = "1 if state can be kept; 0 if not, when messages of QoS 1 and 2 are refused";
    out.gauge("latchgate_store_writable", writable, u64::from(now.writable))
}

fn policy(now: &Verdicts, out: &mut Writer<'_>) -> fmt::Result {
    let permits: Vec<_> = now.permits.iter().map(|(operation, n)| (operation.to_string(), *n)).collect();
    let permits = permits.iter().map(|(operation, n)| (vec![("operation", operation.as_str())], *n));
    out.counters("latchgate_policy_permits", "Questions answered with yes", permits)?;
    let denials: Vec<_> = now
        .denials
        .iter()
        .map(|(operation, stage, count)| (operation.to_string(), stage.to_string(), *count))
        .collect();
    let denials = denials.iter().map(|(operation, stage, count)| {
        (vec![("operation", operation.as_str()), ("stage", stage.as_str())], *count)
    });
    out.counters(
        "latchgate_policy_denials",
        "Questions answered with no, by the stage that decided",
        denials,
    )?;
    let hits = "Publishes and deliveries judged from memory";
    out.counter("latchgate_policy_cache_hits", hits, now.cache_hits)?;
    let misses = "Publishes and deliveries for which the rules were looked through";
    out.counter("latchgate_policy_cache_misses", misses, now.cache_misses)?;
    let remembered = "Logins that were verified a short while ago, so that nothing was hashed";
    out.counter("latchgate_policy_logins_remembered", remembered, now.remembered_logins)?;
    let bans = "Bans after failed logins";
    out.counter("latchgate_policy_login_bans", bans, now.throttled.bans)?;
    out.gauge("latchgate_policy_bans", "Bans in force", now.bans as u64)?;
    let banned = "Logins refused since they were banned";
    out.counter("latchgate_policy_logins_banned", banned, now.throttled.refused)?;
    let delayed = "Failed logins that were answered late";
    out.counter("latchgate_policy_logins_delayed", delayed, now.throttled.delayed)?;
    let passwords = "Time to verify a password in full, right or wrong";
    out.histogram("latchgate_policy_password_verification_seconds", passwords, &now.passwords)
}

/// Backends that are asked elsewhere.
fn backends(all: &[DeskTotals], out: &mut Writer<'_>) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    type Look = fn(&DeskTotals) -> u64;
    let counters: [(&str, &str, Look); 3] = [
        ("questions", "Questions put to a backend, retries included", |desk| desk.asked),
        ("answers_remembered", "Questions to a backend that were answered from memory", |desk| {
            desk.remembered
        }),
        ("failures", "Questions that a backend did not answer", |desk| desk.failed),
    ];
    for (name, help, look) in counters {
        let samples = all.iter().map(|desk| (vec![("backend", &*desk.name)], look(desk)));
        out.counters(&format!("latchgate_policy_backend_{name}"), help, samples)?;
    }
    let left = "1 while a backend is left alone after failures";
    out.metric("latchgate_policy_backend_left_alone", left, MetricType::Gauge, |mut metric| {
        for desk in all {
            let open = u64::from(desk.left_alone);
            metric.encode_family(&[("backend", &*desk.name)])?.encode_gauge(&open)?;
        }
        Ok(())
    })?;
    let took = "Time until a backend answered, or failed to";
    out.metric("latchgate_policy_backend_answer_seconds", took, MetricType::Histogram, |mut metric| {
        for DeskTotals { name, took, .. } in all {
            let labels = [("backend", &**name)];
            let mut metric = metric.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(took.seconds, took.count, &took.classes, None)?;
        }
        Ok(())
    })
}

fn lock(policy: &Verdicts, broker: &Snapshot, out: &mut Writer<'_>) -> fmt::Result {
    let closed = "Scopes of the lock that are closed, for everyone or for some users";
    out.metric("latchgate_lock_closed", closed, MetricType::Gauge, |mut metric| {
        for (area, count) in policy.closed {
            metric.encode_family(&[("area", area)])?.encode_gauge(&(count as u64))?;
        }
        Ok(())
    })?;
    out.counter("latchgate_lock_changes", "Changes of the lock", policy.lock.count)?;
    let took = "How long they took together, from being asked for to being seen by every session";
    out.counter("latchgate_lock_change_microseconds", took, policy.lock.microseconds)?;
    let longest = "How long the longest took";
    out.gauge("latchgate_lock_change_longest_microseconds", longest, policy.lock.longest)?;
    let held = "Messages in the queues of connected sessions that the lock keeps back";
    out.gauge("latchgate_lock_held_messages", held, broker.withheld as u64)
}

/// Writes metrics one by one. Counters get their `_total` from the encoder.
struct Writer<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Writer<'_> {
    fn metric(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        f: impl FnOnce(MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        f(self.encoder.encode_descriptor(name, help, None, kind)?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.metric(name, help, MetricType::Gauge, |mut metric| metric.encode_gauge(&value))
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, std::iter::once((Vec::new(), value)))
    }

    fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        self.metric(name, help, MetricType::Counter, |mut metric| {
            for (labels, value) in samples {
                if labels.is_empty() {
                    metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
                } else {
                    metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
                }
            }
            Ok(())
        })
    }

    fn info(&mut self, name: &str, help: &str, labels: Labels<'_>) -> fmt::Result {
        self.metric(name, help, MetricType::Info, |mut metric| metric.encode_info(&labels))
    }

    fn histogram(&mut self, name: &str, help: &str, spread: &Spread) -> fmt::Result {
        self.metric(name, help, MetricType::Histogram, |mut metric| {
            metric.encode_histogram::<NoLabelSet>(spread.seconds, spread.count, &spread.classes, None)
        })
    }
}
