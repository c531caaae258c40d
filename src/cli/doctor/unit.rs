//! How the unit of systemd confines the gateway.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use super::finding::Findings;

const UNIT: &str = "latchgate.service";
/// Where units lie, the first found counts (systemd.unit(5)).
const PLACES: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];
/// The exposure that the unit has as it comes, in tenths.
const AS_IT_COMES: f64 = 1.5;

/// Has systemd say how exposed the service is: without it, or without the unit, there is nothing to say.
pub fn look(findings: &mut Findings) {
    let Some(unit) = find() else {
        return findings.fine(UNIT, "it is not installed: nothing confines the gateway but its user");
    };
    // The running manager knows drop-ins; without one the file alone is judged.
    let runs = Path::new("/run/systemd/system").is_dir();
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--no-pager", "--threshold=100"]);
    match runs {
        true => command.arg(UNIT),
        false => command.arg("--offline=true").arg(&unit),
    };
    let place = unit.display();
    let output = match command.env("LC_ALL", "C").output() {
        Ok(output) => output,
        Err(error) => {
            return findings
                .fine(place, format!("systemd-analyze cannot be asked how exposed it is: {error}"));
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    match exposure(&said) {
        Some(level) if level <= AS_IT_COMES => findings.fine(place, format!("its exposure is {level}")),
        Some(level) => findings.warn(
            place,
            format!("its exposure is {level}, and {AS_IT_COMES} as it comes"),
            format!("a drop-in or a changed unit weakens it: see `systemctl cat {UNIT}` and `systemd-analyze security {UNIT}`"),
        ),
        None => {
            let why = String::from_utf8_lossy(&output.stderr);
            let why = why.lines().last().unwrap_or("it said nothing").to_owned();
            findings.warn(place, format!("systemd cannot say how exposed it is: {why}"), format!("see `systemctl status {UNIT}`"));
        }
    }
    if runs {
        enabled(findings);
    }
}

/// The unit's file; systemd's own variable is obeyed.
fn find() -> Option<PathBuf> {
    let named = env::var_os("SYSTEMD_UNIT_PATH");
    let own = named.iter().flat_map(env::split_paths);
    let all = own.chain(PLACES.into_iter().map(PathBuf::from));
    all.map(|place| place.join(UNIT)).find(|unit| unit.exists())
}

/// The number in "→ Overall exposure level for latchgate.service: 1.5 OK :-)".
fn exposure(said: &str) -> Option<f64> {
    let (_, rest) = said.lines().find(|line| line.contains("exposure level"))?.rsplit_once(": ")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Whether it is started at boot, and has not failed.
fn enabled(findings: &mut Findings) {
    let properties =
        ["show", UNIT, "--property=UnitFileState", "--property=ActiveState", "--property=NRestarts"];
    let Ok(output) = Command::new("systemctl").args(properties).output() else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |key: &str| {
        said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default().to_owned()
    };
    if value("ActiveState") == "failed" {
        findings.wrong(
            UNIT,
            "it has failed",
            format!("see `journalctl -u {UNIT}`; then `systemctl restart {UNIT}`"),
        );
    }
    if value("UnitFileState") == "disabled" {
        findings.warn(UNIT, "it is not started at boot", format!("systemctl enable {UNIT}"));
    }
    let restarts = value("NRestarts");
    if !["", "0"].contains(&restarts.as_str()) {
        let help = format!("see `journalctl -u {UNIT}` for why");
        findings.warn(UNIT, format!("systemd has restarted it {restarts} times by itself"), help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposure_is_read_from_what_systemd_says() {
        let said = "x y\n\u{2192} Overall exposure level for latchgate.service: 1.5 OK :-)\n";
        assert_eq!(exposure(said), Some(1.5));
        assert_eq!(exposure("Failed to connect"), None);
    }
}
