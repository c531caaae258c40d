//! What an operator sees of the panel.

use std::time::SystemTime;

use super::Code;

/// The panel at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The driver's word in the configuration.
    pub driver: &'static str,
    /// Why button and LED are not to be had, if they are not.
    pub trouble: Option<String>,
    /// What the LED says.
    pub code: Code,
    /// Whether the LED is lit.
    pub lit: bool,
    /// Whether the button is pressed.
    pub pressed: bool,
    /// When it was last pressed.
    pub last_press: Option<SystemTime>,
    /// How many changes of the button have been looked at.
    pub changes: u64,
    /// Whether nothing is under way: the contact is steady and every wish done with.
    pub settled: bool,
}
