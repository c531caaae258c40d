//! Button and LED: what does the hand want, and what should the eye see?
//!
//! This room owns the two wires of the panel: the drivers that hold them (`port`), what a press means (`press`), what
//! the LED shows (`code`) and how it blinks (`blink`), and the one [`Task`] that runs it all. It promises that a button
//! that bounces, sticks or was held at the start does nothing by accident, that a chip that vanishes is told once
//! and taken up again when it returns, and that the LED is off when nobody drives it. It knows nothing of the gateway: what
//! the gateway is in comes in as [`Conditions`], what the hand wants goes out as [`Wish`]es. It must never decide
//! what a wish does.

mod blink;
mod code;
mod gpiochip;
mod port;
mod press;
#[cfg(feature = "rppal")]
mod rppal;
mod simulated;
mod status;
mod task;

use std::time::Duration;

pub use blink::{CODES, Pattern};
pub use code::{Code, Conditions, Service};
pub use gpiochip::{CONSUMER, LineState, lines};
pub use port::{Driver, Port, PortError};
pub use press::{Presses, Wish};
pub use simulated::{NotPressed, SimulatedButton};
pub use status::Status;
pub use task::{Panel, Task};

/// Which driver is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The kernel's GPIO character device.
    GpioChip,
    /// The registers of a Raspberry Pi, by the crate rppal.
    Rppal,
    /// Nothing but memory; pressed by [`SimulatedButton::press`].
    Simulated,
    /// No panel.
    None,
}

impl Kind {
    /// Its word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Kind::GpioChip => "gpiochip",
            Kind::Rppal => "rppal",
            Kind::Simulated => "simulated",
            Kind::None => "none",
        }
    }
}

/// Where button and LED are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The driver.
    pub kind: Kind,
    /// Label of the GPIO chip; `None`: the chip of a Raspberry Pi's header.
    pub chip: Option<String>,
    /// The button's line: on a Raspberry Pi its BCM number. Pressed, it is low; a pull-up keeps it high otherwise.
    pub button: u16,
    /// The LED's line; lit when high.
    pub led: u16,
    /// How long the button's contact must be steady to count.
    pub debounce: Duration,
}

#[cfg(test)]
mod tests;
