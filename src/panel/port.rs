//! What the panel needs of hardware: a button that tells when it changes, and an LED.

use std::{
    io,
    path::PathBuf,
    task::{Context, Poll},
};

/// Button and LED in hand. Dropping it lets go of both lines; whoever holds one turns the LED off before.
pub trait Port: Send {
    /// The next change of the button: whether it is pressed now. Bounces may be reported. Cancel safe. After an error
    /// the port is of no use any more.
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, PortError>>;

    /// Whether the button is pressed. Does not block for long.
    ///
    /// # Errors
    /// If the hardware is gone.
    fn is_pressed(&mut self) -> Result<bool, PortError>;

    /// Turns the LED on or off. Does not block for long.
    ///
    /// # Errors
    /// If the hardware is gone.
    fn light(&mut self, on: bool) -> Result<(), PortError>;

    /// Whether it reports only what outlasted the bouncing of the contact.
    fn is_debounced(&self) -> bool;
}

/// Takes hold of the hardware, as often as that is needed.
pub trait Driver: Send + Sync + 'static {
    /// The port, if it is to be had. Blocks for a few milliseconds; must be called within a tokio runtime.
    ///
    /// # Errors
    /// If it is not to be had now.
    fn open(&self) -> Result<Box<dyn Port>, PortError>;
}

/// Why there is no button and no LED.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// No chip has the label.
    #[error(
        "no GPIO chip with the label {wanted} (there is {found}): is this a board with GPIO? panel.driver = \"none\" does \
         without, panel.chip names another label"
    )]
    NoChip {
        /// What was looked for.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// The chip cannot be opened.
    #[error("{} cannot be opened: {source}; the gateway's user must be in the group that owns it (gpio)", path.display())]
    Closed {
        /// The device.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The chip has no such line.
    #[error("panel.{key} = {line}: {chip} has the lines 0 to {last} only")]
    NoLine {
        /// The key that names the line.
        key: &'static str,
        /// The line.
        line: u16,
        /// The chip's label.
        chip: String,
        /// Its last line.
        last: u32,
    },
    /// Somebody else uses the line.
    #[error("panel.{key} = {line}: the line is in use by {consumer:?}; stop that, or use another line")]
    Busy {
        /// The key that names the line.
        key: &'static str,
        /// The line.
        line: u16,
        /// Who uses it, as the kernel says.
        consumer: String,
    },
    /// It does not work (any more).
    #[error("{doing} failed: {why}")]
    Failed {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        why: String,
    },
    /// This executable was built without the driver.
    #[error(
        "panel.driver = \"rppal\": this executable was built without it (cargo build --features rppal); use \"gpiochip\""
    )]
    NotBuilt,
}
