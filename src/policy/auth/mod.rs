//! Who is this? Stored passwords and logins.

mod login;
pub mod memory;
pub mod password;

pub(super) use login::Login;
