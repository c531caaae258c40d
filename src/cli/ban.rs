//! `latchgate ban …`: who is kept out after failed logins.

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::admin;
use super::console::Console;

/// Bans after failed logins, in the running gateway
#[derive(Debug, clap::Subcommand)]
pub enum BanCommand {
    /// List the bans in force
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Lift bans, and forget the failures that led to them
    ///
    /// With --address everything banned at that address; with --user that user name wherever it is banned; with both, that
    /// user name at that address. A lifted ban is in the log. The exit status is 1 if nothing was banned.
    #[command(group = clap::ArgGroup::new("who").required(true).multiple(true))]
    Lift {
        /// User name
        #[arg(long, value_name = "NAME", group = "who")]
        user: Option<String>,
        /// IP address; of IPv6, any of its /64
        #[arg(long, value_name = "ADDRESS", group = "who")]
        address: Option<IpAddr>,
    },
}

/// Asks the gateway that uses `state`.
pub fn run(command: BanCommand, state: &Path) -> anyhow::Result<ExitCode> {
    Console::of_process(|console| match command {
        BanCommand::List { json } => list(&admin::ask(state, "GET", "/bans", None)?, json, console),
        BanCommand::Lift { user, address } => {
            let body = json!({ "user": user, "address": address });
            let answer = admin::ask(state, "POST", "/bans/lift", Some(&body))?;
            let lifted = answer["lifted"].as_u64().unwrap_or_default();
            writeln!(console.out, "{lifted} ban{} lifted", if lifted == 1 { "" } else { "s" })?;
            Ok(ExitCode::from(if lifted > 0 { super::DONE } else { super::FAILED }))
        }
    })
}

fn list(answer: &Value, json: bool, console: &mut Console) -> anyhow::Result<ExitCode> {
    if json {
        console.json(&answer["bans"])?;
    } else {
        let bans = answer["bans"].as_array().map_or(&[][..], Vec::as_slice);
        let row = |ban: &Value| {
            let user =
                ban["user"].as_str().map_or_else(|| "(everybody)".to_owned(), |user| format!("{user:?}"));
            [ban["address"].as_str().unwrap_or_default().to_owned(), user, format!("{} s", ban["seconds"])]
        };
        let rows: Vec<_> = bans.iter().map(row).collect();
        console.table(["ADDRESS", "USER", "LEFT"], &rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::console::piped;
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        _command: BanCommand,
    }

    #[test]
    fn a_ban_that_is_lifted_must_be_named() {
        let parse = |words: &[&str]| Line::try_parse_from([&["ban"], words].concat());
        for right in [
            &["list"][..],
            &["lift", "--user", "lamp"],
            &["lift", "--address", "2001:db8::1"],
            &["lift", "--user", "lamp", "--address", "192.0.2.7"],
        ] {
            parse(right).unwrap();
        }
        for wrong in [&["lift"][..], &["lift", "--address", "lamp"], &["lift", "lamp"]] {
            parse(wrong).unwrap_err();
        }
    }

    #[test]
    fn the_list_shows_what_is_banned_where_and_for_how_long() {
        let answer = json!({ "bans": [
            { "address": "192.0.2.7", "user": null, "seconds": 300 },
            { "address": "2001:db8::/64", "user": "la\u{1b}mp", "seconds": 7 },
        ]});
        let (_, out, _) = piped("", |console| list(&answer, false, console));
        assert_eq!(
            out,
            "ADDRESS        USER          LEFT\n\
             192.0.2.7      (everybody)   300 s\n\
             2001:db8::/64  \"la\\u{1b}mp\"  7 s\n"
        );
    }
}
