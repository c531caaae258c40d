//! `latchgate check`: is the configuration right, and what would it do?

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::context::Context;
use super::output;
use crate::config::{BridgeRoute, ClientCertificate, Config, ConfigError, Listener, Protocol, UsernameFrom};
use crate::gateway;

/// Check the configuration and show what it would do
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Answer as JSON
    #[arg(long)]
    json: bool,

    /// Print a configuration that explains every key and has it at its default, instead of checking
    #[arg(long, conflicts_with = "json")]
    print_defaults: bool,

    /// Ask the running gateway what reading its configuration again would change: at once, by closing and opening
    /// listeners, and what only a restart would
    #[arg(long, conflicts_with = "print_defaults")]
    diff: bool,
}

/// Checks the configuration of `context`. Exit status 2 if it is wrong.
pub fn run(args: CheckArgs, context: &Context) -> anyhow::Result<ExitCode> {
    if args.print_defaults {
        output::print(&crate::config::reference())?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.diff {
        return diff(&args, context);
    }
    let checked = context.config().and_then(|config| {
        let warnings = warnings(&config)?;
        Ok((config, warnings))
    });
    match checked {
        Ok((config, warnings)) if args.json => output::print_json(&as_json(&config, &warnings))?,
        Ok((config, warnings)) => output::print(&as_text(&config, &warnings))?,
        Err(error) if args.json => {
            output::print_json(&errors_as_json(&error))?;
            return Ok(ExitCode::from(super::BAD_USAGE));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// What the running gateway would do with its file as it is now.
fn diff(args: &CheckArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let answer = super::admin::ask(&context.state_dir()?, "GET", "/plan", None)?;
    if args.json {
        output::print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    super::reload::list(&answer["live"], "live      ", &mut text);
    super::reload::list(&answer["listeners"], "listener  ", &mut text);
    super::reload::list(&answer["restart"], "restart   ", &mut text);
    if text.is_empty() {
        text.push_str("the running gateway has this configuration\n");
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Everything questionable, the files that the configuration names included.
pub(super) fn warnings(config: &Config) -> Result<Vec<String>, ConfigError> {
    let certificates = gateway::open_tls(config)?;
    gateway::open_policy_settings(config)?;
    gateway::open_latch(config)?;
    let of_files =
        certificates.iter().flatten().flat_map(|tls| tls.warnings().into_iter().chain(tls.running_out()));
    gateway::open_dialers(config)?;
    let left_over = super::bridge::left_over(config);
    Ok(config.warnings().into_iter().chain(of_files).chain(left_over).collect())
}

/// What comes in by a listener, as an address would say it.
fn protocol(listener: &Listener) -> &'static str {
    match (listener.protocol, listener.tls.is_some()) {
        (Protocol::Mqtt, false) => "mqtt",
        (Protocol::Mqtt, true) => "mqtts",
        (Protocol::Websocket, false) => "ws",
        (Protocol::Websocket, true) => "wss",
    }
}

fn as_text(config: &Config, warnings: &[String]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match &config.file {
        Some(file) => writeln!(text, "{}: the configuration is right", file.display()),
        None => writeln!(text, "no configuration file: everything is as built in"),
    };
    let _ = writeln!(text, "gateway  {}", config.gateway.id);
    let _ = writeln!(text, "state    {}", config.gateway.state.display());
    for listener @ Listener { name, address, anonymous, tls, .. } in &config.listeners {
        let logins = match anonymous {
            Some(user) => format!("clients without a login are \"{user}\""),
            None => "clients must log in".to_owned(),
        };
        let is_login = tls.as_ref().is_some_and(|tls| tls.username_from != UsernameFrom::None);
        let logins = match tls.as_ref().map(|tls| tls.client_certificate) {
            None | Some(ClientCertificate::None) => logins,
            Some(ClientCertificate::Optional) if is_login => {
                format!("a certificate is a login; else {logins}")
            }
            Some(ClientCertificate::Optional) => format!("{logins} and may show a certificate"),
            Some(ClientCertificate::Required) if is_login => {
                "clients' certificates are their login".to_owned()
            }
            Some(ClientCertificate::Required) => format!("{logins} and must show a certificate"),
        };
        let protocol = protocol(listener);
        let _ = writeln!(text, "listen   {address}  {protocol}  \"{name}\", {logins}");
    }
    if let Some(address) = config.admin.http {
        let _ = writeln!(text, "monitor  http://{address}/metrics and /healthz");
    }
    for bridge in &config.bridges {
        let addresses: Vec<String> = bridge.address.iter().map(ToString::to_string).collect();
        let _ =
            writeln!(text, "bridge   {}  \"{}\" as {}", addresses.join(", "), bridge.name, bridge.client_id);
        for route in &bridge.route {
            let (way, qos) = (route.direction.word(), route.qos as u8);
            let arrow = match way {
                "in" => "<-",
                "out" => "->",
                _ => "<->",
            };
            let _ = writeln!(text, "         {} {arrow} {}, QoS {qos}", route.local(), route.remote());
        }
    }
    if config.latch.application_id.is_some() {
        let paired = if config.latch.must_be_paired { ", users without a pairing are shut out" } else { "" };
        let _ = writeln!(text, "latch    {}{paired}", config.latch.host);
    }
    for warning in warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

fn as_json(config: &Config, warnings: &[String]) -> Value {
    let listeners: Vec<Value> = config
        .listeners
        .iter()
        .map(|Listener { name, address, protocol, origins, anonymous, tls, .. }| {
            let (address, protocol, tls) = (address.to_string(), protocol.word(), tls.is_some());
            json!({
                "name": name, "address": address, "protocol": protocol, "tls": tls, "origins": origins,
                "anonymous": anonymous,
            })
        })
        .collect();
    let bridges: Vec<Value> = config
        .bridges
        .iter()
        .map(|bridge| {
            let addresses: Vec<String> = bridge.address.iter().map(ToString::to_string).collect();
            let route = |route: &BridgeRoute| {
                let (direction, qos) = (route.direction.word(), route.qos as u8);
                json!({"direction": direction, "local": route.local(), "remote": route.remote(), "qos": qos})
            };
            let routes: Vec<Value> = bridge.route.iter().map(route).collect();
            json!({"name": bridge.name, "addresses": addresses, "client_id": bridge.client_id, "routes": routes})
        })
        .collect();
    json!({
        "valid": true,
        "file": config.file.as_ref().map(|file| file.display().to_string()),
        "gateway": {"id": config.gateway.id, "state": config.gateway.state.display().to_string()},
        "listeners": listeners,
        "bridges": bridges,
        "admin": {"http": config.admin.http.map(|address| address.to_string())},
        "warnings": warnings,
    })
}

fn errors_as_json(error: &ConfigError) -> Value {
    let mut errors: Vec<Value> = error
        .problems()
        .iter()
        .map(|problem| {
            json!({
                "line": problem.line, "column": problem.column, "message": problem.what, "help": problem.help,
            })
        })
        .collect();
    if errors.is_empty() {
        errors.push(json!({"message": error.to_string()}));
    }
    json!({"valid": false, "file": error.file().display().to_string(), "errors": errors})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, "/etc/gate.toml".as_ref())
    }

    const OPEN: &str =
        "gateway.id = 'porch'\n[[listener]]\nname = 'door'\naddress = '0.0.0.0:1883'\nanonymous = 'guest'";

    #[test]
    fn a_right_configuration_is_answered_with_its_listeners_and_warnings() {
        let config = parse(OPEN).unwrap();
        let text = as_text(&config, &warnings(&config).unwrap());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "/etc/gate.toml: the configuration is right",
                "gateway  porch",
                "state    /etc/latchgate-state",
                "listen   0.0.0.0:1883  mqtt  \"door\", clients without a login are \"guest\"",
            ]
        );
        assert!(
            lines.len() == 6 && lines[4].starts_with("warning: listener \"door\": 0.0.0.0:1883"),
            "{text}"
        );
    }

    #[test]
    fn the_same_is_told_to_programs() {
        let config = parse(OPEN).unwrap();
        let json = as_json(&config, &warnings(&config).unwrap());
        assert_eq!(json["listeners"][0]["address"], "0.0.0.0:1883");
        assert_eq!(json["warnings"].as_array().unwrap().len(), config.warnings().len());
        assert_eq!(json["valid"], true);
    }

    #[test]
    fn errors_for_programs_have_line_and_column() {
        let json = errors_as_json(&parse("[log]\nlevle = 1").unwrap_err());
        let expected = json!({
            "line": 2, "column": 1, "message": "unknown key `levle` in [log]", "help": "did you mean `level`?",
        });
        assert_eq!((&json["errors"][0], &json["file"]), (&expected, &"/etc/gate.toml".into()));
        let absent = Config::load(Some("/nonexistent.toml".as_ref())).unwrap_err();
        assert!(errors_as_json(&absent)["errors"][0]["message"].as_str().unwrap().contains("cannot read"));
    }
}
