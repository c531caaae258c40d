//! The lines of button and LED, and who owns them.

use super::finding::Findings;
use crate::config::{Config, PanelDriver};
use crate::panel::{self, LineState, PortError};

/// Asks the kernel about the lines that the configuration names. `runs`: the gateway runs, and has them.
pub fn look(config: &Config, runs: bool, findings: &mut Findings) {
    let panel = &config.panel;
    match panel.driver {
        PanelDriver::GpioChip => {}
        PanelDriver::Simulated => return findings.fine("panel.driver", "simulated: no line is used"),
        PanelDriver::None => return findings.fine("panel.driver", "none: no line is used"),
        PanelDriver::Rppal => {
            return findings
                .fine("panel.driver", "rppal: it works the chip past the kernel, which knows no owner");
        }
    }
    let lines = match panel::lines(panel.chip.as_deref(), &[("button", panel.button), ("led", panel.led)]) {
        Ok(lines) => lines,
        // What to do is part of these.
        Err(error @ (PortError::NoChip { .. } | PortError::NoLine { .. })) => {
            return findings.wrong(
                "panel.driver",
                &error,
                "see `gpiodetect`, and `gpioinfo` for the lines of each chip",
            );
        }
        Err(error) => {
            let help = "run this as root (sudo); the gateway's user must be in the group gpio, and the device belong to it";
            return findings.wrong("panel.driver", &error, help);
        }
    };
    for line in lines {
        owned(line, runs, findings);
    }
}

/// What the owner of a line means.
fn owned(line: LineState, runs: bool, findings: &mut Findings) {
    let place = format!("panel.{} = {}, {}", line.key, line.line, line.chip);
    match line.owner {
        None if runs => findings.warn(
            place,
            "nobody has the line, although the gateway runs",
            "see `latchgate panel status`, and the gateway's log for why; it tries again every five seconds",
        ),
        None => findings.fine(place, "the line is free"),
        Some(owner) if owner == panel::CONSUMER => findings.fine(place, "the gateway has the line"),
        Some(owner) => findings.wrong(
            place,
            format!("the line is owned by {owner:?}"),
            "stop what has it, take it out of the device tree (config.txt), or use another line",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Level;

    #[test]
    fn a_line_is_the_gateways_free_or_somebody_elses_by_name() {
        for (owner, runs, level, words) in [
            (None, false, Level::Fine, "free"),
            (None, true, Level::Warning, "although the gateway runs"),
            (Some("latchgate"), true, Level::Fine, "the gateway has"),
            (Some("onewire@0"), true, Level::Wrong, "\"onewire@0\""),
            (Some("spi0 CS0"), false, Level::Wrong, "\"spi0 CS0\""),
        ] {
            let owner = owner.map(str::to_owned);
            let mut findings = Findings::of("panel");
            let line = LineState { key: "button", line: 17, chip: "pinctrl-bcm2711".to_owned(), owner };
            owned(line, runs, &mut findings);
            let found = findings.into_list().remove(0);
            assert!(found.level == level && found.what.contains(words), "{found:?}");
            assert_eq!(found.place, "panel.button = 17, pinctrl-bcm2711");
        }
    }
}
