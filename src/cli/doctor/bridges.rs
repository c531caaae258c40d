//! The brokers that bridges connect to: their names, the way there, TLS in both directions.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{io::AsyncReadExt, net::lookup_host, time::timeout};

use super::finding::Findings;
use crate::cli::bridge::left_over;
use crate::config::{Bridge, Config, RemoteAddress};
use crate::net::{Dialer, dial};

/// How long a broker that did the handshake has to refuse our certificate: in TLS 1.3 it says so only afterwards.
const SECOND_THOUGHTS: Duration = Duration::from_millis(1500);

/// Connects to every address of every bridge, without logging in: that would end the session of a gateway that runs.
pub async fn look(config: &Config, running: Option<&Value>, findings: &mut Findings) {
    for what in left_over(config) {
        findings.warn("state.db", what, "see the bridges of the configuration");
    }
    if config.bridges.is_empty() {
        return findings.fine("[[bridge]]", "there is no bridge");
    }
    for bridge in &config.bridges {
        let dialer = match Dialer::open(bridge) {
            Ok(dialer) => dialer,
            Err(problem) => {
                findings.wrong(format!("bridge {:?}", bridge.name), problem.what, problem.help);
                continue;
            }
        };
        for (number, address) in bridge.address.iter().enumerate() {
            reach(bridge, &dialer, number, address, findings).await;
        }
        if let Some(state) = running.and_then(|running| of(running, &bridge.name)) {
            connected(bridge, state, findings);
        }
    }
}

/// What the running gateway says of a bridge.
fn of<'v>(running: &'v Value, name: &str) -> Option<&'v Value> {
    running["bridges"].as_array()?.iter().find(|bridge| bridge["name"] == name)
}

async fn reach(
    bridge: &Bridge,
    dialer: &Dialer,
    number: usize,
    address: &RemoteAddress,
    findings: &mut Findings,
) {
    let place = format!("bridge {:?}, {address}", bridge.name);
    let found = match timeout(bridge.timeout, lookup_host((address.host.as_str(), address.port))).await {
        Ok(Ok(found)) => found.collect::<Vec<SocketAddr>>(),
        Ok(Err(error)) => {
            let what = format!("the name {:?} cannot be resolved: {error}", address.host);
            let help = "is it spelled right? is a name server set and reachable (resolvectl status, /etc/resolv.conf)?";
            return findings.wrong(place, what, help);
        }
        Err(_) => {
            let what = format!("no name server answers for {:?} within {:?}", address.host, bridge.timeout);
            return findings.wrong(place, what, "see resolvectl status, /etc/resolv.conf and the network");
        }
    };
    let numbers = found.iter().map(|found| found.ip().to_string()).collect::<Vec<_>>().join(", ");
    let mut stream = match timeout(bridge.timeout, dialer.dial(number)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return findings.wrong(place, format!("{} ({numbers})", dial::why(&error)), advice(&error));
        }
        Err(_) => {
            let what = format!("{numbers} does not answer within {:?}", bridge.timeout);
            return findings.wrong(place, what, "is the port right? does a firewall drop what goes there?");
        }
    };
    let mut byte = [0];
    match timeout(SECOND_THOUGHTS, stream.read(&mut byte)).await {
        // It waits for CONNECT, as it should.
        Err(_) => {
            let tls = if address.scheme.has_tls() { ", TLS is right" } else { ", without TLS" };
            findings.fine(place, format!("reached at {numbers}{tls}"));
        }
        Ok(Err(error)) => findings.wrong(place, dial::why(&error), advice(&error)),
        Ok(Ok(0)) => findings.wrong(
            place,
            "the connection is closed at once",
            "what listens there may be no MQTT broker, or one that refuses this machine: see its log",
        ),
        Ok(Ok(_)) => findings.wrong(
            place,
            "what listens there speaks first: it is no MQTT broker",
            "is the port right?",
        ),
    }
}

/// What the running gateway has to say.
fn connected(bridge: &Bridge, state: &Value, findings: &mut Findings) {
    let place = format!("bridge {:?}, in the running gateway", bridge.name);
    let queued = state["queued_messages"].as_u64().unwrap_or(0);
    if state["connected"] == true {
        findings.fine(&place, format!("connected, {queued} messages wait"));
    } else {
        let why = state["error"].as_str().unwrap_or("it has not been tried yet");
        findings.warn(
            &place,
            format!("not connected ({why}), {queued} messages wait"),
            "see `latchgate bridge status`",
        );
    }
    let refused: Vec<&str> =
        state["refused_filters"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !refused.is_empty() {
        let what = format!("the remote broker refuses the filters {}", refused.join(", "));
        findings.warn(&place, what, "let its rules allow them, or change the routes");
    }
}

/// What is to be done about a connection that did not come about.
fn advice(error: &std::io::Error) -> &'static str {
    use dial::Trouble::*;
    match dial::trouble(error) {
        Clock => "set this machine's clock (timedatectl), or have the remote broker's certificate renewed",
        Name => "write the address with a name that the certificate has, or set bridge.tls.server_name",
        Issuer => "bridge.tls.ca must name the authority that signed the remote broker's certificate",
        Refused => {
            "bridge.tls.certificate and key must be from an authority that the remote broker trusts, valid, and for clients; its log \
             says more"
        }
        NoTls => "is the port one for TLS? mqtt:// is without it",
        Other => {
            "is the address right, and does the broker run? see `latchgate bridge status` and the broker's log"
        }
    }
}
