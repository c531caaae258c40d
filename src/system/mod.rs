//! The machine around the process: log, signals, service manager, resource limits.
//!
//! This room owns what is said to and heard from the operating system apart from files and sockets. It knows
//! nothing of MQTT or of the configuration: whoever starts the process hands in plain values.

pub mod console;
pub mod limits;
pub mod log;
pub mod memory;
pub mod notify;
pub mod signals;
pub mod sockets;
