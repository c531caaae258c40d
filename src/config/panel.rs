//! `[panel]`: button and LED.

use std::time::Duration;

use super::number::{Line, Span};
use super::scalar::{OneOf, Switch, words};
use super::section::{Entry, Reader, Setting, section};
use super::text::OptionalName;

words! {
    /// What works button and LED.
    pub enum PanelDriver {
        /// The kernel's GPIO character device.
        GpioChip = "gpiochip",
        /// The registers of a Raspberry Pi.
        Rppal = "rppal",
        /// Nothing but memory.
        Simulated = "simulated",
        /// Nothing.
        None = "none",
    }
}

section! {
    /// The button that closes the gateway, and the LED that says how it is.
    pub struct Panel {
        /// What works them. "gpiochip": the kernel's GPIO character device (Linux 5.10 and later), on every Raspberry Pi and
        /// other boards. "rppal": the registers of a Raspberry Pi; only in an executable that was built with
        /// `--features rppal`. "simulated": nothing but memory; `latchgate panel press` presses, `latchgate panel status`
        /// shows. "none": there is no panel.
        pub driver: PanelDriver => OneOf<PanelDriver> = PanelDriver::Simulated,

        /// The label of the GPIO chip, as `gpiodetect` shows it in brackets, for "gpiochip". Default: the chip of a Raspberry
        /// Pi's header, whichever it has.
        pub chip: Option<String> => OptionalName = None,

        /// The line of the button: on a Raspberry Pi its BCM number. The button connects it to ground; the pull-up inside
        /// the chip is switched on.
        pub button: u16 => Line = 17,

        /// The line of the LED, which is lit when the line is high.
        pub led: u16 => Line = 27,

        /// How long the button's contact must be steady to count.
        pub debounce: Duration => Span = Duration::from_millis(20),

        /// What happens at the start if button and LED are not to be had. false: the log says so, and the gateway runs
        /// without until they are there. true: it does not start.
        pub required: bool => Switch = false,
    }
}

/// The section, checked as a whole.
pub(super) enum CheckedPanel {}

impl Setting for CheckedPanel {
    type Value = Panel;

    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, fallback: &Panel) -> Panel {
        let Some(section) = entry.section(reader) else { return fallback.clone() };
        let places = ["driver", "led", "button", "debounce"].map(|key| section.span_of(key));
        let whole = section.span.clone();
        let panel = Panel::read_keys(section, reader, fallback);
        let [driver, led, button, debounce] = places;
        if panel.button == panel.led {
            let what = format!("`panel.button` and `panel.led` are both line {}", panel.led);
            reader.wrong(led.or(button).unwrap_or(whole.clone()), what, "each needs a line of its own");
        }
        if panel.debounce > Panel::LONGEST_DEBOUNCE {
            let what = "`panel.debounce` is so long that presses would be missed";
            reader.wrong(debounce.unwrap_or(whole.clone()), what, "\"5ms\" to \"50ms\" suits most buttons");
        }
        if panel.driver == PanelDriver::Rppal && !cfg!(feature = "rppal") {
            let what = "`panel.driver` cannot be \"rppal\": this executable was built without it";
            reader.wrong(driver.unwrap_or(whole), what, "use \"gpiochip\", or build with --features rppal");
        }
        panel
    }

    fn describe(path: &str, key: &str, doc: &[&str], value: &Panel, out: &mut String) {
        <Panel as Setting>::describe(path, key, doc, value, out);
    }
}

impl Panel {
    const LONGEST_DEBOUNCE: Duration = Duration::from_millis(500);
}
