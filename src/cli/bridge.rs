//! `latchgate bridge`: what travels to and from other brokers.

use std::{fmt::Write, path::Path, process::ExitCode};

use anyhow::bail;
use serde_json::Value;

use super::{Context, admin, output};
use crate::{config::Config, store::StateDb};

/// The bridges of the running gateway
#[derive(Debug, clap::Subcommand)]
pub enum BridgeCommand {
    /// Show each bridge: whether the remote broker answers, what waits for it, and what became of every message
    ///
    /// The ledger always balances: accepted = delivered + queued + expired + dropped, and for what comes in accepted = published +
    /// refused. It counts messages of QoS 1 and 2 for ever, also over restarts.
    Status(StatusArgs),
    /// Drop what waits for a bridge that is no longer in the configuration, and its ledger
    Forget(ForgetArgs),
}

/// Options of `bridge forget`.
#[derive(Debug, clap::Args)]
pub struct ForgetArgs {
    /// The bridge's name
    name: String,
}

/// Options of `bridge status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Answer as JSON
    #[arg(long)]
    json: bool,
}

/// Asks the gateway that uses the state directory, or changes what is kept there.
pub fn run(command: BridgeCommand, context: &Context) -> anyhow::Result<ExitCode> {
    let state = &context.state_dir()?;
    let args = match command {
        BridgeCommand::Status(args) => args,
        BridgeCommand::Forget(args) => return forget(&args.name, context, state),
    };
    let answer = admin::ask(state, "GET", "/bridges", None)?;
    if args.json {
        output::print_json(&answer["bridges"])?;
    } else {
        output::print(&as_text(&answer["bridges"]))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Only for a bridge that nobody has: what a gateway has in memory would be written again.
fn forget(name: &str, context: &Context, state: &Path) -> anyhow::Result<ExitCode> {
    let configured = context.config()?.bridges.iter().any(|bridge| bridge.name == name);
    let running = admin::ask(state, "GET", "/bridges", None).ok();
    let runs = running.is_some_and(|running| {
        running["bridges"].as_array().is_some_and(|all| all.iter().any(|bridge| bridge["name"] == name))
    });
    if configured {
        bail!(
            "the bridge \"{name}\" is in the configuration: take it out, restart the gateway, and try again"
        );
    }
    if runs {
        bail!("the running gateway has the bridge \"{name}\" still: restart it, and try again");
    }
    match StateDb::forget_bridge(state, name)? {
        None => bail!("nothing is kept of a bridge \"{name}\""),
        Some(messages) => output::print(&format!("{messages} messages are dropped\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One line for each bridge that is no longer there and for which messages wait.
pub(super) fn left_over(config: &Config) -> Vec<String> {
    let names: Vec<&str> = config.bridges.iter().map(|bridge| &*bridge.name).collect();
    // A file that cannot be read is told elsewhere.
    let waiting = StateDb::waiting_but_for(&config.gateway.state, &names).unwrap_or_default();
    let line = |(name, count): (String, u64)| {
        format!(
            "{count} messages wait for a bridge \"{name}\", which is not in the configuration: name one so again, or drop them with \
             `latchgate bridge forget {name}`"
        )
    };
    waiting.into_iter().map(line).collect()
}

pub(super) fn as_text(bridges: &Value) -> String {
    let mut text = String::new();
    for bridge in bridges.as_array().into_iter().flatten() {
        // Writing to a string cannot fail.
        let _ = describe(bridge, &mut text);
    }
    if text.is_empty() {
        text.push_str("no bridges: [[bridge]] in the configuration makes one\n");
    }
    text
}

fn describe(bridge: &Value, out: &mut String) -> std::fmt::Result {
    let word = |key: &str| bridge[key].as_str().unwrap_or_default();
    let number = |key: &str| bridge[key].as_u64().unwrap_or(0);
    let state = if bridge["connected"] == true { "connected" } else { "not connected" };
    let since = span(number("seconds"));
    writeln!(out, "{}  {state} for {since}  {} as {}", word("name"), word("address"), word("client_id"))?;
    if let Some(error) = bridge["error"].as_str() {
        writeln!(out, "  error     {error}")?;
    }
    if let Some(error) = bridge["last_error"].as_str().filter(|error| bridge["error"] != **error) {
        writeln!(out, "  last error, {} ago: {error}", span(number("last_error_seconds")))?;
    }
    if let Some(time) = bridge["round_trip_ms"].as_f64() {
        writeln!(out, "  answers   within {time} ms")?;
    }
    for filter in bridge["refused_filters"].as_array().into_iter().flatten() {
        writeln!(out, "  refused   the remote broker does not let the bridge subscribe to {filter}")?;
    }
    write!(out, "  backlog   {} messages, {} bytes", number("queued_messages"), number("queued_bytes"))?;
    if let Some(age) = bridge["oldest_seconds"].as_u64() {
        write!(out, ", the oldest for {}", span(age))?;
    }
    match bridge["drained_in_seconds"].as_u64() {
        Some(seconds) if number("queued_messages") > 0 => {
            writeln!(out, "; drained in about {}", span(seconds))?
        }
        _ => writeln!(out)?,
    }
    for route in bridge["routes"].as_array().into_iter().flatten() {
        let count = |key: &str| route[key].as_u64().unwrap_or(0);
        write!(
            out,
            "  out       {}: accepted {} = delivered {} + queued {} + expired {}",
            route["topic"].as_str().unwrap_or_default(),
            count("accepted"),
            count("delivered"),
            count("queued"),
            count("expired"),
        )?;
        let (dropped, reasons) = by_reason(&route["dropped"]);
        write!(out, " + dropped {dropped}{reasons}")?;
        match count("unacknowledged") {
            0 => writeln!(out)?,
            sent => writeln!(out, "; {sent} of the delivered at QoS 0, which nobody acknowledges")?,
        }
    }
    for route in bridge["routes_in"].as_array().into_iter().flatten() {
        let count = |key: &str| route[key].as_u64().unwrap_or(0);
        let topic = route["topic"].as_str().filter(|topic| !topic.is_empty()).unwrap_or("(no route)");
        let (refused, reasons) = by_reason(&route["refused"]);
        let (accepted, published) = (count("accepted"), count("published"));
        writeln!(
            out,
            "  in        {topic}: accepted {accepted} = published {published} + refused {refused}{reasons}"
        )?;
    }
    writeln!(out, "  QoS 0     sent {}, dropped {}", number("qos0_sent"), number("qos0_dropped"))?;
    let (published, refused, echoes) = (number("in_published"), number("in_refused"), number("in_echoes"));
    write!(
        out,
        "  arrived   published {published}, refused {refused}, own messages that came back {echoes}"
    )?;
    match number("in_held") {
        0 => writeln!(out),
        held => writeln!(out, "; the lock kept {held} out, which the remote broker has still or sent again"),
    }
}

/// The sum of counts by reason, and in brackets those that are not 0.
fn by_reason(counts: &Value) -> (u64, String) {
    let counts = counts.as_object().into_iter().flatten();
    let counts: Vec<_> = counts.filter_map(|(reason, count)| Some((reason, count.as_u64()?))).collect();
    let given: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let brackets = if given.is_empty() { String::new() } else { format!(" ({})", given.join(", ")) };
    (counts.iter().map(|(_, count)| count).sum(), brackets)
}

/// Seconds as people say them.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_is_shown_with_its_ledger() {
        let bridges = serde_json::json!([{
            "name": "cloud", "client_id": "b8_broker", "address": "mqtts://c:8883", "connected": true, "seconds": 7300,
            "error": null, "round_trip_ms": 1.5, "refused_filters": ["x/#"], "queued_messages": 3, "queued_bytes": 99,
            "oldest_seconds": 5, "drained_in_seconds": 130,
            "routes": [{"topic": "a/#", "accepted": 9, "delivered": 4, "queued": 3, "expired": 1,
                        "dropped": {"full": 1, "refused": 0}}],
            "routes_in": [{"topic": "r/#", "accepted": 5, "published": 3, "refused": {"echo": 2, "locked": 0}}],
            "qos0_sent": 1, "qos0_dropped": 2, "in_published": 3, "in_refused": 0, "in_echoes": 0,
        }]);
        let text = as_text(&bridges);
        for line in [
            "cloud  connected for 2 h  mqtts://c:8883 as b8_broker",
            "  answers   within 1.5 ms",
            "  backlog   3 messages, 99 bytes, the oldest for 5 s; drained in about 2 min",
            "  out       a/#: accepted 9 = delivered 4 + queued 3 + expired 1 + dropped 1 (1 full)",
            "  in        r/#: accepted 5 = published 3 + refused 2 (2 echo)",
            "  QoS 0     sent 1, dropped 2",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(as_text(&serde_json::json!([])).contains("[[bridge]]"));
    }
}
