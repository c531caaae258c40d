//! The panel by itself: presses as a table and a property, the LED's codes, and faults of the hardware.

mod code;
mod fault;
mod press;
