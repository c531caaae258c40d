//! `latchgate check`: is the configuration right, and what would it do?

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::context::Context;
use super::output;
use crate::config::{Config, ConfigError, Listener};

/// Check the configuration and show what it would do
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Answer as JSON
    #[arg(long)]
    json: bool,

    /// Print a configuration that explains every key and has it at its default, instead of checking
    #[arg(long, conflicts_with = "json")]
    print_defaults: bool,
}

/// Checks the configuration of `context`. Exit status 2 if it is wrong.
pub fn run(args: CheckArgs, context: &Context) -> anyhow::Result<ExitCode> {
    if args.print_defaults {
        output::print(&crate::config::reference())?;
        return Ok(ExitCode::SUCCESS);
    }
    match context.config() {
        Ok(config) if args.json => output::print_json(&as_json(&config))?,
        Ok(config) => output::print(&as_text(&config))?,
        Err(error) if args.json => {
            output::print_json(&errors_as_json(&error))?;
            return Ok(ExitCode::from(super::BAD_USAGE));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(config: &Config) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match &config.file {
        Some(file) => writeln!(text, "{}: the configuration is right", file.display()),
        None => writeln!(text, "no configuration file: everything is as built in"),
    };
    let _ = writeln!(text, "gateway  {}", config.gateway.id);
    let _ = writeln!(text, "state    {}", config.gateway.state.display());
    for Listener { name, address, protocol, anonymous, .. } in &config.listeners {
        let logins = match anonymous {
            Some(user) => format!("clients without a login are \"{user}\""),
            None => "clients must log in".to_owned(),
        };
        let _ = writeln!(text, "listen   {address}  {}  \"{name}\", {logins}", protocol.word());
    }
    if let Some(address) = config.admin.http {
        let _ = writeln!(text, "monitor  http://{address}/metrics and /healthz");
    }
    for warning in config.warnings() {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

fn as_json(config: &Config) -> Value {
    let listeners: Vec<Value> = config
        .listeners
        .iter()
        .map(|Listener { name, address, protocol, origins, anonymous, .. }| {
            let (address, protocol) = (address.to_string(), protocol.word());
            json!({
                "name": name, "address": address, "protocol": protocol, "origins": origins, "anonymous": anonymous,
            })
        })
        .collect();
    json!({
        "valid": true,
        "file": config.file.as_ref().map(|file| file.display().to_string()),
        "gateway": {"id": config.gateway.id, "state": config.gateway.state.display().to_string()},
        "listeners": listeners,
        "admin": {"http": config.admin.http.map(|address| address.to_string())},
        "warnings": config.warnings(),
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
        let text = as_text(&parse(OPEN).unwrap());
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
        let json = as_json(&config);
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
