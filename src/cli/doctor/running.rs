//! The gateway itself: whether it runs, and has the configuration that the file has now.

use std::path::Path;

use serde_json::Value;

use super::finding::Findings;
use crate::admin::{self, path};
use crate::cli;

/// What the running gateway says of itself; `None` if there is none, or it does not answer.
pub fn look(state: &Path, findings: &mut Findings) -> Option<Value> {
    let place = path(state);
    if let Err(error) = admin::connect(state) {
        match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                findings.fine(place.display(), "no gateway runs with this state directory");
            }
            _ => findings.wrong(
                place.display(),
                format!("the gateway cannot be asked: {error}"),
                "run this as the gateway's user or as root (sudo)",
            ),
        }
        return None;
    }
    let status = match cli::admin::ask(state, "GET", "/status", None) {
        Ok(status) => status,
        Err(error) => {
            let help = "see its log; if it stands still, `systemctl restart latchgate`";
            findings.wrong(place.display(), format!("the gateway does not answer: {error:#}"), help);
            return None;
        }
    };
    let version = status["version"].as_str().unwrap_or("of an unknown version");
    findings.fine(place.display(), format!("a gateway runs ({version})"));
    // A wrong file was told with the configuration.
    if let Ok(plan) = cli::admin::ask(state, "GET", "/plan", None) {
        let words = |key: &str| {
            let list = plan[key].as_array().into_iter().flatten().filter_map(Value::as_str);
            list.map(str::to_owned).collect::<Vec<_>>()
        };
        let (restart, reload) = (words("restart"), [words("live"), words("listeners")].concat());
        if !reload.is_empty() {
            let what = format!("the file has changed since it was read: {}", reload.join(", "));
            findings.warn(place.display(), what, "`latchgate reload`");
        }
        if !restart.is_empty() {
            let what =
                format!("the file has changed, and a restart is needed for it: {}", restart.join(", "));
            findings.warn(place.display(), what, "`systemctl restart latchgate`");
        }
    }
    Some(status)
}
