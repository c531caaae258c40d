//! Who is this? Stored passwords and logins.

pub mod password;
