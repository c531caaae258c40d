//! The lines of button and LED, and who owns them.

use super::finding::Findings;
use crate::config::{Config, PanelDriver};
use crate::panel::{self, PortError};

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
}
