//! Who is this? Stored passwords and logins.

pub mod memory;
pub mod password;
