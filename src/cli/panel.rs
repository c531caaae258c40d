//! `latchgate panel …`: button and LED of the running gateway.

use std::{fmt::Write, path::Path, process::ExitCode, time::Duration};

use serde_json::{Value, json};

use super::{admin, console::shown, output};

/// Longest that a button can be held, in seconds; what a long press does, it has done by then.
const LONGEST: f64 = 60.0;

/// The button and the LED of the running gateway
#[derive(Debug, clap::Subcommand)]
pub enum PanelCommand {
    /// Press the simulated button, and wait until what that does is done
    ///
    /// A press closes the gateway, or opens it if the panel had closed it. Held for 3 seconds, the button closes whatever
    /// it was. Held for 10 seconds and pressed again within 5, it makes a one-time password for an administrator,
    /// which is shown in the log.
    Press {
        /// Hold it for this many seconds (decimals are allowed, at most 60)
        #[arg(long, value_name = "SECONDS", default_value = "0.2", value_parser = hold)]
        hold: Duration,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what the LED says and whether the button is pressed
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Asks the gateway that uses `state`.
pub fn run(command: PanelCommand, state: &Path) -> anyhow::Result<ExitCode> {
    let (answer, json) = match command {
        PanelCommand::Press { hold, json } => {
            let body = json!({ "hold": hold.as_secs_f64() });
            (admin::ask_within(admin::PATIENCE + hold, state, "POST", "/panel/press", Some(&body))?, json)
        }
        PanelCommand::Status { json } => (admin::ask(state, "GET", "/panel", None)?, json),
    };
    if json {
        output::print_json(&answer)?;
    } else {
        output::print(&as_text(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(answer: &Value) -> String {
    let word = |key: &str| answer[key].as_str().map(shown);
    let mut text = String::new();
    let (code, looks) = (word("code").unwrap_or_default(), word("looks").unwrap_or_default());
    let level = word("level").unwrap_or_else(|| "there is none".into());
    // Writing to a string cannot fail.
    let _ = writeln!(text, "led      {code}: {looks} (now: {level})");
    let button = word("button").unwrap_or_else(|| "there is none".into());
    let last = word("last_press").map(|at| format!(", last pressed {at}")).unwrap_or_default();
    let _ = writeln!(text, "button   {button}{last}");
    let _ = writeln!(text, "driver   {}", word("driver").unwrap_or_default());
    if let Some(trouble) = word("trouble") {
        let _ = writeln!(text, "trouble  {trouble}");
    }
    text
}

/// Seconds, as people write them.
fn hold(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=LONGEST).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("a number of seconds from 0 to {LONGEST}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_with_decimals_and_within_bounds() {
        assert_eq!(hold("3"), Ok(Duration::from_secs(3)));
        assert_eq!(hold("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["", "-1", "61", "inf", "NaN", "3s", "1e9"] {
            assert!(hold(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_panel_that_is_not_there_is_shown_with_the_reason() {
        let answer = json!({
            "driver": "gpiochip", "trouble": "no chip\u{1b}[2J", "code": "open", "looks": "x", "level": null,
            "button": null, "last_press": null,
        });
        let text = as_text(&answer);
        assert!(
            text.starts_with("led      open: x (now: there is none)\nbutton   there is none\n"),
            "{text}"
        );
        assert!(text.contains("trouble  no chip") && !text.contains('\u{1b}'), "{text}");
    }
}
