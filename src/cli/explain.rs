//! `latchgate explain`: why may somebody do something, or why not?

use std::{fmt::Write, net::IpAddr, path::Path, process::ExitCode};

use serde_json::Value;

use super::{admin, console::shown, context::BadUsage, output};
use crate::{admin::Question, policy::acl::Access};

/// Ask the running gateway what it would answer, stage by stage; the exit status is 0 for allow, 3 for deny
///
/// USER ACCESS TOPIC is the question of `acl test`, put to the running gateway. With --client, the gate of that
/// connected client answers, with what it has in memory.
#[derive(Debug, clap::Args)]
#[command(override_usage = "latchgate explain [OPTIONS] USER ACCESS TOPIC\n       \
                            latchgate explain [OPTIONS] --client ID ACCESS TOPIC")]
pub struct ExplainArgs {
    /// USER: user name, left out with --client; ACCESS: read (subscribe and receive), write (publish), all, publish,
    /// subscribe or receive; TOPIC: topic name, or filter to ask about a subscription
    #[arg(required = true, num_args = 2..=3, value_names = ["USER", "ACCESS", "TOPIC"])]
    question: Vec<String>,

    /// Client identifier, for rules with %c
    #[arg(long, value_name = "ID", conflicts_with = "client")]
    client_id: Option<String>,

    /// Address that the user would come from: it may be banned there after failed logins
    #[arg(long, value_name = "ADDRESS", conflicts_with = "client")]
    address: Option<IpAddr>,

    /// Listener that the user would come in by, whose backends are asked
    #[arg(long, value_name = "NAME", conflicts_with = "client")]
    listener: Option<String>,

    /// Ask the gate of this connected client
    #[arg(long, value_name = "ID")]
    client: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ExplainArgs {
    fn question(self) -> Result<Question, BadUsage> {
        let ExplainArgs { question, client_id, address, listener, client, .. } = self;
        let (user, access, topic) = match (<[String; 3]>::try_from(question), &client) {
            (Ok([user, access, topic]), None) => (Some(user), access, topic),
            (Err(words), Some(_)) if words.len() == 2 => (None, words[0].clone(), words[1].clone()),
            (_, None) => return Err(BadUsage("say USER ACCESS TOPIC, or --client ID ACCESS TOPIC".into())),
            (_, Some(_)) => {
                return Err(BadUsage("with --client, say ACCESS TOPIC: the user is known".into()));
            }
        };
        access.parse::<Access>().map_err(|what| BadUsage(format!("{access:?}: {what}")))?;
        if topic.is_empty() {
            return Err(BadUsage("the topic is empty".into()));
        }
        Ok(Question { user, client_id, address, listener, client, access, topic })
    }
}

/// Asks the gateway that uses `state`.
pub fn run(
    args: ExplainArgs,
    state: impl FnOnce() -> anyhow::Result<std::path::PathBuf>,
) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let question = args.question()?;
    let state: &Path = &state()?;
    let answer = admin::ask(state, "POST", "/explain", Some(&serde_json::to_value(question)?))?;
    if json {
        output::print_json(&answer)?;
    } else {
        output::print(&as_text(&answer))?;
    }
    Ok(ExitCode::from(if answer["allowed"] == true { super::DONE } else { super::NO }))
}

/// The first line answers as `acl test` does; then each operation with its stages.
fn as_text(answer: &Value) -> String {
    let word = |value: &Value| shown(value.as_str().unwrap_or_default());
    let answers = answer["answers"].as_array().map_or(&[][..], Vec::as_slice);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let decisive = answers.iter().find(|one| one["allowed"] == false).or(answers.last());
    let _ = match decisive {
        None => writeln!(text, "deny: nothing was asked"),
        Some(one) if one["allowed"] == true => writeln!(text, "allow: {}", word(&one["rule"])),
        Some(one) if one["rule"].is_string() => {
            writeln!(text, "deny: {} ({})", word(&one["reason"]), word(&one["rule"]))
        }
        Some(one) => writeln!(text, "deny: {}", word(&one["reason"])),
    };
    let client = match answer["client_id"].as_str() {
        Some("") | None => String::new(),
        Some(id) => format!(" as client {}", shown(id)),
    };
    for one in answers {
        let operation = word(&one["operation"]);
        let _ =
            writeln!(text, "{operation} {} by {}{client}:", word(&answer["topic"]), word(&answer["user"]));
        for stage in one["stages"].as_array().map_or(&[][..], Vec::as_slice) {
            let verdict = word(&stage["verdict"]).replace('-', " ");
            let why = stage["why"].as_str().unwrap_or_default();
            let why = if why.is_empty() { String::new() } else { shown(why) };
            let _ = writeln!(
                text,
                "{}",
                format!("  {:<9}  {verdict:<9}  {why}", word(&stage["stage"])).trim_end()
            );
        }
        let backends = one["backends"].as_array().map_or(&[][..], Vec::as_slice);
        for backend in backends {
            let (says, why) = (word(&backend["says"]), backend["why"].as_str().unwrap_or_default());
            let when = backend["when"].as_str().map(|when| format!(" ({when})")).unwrap_or_default();
            let name = word(&backend["backend"]);
            let why = if why.is_empty() { String::new() } else { format!(": {}", shown(why)) };
            let _ = writeln!(text, "  backend    {name:<9}  {says}{why}{when}");
        }
        for key in ["cache", "audit"] {
            if let Some(value) = one[key].as_str() {
                let _ = writeln!(text, "  {key:<9}  {}", shown(value));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ExplainArgs,
    }

    fn question(words: &[&str]) -> Option<Question> {
        let line = Line::try_parse_from([&["explain"], words].concat()).ok()?;
        line.args.question().ok()
    }

    #[test]
    fn a_user_or_a_connected_client_can_be_asked_about() {
        let asked = question(&["ann", "read", "a/#", "--client-id", "c"]).unwrap();
        assert_eq!((asked.user.as_deref(), asked.client_id.as_deref()), (Some("ann"), Some("c")));
        let live = question(&["--client", "lamp-1", "publish", "a"]).unwrap();
        assert_eq!((live.user, live.client.as_deref(), &*live.topic), (None, Some("lamp-1"), "a"));
        for wrong in [
            &["ann", "publish"][..],
            &["--client", "c", "ann", "publish", "a"],
            &["ann", "fly", "a"],
            &["ann", "publish", ""],
            &["--client", "c", "--client-id", "d", "publish", "a"],
        ] {
            assert_eq!(question(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_first_line_answers_as_acl_test_does() {
        let stages = json!([{"stage": "deny", "verdict": "not-asked", "why": ""}]);
        let answer = json!({
            "allowed": false, "user": "ann", "client_id": "", "topic": "a", "answers": [
                {"operation": "publish", "allowed": true, "rule": "allow write a for ann", "stages": stages},
                {"operation": "receive", "allowed": false, "rule": null, "reason": "no rule allows it",
                 "audit": "0123abcd", "cache": null, "stages": stages},
            ],
        });
        let text = as_text(&answer);
        assert_eq!(text.lines().next(), Some("deny: no rule allows it"), "{text}");
        assert!(text.contains("publish a by ann:\n  deny       not asked\nreceive"), "{text}");
        assert!(text.contains("  audit      0123abcd\n"), "{text}");
    }
}
